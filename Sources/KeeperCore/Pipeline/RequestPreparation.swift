import EnsembleBase

/// The leader's judgement of write requests: each becomes a transaction that every member applies without judging
/// again, or an error that takes a zxid, too (reference/zookeeper.md, 1.3).
///
/// A request is judged against the tree plus everything proposed before it, applied or not. The tree must hold every
/// transaction of earlier leaders before the first call. `applied` follows each `DataTree.apply` at once.
package struct RequestPreparation: Sendable {
    private var changes = OutstandingChanges()
    /// Bytes.
    private let transactionLimit: Int

    /// - Parameter transactionLimit: bytes; a request is refused whose transaction would be longer. Sequence numbers and
    ///   expanded access lists make a transaction longer than its request, and one that a peer's decoder refuses would
    ///   part the leader from its followers for good (ZOOKEEPER-2101).
    package init(transactionLimit: Int = 2 * 0xfffff) { self.transactionLimit = transactionLimit }

    /// Whether everything prepared has been applied.
    package var isEmpty: Bool { changes.isEmpty }

    /// Forgets everything: the role ended, or the tree was replaced.
    package mutating func reset() { changes = OutstandingChanges() }

    /// The tree now holds the entries up to this one.
    package mutating func applied(upTo zxid: Zxid) { changes.applied(upTo: zxid) }

    /// Whether the session exists and is not closing, counting proposals.
    package func isOpen(_ session: SessionID, tree: DataTree) -> Bool { changes.isOpen(session, over: tree) }

    /// Makes the log entry for a write. Cost: O(1) per node touched, however many proposals are outstanding.
    ///
    /// - Parameters:
    ///   - zxid: later than every one before.
    ///   - time: the wall clock, milliseconds; becomes ctime and mtime.
    /// - Returns: an entry with the digest that the tree will have after it, but for a single failed operation, which
    ///   carries none, as with Apache's leaders, and for a closeSession without its list of nodes.
    package mutating func prepare(
        _ request: Request, session: SessionID, cxid: Int32, identities: [Identity], zxid: Zxid, time: Int64,
        tree: DataTree
    ) -> LogEntry {
        let origin = Origin(session: session, identities: identities, zxid: zxid, time: time)
        var transaction: Transaction
        changes.begin()
        do throws(KeeperError) {
            transaction =
                if case .multi(let parts) = request {
                    try multi(parts, origin, tree)
                } else {
                    try single(request, origin, tree)
                }
            guard fits(transaction.size) else { throw .marshalling }
            changes.commit(zxid: zxid)
        } catch {
            changes.rollBack()
            transaction = .error(error.rawValue)
        }
        let digest = transaction.carriesDigest ? TransactionDigest(treeDigest: changes.digest(over: tree)) : nil
        return LogEntry(
            session: session, cxid: cxid, zxid: zxid, time: time, transaction: transaction, digest: digest)
    }

    /// Who asks, and when.
    private struct Origin {
        let session: SessionID
        let identities: [Identity]
        let zxid: Zxid
        let time: Int64
    }

    private mutating func single(
        _ request: Request, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        switch request {
        case .createSession(let timeout):
            changes.setSession(origin.session, isOpen: true, zxid: origin.zxid)
            return .createSession(timeout: timeout)
        // No check of the session: the leader closes expired ones itself, and a close must not fail.
        case .closeSession: return closeSession(origin, tree)
        case .deleteContainer(let path): return try deleteContainer(path, origin, tree)
        case .setACL(let path, let acl, let version): return try setACL(path, acl, version, origin, tree)
        case .reconfig: throw .reconfigDisabled
        case .malformed: throw .marshalling
        // A bare check corrupts ensembles with Apache members (ZOOKEEPER-2623): never proposed.
        case .check: throw .unimplemented
        default:
            guard request.isLegalInMulti else { throw .unimplemented }
            return try part(request, origin, tree)
        }
    }

    /// All parts or none. A refused multi is no error of its own: it carries each part's, 0 for those before the
    /// culprit and −2 for those behind it (reference/zookeeper.md, 1.5).
    private mutating func multi(
        _ parts: [Request], _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        guard parts.allSatisfy(\.isLegalInMulti) else { throw .marshalling }
        var transactions: [Transaction] = []
        transactions.reserveCapacity(parts.count)
        do throws(KeeperError) {
            var size = 0
            for request in parts {
                let transaction = try part(request.asLoggedInMulti, origin, tree)
                size += 8 + transaction.size
                guard fits(size) else { throw .marshalling }
                transactions.append(transaction)
            }
            return .multi(transactions)
        } catch {
            changes.rollBack()
            let culprit = transactions.count
            return .multi(
                parts.indices.map { i in
                    .error(i < culprit ? 0 : i == culprit ? error.rawValue : KeeperError.runtimeInconsistency.rawValue)
                })
        }
    }

    private mutating func part(
        _ request: Request, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        switch request {
        case .create(let create): return try self.create(create, origin, tree)
        case .delete(let path, let version): return try delete(path, version, origin, tree)
        case .setData(let path, let data, let version): return try setData(path, data, version, origin, tree)
        case .check(let path, let version): return try check(path, version, origin, tree)
        default: throw .marshalling
        }
    }

    // MARK: Operations

    private mutating func create(
        _ request: CreateRequest, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        let mode = try CreateMode(request)
        try RequestPreparation.refuseQuota(request.path)
        try checkSession(origin, tree)
        guard let parentPath = request.path.isRoot ? .root : request.path.parent,
            !request.path.bytes.contains(0)
        else { throw .badArguments }
        let acl = try AccessControl.resolve(request.acl, for: origin.identities)
        guard var parent = changes.node(parentPath, over: tree) else { throw .noNode }
        try require(.create, parent, origin)
        var path = request.path
        if mode.isSequential {
            path = NodePath(unchecked: path.bytes + CreateMode.sequenceSuffix(parent.stat.cversion))
        }
        guard path.isValid else { throw .badArguments }
        guard changes.node(path, over: tree) == nil else { throw .nodeExists }
        guard NodeOwner(parent.stat.ephemeralOwner).session == nil else { throw .noChildrenForEphemerals }

        let parentDigest = parent.digest.value
        // The counter of children stops at its end, as in Apache's tree; the next sequential name then exists already.
        let parentCVersion = parent.stat.cversion &+ 1
        if parent.stat.childCreated(parentCVersion: parentCVersion, zxid: origin.zxid) { parent.digest.refresh(parent.stat) }
        parent.childCount += 1
        changes.set(parentPath, parent, replacing: parentDigest, zxid: origin.zxid, over: tree)

        let stat = StoredStat(created: origin.zxid, time: origin.time, owner: mode.owner(session: origin.session))
        let node = ForeseenNode(
            stat: stat, childCount: 0, acl: AccessTable.isOpen(acl) ? nil : acl,
            digest: NodeDigest(path: path, data: request.data?[...], stat: stat))
        changes.set(path, node, replacing: 0, zxid: origin.zxid, over: tree)
        if mode.isEphemeral { changes.addEphemeral(path, of: origin.session, zxid: origin.zxid) }
        return .create(
            op: request.op, path: path, data: request.data, acl: acl, ephemeral: mode.isEphemeral,
            parentCVersion: parentCVersion, ttl: 0)
    }

    private mutating func delete(
        _ path: NodePath, _ version: Int32, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        try checkSession(origin, tree)
        guard !RequestPreparation.isSystemNode(path), let parentPath = path.parent else {
            throw .badArguments
        }
        let found = changes.node(path, over: tree)
        // A path that can't be is merely missing, unless it holds a NUL: Apache's server looks for nothing else here.
        if found == nil, path.bytes.contains(0) { throw .badArguments }
        guard let parent = changes.node(parentPath, over: tree) else { throw .noNode }
        try require(.delete, parent, origin)
        guard let node = found else { throw .noNode }
        _ = try RequestPreparation.nextVersion(node.stat.version, expected: version)
        guard node.childCount == 0 else { throw .notEmpty }
        remove(path, node, below: parentPath, origin, tree)
        return .delete(path: path, container: false)
    }

    /// The leader's own request, made from a tree that has moved on since: everything is checked again.
    private mutating func deleteContainer(
        _ path: NodePath, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        guard origin.session == 0 else { throw .unimplemented }
        guard !RequestPreparation.isSystemNode(path), let parentPath = path.parent else {
            throw .badArguments
        }
        let node = try existing(path, tree)
        guard node.childCount == 0 else { throw .notEmpty }
        guard NodeOwner(node.stat.ephemeralOwner) == .container, node.stat.cversion > 0 else { throw .badVersion }
        remove(path, node, below: parentPath, origin, tree)
        return .delete(path: path, container: true)
    }

    private mutating func setData(
        _ path: NodePath, _ data: [UInt8]?, _ version: Int32, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        try RequestPreparation.refuseQuota(path)
        try checkSession(origin, tree)
        var node = try existing(path, tree)
        try require(.write, node, origin)
        let next = try RequestPreparation.nextVersion(node.stat.version, expected: version)
        let old = node.digest.value
        node.stat.setData(version: next, zxid: origin.zxid, time: origin.time)
        node.digest.replaceData(data?[...], path: path, stat: node.stat)
        changes.set(path, node, replacing: old, zxid: origin.zxid, over: tree)
        return .setData(path: path, data: data, version: next)
    }

    private mutating func setACL(
        _ path: NodePath, _ acl: [AccessRight], _ version: Int32, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        try checkSession(origin, tree)
        guard path.isValid else { throw .badArguments }
        let list = try AccessControl.resolve(acl, for: origin.identities)
        var node = try existing(path, tree)
        try require(.admin, node, origin)
        let next = try RequestPreparation.nextVersion(node.stat.aversion, expected: version)
        let old = node.digest.value
        node.stat.aversion = next
        node.acl = AccessTable.isOpen(list) ? nil : list
        node.digest.refresh(node.stat)
        changes.set(path, node, replacing: old, zxid: origin.zxid, over: tree)
        return .setACL(path: path, acl: list, version: next)
    }

    private func check(
        _ path: NodePath, _ version: Int32, _ origin: Origin, _ tree: DataTree
    ) throws(KeeperError) -> Transaction {
        try checkSession(origin, tree)
        let node = try existing(path, tree)
        try require(.read, node, origin)
        return .check(path: path, version: try RequestPreparation.nextVersion(node.stat.version, expected: version))
    }

    /// Lists the session's ephemerals with those that are proposed only: they die with it (ZOOKEEPER-2355).
    private mutating func closeSession(_ origin: Origin, _ tree: DataTree) -> Transaction {
        var paths: [NodePath] = []
        for path in changes.ephemeralCandidates(of: origin.session, over: tree)
        where changes.isOwned(path, by: origin.session, over: tree) {
            guard let node = changes.node(path, over: tree), let parentPath = path.parent else { continue }
            remove(path, node, below: parentPath, origin, tree)
            paths.append(path)
        }
        // From now on the session's writes are refused, so that no ephemeral can follow.
        changes.setSession(origin.session, isOpen: false, zxid: origin.zxid)
        // A close can't be refused. Without a list, as before 3.6, every member takes the session's nodes of its own
        // tree, which are the same.
        let transaction = Transaction.closeSession(ephemerals: paths)
        return fits(transaction.size) ? transaction : .closeSession(ephemerals: nil)
    }

    private mutating func remove(
        _ path: NodePath, _ node: ForeseenNode, below parentPath: NodePath, _ origin: Origin, _ tree: DataTree
    ) {
        if var parent = changes.node(parentPath, over: tree) {
            let old = parent.digest.value
            parent.childCount -= 1
            if parent.stat.childDeleted(zxid: origin.zxid) { parent.digest.refresh(parent.stat) }
            changes.set(parentPath, parent, replacing: old, zxid: origin.zxid, over: tree)
        }
        changes.set(path, nil, replacing: node.digest.value, zxid: origin.zxid, over: tree)
    }

    // MARK: Checks

    /// - Parameter size: of a transaction, in bytes.
    private func fits(_ size: Int) -> Bool { size + Transaction.frameSize <= transactionLimit }

    private func checkSession(_ origin: Origin, _ tree: DataTree) throws(KeeperError) {
        guard changes.isOpen(origin.session, over: tree) else { throw .sessionExpired }
    }

    /// - Throws: `badArguments` for what can't be a path, `noNode` for what is none.
    private func existing(_ path: NodePath, _ tree: DataTree) throws(KeeperError) -> ForeseenNode {
        if let node = changes.node(path, over: tree) { return node }
        // Only nodes with valid paths exist, so validity needs looking at only here.
        throw path.isValid ? .noNode : .badArguments
    }

    private func require(_ permission: Permissions, _ node: ForeseenNode, _ origin: Origin) throws(KeeperError) {
        guard node.acl == nil || AccessControl.allows(node.acl, permission, to: origin.identities) else { throw .noAuth }
    }

    /// - Throws: `unimplemented` for a quota: it would be kept and not be obeyed.
    private static func refuseQuota(_ path: NodePath) throws(KeeperError) {
        let place = DataTree.quotaPath.bytes
        guard path.bytes.count > place.count, path.bytes[place.count] == UInt8(ascii: "/"), path.bytes.starts(with: place) else { return }
        throw .unimplemented
    }

    private static func isSystemNode(_ path: NodePath) -> Bool {
        path.isRoot || path == DataTree.systemPath || path == DataTree.quotaPath || path == DataTree.configPath
    }

    /// - Parameter expected: −1 for any. The version after −2 is 0: −1 could not be asked for (ZOOKEEPER-4743).
    private static func nextVersion(_ current: Int32, expected: Int32) throws(KeeperError) -> Int32 {
        guard expected == -1 || expected == current else { throw .badVersion }
        let next = current &+ 1
        return next == -1 ? 0 : next
    }
}

extension Request {
    /// A create2 is logged as a create: it differs in its reply only, and Apache's servers before 3.8.2 drop, silently, a
    /// whole multi with a part that they don't know (ZOOKEEPER-4026).
    fileprivate var asLoggedInMulti: Request {
        guard case .create(var create) = self, create.op == .create2 else { return self }
        create.op = .create
        return .create(create)
    }

    /// reference/zookeeper.md, 1.5.
    var isLegalInMulti: Bool {
        switch self {
        case .create, .delete, .setData, .check: true
        default: false
        }
    }
}
