/// A JSON value whose objects keep their order, so that a printed schema reads like the manifest.
indirect enum JSONNode: Hashable, Sendable {
    struct Member: Hashable, Sendable {
        var name: String
        var value: JSONNode
    }

    case object([Member])
    case array([JSONNode])
    case string(String)
    case integer(Int)
    case boolean(Bool)

    static func object(_ pairs: KeyValuePairs<String, JSONNode>) -> JSONNode {
        .object(pairs.map { Member(name: $0.key, value: $0.value) })
    }

    /// Indented by two blanks a level.
    func text(indent: String = "") -> String {
        let inner = indent + "  "
        switch self {
        case .string(let text): return JSONNode.quoted(text)
        case .integer(let number): return "\(number)"
        case .boolean(let value): return "\(value)"
        case .array(let items):
            guard !items.isEmpty else { return "[]" }
            return "[\n" + items.map { inner + $0.text(indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .object(let members):
            guard !members.isEmpty else { return "{}" }
            let lines = members.map { "\(inner)\(JSONNode.quoted($0.name)): \($0.value.text(indent: inner))" }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            default:
                if scalar.value < 0x20 {
                    let digits = String(scalar.value, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                } else {
                    result.unicodeScalars.append(scalar)
                }
            }
        }
        return result + "\""
    }
}

extension JSONNode {
    /// Schema of a mapping with exactly these keys.
    static func section(_ fields: [AnyField]) -> JSONNode {
        var members = [
            Member(name: "type", value: .string("object")),
            Member(name: "additionalProperties", value: .boolean(false)),
        ]
        let required = fields.filter(\.isRequired).map { JSONNode.string($0.key) }
        if !required.isEmpty { members.append(Member(name: "required", value: .array(required))) }
        let properties = fields.map { Member(name: $0.key, value: $0.schema.described($0)) }
        members.append(Member(name: "properties", value: .object(properties)))
        return .object(members)
    }

    private func described(_ field: AnyField) -> JSONNode {
        guard case .object(let members) = self else { return self }
        let about = field.about + (field.standard.map { " Default: \($0)." } ?? "")
        return .object([Member(name: "description", value: .string(about))] + members)
    }
}
