import EnsembleBase

/// An IPv4 or IPv6 address, parsed from its numeric text.
struct NetworkAddress: Hashable, Sendable {
    /// Four or sixteen, most significant first.
    private(set) var bytes: [UInt8]

    init?(_ text: ArraySlice<UInt8>) {
        let parsed = text.contains(UInt8(ascii: ":")) ? NetworkAddress.parseIPv6(text) : NetworkAddress.parseIPv4(text)
        guard let parsed else { return nil }
        bytes = parsed
    }

    private static func parseIPv4(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var result: [UInt8] = []
        for part in parts {
            guard let value = decimal(part), value <= 255 else { return nil }
            result.append(UInt8(value))
        }
        return result
    }

    private static func parseIPv6(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        let colon = UInt8(ascii: ":")
        // The zone ("%eth0") says which interface, not which address.
        let text = text.prefix { $0 != UInt8(ascii: "%") }
        guard let gap = text.indices.dropLast().first(where: { text[$0] == colon && text[$0 + 1] == colon }) else {
            guard let groups = groups(text), groups.count == 16 else { return nil }
            return groups
        }
        guard let head = groups(text[..<gap]), let tail = groups(text[(gap + 2)...]), head.count + tail.count < 16 else {
            return nil
        }
        return head + Array(repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func groups(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        if text.isEmpty { return [] }
        var result: [UInt8] = []
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        for (i, part) in parts.enumerated() {
            if i == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let embedded = parseIPv4(part) else { return nil }
                result += embedded
                continue
            }
            guard (1...4).contains(part.count) else { return nil }
            var value: UInt16 = 0
            for byte in part {
                guard let digit = hexDigit(byte) else { return nil }
                value = value << 4 | UInt16(digit)
            }
            result.append(UInt8(value >> 8))
            result.append(UInt8(value & 0xFF))
        }
        return result
    }

    /// A plain decimal number of at most three digits.
    static func decimal(_ text: ArraySlice<UInt8>) -> Int? {
        guard (1...3).contains(text.count) else { return nil }
        var value = 0
        for byte in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return value
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// The id of an `ip` access right: an address, or a network as address and prefix length.
struct NetworkPattern: Hashable, Sendable {
    let address: NetworkAddress
    let prefixLength: Int

    init?(_ text: ByteString) {
        let slash = text.bytes.firstIndex(of: UInt8(ascii: "/"))
        guard let address = NetworkAddress(text.bytes[..<(slash ?? text.bytes.count)]) else { return nil }
        self.address = address
        if let slash {
            guard let length = NetworkAddress.decimal(text.bytes[(slash + 1)...]), length <= address.bytes.count * 8 else {
                return nil
            }
            prefixLength = length
        } else {
            prefixLength = address.bytes.count * 8
        }
    }

    /// Families don't mix: an IPv4 pattern matches no IPv6 address.
    func matches(_ other: NetworkAddress) -> Bool {
        guard address.bytes.count == other.bytes.count else { return false }
        let whole = prefixLength / 8
        guard address.bytes[..<whole] == other.bytes[..<whole] else { return false }
        let rest = prefixLength % 8
        return rest == 0 || (address.bytes[whole] ^ other.bytes[whole]) >> UInt8(8 - rest) == 0
    }
}
