import EnsembleBase
import KeeperCore

/// `durability`, `linearizableWrites`, `reads` and `syncFreshness`: what clients were told, against each other and
/// against the committed history.
struct ClientChecker: Sendable {
    /// The last thing acknowledged of a path.
    private struct Expectation: Sendable {
        var zxid: Zxid
        var exists: Bool
    }

    private var expectations: [NodePath: Expectation] = [:]
    /// Paths that somebody has asked to delete, answered or not.
    private var deletesAsked: Set<NodePath> = []
    private struct VersionOfPath: Hashable {
        var path: NodePath
        var version: Int32
    }
    /// Compare-and-sets that succeeded.
    private var swapped: Set<VersionOfPath> = []
    private var sequential: Set<NodePath> = []
    /// The highest write that any client saw acknowledged.
    private(set) var acknowledged = Zxid.zero
    var operations = 0

    /// A restore has gone back to `end`: what was acknowledged behind it is void, but no zxid is given again.
    mutating func goBack(to end: Zxid) {
        expectations = expectations.filter { $0.value.zxid <= end }
        swapped = []
        sequential = []
    }

    /// Everything that was committed before the run was acknowledged.
    mutating func begins(with past: [LogEntry], tree: DataTree) {
        acknowledged = past.last?.zxid ?? .zero
        for entry in past {
            let parts: [Transaction] = if case .multi(let parts) = entry.transaction { parts } else { [entry.transaction] }
            for part in parts {
                switch part {
                // What its session or its emptiness may end is nobody's to rely on.
                case .create(let op, let path, _, _, false, _, _) where op != .createContainer: begins(path, entry.zxid, tree)
                case .setData(let path, _, _), .delete(let path, _): begins(path, entry.zxid, tree)
                default: break
                }
            }
        }
    }

    private mutating func begins(_ path: NodePath, _ zxid: Zxid, _ tree: DataTree) {
        expectations[path] = Expectation(zxid: zxid, exists: tree.contains(path))
    }

    /// Nobody may rely on a path any more.
    mutating func asks(_ request: Request) {
        switch request {
        case .delete(let path, _): deletesAsked.insert(path)
        case .multi(let parts): for part in parts { asks(part) }
        default: break
        }
    }

    /// A write is answered: `floor` is what was acknowledged to anyone when it was sent.
    mutating func answered(
        _ request: Request, number: Int, _ reply: Reply, session: SessionID, floor: Zxid, _ history: CommittedHistory,
        _ verdict: inout Verdict
    ) {
        operations += 1
        judge(reply, to: request, number: number, history, &verdict)
        guard reply.zxid > floor else {
            return verdict.fail(.linearizableWrites, "a write is acknowledged at \(reply.zxid), after \(floor) was, before it was sent")
        }
        acknowledged = max(acknowledged, reply.zxid)
        // S1: an acknowledged write is a committed one.
        guard let entry = history.entry(at: reply.zxid), entry.session == session else {
            return verdict.fail(
                .agreement,
                "a write of session \(session) is acknowledged at \(reply.zxid), where \(history.entry(at: reply.zxid).map { "\($0.transaction) of \($0.session)" } ?? "nothing") is committed: \(request)")
        }
        guard reply.error == nil else { return }
        note(request, reply.body, at: reply.zxid, &verdict)
    }

    private mutating func note(_ request: Request, _ body: ResponseBody, at zxid: Zxid, _ verdict: inout Verdict) {
        switch (request, body) {
        case (.create(let create), .path(let path)), (.create(let create), .pathAndStat(let path, _)):
            if create.flags & 2 != 0, create.flags < 4, !sequential.insert(path).inserted {
                verdict.fail(.linearizableWrites, "the sequential name \(path) is given twice")
            }
            if create.flags == 0 || create.flags == 2 { expect(path, zxid, exists: true) }
        case (.delete(let path, _), _): expect(path, zxid, exists: false)
        case (.setData(let path, _, let version), .stat(let stat)):
            expect(path, zxid, exists: true)
            guard version != -1 else { return }
            if stat.version != version &+ 1 || !swapped.insert(VersionOfPath(path: path, version: version)).inserted, path.bytes[1] == UInt8(ascii: "k") {
                verdict.fail(.linearizableWrites, "version \(version) of \(path) is replaced twice")
            }
        case (.multi(let parts), .multi(let results)):
            for (part, result) in zip(parts, results) {
                switch (part, result) {
                case (.create(let create), .create(let path)) where create.flags == 0: expect(path, zxid, exists: true)
                case (.delete(let path, _), .delete): expect(path, zxid, exists: false)
                case (.setData(let path, _, _), .setData): expect(path, zxid, exists: true)
                default: break
                }
            }
        default: break
        }
    }

    private mutating func expect(_ path: NodePath, _ zxid: Zxid, exists: Bool) {
        // Within one multi the later part counts.
        if let known = expectations[path], known.zxid > zxid { return }
        // It lives as long as its session.
        if path == OperatorLink.lock { return }
        expectations[path] = Expectation(zxid: zxid, exists: exists)
    }

    /// A member answers a sync that was sent when `floor` was the newest that anyone had seen acknowledged.
    ///
    /// Apache's protocol confirms no quorum for it (reference/zookeeper.md, 3.3: sync + read is not linearizable under a
    /// deposed leader), so a member of an older epoch than `floor`'s may lag, though not for longer than a leader
    /// without a quorum goes on: `patience` after the newer epoch was established.
    mutating func synced(
        _ reply: Reply, floor: Zxid, memberEpoch: Int64, sinceNewEpoch: Duration?, patience: Duration, who: Int,
        _ verdict: inout Verdict
    ) {
        guard reply.error == nil, reply.zxid < floor else { return }
        if memberEpoch < floor.epoch, let sinceNewEpoch, sinceNewEpoch < patience { return }
        verdict.fail(.syncFreshness, "client \(who): a sync is answered at \(reply.zxid), and \(floor) was acknowledged before it")
    }

    /// After the faults: every member that serves has every acknowledged write, or a later one of the same path.
    func checkDurability(of tree: DataTree, at id: ServerID, _ verdict: inout Verdict) {
        for path in expectations.keys.sorted() {
            let expected = expectations[path]!
            let stat = tree.storedStat(path)
            if expected.exists {
                if let stat, stat.mzxid < expected.zxid {
                    return verdict.fail(.durability, "S1: \(path) at \(id) is of \(stat.mzxid), and \(expected.zxid) was acknowledged")
                }
                if stat == nil, !deletesAsked.contains(path) {
                    return verdict.fail(.durability, "S1: \(path) was acknowledged at \(expected.zxid), and \(id) does not have it")
                }
            } else if let stat, stat.czxid < expected.zxid {
                return verdict.fail(.durability, "S1: \(path) was deleted at \(expected.zxid), and \(id) has it")
            }
        }
    }
}
