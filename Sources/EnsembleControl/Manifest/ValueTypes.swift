import EnsembleBase

extension Findings {
    mutating func wrongType(_ node: YAMLNode, _ path: String, wanted: String) {
        let found =
            switch node.content {
            case .sequence: "a list"
            case .mapping: "a mapping"
            case .scalar(let text, _): node.isNull ? "nothing" : "\"\(Findings.short(text))\""
            }
        error(path, at: node.mark, "\(found) is not right here", remedy: "write \(wanted)")
    }

    /// At most 60 characters of what was written, for a message.
    static func short(_ text: String) -> String { text.count <= 60 ? text : text.prefix(60) + "…" }
}

extension ValueType {
    /// A type that is written as one scalar. `parse` answers nil for what is not of this form, which is then explained
    /// by `wanted`.
    static func scalar(
        _ schema: JSONNode, wanted: String, parse: @escaping @Sendable (_ text: String, _ quoted: Bool) -> Value?
    ) -> ValueType {
        ValueType(schema: schema) { node, path, findings in
            guard case .scalar(let text, let quoted) = node.content, let value = parse(text, quoted) else {
                findings.wrongType(node, path, wanted: wanted)
                return nil
            }
            return value
        }
    }

    /// Values of this type for which `check` has nothing to complain about.
    func checked(_ check: @escaping @Sendable (Value) -> (problem: String, remedy: String)?) -> ValueType {
        ValueType(schema: schema) { node, path, findings in
            guard let value = read(node, path, &findings) else { return nil }
            guard let complaint = check(value) else { return value }
            findings.error(path, at: node.mark, complaint.problem, remedy: complaint.remedy)
            return nil
        }
    }
}

extension ValueType where Value == Int {
    static func integer(_ range: ClosedRange<Int>) -> ValueType {
        let schema: JSONNode = .object([
            "type": .string("integer"), "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound),
        ])
        return .scalar(schema, wanted: "a whole number from \(range.lowerBound) to \(range.upperBound)") { text, quoted in
            // 010 is eight to some readers of YAML and ten to others.
            let isPlain = text == "0" || (text.first != "0" && text.utf8.allSatisfy { (0x30...0x39).contains($0) })
            guard !quoted, isPlain, let number = Int(text), range.contains(number) else { return nil }
            return number
        }
    }

    /// Bytes: `1048575`, `64KiB`, `512MiB`, `2GiB`.
    static func size(_ range: ClosedRange<Int>) -> ValueType {
        let schema: JSONNode = .object([
            "type": .array([.string("string"), .string("integer")]),
            "pattern": .string("^[0-9]+(KiB|MiB|GiB)?$"),
        ])
        let wanted = "a size from \(sizeText(range.lowerBound)) to \(sizeText(range.upperBound)), such as 512MiB"
        return .scalar(schema, wanted: wanted) { text, _ in
            let digits = text.prefix { $0.isASCII && $0.isNumber }
            let units = ["": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30]
            guard let count = Int(digits), let unit = units[String(text.dropFirst(digits.count))] else { return nil }
            let (bytes, overflow) = count.multipliedReportingOverflow(by: unit)
            return !overflow && range.contains(bytes) ? bytes : nil
        }
    }
}

extension ValueType where Value == Bool {
    static var boolean: ValueType {
        .scalar(.object(["type": .string("boolean")]), wanted: "true or false") { text, quoted in
            quoted ? nil : Bool(text)
        }
    }
}

extension ValueType where Value == Duration {
    static func duration(_ range: ClosedRange<Duration>) -> ValueType {
        let schema: JSONNode = .object(["type": .string("string"), "pattern": .string("^[0-9]+(ms|s|m|h|d)$")])
        let wanted = "a duration from \(durationText(range.lowerBound)) to \(durationText(range.upperBound)), such as 500ms or 2s"
        return .scalar(schema, wanted: wanted) { text, _ in
            guard let duration = try? Duration.parsed(text), range.contains(duration) else { return nil }
            return duration
        }
    }
}

extension ValueType where Value == Schedule {
    static var schedule: ValueType {
        let schema: JSONNode = .object(["type": .string("string")])
        return ValueType(schema: schema) { node, path, findings in
            guard case .scalar(let text, let quoted) = node.content else {
                findings.wrongType(node, path, wanted: "\"every 15m\", or five cron fields such as \"0 3 * * *\" (UTC)")
                return nil
            }
            do throws(ScheduleError) { return try Schedule(parsing: text) } catch {
                var mark = node.mark
                // Only in a text of one line are columns of the schedule columns of the file.
                if !text.unicodeScalars.contains("\n") { mark.column += error.column - 1 + (quoted ? 1 : 0) }
                findings.error(path, at: mark, error.problem, remedy: error.remedy)
                return nil
            }
        }
    }
}

extension ValueType where Value: RawRepresentable<String> & CaseIterable {
    static var choice: ValueType {
        let words = Value.allCases.map(\.rawValue)
        let schema: JSONNode = .object(["enum": .array(words.map(JSONNode.string))])
        return .scalar(schema, wanted: listing(words, last: "or")) { text, _ in Value(rawValue: text) }
    }
}

extension ValueType where Value == String {
    /// Text of `allowed` bytes only.
    static func text(
        _ pattern: String, wanted: String, allowed: @escaping @Sendable (String) -> Bool
    ) -> ValueType {
        let schema: JSONNode = .object(["type": .string("string"), "pattern": .string(pattern)])
        return .scalar(schema, wanted: wanted) { text, _ in allowed(text) ? text : nil }
    }

    /// An absolute path without `.` and `..`. Apache's server reads `zoo.cfg` as a Java properties file, in Latin-1
    /// and with `\` as an escape, and class paths are separated by `:`: so only bytes that mean themselves everywhere.
    static var path: ValueType {
        let wanted = "an absolute path of letters, digits and /._-+@,=~, such as /var/lib/zookeeper"
        return text("^/[A-Za-z0-9/._+@,=~-]+$", wanted: wanted) { text in
            guard text.hasPrefix("/"), text.utf8.count <= 1024, text != "/" else { return false }
            let others = Set("/._-+@,=~".utf8)
            guard text.utf8.allSatisfy({ isLetterOrDigit($0) || others.contains($0) }) else { return false }
            return !text.split(separator: "/").contains { $0 == "." || $0 == ".." }
        }.normalisingPath
    }

    /// Without repeated and final slashes, so that equal directories are equal texts.
    private var normalisingPath: ValueType {
        ValueType(schema: schema) { node, path, findings in
            read(node, path, &findings).map { "/" + $0.split(separator: "/").joined(separator: "/") }
        }
    }

    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }
}

extension ValueType {
    /// A list of at most `limit` items; every wrong item is complained about.
    static func list<Item: Sendable>(of item: ValueType<Item>, limit: Int, wanted: String) -> ValueType
    where Value == [Item] {
        let schema: JSONNode = .object([
            "type": .string("array"), "maxItems": .integer(limit), "items": item.schema,
        ])
        return ValueType(schema: schema) { node, path, findings in
            guard case .sequence(let nodes) = node.content else {
                findings.wrongType(node, path, wanted: wanted)
                return nil
            }
            guard nodes.count <= limit else {
                findings.error(path, at: node.mark, "\(nodes.count) items are too many", remedy: "at most \(limit) are allowed")
                return nil
            }
            var items: [Item] = []
            for (index, node) in nodes.enumerated() {
                let path = "\(path)[\(index)]"
                findings.place(path, at: node.mark)
                if let value = item.read(node, path, &findings) { items.append(value) }
            }
            return items.count == nodes.count ? items : nil
        }
    }
}

/// The shortest text that `Duration.parsed` reads back as `duration`.
package func durationText(_ duration: Duration) -> String {
    let milliseconds = duration.inMilliseconds
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] as [(String, Int64)]
    where milliseconds != 0 && milliseconds % size == 0 {
        return "\(milliseconds / size)\(unit)"
    }
    return "\(milliseconds)ms"
}

/// The shortest text that a size in the manifest may be.
package func sizeText(_ bytes: Int) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes != 0 && bytes % size == 0 {
        return "\(bytes / size)\(unit)"
    }
    return "\(bytes)"
}
