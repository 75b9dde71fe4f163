import EnsembleBase

/// The nodes by their slots, with what they hold and how they are linked. A slot never moves while its node lives; the
/// last one freed is used next.
///
/// Invariants: a live node's parent is live and has its slot once among its children, at `indexInParent`; each
/// `ZnodeDetails` is one live node's or in the list of the free ones.
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

    func name(_ slot: NodeSlot) -> ArraySlice<UInt8> { contents[slot].prefix(Int(self[slot].nameCount)) }

    /// nil if a client gave null.
    func data(_ slot: NodeSlot) -> ArraySlice<UInt8>? {
        self[slot].isNull ? nil : contents[slot].dropFirst(Int(self[slot].nameCount))
    }

    func dataCount(_ slot: NodeSlot) -> Int { contents.count(slot) - Int(self[slot].nameCount) }

    func stat(_ slot: NodeSlot) -> StoredStat {
        let position = self[slot].details
        return position == .none ? self[slot].initialStat : details[Int(position)].stat
    }

    func children(_ slot: NodeSlot) -> [NodeSlot] {
        let position = self[slot].details
        return position == .none ? [] : details[Int(position)].children
    }

    func childCount(_ slot: NodeSlot) -> Int {
        let position = self[slot].details
        return position == .none ? 0 : details[Int(position)].children.count
    }

    func aclKey(_ slot: NodeSlot) -> Int64 {
        self[slot].aclKey.key ?? details[Int(self[slot].details)].wideACLKey
    }

    /// 0 for a node without an owner.
    func indexInOwner(_ slot: NodeSlot) -> Int32 {
        let position = self[slot].details
        return position == .none ? 0 : details[Int(position)].indexInOwner
    }

    /// The stat as clients see it. The shown cversion counts deletions too: 2 × stored − children; the owner is
    /// hidden unless it is a session (reference/zookeeper.md, 1.3).
    func shownStat(_ slot: NodeSlot) -> Stat {
        let stat = stat(slot)
        let childCount = Int32(truncatingIfNeeded: childCount(slot))
        return Stat(
            czxid: stat.czxid, mzxid: stat.mzxid, ctime: stat.ctime, mtime: stat.mtime, version: stat.version,
            cversion: stat.cversion &* 2 &- childCount, aversion: stat.aversion,
            ephemeralOwner: NodeOwner(stat.ephemeralOwner).session ?? 0,
            dataLength: Int32(truncatingIfNeeded: dataCount(slot)), numChildren: childCount, pzxid: stat.pzxid)
    }

    /// Whether these bytes are the node's path, compared from its end: nodes hold no more than their own names.
    func isPath(_ bytes: UnsafeRawBufferPointer, of slot: NodeSlot) -> Bool {
        if self[slot].parent == .none { return bytes.count == 1 && bytes[0] == UInt8(ascii: "/") }
        var end = bytes.count
        var next = slot
        while self[next].parent != .none {
            let nameCount = Int(self[next].nameCount)
            let start = end - nameCount
            guard start > 0, bytes[start - 1] == UInt8(ascii: "/"),
                contents.withBytes(next, { NodeSlab.begins($0, with: UnsafeRawBufferPointer(rebasing: bytes[start..<end])) })
            else { return false }
            end = start - 1
            next = self[next].parent
        }
        return end == 0
    }

    /// Eight bytes a step. `bytes` is at least as long as `start`.
    private static func begins(_ bytes: UnsafeRawBufferPointer, with start: UnsafeRawBufferPointer) -> Bool {
        var i = 0
        while i + 8 <= start.count {
            let (a, b) = (bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self), start.loadUnaligned(fromByteOffset: i, as: UInt64.self))
            guard a == b else { return false }
            i += 8
        }
        while i < start.count {
            guard bytes[i] == start[i] else { return false }
            i += 1
        }
        return true
    }

    // MARK: Writing

    /// - Parameter parent: gets the node as its last child; `none` for the root.
    mutating func insert(
        name: ArraySlice<UInt8>, data: [UInt8]?, aclKey: Int64, stat: StoredStat, digest: NodeDigest, parent: NodeSlot
    ) -> NodeSlot {
        let node = Znode(
            digest: digest, isNull: data == nil, nameCount: Int32(name.count), czxid: stat.czxid, ctime: stat.ctime,
            parent: parent, indexInParent: 0, aclKey: NarrowACLKey(aclKey))
        let isNew = freeNode == .none
        let slot = isNew ? NodeSlot(nodes.count) : freeNode
        if isNew {
            nodes.append(node)
        } else {
            freeNode = self[slot].indexInParent
            nodes[Int(slot)] = node
        }
        contents.write(slot, isNew: isNew, name: name, data: data ?? [])
        if stat != node.initialStat { amend(slot) { $0.stat = stat } }
        if node.aclKey.key == nil { setACLKey(slot, aclKey) }
        if parent != .none {
            nodes[Int(slot)].indexInParent = amend(parent) { details in
                details.children.append(slot)
                return Int32(details.children.count - 1)
            }
        }
        return slot
    }

    /// Unlinks and frees a node that has a parent and no children.
    mutating func remove(_ slot: NodeSlot) {
        let node = self[slot]
        precondition(childCount(slot) == 0 && node.parent >= 0, "a node with children, or the root, is not removed")
        let lastSibling = amend(node.parent) { details in
            let last = details.children[details.children.count - 1]
            details.children[Int(node.indexInParent)] = last
            details.children.removeLast()
            return last
        }
        nodes[Int(lastSibling)].indexInParent = node.indexInParent
        contents.erase(slot)
        if node.details != .none {
            details[Int(node.details)] = ZnodeDetails(stat: StoredStat(), indexInOwner: freeDetails)
            freeDetails = node.details
        }
        nodes[Int(slot)].parent = Znode.freed
        nodes[Int(slot)].details = .none
        nodes[Int(slot)].indexInParent = freeNode
        freeNode = slot
    }

    mutating func setData(_ slot: NodeSlot, _ data: [UInt8]?) {
        contents.writeData(slot, behind: Int(self[slot].nameCount), data ?? [])
        nodes[Int(slot)].isNull = data == nil
    }

    mutating func setDigest(_ slot: NodeSlot, _ digest: NodeDigest) { nodes[Int(slot)].digest = digest }

    mutating func setACLKey(_ slot: NodeSlot, _ key: Int64) {
        nodes[Int(slot)].aclKey = NarrowACLKey(key)
        if self[slot].aclKey.key == nil { amend(slot) { $0.wideACLKey = key } }
    }

    /// Changes what only some nodes have; this one has it from now on.
    mutating func amend<Result>(_ slot: NodeSlot, _ change: (inout ZnodeDetails) -> Result) -> Result {
        if self[slot].details == .none { addDetails(slot) }
        return change(&details[Int(self[slot].details)])
    }

    private mutating func addDetails(_ slot: NodeSlot) {
        let added = ZnodeDetails(stat: self[slot].initialStat)
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
