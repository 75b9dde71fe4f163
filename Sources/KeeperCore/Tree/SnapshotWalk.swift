import EnsembleBase

/// A walk over a tree that goes on changing: the fuzzy snapshot of reference/zookeeper.md, 2.5.
///
/// The contract with the replay that follows: every node that existed when the walk began, and still exists when it
/// ends, is visited once, its parent earlier; a node created since (its czxid is later than `start`) is not, because
/// its create is in the log behind `start`. Effects of later transactions on visited nodes may show.
///
/// The walk goes by slab position, not along the children: a node never moves while it lives, whereas a cursor among
/// the children would be lost with the child that it stands at. The walk belongs to the tree that it began on; drop it when that tree is replaced.
package struct SnapshotWalk: Sendable {
    /// The last transaction in the tree when the walk began: names the snapshot; replay starts behind it.
    package let start: Zxid
    /// At the walk's begin, in the order of their ids. Later ones are in the log.
    package let sessions: [TouchedSession]
    /// Everything that a visited node refers to. The last one is `standIn`.
    package let accessLists: [(key: Int64, list: [AccessRight])]
    /// The key under which nodes are reported whose access list changed to one that is not in `accessLists`, which is
    /// written before the nodes. The change is in the log behind `start`, so replay puts the right list in
    /// (ZOOKEEPER-3306, 4846: no key may dangle). Until then the stand-in grants nothing to anyone, so that a tree
    /// that is served without its log is closed rather than open.
    package let standIn: Int64

    private var next: NodeSlot = 0
    private let end: NodeSlot
    /// One bit for each slot below `end`: a parent in a higher slot than its child is visited early.
    private var visited: [UInt64]

    fileprivate init(of tree: DataTree) {
        start = tree.lastProcessedZxid
        sessions = tree.sessions
        // Keys are never reused: a later list has a key of at least this, and this stands for all of them.
        standIn = tree.access.nextKey
        accessLists = tree.access.all + [(key: standIn, list: SnapshotWalk.closed)]
        end = NodeSlot(tree.nodes.count)
        visited = Array(repeating: 0, count: tree.nodes.count / 64 + 1)
    }

    /// Bytes of data that count as a further node: 64 nodes of a megabyte would hold up the loop, and fill its memory.
    package static let sizeOfNode = 2048

    private static let closed = [
        AccessRight(permissions: [], identity: Identity(scheme: "world", id: "anyone"))
    ]

    fileprivate mutating func advance(
        over tree: borrowing DataTree, limit: Int, visit: (NodePath, [UInt8]?, Int64, StoredStat) -> Void
    ) -> Bool {
        var budget = limit
        while next < end, budget > 0 {
            visitWithAncestors(next, tree, &budget, visit)
            next += 1
            budget -= 1
        }
        return next == end
    }

    private mutating func visitWithAncestors(
        _ slot: NodeSlot, _ tree: borrowing DataTree, _ budget: inout Int,
        _ visit: (NodePath, [UInt8]?, Int64, StoredStat) -> Void
    ) {
        guard isDue(slot, tree) else { return }
        // The parent of a node from before the walk is from before the walk, too.
        var parent = tree.nodes[slot].parent
        guard parent >= 0, isDue(parent, tree) else { return report(slot, tree, &budget, visit) }
        var path = [slot]
        while parent >= 0, isDue(parent, tree) {
            path.append(parent)
            parent = tree.nodes[parent].parent
        }
        budget -= path.count - 1
        for slot in path.reversed() { report(slot, tree, &budget, visit) }
    }

    private mutating func report(
        _ slot: NodeSlot, _ tree: borrowing DataTree, _ budget: inout Int,
        _ visit: (NodePath, [UInt8]?, Int64, StoredStat) -> Void
    ) {
        visited[Int(slot) / 64] |= 1 << UInt64(slot % 64)
        let record = tree.nodes.record(slot)
        budget -= (record.data?.count ?? 0) / SnapshotWalk.sizeOfNode
        visit(tree.path(of: slot), record.data.map(Array.init), min(record.aclKey, standIn), record.stat)
    }

    private func isDue(_ slot: NodeSlot, _ tree: borrowing DataTree) -> Bool {
        slot < end && slot < tree.nodes.count && visited[Int(slot) / 64] & 1 << UInt64(slot % 64) == 0
            && tree.nodes[slot].isLive && tree.nodes.czxid(slot) <= start
    }
}

extension DataTree {
    /// Starts a walk at the present state. Cost: one copy of the session and access tables and a bit per node.
    package func beginSnapshot() -> SnapshotWalk { SnapshotWalk(of: self) }

    /// Visits about `limit` further nodes (empty slots count, large data counts as several, a node's unvisited ancestors
    /// come with it): path ("/"
    /// for the root; the file has ""), data, access key, stat. Returns whether the walk is complete.
    package func snapshotNodes(
        _ walk: inout SnapshotWalk, limit: Int,
        visit: (_ path: NodePath, _ data: [UInt8]?, _ aclKey: Int64, _ stat: StoredStat) -> Void
    ) -> Bool {
        walk.advance(over: self, limit: limit, visit: visit)
    }
}
