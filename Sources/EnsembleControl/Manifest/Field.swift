/// How one kind of value is written: read from YAML with a complaint in a person's words, and described for editors.
struct ValueType<Value: Sendable>: Sendable {
    let schema: JSONNode
    /// Nil after a complaint was added.
    let read: @Sendable (YAMLNode, String, inout Findings) -> Value?
}

/// One key of a section. The decoder, the JSON Schema and the suggestions for mistyped keys all come from this.
struct Field<Value: Sendable>: Sendable {
    let key: String
    let type: ValueType<Value>
    /// The default as one would write it; nil: there is none.
    let standard: String?
    let about: String
    let isRequired: Bool

    init(_ key: String, _ type: ValueType<Value>, standard: String? = nil, isRequired: Bool = false, about: String) {
        self.key = key
        self.type = type
        self.standard = standard
        self.about = about
        self.isRequired = isRequired
    }

    var erased: AnyField {
        AnyField(key: key, schema: type.schema, standard: standard, about: about, isRequired: isRequired)
    }
}

struct AnyField: Sendable {
    let key: String
    let schema: JSONNode
    let standard: String?
    let about: String
    let isRequired: Bool
}

/// A mapping with known keys.
struct Section<Value: Sendable>: Sendable {
    let fields: [AnyField]
    let make: @Sendable (inout SectionReader) -> Value

    var type: ValueType<Value> {
        ValueType(schema: .section(fields)) { node, path, findings in
            guard var reader = SectionReader(node, path: path, fields: fields, findings: findings) else {
                findings.wrongType(node, path, wanted: "a mapping with \(listing(fields.map(\.key)))")
                return nil
            }
            reader.complainAboutKeys()
            let value = make(&reader)
            findings = reader.findings
            return value
        }
    }
}

/// Reads the values of one mapping.
struct SectionReader {
    let path: String
    private let entries: [YAMLNode.Entry]
    private let fields: [AnyField]
    private let mark: TextMark
    var findings: Findings

    init?(_ node: YAMLNode, path: String, fields: [AnyField], findings: Findings) {
        guard case .mapping(let entries) = node.content else { return nil }
        self.path = path
        self.entries = entries
        self.fields = fields
        mark = node.mark
        self.findings = findings
    }

    func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// The value of a key; nil when it is absent or wrong, and the latter has been complained about.
    mutating func value<Value>(_ field: Field<Value>) -> Value? {
        guard let entry = entries.first(where: { $0.key == field.key }) else { return nil }
        let path = path(of: field.key)
        guard !entry.value.isNull else {
            findings.error(path, at: entry.mark, "it has no value", remedy: "write one, or leave the key out")
            return nil
        }
        findings.place(path, at: entry.value.mark)
        return field.type.read(entry.value, path, &findings)
    }

    mutating func set<Value>(_ target: inout Value, _ field: Field<Value>) {
        if let value = value(field) { target = value }
    }

    mutating func set<Value>(_ target: inout Value?, _ field: Field<Value>) {
        if let value = value(field) { target = value }
    }

    /// Reports repeated, unknown and missing keys.
    fileprivate mutating func complainAboutKeys() {
        findings.place(path, at: mark)
        var firsts: [String: TextMark] = [:]
        for entry in entries {
            if let first = firsts[entry.key] {
                findings.error(
                    path(of: entry.key), at: entry.mark, "this key is already at line \(first.line)",
                    remedy: "keep one of the two")
            } else {
                firsts[entry.key] = entry.mark
                complainIfUnknown(entry)
            }
        }
        for field in fields where field.isRequired && firsts[field.key] == nil {
            findings.error(path, at: mark, "the key \"\(field.key)\" is missing", remedy: "add it: \(field.about)")
        }
    }

    private mutating func complainIfUnknown(_ entry: YAMLNode.Entry) {
        let keys = fields.map(\.key)
        guard !keys.contains(entry.key) else { return }
        let remedy: String
        if let near = nearest(to: entry.key, among: keys) {
            remedy = "did you mean \"\(near)\"?"
        } else if let home = ManifestSections.home(of: entry.key) {
            remedy = "\"\(entry.key)\" belongs under \(home)"
        } else {
            remedy = "known here: \(listing(keys))"
        }
        findings.error(path(of: entry.key), at: entry.mark, "there is no such key", remedy: remedy)
    }
}

/// The candidate that differs from `word` by so few letters that it was probably meant.
func nearest(to word: String, among candidates: [String]) -> String? {
    // Long keys are no typos of anything, and comparing them would cost their length squared.
    guard word.utf8.count <= 64 else { return nil }
    let scored = candidates.map { ($0, editDistance(Array(word.lowercased().utf8), Array($0.lowercased().utf8))) }
    guard let best = scored.min(by: { $0.1 < $1.1 }), best.1 <= max(1, best.0.utf8.count / 3) else { return nil }
    return best.0
}

/// Insertions, deletions, replacements and exchanges of neighbours that turn `a` into `b`.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var previous: [Int] = []
    var current = Array(0...b.count)
    for i in a.indices {
        var next = [i + 1]
        for j in b.indices {
            var cost = min(current[j + 1] + 1, next[j] + 1, current[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, previous[j - 1] + 1) }
            next.append(cost)
        }
        (previous, current) = (current, next)
    }
    return current[b.count]
}

/// "a, b and c"
func listing(_ words: [String], last: String = "and") -> String {
    guard words.count > 1, let final = words.last else { return words.first ?? "" }
    return words.dropLast().joined(separator: ", ") + " \(last) " + final
}
