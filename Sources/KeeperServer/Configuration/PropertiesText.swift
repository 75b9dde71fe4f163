/// One `key=value` of a zoo.cfg.
package struct Property: Hashable, Sendable {
    package var key: String
    package var value: String
    /// Where the property begins, from 1.
    package var line: Int

    package init(key: String, value: String, line: Int) {
        self.key = key
        self.value = value
        self.line = line
    }
}

/// The syntax of zoo.cfg: Java's properties files, as Apache's server reads them (java.util.Properties, load). Comments
/// start with `#` or `!`; a key ends at the first unescaped `=`, `:` or blank; a backslash at a line's end continues it;
/// `\uXXXX` is a UTF-16 unit.
package enum PropertiesText {
    /// The properties in file order, duplicates included, and what is malformed.
    package static func parse(_ bytes: [UInt8]) -> (properties: [Property], problems: [(line: Int, message: String)]) {
        var properties: [Property] = []
        var problems: [(line: Int, message: String)] = []
        for (number, text) in logicalLines(bytes) {
            var rest = text[...]
            let (key, keyIsGood) = unescape(&rest, untilSeparator: true)
            skipSeparator(&rest)
            let (value, valueIsGood) = unescape(&rest, untilSeparator: false)
            guard keyIsGood, valueIsGood else {
                problems.append((number, "malformed \\u escape; write four hexadecimal digits behind \\u"))
                continue
            }
            guard let keyText = String(validating: key, as: UTF8.self), let valueText = String(validating: value, as: UTF8.self)
            else {
                problems.append((number, "not UTF-8 text"))
                continue
            }
            guard !keyText.isEmpty else {
                problems.append((number, "a value without a key; expected key=value"))
                continue
            }
            properties.append(Property(key: keyText, value: trimmed(valueText), line: number))
        }
        return (properties, problems)
    }

    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0c }

    /// Lines with continuations joined, comments and blank lines left out, leading blanks dropped.
    private static func logicalLines(_ bytes: [UInt8]) -> [(Int, [UInt8])] {
        var result: [(Int, [UInt8])] = []
        var pending: (Int, [UInt8])?
        for (index, raw) in naturalLines(bytes).enumerated() {
            var line = Array(raw.drop(while: isBlank))
            if pending == nil, line.isEmpty || line[0] == UInt8(ascii: "#") || line[0] == UInt8(ascii: "!") { continue }
            let backslashes = line.reversed().prefix { $0 == UInt8(ascii: "\\") }.count
            let continues = backslashes % 2 == 1
            if continues { line.removeLast() }
            var whole = pending ?? (index + 1, [])
            whole.1 += line
            if continues {
                pending = whole
            } else {
                pending = nil
                if !whole.1.isEmpty { result.append(whole) }
            }
        }
        if let pending, !pending.1.isEmpty { result.append(pending) }
        return result
    }

    /// Splits at LF, CR and CR LF.
    private static func naturalLines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines: [ArraySlice<UInt8>] = []
        var start = 0
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 0x0a || byte == 0x0d {
                lines.append(bytes[start..<index])
                if byte == 0x0d, index + 1 < bytes.count, bytes[index + 1] == 0x0a { index += 1 }
                start = index + 1
            }
            index += 1
        }
        if start < bytes.count { lines.append(bytes[start...]) }
        return lines
    }

    private static func skipSeparator(_ rest: inout ArraySlice<UInt8>) {
        rest = rest.drop(while: isBlank)
        if rest.first == UInt8(ascii: "=") || rest.first == UInt8(ascii: ":") { rest.removeFirst() }
        rest = rest.drop(while: isBlank)
    }

    private static func unescape(_ rest: inout ArraySlice<UInt8>, untilSeparator: Bool) -> (text: [UInt8], good: Bool) {
        var out: [UInt8] = []
        while let byte = rest.first {
            if untilSeparator, isBlank(byte) || byte == UInt8(ascii: "=") || byte == UInt8(ascii: ":") { break }
            rest.removeFirst()
            guard byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() else {
                out.append(byte)
                continue
            }
            switch escaped {
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "u"):
                // The integer's own parser would take a sign for a digit.
                let digits = String(decoding: rest.prefix(4), as: UTF8.self)
                guard digits.utf8.count == 4, digits.allSatisfy(\.isHexDigit), let unit = UInt32(digits, radix: 16),
                    let scalar = Unicode.Scalar(unit)
                else { return (out, false) }
                rest.removeFirst(4)
                out += Array(String(Character(scalar)).utf8)
            default: out.append(escaped)
            }
        }
        return (out, true)
    }

    static func trimmed(_ text: String) -> String {
        func isSpace(_ byte: UInt8) -> Bool { byte <= 0x20 }
        var bytes = Array(text.utf8)[...]
        bytes = bytes.drop(while: isSpace)
        while let last = bytes.last, isSpace(last) { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}
