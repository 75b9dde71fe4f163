import EnsembleBase
import KeeperCore

/// A leader without the rest: requests are prepared at once and applied when the test says so.
struct WriteWorld {
    var tree = DataTree()
    var preparation = RequestPreparation()
    /// Everything prepared, in order.
    var log: [LogEntry] = []
    /// Prepared, not applied.
    var outstanding: ArraySlice<LogEntry> = []
    var changes: [TreeChange] = []
    var results: [ApplyResult] = []
    /// Entries whose announced digest was not the one that the tree had afterwards.
    var mispredicted: [LogEntry] = []
    var nextZxid = Zxid(epoch: 1, counter: 1)
    var time: Int64 = 1_700_000_000_000

    static let session: SessionID = 0x0100_0000_0000_0001

    init(sessions: [SessionID] = [WriteWorld.session]) {
        for session in sessions { submit(.createSession(timeout: 10_000), session: session) }
        applyAll()
    }

    @discardableResult
    mutating func submit(
        _ request: Request, session: SessionID = WriteWorld.session, as identities: [Identity] = []
    ) -> LogEntry {
        time += 1
        let entry = preparation.prepare(
            request, session: session, cxid: Int32(truncatingIfNeeded: log.count), identities: identities,
            zxid: nextZxid, time: time, tree: tree)
        nextZxid = nextZxid.next
        log.append(entry)
        outstanding.append(entry)
        return entry
    }

    mutating func applyNext() {
        guard let entry = outstanding.popFirst() else { return }
        changes = []
        results.append(tree.apply(entry, changes: &changes))
        preparation.applied(upTo: entry.zxid)
        if let digest = entry.digest, digest.treeDigest != tree.digest { mispredicted.append(entry) }
    }

    mutating func applyAll() {
        while !outstanding.isEmpty { applyNext() }
    }

    /// Prepares and applies.
    @discardableResult
    mutating func write(
        _ request: Request, session: SessionID = WriteWorld.session, as identities: [Identity] = []
    ) -> ApplyResult {
        submit(request, session: session, as: identities)
        applyAll()
        return results[results.count - 1]
    }
}

extension Request {
    static func create(
        _ path: NodePath, _ data: String = "", flags: Int32 = 0, acl: [AccessRight] = AccessRight.openToAll,
        op: OpCode? = nil
    ) -> Request {
        .create(
            CreateRequest(
                op: op ?? (flags == 4 ? .createContainer : .create), path: path, data: Array(data.utf8), acl: acl,
                flags: flags))
    }

    static func delete(_ path: NodePath, _ version: Int32 = -1) -> Request { .delete(path: path, version: version) }

    static func set(_ path: NodePath, _ data: String, _ version: Int32 = -1) -> Request {
        .setData(path: path, data: Array(data.utf8), version: version)
    }
}

/// Everything that a tree holds, for comparison. Order of children and keys of access lists are left out: they may
/// differ between members.
struct TreeContents: Equatable {
    struct Node: Equatable {
        var path: NodePath
        var data: [UInt8]
        var acl: [AccessRight]
        var stat: StoredStat
        var shown: Stat
        var children: [ByteString]
    }

    var nodes: [Node] = []
    var sessions: [TouchedSession]
    var ephemerals: [SessionID: [NodePath]]
    var emptyContainers: [NodePath]
    var digest: UInt64
    var zxid: Zxid
    var size: Int
    var ephemeralCount: Int

    init(_ tree: DataTree) {
        sessions = tree.sessions
        ephemerals = Dictionary(uniqueKeysWithValues: tree.ephemeralsBySession.map { ($0.session, $0.paths) })
        emptyContainers = tree.emptyContainers().sorted()
        digest = tree.digest
        zxid = tree.lastProcessedZxid
        size = tree.approximateDataSize
        ephemeralCount = tree.ephemeralCount
        var pending: [NodePath] = [.root]
        while let path = pending.popLast() {
            let children = (tree.children(path) ?? []).sorted()
            pending += children.map { path.appending($0.bytes) }
            guard let data = tree.data(path), let acl = tree.acl(path), let stat = tree.storedStat(path),
                let shown = tree.stat(path)
            else { continue }
            nodes.append(Node(path: path, data: data, acl: acl, stat: stat, shown: shown, children: children))
        }
        nodes.sort { $0.path < $1.path }
    }
}

/// Random writes over few paths, so that they collide.
struct RandomWrites {
    var random: SeededRandom
    var sessions: [SessionID] = (1...4).map { WriteWorld.session + Int64($0) }

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    static let reader = Identity(scheme: "digest", id: "reader:hash")
    static let lists: [[AccessRight]] = [
        AccessRight.openToAll, AccessRight.openToAll,
        [AccessRight(permissions: .all, identity: reader)],
        [AccessRight(permissions: [.read, .create, .write, .delete, .admin], identity: .anyone), AccessRight(permissions: .read, identity: reader)],
        [AccessRight(permissions: [.read, .admin, .delete], identity: .anyone)],
        [AccessRight(permissions: .all, identity: Identity(scheme: "auth", id: ""))],
    ]

    mutating func pick(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    mutating func path() -> NodePath {
        let names = ["a", "b", "c"]
        var text = ""
        for _ in 0...pick(3) { text += "/" + names[pick(3)] }
        return NodePath(text)
    }

    mutating func part() -> Request {
        switch pick(10) {
        case 0...4:
            let flags = Int32(pick(5))
            return .create(path(), String(repeating: "x", count: pick(30)), flags: flags, acl: RandomWrites.lists[pick(6)])
        case 5, 6: return .delete(path(), pick(4) == 0 ? Int32(pick(3)) : -1)
        case 7, 8: return .set(path(), "\(pick(1000))", pick(4) == 0 ? Int32(pick(3)) : -1)
        default: return .check(path: path(), version: Int32(pick(3)) - 1)
        }
    }

    mutating func request() -> (Request, SessionID) {
        let session = sessions[pick(sessions.count)]
        switch pick(20) {
        case 0: return (.createSession(timeout: Int32(1000 + pick(5) * 1000)), session)
        case 1: return (.closeSession, session)
        case 2, 3: return (.setACL(path: path(), acl: RandomWrites.lists[pick(6)], version: -1), session)
        case 4: return (.deleteContainer(path: path()), 0)
        case 5...8: return (.multi((0..<pick(5)).map { _ in part() }), session)
        default: return (part(), session)
        }
    }
}
