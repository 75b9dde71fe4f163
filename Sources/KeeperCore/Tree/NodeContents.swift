/// Each node's name (the path's last part, empty for the root) and, behind it, its data, by the node's slot.
///
/// An array of its own would cost a node of 130 bytes another 48 (a reference, the array's header, what malloc adds), so
/// sixteen neighbours share one. A group's array begins with the ends of its sixteen contents, which stand behind it in
/// the order of their slots; a group without contents is the empty array. What is longer than `limit` does stand alone,
/// so that a change never moves much.
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
    private static let headerSize = groupSize * MemoryLayout<UInt16>.stride

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

    func withBytes<Result>(_ slot: NodeSlot, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        let range = range(slot)
        if range.isEmpty, let own = own(slot) { return own.withUnsafeBytes(body) }
        return groups[NodeContents.group(slot)].withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    private func own(_ slot: NodeSlot) -> [UInt8]? { alone[NodeContents.chunk(slot)][slot] }

    /// Where the content is in its group; empty if it is alone.
    private func range(_ slot: NodeSlot) -> Range<Int> {
        groups[NodeContents.group(slot)].withUnsafeBytes { bytes in
            if bytes.isEmpty { return 0..<0 }
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

    /// Of a group that has contents: where the last one ends.
    private static func used(_ group: UnsafeRawBufferPointer) -> Int { end(groupSize - 1, group) }

    // MARK: Writing

    /// - Parameter isNew: the slot was never used; slots come in their order.
    mutating func write(_ slot: NodeSlot, isNew: Bool, name: ArraySlice<UInt8>, data: [UInt8]) {
        if NodeContents.group(slot) == groups.count { groups.append([]) }
        if NodeContents.chunk(slot) == alone.count { alone.append([:]) }
        replace(slot, keeping: 0, name, data, isNew: isNew)
    }

    /// - Parameter nameCount: of the content's bytes, the first that stay.
    mutating func writeData(_ slot: NodeSlot, behind nameCount: Int, _ data: [UInt8]) {
        replace(slot, keeping: nameCount, [], data)
    }

    mutating func erase(_ slot: NodeSlot) { replace(slot, keeping: 0, [], []) }

    /// Everything behind the first `kept` bytes becomes `name` and `data`.
    private mutating func replace(
        _ slot: NodeSlot, keeping kept: Int, _ name: ArraySlice<UInt8>, _ data: [UInt8], isNew: Bool = false
    ) {
        let count = kept + name.count + data.count
        let chunk = NodeContents.chunk(slot)
        if count > NodeContents.limit {
            let long = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
                initialized = buffer.update(fromContentsOf: self[slot].prefix(kept))
                initialized = buffer[initialized...].update(fromContentsOf: name)
                initialized = buffer[initialized...].update(fromContentsOf: data)
            }
            splice(slot, keeping: 0, [], [])
            alone[chunk][slot] = long
        } else if !alone[chunk].isEmpty, let long = alone[chunk].removeValue(forKey: slot) {
            splice(slot, keeping: 0, kept > 0 ? long[..<kept] : name, data)
        } else {
            splice(slot, keeping: kept, name, data, isNew: isNew)
        }
    }

    /// The same within the group. Where its array has room, and keeps no more than an eighth unused, it is changed in
    /// place: to set as many bytes as there were allocates nothing. Else it is made anew, exactly as long as needed: what
    /// an append would reserve beyond stays for the nodes' lives. Only the last group, while creates fill it, has room for
    /// the rest of them, if they are like those before.
    private mutating func splice(
        _ slot: NodeSlot, keeping kept: Int, _ name: ArraySlice<UInt8>, _ data: [UInt8], isNew: Bool = false
    ) {
        let index = NodeContents.group(slot)
        let place = NodeContents.place(slot)
        let capacity = groups[index].count
        let old = capacity == 0 ? NodeContents.headerSize..<NodeContents.headerSize : range(slot)
        let used = capacity == 0 ? old.upperBound : groups[index].withUnsafeBytes(NodeContents.used)
        let change = kept + name.count + data.count - old.count
        let needed = used + change
        if needed == NodeContents.headerSize {
            if capacity > 0 { groups[index] = [] }
            return
        }
        func put(_ group: UnsafeMutableRawBufferPointer) {
            let start = old.lowerBound + kept
            name.withUnsafeBytes { NodeContents.copy($0[...], to: start, in: group) }
            data.withUnsafeBytes { NodeContents.copy($0[...], to: start + name.count, in: group) }
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
                    if bytes.isEmpty { return NodeContents.startEnds(in: group) }
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

    private static func startEnds(in group: UnsafeMutableRawBufferPointer) {
        for place in 0..<groupSize { setEnd(place, headerSize, group) }
    }

    private static func moveEnds(from first: Int, by change: Int, in group: UnsafeMutableRawBufferPointer) {
        for place in first..<groupSize { setEnd(place, end(place, UnsafeRawBufferPointer(group)) + change, group) }
    }

    private static func setEnd(_ place: Int, _ end: Int, _ group: UnsafeMutableRawBufferPointer) {
        group.storeBytes(of: UInt16(end), toByteOffset: place * MemoryLayout<UInt16>.stride, as: UInt16.self)
    }
}
