/// Each node's bytes, by the node's slot: a `NodeHeader` with the name, and the data. Here they are just bytes.
///
/// An array of its own would cost a node of 130 bytes another 48 (a reference, the array's header, what malloc adds), so
/// sixteen neighbours share one. A group's array begins with the ends of its sixteen contents and the group's origin;
/// the contents stand behind in the order of their slots. What is longer than `limit` does stand alone, so that a change
/// never moves much.
///
/// Invariant: a content is in its group or in `alone`, never in both. A reader may keep a slice: a later change copies
/// the group, as any shared array.
struct NodeContents: Sendable {
    /// Bytes. A change moves at most sixteen times as many, a fraction of a microsecond; beyond, an array's cost is less
    /// than a tenth of what it holds.
    static let limit = 512

    private static let groupBits: NodeSlot = 4
    private static let groupSize = 1 << Int(groupBits)
    /// Two bytes for each end: a full group is 8 KiB long.
    private static let endsSize = groupSize * MemoryLayout<UInt16>.stride
    static let headerSize = endsSize + MemoryLayout<NodeHeader.Origin>.size

    private(set) var groups = ChunkedArray<[UInt8]>()
    /// The long contents, a dictionary for each chunk of slots: one for all would be rehashed by a single write.
    private var alone: [[NodeSlot: [UInt8]]] = []

    // MARK: Reading

    subscript(slot: NodeSlot) -> ArraySlice<UInt8> {
        let range = range(slot)
        if range.isEmpty, let own = own(slot) { return own[...] }
        return groups[NodeContents.group(slot)][range]
    }

    func count(_ slot: NodeSlot) -> Int {
        let range = range(slot)
        return range.isEmpty ? own(slot)?.count ?? 0 : range.count
    }

    // A write looks five times at a node: a call and a copy of the slab for each cost a tenth of it.
    @inline(__always)
    func withBytes<Result>(_ slot: NodeSlot, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let range = range(slot)
        if range.isEmpty, let own = own(slot) { return own.withUnsafeBytes(body) }
        return groups[NodeContents.group(slot)].withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func origin(_ slot: NodeSlot) -> NodeHeader.Origin {
        groups[NodeContents.group(slot)].withUnsafeBytes {
            $0.loadUnaligned(fromByteOffset: NodeContents.endsSize, as: NodeHeader.Origin.self)
        }
    }

    private func own(_ slot: NodeSlot) -> [UInt8]? { alone[NodeContents.chunk(slot)][slot] }

    /// Where the content is in its group; empty if it is alone.
    @inline(__always)
    private func range(_ slot: NodeSlot) -> Range<Int> {
        groups[NodeContents.group(slot)].withUnsafeBytes { bytes in
            let place = NodeContents.place(slot)
            let start = place == 0 ? NodeContents.headerSize : NodeContents.end(place - 1, bytes)
            return start..<NodeContents.end(place, bytes)
        }
    }

    private static func group(_ slot: NodeSlot) -> Int { Int(slot >> groupBits) }
    private static func place(_ slot: NodeSlot) -> Int { Int(slot) & (groupSize - 1) }
    private static func chunk(_ slot: NodeSlot) -> Int { Int(slot) / ChunkedArray<Znode>.chunkSize }

    private static func end(_ place: Int, _ group: UnsafeRawBufferPointer) -> Int {
        Int(group.loadUnaligned(fromByteOffset: place * MemoryLayout<UInt16>.stride, as: UInt16.self))
    }

    /// Where the group's last content ends.
    private static func used(_ group: UnsafeRawBufferPointer) -> Int { end(groupSize - 1, group) }

    // MARK: Writing

    /// Makes place for a slot that was never used; slots come in their order.
    ///
    /// - Parameter origin: becomes its group's if the slot is the first of one.
    mutating func addSlot(_ slot: NodeSlot, origin: NodeHeader.Origin) {
        if NodeContents.chunk(slot) == alone.count { alone.append([:]) }
        guard NodeContents.group(slot) == groups.count else { return }
        var group = [UInt8](repeating: 0, count: NodeContents.headerSize)
        group.withUnsafeMutableBytes { bytes in
            for place in 0..<NodeContents.groupSize { NodeContents.setEnd(place, NodeContents.headerSize, bytes) }
            bytes.storeBytes(of: origin, toByteOffset: NodeContents.endsSize, as: NodeHeader.Origin.self)
        }
        groups.append(group)
    }

    /// - Parameters:
    ///   - isNew: the slot was added for this.
    ///   - fill: is given `count` bytes to write.
    mutating func write(_ slot: NodeSlot, isNew: Bool, count: Int, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        replace(slot, keeping: 0, count, isNew: isNew, fill)
    }

    /// - Parameter kept: of the content's bytes, the first that stay.
    mutating func write(_ slot: NodeSlot, behind kept: Int, _ bytes: [UInt8]) {
        replace(slot, keeping: kept, bytes.count) { place in bytes.withUnsafeBytes { place.copyMemory(from: $0) } }
    }

    mutating func erase(_ slot: NodeSlot) { replace(slot, keeping: 0, 0) { _ in } }

    /// Everything behind the first `kept` bytes becomes `added` bytes that `fill` writes.
    private mutating func replace(
        _ slot: NodeSlot, keeping kept: Int, _ added: Int, isNew: Bool = false, _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let chunk = NodeContents.chunk(slot)
        if kept + added > NodeContents.limit {
            let long = [UInt8](unsafeUninitializedCapacity: kept + added) { buffer, initialized in
                _ = buffer.update(fromContentsOf: self[slot].prefix(kept))
                fill(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[kept...]))
                initialized = kept + added
            }
            splice(slot, keeping: 0, 0) { _ in }
            alone[chunk][slot] = long
        } else if !alone[chunk].isEmpty, let long = alone[chunk].removeValue(forKey: slot) {
            splice(slot, keeping: 0, kept + added) { place in
                long.withUnsafeBytes { place.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<kept])) }
                fill(UnsafeMutableRawBufferPointer(rebasing: place[kept...]))
            }
        } else {
            splice(slot, keeping: kept, added, isNew: isNew, fill)
        }
    }

    /// The same within the group. Where its array has room, and keeps no more than an eighth unused, it is changed in
    /// place: to set as many bytes as there were allocates nothing. Else it is made anew, exactly as long as needed: what
    /// an append would reserve beyond stays for the nodes' lives. Only the last group, while creates fill it, has room for
    /// the rest of them, if they are like those before.
    private mutating func splice(
        _ slot: NodeSlot, keeping kept: Int, _ added: Int, isNew: Bool = false, _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        let index = NodeContents.group(slot)
        let place = NodeContents.place(slot)
        let capacity = groups[index].count
        let old = range(slot)
        let used = groups[index].withUnsafeBytes(NodeContents.used)
        let change = kept + added - old.count
        let needed = used + change
        func put(_ group: UnsafeMutableRawBufferPointer) {
            let start = old.lowerBound + kept
            fill(UnsafeMutableRawBufferPointer(rebasing: group[start..<start + added]))
            if change != 0 { NodeContents.moveEnds(from: place, by: change, in: group) }
        }
        let missing = isNew ? NodeContents.groupSize - 1 - place : 0
        if needed <= capacity, missing > 0 || needed * 8 >= capacity * 7 {
            groups[index].withUnsafeMutableBytes { group in
                let behind = UnsafeRawBufferPointer(group)[old.upperBound..<used]
                if change != 0 { NodeContents.copy(behind, to: old.upperBound + change, in: group) }
                put(group)
            }
        } else {
            let room = missing * (needed - NodeContents.headerSize) / (place + 1)
            groups[index] = [UInt8](unsafeUninitializedCapacity: needed + room) { buffer, initialized in
                let group = UnsafeMutableRawBufferPointer(buffer)
                groups[index].withUnsafeBytes { bytes in
                    NodeContents.copy(bytes[..<(old.lowerBound + kept)], to: 0, in: group)
                    NodeContents.copy(bytes[old.upperBound..<used], to: old.upperBound + change, in: group)
                }
                put(group)
                buffer[needed...].initialize(repeating: 0)
                initialized = needed + room
            }
        }
    }

    /// The two may overlap.
    private static func copy(_ bytes: Slice<UnsafeRawBufferPointer>, to start: Int, in group: UnsafeMutableRawBufferPointer) {
        UnsafeMutableRawBufferPointer(rebasing: group[start...]).copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes))
    }

    private static func moveEnds(from first: Int, by change: Int, in group: UnsafeMutableRawBufferPointer) {
        for place in first..<groupSize { setEnd(place, end(place, UnsafeRawBufferPointer(group)) + change, group) }
    }

    private static func setEnd(_ place: Int, _ end: Int, _ group: UnsafeMutableRawBufferPointer) {
        group.storeBytes(of: UInt16(end), toByteOffset: place * MemoryLayout<UInt16>.stride, as: UInt16.self)
    }
}
