import EnsembleBase

/// What stands before a node's data in its content: the name and what seldom or never changes, in as few bytes as they
/// need. As they stand:
///
///     varint: the name's length × 2, plus 1 if a client gave null for data, which it gets back
///     the name: the path's last part; empty for the root
///     varint: the access list's key, signs folded: a snapshot from elsewhere may hold any (reference/zookeeper.md, 2.2)
///     varint: czxid, from its group's origin on, signs folded
///     varint: ctime, from its group's origin on, signs folded
///
/// Varints have seven bits a byte, the lowest first, the eighth set if more follow. Neighbours were mostly created one
/// after the other, so that the last two are short, whereas the numbers themselves would need twelve bytes.
struct NodeHeader {
    /// What a group of neighbours counts czxid and ctime from: those of the first that ever stood there.
    struct Origin: Sendable {
        var czxid: Zxid
        var ctime: Int64
    }

    /// In all but `data`, null is as empty.
    var isNull: Bool
    var aclKey: Int64
    var czxid: Zxid
    /// Wall clock, milliseconds.
    var ctime: Int64

    /// The stat of a node that has no details.
    var initialStat: StoredStat { StoredStat(created: czxid, time: ctime, owner: .persistent) }

    // MARK: Reading

    /// The name alone is found without reading what is behind it.
    static func name(in content: UnsafeRawBufferPointer) -> Range<Int> {
        var place = 0
        let count = Int(varint(content, &place) >> 1)
        return place..<place + count
    }

    /// The header and its length.
    static func read(_ content: UnsafeRawBufferPointer, from origin: Origin) -> (header: NodeHeader, count: Int) {
        var place = 0
        let word = varint(content, &place)
        place += Int(word >> 1)
        let aclKey = unfolded(varint(content, &place))
        let czxid = origin.czxid.rawValue &+ unfolded(varint(content, &place))
        let ctime = origin.ctime &+ unfolded(varint(content, &place))
        return (NodeHeader(isNull: word & 1 == 1, aclKey: aclKey, czxid: Zxid(rawValue: czxid), ctime: ctime), place)
    }

    /// Contents are made by `write` alone: nothing here is checked that bytes from outside would need.
    @inline(__always)
    private static func varint(_ bytes: UnsafeRawBufferPointer, _ place: inout Int) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = bytes[place]
            place += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
    }

    private static func unfolded(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }

    // MARK: Writing

    func count(nameCount: Int, from origin: Origin) -> Int {
        let numbers = numbers(nameCount: nameCount, from: origin)
        return nameCount + NodeHeader.size(numbers.0) + NodeHeader.size(numbers.1) + NodeHeader.size(numbers.2)
            + NodeHeader.size(numbers.3)
    }

    /// Returns the count of bytes written.
    func write(to content: UnsafeMutableRawBufferPointer, name: ArraySlice<UInt8>, from origin: Origin) -> Int {
        let numbers = numbers(nameCount: name.count, from: origin)
        var place = NodeHeader.put(numbers.0, at: 0, content)
        name.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: content[place...]).copyMemory(from: $0) }
        place = NodeHeader.put(numbers.1, at: place + name.count, content)
        place = NodeHeader.put(numbers.2, at: place, content)
        return NodeHeader.put(numbers.3, at: place, content)
    }

    /// The varints in their order.
    private func numbers(nameCount: Int, from origin: Origin) -> (UInt64, UInt64, UInt64, UInt64) {
        (
            UInt64(nameCount) << 1 | (isNull ? 1 : 0), NodeHeader.folded(aclKey),
            NodeHeader.folded(czxid.rawValue &- origin.czxid.rawValue), NodeHeader.folded(ctime &- origin.ctime)
        )
    }

    /// 0, −1, 1, −2, 2 … become 0, 1, 2, 3, 4 …
    private static func folded(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

    private static func size(_ value: UInt64) -> Int { value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7 }

    private static func put(_ value: UInt64, at place: Int, _ content: UnsafeMutableRawBufferPointer) -> Int {
        var (rest, place) = (value, place)
        while rest >= 0x80 {
            content[place] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
            place += 1
        }
        content[place] = UInt8(rest)
        return place + 1
    }
}
