import EnsembleBase
import KeeperCore

/// The life of an ensemble of Apache's servers before ours are given its directories: one committed history over several
/// epochs, and what leaders proposed that was never committed.
///
/// It is what a world that begins so holds its members against: whatever is in `committed` was acknowledged to somebody.
struct ApachePast: Sendable {
    struct Epoch: Sendable {
        var number: Int64
        /// The last transaction before it.
        var predecessor: Zxid
        var committed: [LogEntry] = []
        /// Logged by its leader behind these and by nobody else.
        var abandoned: [LogEntry] = []
    }

    /// A tree that a snapshot may be taken of.
    struct Mark: Sendable {
        /// How many transactions have led to it.
        var position: Int
        var tree: DataTree
        /// Nothing was committed behind it in its epoch: a member that came back at an election got this one.
        var isEnd = false
    }

    /// Servers before 3.6, and those that were told so, announce none.
    let announcesDigests: Bool
    private(set) var epochs: [Epoch] = []
    private(set) var committed: [LogEntry] = []
    /// Oldest first; the first is the empty tree.
    private(set) var marks = [Mark(position: 0, tree: DataTree())]
    private var author = Author()

    /// - Parameter isAlone: one server, whose zxids begin with the first of epoch 0.
    init(isAlone: Bool, announcesDigests: Bool, using random: inout SeededRandom) {
        self.announcesDigests = announcesDigests
        author.announcesDigests = announcesDigests
        author.usesContainerFlags = Bool.random(using: &random)
        var number: Int64 = isAlone ? 0 : 1
        for place in 0..<(isAlone ? 1 : Int.random(in: 1...4, using: &random)) {
            write(number, isFirst: place == 0, isAlone: isAlone, using: &random)
            // An epoch whose leader was not established has its number all the same.
            number += Int64(Int.random(in: 0..<4, using: &random) == 0 ? 2 : 1)
        }
    }

    private mutating func write(_ number: Int64, isFirst: Bool, isAlone: Bool, using random: inout SeededRandom) {
        var epoch = Epoch(number: number, predecessor: author.tree.lastProcessedZxid)
        author.begins()
        let isEmpty = !isFirst && Int.random(in: 0..<4, using: &random) == 0
        let count = isEmpty ? 0 : Int.random(in: isFirst ? 30...160 : 5...80, using: &random)
        for counter in 0..<count {
            epoch.committed.append(author.entry(at: Zxid(epoch: number, counter: UInt32(counter + 1)), using: &random))
            if Int.random(in: 0..<20, using: &random) == 0 {
                marks.append(Mark(position: committed.count + epoch.committed.count, tree: author.tree))
            }
        }
        if count > 0, marks.last?.position != committed.count + count {
            marks.append(Mark(position: committed.count + count, tree: author.tree))
        }
        marks[marks.count - 1].isEnd = true
        if !isAlone, count > 0, Bool.random(using: &random) {
            var leader = author
            for place in 0..<Int.random(in: 1...3, using: &random) {
                let zxid = Zxid(epoch: number, counter: UInt32(count + place + 1))
                epoch.abandoned.append(leader.beginning(at: zxid, of: SessionID(0x0b00_0000 + zxid.rawValue)))
            }
        }
        committed += epoch.committed
        epochs.append(epoch)
    }

    var end: Zxid { committed.last?.zxid ?? .zero }
    var lastEpoch: Int64 { epochs.last?.number ?? 0 }

    /// After so many transactions.
    func tree(at position: Int) -> DataTree {
        let mark = marks.last { $0.position <= position }!
        var tree = mark.tree
        var changes: [TreeChange] = []
        for entry in committed[mark.position..<position] { _ = tree.apply(entry, changes: &changes) }
        return tree
    }

    /// The epoch of the transaction at `position`, counted from 1; the first one for 0.
    func epoch(at position: Int) -> Int64 { position > 0 ? committed[position - 1].zxid.epoch : epochs[0].number }
}

/// Makes up transactions, and announces the digests that Apache's leader announces.
private struct Author: Sendable {
    var tree = DataTree()
    /// Whether clients create with the flags of a container: then the digest of a container is announced, and a plain node
    /// is made (3.6 to 3.9).
    var usesContainerFlags = false
    var announcesDigests = true
    /// The tree as it is announced, while that differs.
    private var announced: DataTree?
    /// Transactions that are still reckoned from it: those that were in flight together.
    private var inFlight = 0
    private var count = 0
    private var open: [SessionID] = []
    private var removable: [NodePath] = []
    private var changes: [TreeChange] = []

    /// A leader's first transaction is reckoned from its tree.
    mutating func begins() { announced = nil }

    mutating func entry(at zxid: Zxid, using random: inout SeededRandom) -> LogEntry {
        count += 1
        // Apache's servers number sessions as ours do; the byte of the server is one that no member has.
        if open.isEmpty { return beginning(at: zxid, of: 0x0a00_0000_0000_0000 + Int64(count)) }
        let shared: [NodePath] = ["/q", "/k0", "/k1", "/k2", "/r0", "/r2"]
        if let missing = shared.first(where: { !tree.contains($0) }) { return add(creation(of: missing), at: zxid) }
        let fresh = NodePath("/o\(count)")
        switch Int.random(in: 0..<20, using: &random) {
        case 0 where open.count < 3: return beginning(at: zxid, of: 0x0a00_0000_0000_0000 + Int64(count))
        case 1 where open.count > 1:
            let session = open.removeFirst()
            return add(.closeSession(ephemerals: tree.ephemeralPaths(of: session)), at: zxid, of: session)
        case 2...3: return add(creation(of: NodePath("/o\(count)e"), isEphemeral: true), at: zxid)
        case 4...5 where !removable.isEmpty: return add(.delete(path: removable.removeFirst(), container: false), at: zxid)
        case 6: return add(.error(KeeperError.noNode.rawValue), at: zxid)
        case 7: return add(.multi([creation(of: fresh), value(of: "/k0", count)]), at: zxid)
        case 8: return add(.setACL(path: "/r0", acl: AccessRight.openToAll, version: (tree.storedStat("/r0")?.aversion ?? 0) + 1), at: zxid)
        case 9: return add(creation(of: tree.contains("/g0") ? fresh : "/g0", op: tree.contains("/g0") ? .create2 : .createContainer), at: zxid)
        case 10...11 where usesContainerFlags && announced == nil:
            // One by one, or with others behind it in one packet.
            inFlight = max(Int.random(in: -6...9, using: &random), 0)
            return add(creation(of: NodePath("/w\(count)")), at: zxid, isTakenForContainer: true)
        case 12...14: return add(value(of: [NodePath("/k1"), "/k2", "/r2"][count % 3], count), at: zxid)
        default:
            removable.append(fresh)
            return add(creation(of: fresh), at: zxid)
        }
    }

    /// Of a session. The leader makes it by itself, so that it bears no number of a client's.
    mutating func beginning(at zxid: Zxid, of session: SessionID) -> LogEntry {
        open.append(session)
        return add(.createSession(timeout: 4_000), at: zxid, of: session, cxid: 0)
    }

    private func creation(of path: NodePath, isEphemeral: Bool = false, op: OpCode = .create) -> Transaction {
        .create(
            op: op, path: path, data: Array("before \(count)".utf8), acl: AccessRight.openToAll, ephemeral: isEphemeral,
            parentCVersion: (tree.storedStat(path.parent ?? .root)?.cversion ?? 0) + 1, ttl: 0)
    }

    private func value(of path: NodePath, _ number: Int) -> Transaction {
        .setData(path: path, data: Array("value \(number)".utf8), version: (tree.storedStat(path)?.version ?? 0) + 1)
    }

    private mutating func add(
        _ transaction: Transaction, at zxid: Zxid, of session: SessionID? = nil, cxid: Int32? = nil,
        isTakenForContainer: Bool = false
    ) -> LogEntry {
        var entry = LogEntry(
            session: session ?? open[count % open.count], cxid: cxid ?? Int32(count), zxid: zxid,
            time: 1_600_000_000_000 + Int64(count) * 10, transaction: transaction)
        if isTakenForContainer { announced = tree }
        if announced != nil {
            var taken = entry
            if isTakenForContainer, case .create(_, let path, let data, let acl, _, let cversion, _) = transaction {
                taken.transaction = .create(
                    op: .createContainer, path: path, data: data, acl: acl, ephemeral: false, parentCVersion: cversion, ttl: 0)
            }
            _ = announced!.apply(taken, changes: &changes)
        }
        _ = tree.apply(entry, changes: &changes)
        changes.removeAll(keepingCapacity: true)
        if case .error = transaction {} else if announcesDigests { entry.digest = TransactionDigest(treeDigest: (announced ?? tree).digest) }
        if inFlight > 0 { inFlight -= 1 } else { announced = nil }
        return entry
    }
}
