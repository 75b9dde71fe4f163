import EnsembleBase

/// The replicated state: znodes, their access lists, sessions.
///
/// Every member that applies the same log entries holds the same tree: nothing here depends on a clock, on randomness
/// or on hash order. Nodes are values in a slab and refer to each other by position; a position never moves while its
/// node lives, which `SnapshotWalk` relies on.
///
/// Invariants: the parent of every node but the root is live and lists it once; `digest` is the sum of the nodes'
/// digests (reference/zookeeper.md, 2.4); a node whose owner is a session is in that session's list of ephemerals.
package struct DataTree: Sendable {
    var nodes = NodeSlab()
    private(set) var index = PathIndex()
    var access = AccessTable()
    /// Milliseconds by session.
    var sessionTimeouts: [SessionID: Int32] = [:]
    private var ephemerals: [SessionID: [NodeSlot]] = [:]
    private var containers: [NodeSlot] = []

    /// The last transaction whose effects are in the tree, wholly: it moves after a multi's last part
    /// (ZOOKEEPER-3127).
    package internal(set) var lastProcessedZxid = Zxid.zero
    /// The sum over the nodes of their digests, wrapping.
    package private(set) var digest: UInt64 = 0
    /// The root included.
    package private(set) var nodeCount = 0
    package private(set) var ephemeralCount = 0
    /// Nodes that an Apache server was to delete after a while. Here they stay.
    package private(set) var ttlCount = 0
    /// Bytes of all paths and data.
    package private(set) var approximateDataSize = 0

    static let rootSlot: NodeSlot = 0
    package static let configPath: NodePath = "/zookeeper/config"
    package static let quotaPath: NodePath = "/zookeeper/quota"
    package static let systemPath: NodePath = "/zookeeper"

    /// The empty database, as Apache's: `/zookeeper` with `quota` and `config`, the latter readable only.
    package init() {
        plantRoot()
        plant(DataTree.systemPath)
        plant(DataTree.quotaPath)
        plantConfiguration()
    }

    /// A tree without any node, to be loaded.
    init(empty: Void) {}

    private mutating func plant(_ path: NodePath, acl: [AccessRight] = [], stat: StoredStat = StoredStat()) {
        guard let parent = path.parent else { return }
        insert(path, below: slot(of: parent), data: [], aclKey: access.retain(acl), stat: stat)
    }

    /// Its list counts as set with version −1, which clients of Apache's server see.
    private mutating func plantConfiguration() {
        var stat = StoredStat()
        stat.aversion = -1
        plant(DataTree.configPath, acl: [AccessRight(permissions: .read, identity: .anyone)], stat: stat)
    }

    mutating func plantRoot(data: [UInt8]? = [], aclKey: Int64 = AccessTable.openKey, stat: StoredStat = StoredStat()) {
        insert(.root, below: .none, data: data, aclKey: aclKey, stat: stat)
    }

    // MARK: Reading

    package func contains(_ path: NodePath) -> Bool { slot(of: path) != .none }

    package func stat(_ path: NodePath) -> Stat? { found(path).map { nodes.shownStat($0) } }

    package func storedStat(_ path: NodePath) -> StoredStat? { found(path).map { nodes.stat($0) } }

    /// nil if there is no such node; empty if its data is null.
    package func data(_ path: NodePath) -> [UInt8]? { found(path).map { Array(nodes.data($0) ?? []) } }

    /// The access list as stored.
    package func acl(_ path: NodePath) -> [AccessRight]? {
        found(path).map { access.list(nodes.aclKey($0)) ?? AccessRight.openToAll }
    }

    /// The children's names, in the order in which they were linked: the same on a member that replays the same log,
    /// not the same on one that loaded a snapshot.
    package func children(_ path: NodePath) -> [ByteString]? {
        found(path).map(childNames)
    }

    /// The number of nodes below `path`; nil if there is no such node. Cost: one visit of each.
    package func descendantCount(_ path: NodePath) -> Int? {
        let slot = slot(of: path)
        if slot == .none { return nil }
        if slot == DataTree.rootSlot { return nodeCount - 1 }
        var count = 0
        var pending = nodes.children(slot)
        while let next = pending.popLast() {
            count += 1
            pending.append(contentsOf: nodes.children(next))
        }
        return count
    }

    /// The session's ephemeral nodes.
    package func ephemeralPaths(of session: SessionID) -> [NodePath] {
        (ephemerals[session] ?? []).map(path)
    }

    /// Sessions that own nodes, in order, with their nodes sorted: for the `dump` command.
    package var ephemeralsBySession: [(session: SessionID, paths: [NodePath])] {
        ephemerals.keys.sorted().map { ($0, ephemeralPaths(of: $0).sorted()) }
    }

    package var sessionCount: Int { sessionTimeouts.count }

    /// In the order of their ids.
    package var sessions: [TouchedSession] {
        sessionTimeouts.map { TouchedSession(session: $0.key, timeout: $0.value) }.sorted { $0.session < $1.session }
    }

    /// Nodes that an Apache server was to limit: a quota is a node below `/zookeeper/quota` whose last name is
    /// `zookeeper_limits` (reference/zookeeper.md, 1.6). Cost: one visit of each node there.
    package var quotaCount: Int {
        var count = 0
        var pending = found(DataTree.quotaPath).map(nodes.children) ?? []
        while let next = pending.popLast() {
            if nodes.name(next).elementsEqual("zookeeper_limits".utf8) { count += 1 }
            pending.append(contentsOf: nodes.children(next))
        }
        return count
    }

    /// Milliseconds; nil if the session does not exist.
    package func timeout(of session: SessionID) -> Int32? { sessionTimeouts[session] }

    /// Containers that have had children and have none: the leader deletes them (reference/zookeeper.md, 1.6). In
    /// the order of their creation, but for swaps by earlier deletions.
    package func emptyContainers(limit: Int = .max) -> [NodePath] {
        var result: [NodePath] = []
        for slot in containers where result.count < limit {
            if nodes.stat(slot).cversion > 0, nodes.childCount(slot) == 0 { result.append(path(of: slot)) }
        }
        return result
    }

    // MARK: The slab

    func slot(of path: NodePath) -> NodeSlot { index.find(path, in: nodes) }

    /// The parent of `path`, without building its path.
    func parentSlot(of path: NodePath) -> NodeSlot {
        guard !path.isRoot, let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")) else { return .none }
        if slash == 0 { return DataTree.rootSlot }
        return path.bytes.withUnsafeBytes { index.find(UnsafeRawBufferPointer(rebasing: $0[..<slash]), in: nodes) }
    }

    private func found(_ path: NodePath) -> NodeSlot? {
        let slot = slot(of: path)
        return slot == .none ? nil : slot
    }

    func childNames(_ slot: NodeSlot) -> [ByteString] {
        nodes.children(slot).map { ByteString(Array(nodes.name($0))) }
    }

    func path(of slot: NodeSlot) -> NodePath { nodes.path(of: slot) }

    func ephemeralSlots(of session: SessionID) -> [NodeSlot] { ephemerals[session] ?? [] }

    /// Links a new node. The path is not in the tree, the parent is (the root's is `none`), and the key's reference
    /// passes to the node.
    @discardableResult
    mutating func insert(
        _ path: NodePath, below parent: NodeSlot, data: [UInt8]?, aclKey: Int64, stat: StoredStat
    ) -> NodeSlot {
        let nodeDigest = NodeDigest(path: path, data: data?[...], stat: stat)
        digest &+= nodeDigest.value
        nodeCount += 1
        approximateDataSize += path.bytes.count + (data?.count ?? 0)
        let slot = nodes.insert(
            name: path.isRoot ? [] : path.name, data: data, aclKey: aclKey, stat: stat, digest: nodeDigest,
            parent: parent)
        join(owner: NodeOwner(stat.ephemeralOwner), slot)
        index.insert(path, slot)
        return slot
    }

    /// Unlinks and frees a node that has no children.
    mutating func remove(_ slot: NodeSlot, at path: NodePath) {
        index.remove(path, slot)
        leave(owner: NodeOwner(nodes.stat(slot).ephemeralOwner), nodes.indexInOwner(slot))
        access.release(nodes.aclKey(slot))
        digest &-= nodes.digest(slot, at: path).value
        nodeCount -= 1
        approximateDataSize -= path.bytes.count + nodes.dataCount(slot)
        nodes.remove(slot)
    }

    /// - Parameters:
    ///   - path: the slot's.
    ///   - stat: the node's new one.
    mutating func replaceData(_ slot: NodeSlot, at path: NodePath, _ data: [UInt8]?, stat: StoredStat) {
        approximateDataSize += (data?.count ?? 0) - nodes.dataCount(slot)
        digest &+= nodes.amend(slot) { details in
            let old = details.digest.value
            details.stat = stat
            details.digest.replaceData(data?[...], path: path, stat: stat)
            return details.digest.value &- old
        }
        nodes.setData(slot, data)
    }

    /// Changes a node's stat, and with it the digests.
    ///
    /// - Parameter change: returns whether it changed anything.
    mutating func amendStat(_ slot: NodeSlot, _ change: (inout StoredStat) -> Bool) {
        digest &+= nodes.amend(slot) { details in
            guard change(&details.stat) else { return 0 }
            let old = details.digest.value
            details.digest.refresh(details.stat)
            return details.digest.value &- old
        }
    }

    private mutating func join(owner: NodeOwner, _ slot: NodeSlot) {
        switch owner {
        case .persistent: return
        case .ttl: ttlCount += 1
        case .container:
            nodes.amend(slot) { $0.indexInOwner = Int32(containers.count) }
            containers.append(slot)
        case .session(let session):
            ephemeralCount += 1
            nodes.amend(slot) { $0.indexInOwner = Int32(ephemerals[session]?.count ?? 0) }
            ephemerals[session, default: []].append(slot)
        }
    }

    private mutating func leave(owner: NodeOwner, _ position: Int32) {
        switch owner {
        case .persistent: return
        case .ttl: ttlCount -= 1
        case .container:
            let last = containers[containers.count - 1]
            containers[Int(position)] = last
            nodes.amend(last) { $0.indexInOwner = position }
            containers.removeLast()
        case .session(let session):
            ephemeralCount -= 1
            guard let count = ephemerals[session]?.count, count > 1 else {
                ephemerals[session] = nil
                return
            }
            let last = ephemerals[session, default: []][count - 1]
            ephemerals[session, default: []][Int(position)] = last
            nodes.amend(last) { $0.indexInOwner = position }
            ephemerals[session, default: []].removeLast()
        }
    }

    // MARK: Outside of transactions

    /// Sets the data of `/zookeeper/config`. Every server does so by itself when a role starts, as Apache's do; the
    /// node is outside of the digest, so members with different texts do not disagree. Its version is then −1.
    ///
    /// - Parameter text: empty on a standalone server, whose node stays as it is.
    /// - Parameter zxid: the version of the configuration, which becomes the node's mzxid.
    /// - Parameter time: wall clock, milliseconds.
    package mutating func setConfiguration(_ text: [UInt8], zxid: Zxid = .zero, time: Int64 = 0) {
        var slot = slot(of: DataTree.configPath)
        if slot == .none {
            // A snapshot of an Apache server before 3.5 lacks the node.
            if !contains(DataTree.systemPath) { plant(DataTree.systemPath) }
            plantConfiguration()
            slot = self.slot(of: DataTree.configPath)
        }
        if text.isEmpty { return }
        var stat = nodes.stat(slot)
        stat.setData(version: -1, zxid: zxid, time: time)
        replaceData(slot, at: DataTree.configPath, text, stat: stat)
    }
}
