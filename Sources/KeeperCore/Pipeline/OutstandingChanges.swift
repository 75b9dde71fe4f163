import EnsembleBase

/// A node as it will be once everything proposed is applied.
struct ForeseenNode: Sendable {
    var stat: StoredStat
    var childCount: Int
    /// nil: open to all.
    var acl: [AccessRight]?
    var digest: NodeDigest
}

/// The changes that were proposed and are not applied yet, by path: what a leader must see on top of its tree to judge
/// the next request. Each lookup, change and removal costs O(1).
///
/// Invariant: `tree` plus these changes is the state behind the last proposal, and `digest` is its digest.
struct OutstandingChanges: Sendable {
    private struct Record: Sendable {
        /// The last proposal that changed the node.
        var zxid: Zxid
        /// nil: deleted.
        var node: ForeseenNode?
    }

    private struct SessionRecord: Sendable {
        var zxid: Zxid
        var isOpen: Bool
    }

    private var records: [NodePath: Record] = [:]
    private var order = FIFO<(zxid: Zxid, path: NodePath)>()
    private var sessions: [SessionID: SessionRecord] = [:]
    private var sessionOrder = FIFO<(zxid: Zxid, session: SessionID)>()
    /// Ephemerals that a session is about to get; some may be deleted again since, or their multi was refused.
    private var ephemerals: [SessionID: FIFO<NodePath>] = [:]
    private var ephemeralOrder = FIFO<(zxid: Zxid, session: SessionID)>()
    /// Of the state behind the last proposal; nil while no change is outstanding, when it is the tree's.
    private var foreseenDigest: UInt64?
    /// The present transaction's earlier records, for `rollBack`.
    private var undo: [(path: NodePath, record: Record?)] = []
    private var digestAtBegin: UInt64?

    var isEmpty: Bool { order.isEmpty && sessionOrder.isEmpty }

    func digest(over tree: DataTree) -> UInt64 { foreseenDigest ?? tree.digest }

    /// nil if the node does not exist behind the last proposal.
    func node(_ path: NodePath, over tree: DataTree) -> ForeseenNode? {
        if let record = records[path] { return record.node }
        let slot = tree.slot(of: path)
        if slot == .none { return nil }
        return ForeseenNode(
            stat: tree.nodes.stat(slot), childCount: tree.nodes.childCount(slot),
            acl: tree.access.list(tree.nodes.aclKey(slot)), digest: tree.nodes.digest(slot, at: path))
    }

    func isOpen(_ session: SessionID, over tree: DataTree) -> Bool {
        sessions[session]?.isOpen ?? (tree.timeout(of: session) != nil)
    }

    /// Whether a deletion or another owner awaits the node.
    func isOwned(_ path: NodePath, by session: SessionID, over tree: DataTree) -> Bool {
        node(path, over: tree).map { NodeOwner($0.stat.ephemeralOwner) == .session(session) } ?? false
    }

    /// Candidates for the session's ephemerals behind the last proposal: to be checked with `isOwned`; may repeat.
    func ephemeralCandidates(of session: SessionID, over tree: DataTree) -> [NodePath] {
        var candidates = tree.ephemeralPaths(of: session)
        if let proposed = ephemerals[session] {
            for i in 0..<proposed.count { candidates.append(proposed[i]) }
        }
        return candidates
    }

    // MARK: One transaction

    mutating func begin() {
        undo.removeAll(keepingCapacity: true)
        digestAtBegin = foreseenDigest
    }

    /// - Parameter old: the node's digest value before, 0 if it did not exist.
    mutating func set(_ path: NodePath, _ node: ForeseenNode?, replacing old: UInt64, zxid: Zxid, over tree: DataTree) {
        foreseenDigest = digest(over: tree) &- old &+ (node?.digest.value ?? 0)
        undo.append((path, records.updateValue(Record(zxid: zxid, node: node), forKey: path)))
    }

    mutating func addEphemeral(_ path: NodePath, of session: SessionID, zxid: Zxid) {
        ephemerals[session, default: FIFO()].append(path)
        ephemeralOrder.append((zxid, session))
    }

    mutating func setSession(_ session: SessionID, isOpen: Bool, zxid: Zxid) {
        sessions[session] = SessionRecord(zxid: zxid, isOpen: isOpen)
        sessionOrder.append((zxid, session))
    }

    mutating func commit(zxid: Zxid) {
        for change in undo { order.append((zxid, change.path)) }
        undo.removeAll(keepingCapacity: true)
    }

    /// As if the transaction had not begun.
    mutating func rollBack() {
        for change in undo.reversed() { records[change.path] = change.record }
        foreseenDigest = digestAtBegin
        begin()
    }

    // MARK: After the commit

    mutating func applied(upTo zxid: Zxid) {
        while let first = order.first, first.zxid <= zxid {
            _ = order.popFirst()
            if let i = records.index(forKey: first.path), records.values[i].zxid <= zxid { records.remove(at: i) }
        }
        while let first = ephemeralOrder.first, first.zxid <= zxid {
            _ = ephemeralOrder.popFirst()
            _ = ephemerals[first.session]?.popFirst()
            if ephemerals[first.session]?.isEmpty == true { ephemerals[first.session] = nil }
        }
        while let first = sessionOrder.first, first.zxid <= zxid {
            _ = sessionOrder.popFirst()
            if let record = sessions[first.session], record.zxid <= zxid { sessions[first.session] = nil }
        }
        if order.isEmpty { foreseenDigest = nil }
    }
}
