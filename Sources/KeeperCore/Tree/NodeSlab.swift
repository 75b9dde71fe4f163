import EnsembleBase

/// The nodes by their slots, with what they hold and how they are linked. A slot never moves while its node lives; the
/// last one freed is used next.
///
/// Invariants: a live node's parent is live and has it once in the ring of its children; each `ZnodeDetails` is one live
/// node's or in the list of the free ones.
struct NodeSlab: Sendable {
    private(set) var nodes = ChunkedArray<Znode>()
    private(set) var details = ChunkedArray<ZnodeDetails>()
    private(set) var contents = NodeContents()
    private var freeNode: NodeSlot = .none
    private var freeDetails: NodeSlot = .none

    /// Slots, the free ones included.
    var count: Int { nodes.count }

    var isEmpty: Bool { nodes.isEmpty }

    // MARK: Reading

    subscript(slot: NodeSlot) -> Znode {
        @inline(__always) _read { yield nodes[Int(slot)] }
    }

    func name(_ slot: NodeSlot) -> ArraySlice<UInt8> {
        let content = contents[slot]
        let name = content.withUnsafeBytes { NodeHeader.name(in: $0) }
        return content[(content.startIndex + name.lowerBound)..<(content.startIndex + name.upperBound)]
    }

    private func nameCount(_ slot: NodeSlot) -> Int { contents.withBytes(slot) { NodeHeader.name(in: $0).count } }

    /// The names from the root down, joined: nodes hold no more than their own.
    func path(of slot: NodeSlot) -> NodePath {
        if self[slot].parent == .none { return .root }
        // Most paths are short: to find out how long one is costs as much as to write it.
        let bytes = withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer -> [UInt8]? in
            writePath(of: slot, to: buffer).map { [UInt8](buffer[$0...]) }
        }
        if let bytes { return NodePath(unchecked: bytes) }
        var length = 0
        var next = slot
        while self[next].parent != .none {
            length += nameCount(next) + 1
            next = self[next].parent
        }
        return NodePath(
            unchecked: [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
                _ = writePath(of: slot, to: UnsafeMutableRawBufferPointer(buffer))
                count = length
            })
    }

    /// Writes the path to the buffer's end; returns where it begins, or nil if the buffer is too short.
    private func writePath(of slot: NodeSlot, to buffer: UnsafeMutableRawBufferPointer) -> Int? {
        var start = buffer.count
        var next = slot
        while self[next].parent != .none {
            let isWritten = contents.withBytes(next) { content in
                let name = NodeHeader.name(in: content)
                guard start > name.count else { return false }
                start -= name.count
                UnsafeMutableRawBufferPointer(rebasing: buffer[start...]).copyMemory(
                    from: UnsafeRawBufferPointer(rebasing: content[name]))
                start -= 1
                buffer[start] = UInt8(ascii: "/")
                return true
            }
            guard isWritten else { return nil }
            next = self[next].parent
        }
        return start
    }

    /// nil if a client gave null.
    func data(_ slot: NodeSlot) -> ArraySlice<UInt8>? { record(slot).data }

    func dataCount(_ slot: NodeSlot) -> Int { contents.count(slot) - header(slot).count }

    func aclKey(_ slot: NodeSlot) -> Int64 { header(slot).header.aclKey }

    func czxid(_ slot: NodeSlot) -> Zxid { header(slot).header.czxid }

    @inline(__always)
    private func header(_ slot: NodeSlot) -> (header: NodeHeader, count: Int) {
        contents.withBytes(slot) { NodeHeader.read($0, from: contents.origin(slot)) }
    }

    func stat(_ slot: NodeSlot) -> StoredStat { stat(slot, header(slot).header) }

    private func stat(_ slot: NodeSlot, _ header: NodeHeader) -> StoredStat {
        let position = self[slot].details
        return position == .none ? header.initialStat : details[Int(position)].stat
    }

    /// What a snapshot has of a node besides its path.
    func record(_ slot: NodeSlot) -> (data: ArraySlice<UInt8>?, aclKey: Int64, stat: StoredStat) {
        let (header, count) = header(slot)
        return (header.isNull ? nil : contents[slot].dropFirst(count), header.aclKey, stat(slot, header))
    }

    /// - Parameter path: the slot's.
    func digest(_ slot: NodeSlot, at path: NodePath) -> NodeDigest {
        let position = self[slot].details
        if position != .none { return details[Int(position)].digest }
        let record = record(slot)
        return NodeDigest(path: path, data: record.data, stat: record.stat)
    }

    func children(_ slot: NodeSlot) -> [NodeSlot] {
        let position = self[slot].details
        if position == .none { return [] }
        let count = Int(details[Int(position)].childCount)
        var child = details[Int(position)].firstChild
        return [NodeSlot](unsafeUninitializedCapacity: count) { buffer, initialized in
            for i in 0..<count {
                buffer.initializeElement(at: i, to: child)
                child = self[child].next
            }
            initialized = count
        }
    }

    func childCount(_ slot: NodeSlot) -> Int {
        let position = self[slot].details
        return position == .none ? 0 : Int(details[Int(position)].childCount)
    }

    /// 0 for a node without an owner.
    func indexInOwner(_ slot: NodeSlot) -> Int32 {
        let position = self[slot].details
        return position == .none ? 0 : details[Int(position)].indexInOwner
    }

    /// The stat as clients see it. The shown cversion counts deletions too: 2 × stored − children; the owner is
    /// hidden unless it is a session (reference/zookeeper.md, 1.3).
    func shownStat(_ slot: NodeSlot) -> Stat {
        let (header, headerCount) = header(slot)
        let stat = stat(slot, header)
        let childCount = Int32(truncatingIfNeeded: childCount(slot))
        return Stat(
            czxid: stat.czxid, mzxid: stat.mzxid, ctime: stat.ctime, mtime: stat.mtime, version: stat.version,
            cversion: stat.cversion &* 2 &- childCount, aversion: stat.aversion,
            ephemeralOwner: NodeOwner(stat.ephemeralOwner).session ?? 0,
            dataLength: Int32(truncatingIfNeeded: contents.count(slot) - headerCount), numChildren: childCount, pzxid: stat.pzxid)
    }

    /// Whether these bytes are the node's path, compared from its end: nodes hold no more than their own names.
    func isPath(_ bytes: UnsafeRawBufferPointer, of slot: NodeSlot) -> Bool {
        if self[slot].parent == .none { return bytes.count == 1 && bytes[0] == UInt8(ascii: "/") }
        var end = bytes.count
        var next = slot
        while self[next].parent != .none {
            let start = contents.withBytes(next) { content -> Int in
                let name = NodeHeader.name(in: content)
                let start = end - name.count
                guard start > 0, bytes[start - 1] == UInt8(ascii: "/"),
                    NodeSlab.areEqual(
                        UnsafeRawBufferPointer(rebasing: content[name]), UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                else { return 0 }
                return start
            }
            if start == 0 { return false }
            end = start - 1
            next = self[next].parent
        }
        return end == 0
    }

    /// Of the same length. Eight bytes a step.
    private static func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        var i = 0
        while i + 8 <= a.count {
            guard a.loadUnaligned(fromByteOffset: i, as: UInt64.self) == b.loadUnaligned(fromByteOffset: i, as: UInt64.self)
            else { return false }
            i += 8
        }
        while i < a.count {
            guard a[i] == b[i] else { return false }
            i += 1
        }
        return true
    }

    // MARK: Writing

    /// - Parameter parent: gets the node as its last child; `none` for the root.
    mutating func insert(
        name: ArraySlice<UInt8>, data: [UInt8]?, aclKey: Int64, stat: StoredStat, digest: NodeDigest, parent: NodeSlot
    ) -> NodeSlot {
        let isNew = freeNode == .none
        let slot = isNew ? NodeSlot(nodes.count) : freeNode
        if isNew {
            nodes.append(Znode(parent: parent))
            contents.addSlot(slot, origin: NodeHeader.Origin(czxid: stat.czxid, ctime: stat.ctime))
        } else {
            freeNode = self[slot].next
            nodes[Int(slot)] = Znode(parent: parent)
        }
        let header = NodeHeader(isNull: data == nil, aclKey: aclKey, czxid: stat.czxid, ctime: stat.ctime)
        write(slot, isNew: isNew, header, name: name, data: data?[...])
        if stat != header.initialStat || contents.count(slot) > NodeContents.limit {
            addDetails(slot, ZnodeDetails(stat: stat, digest: digest))
        }
        if parent != .none { link(slot, below: parent) }
        return slot
    }

    /// Behind the last of the parent's children.
    private mutating func link(_ slot: NodeSlot, below parent: NodeSlot) {
        let first = amend(parent) { details in
            details.childCount += 1
            if details.firstChild == .none { details.firstChild = slot }
            return details.firstChild
        }
        let last = first == slot ? slot : self[first].previous
        nodes[Int(slot)].next = first
        nodes[Int(slot)].previous = last
        nodes[Int(last)].next = slot
        nodes[Int(first)].previous = slot
    }

    private mutating func unlink(_ slot: NodeSlot) {
        let node = self[slot]
        amend(node.parent) { details in
            details.childCount -= 1
            if details.firstChild == slot { details.firstChild = node.next == slot ? .none : node.next }
        }
        nodes[Int(node.previous)].next = node.next
        nodes[Int(node.next)].previous = node.previous
    }

    private mutating func write(
        _ slot: NodeSlot, isNew: Bool = false, _ header: NodeHeader, name: ArraySlice<UInt8>, data: ArraySlice<UInt8>?
    ) {
        let origin = contents.origin(slot)
        let count = header.count(nameCount: name.count, from: origin) + (data?.count ?? 0)
        contents.write(slot, isNew: isNew, count: count) { content in
            let start = header.write(to: content, name: name, from: origin)
            data?.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: content[start...]).copyMemory(from: $0) }
        }
    }

    /// Unlinks and frees a node that has a parent and no children.
    mutating func remove(_ slot: NodeSlot) {
        let node = self[slot]
        precondition(childCount(slot) == 0 && node.parent >= 0, "a node with children, or the root, is not removed")
        unlink(slot)
        contents.erase(slot)
        if node.details != .none {
            details[Int(node.details)] = ZnodeDetails(stat: StoredStat(), indexInOwner: freeDetails, digest: .uncovered)
            freeDetails = node.details
        }
        nodes[Int(slot)] = Znode(parent: Znode.freed, next: freeNode)
        freeNode = slot
    }

    /// The node has details, which keep its digest, from before on: what its digest was can't be computed afterwards.
    mutating func setData(_ slot: NodeSlot, _ data: [UInt8]?) {
        precondition(self[slot].details != .none, "data is set that no digest was taken of")
        var (header, count) = header(slot)
        if header.isNull == (data == nil) { return contents.write(slot, behind: count, data ?? []) }
        header.isNull = data == nil
        write(slot, header, name: name(slot), data: data?[...])
    }

    mutating func setACLKey(_ slot: NodeSlot, _ key: Int64) {
        var (header, count) = header(slot)
        if header.aclKey == key { return }
        header.aclKey = key
        write(slot, header, name: name(slot), data: contents[slot].dropFirst(count))
    }

    /// Changes what only some nodes have; this one has it from now on.
    mutating func amend<Result>(_ slot: NodeSlot, _ change: (inout ZnodeDetails) -> Result) -> Result {
        if self[slot].details == .none {
            addDetails(slot, ZnodeDetails(stat: stat(slot), digest: digest(slot, at: path(of: slot))))
        }
        return change(&details[Int(self[slot].details)])
    }

    private mutating func addDetails(_ slot: NodeSlot, _ added: ZnodeDetails) {
        if freeDetails == .none {
            nodes[Int(slot)].details = NodeSlot(details.count)
            details.append(added)
        } else {
            nodes[Int(slot)].details = freeDetails
            freeDetails = details[Int(freeDetails)].indexInOwner
            details[Int(self[slot].details)] = added
        }
    }
}
