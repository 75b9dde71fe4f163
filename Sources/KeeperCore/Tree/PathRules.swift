extension NodePath {
    /// Whether a client may name a node so (reference/zookeeper.md, 1.1): absolute, no empty, "." or ".." component, no
    /// trailing slash, well-formed UTF-8 without control characters, surrogates, private-use characters and the
    /// specials block. Apache's check sees UTF-16 units, so characters beyond the basic plane fail it, too.
    package var isValid: Bool {
        guard bytes.first == UInt8(ascii: "/") else { return false }
        if bytes.count == 1 { return true }
        return bytes.withUnsafeBufferPointer { NodePath.hasValidComponents($0) && NodePath.hasValidCharacters($0) }
    }

    private static func hasValidComponents(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let slash = UInt8(ascii: "/")
        let dot = UInt8(ascii: ".")
        var start = 1
        for i in 1...bytes.count where i == bytes.count || bytes[i] == slash {
            let length = i - start
            if length == 0 { return false }
            if length == 1, bytes[start] == dot { return false }
            if length == 2, bytes[start] == dot, bytes[start + 1] == dot { return false }
            start = i + 1
        }
        return true
    }

    private static func hasValidCharacters(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var i = 1
        while i < bytes.count {
            let first = bytes[i]
            if first < 0x80 {
                if first < 0x20 || first == 0x7F { return false }
                i += 1
                continue
            }
            let length = first >= 0xC2 && first <= 0xDF ? 2 : first >= 0xE0 && first <= 0xEF ? 3 : 0
            guard length > 0, i + length <= bytes.count else { return false }
            var scalar = UInt32(first) & (length == 2 ? 0x1F : 0x0F)
            for j in 1..<length {
                guard bytes[i + j] & 0xC0 == 0x80 else { return false }
                scalar = scalar << 6 | UInt32(bytes[i + j] & 0x3F)
            }
            if length == 3, scalar < 0x800 { return false }
            switch scalar {
            case 0x80...0x9F, 0xD800...0xF8FF, 0xFFF0...0xFFFF: return false
            default: i += length
            }
        }
        return true
    }
}
