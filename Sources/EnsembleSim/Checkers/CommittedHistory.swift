import EnsembleBase
import KeeperCore

/// The one sequence of committed transactions, as the members that serve reveal it, and the tree that it makes.
///
/// It is what the other checkers compare with. It grows when the first member applies a transaction while serving, and
/// is without gaps by construction, so a zxid's position is arithmetic.
struct CommittedHistory: Sendable {
    /// What happened to one path, at one zxid.
    struct PathChange: Sendable {
        var zxid: Zxid
        var kind: TreeChange.Kind
        /// nil behind a deletion.
        var content: NodeContent?
    }

    /// The names of a node's children, as of a zxid.
    struct ChildNames: Sendable {
        var zxid: Zxid
        var count: Int
        /// Of all names, in whatever order.
        var digest: UInt64

        static func digest(of name: some Sequence<UInt8>) -> UInt64 { NodeContent.hash(name) &* 0x9E37_79B9_7F4A_7C15 | 1 }
    }

    private(set) var entries: [LogEntry] = []
    /// What each entry changed.
    private(set) var changes: [[TreeChange]] = []
    /// The tree's digest after each entry.
    private(set) var digests: [UInt64] = []
    private(set) var tree = DataTree()
    /// The position of the first entry of each epoch.
    private var starts: [Int64: Int] = [:]
    private var byPath: [NodePath: [PathChange]] = [:]
    private var childChanges: [NodePath: [ChildNames]] = [:]
    private var rightChanges: [NodePath: [(zxid: Zxid, rights: [AccessRight])]] = [:]
    /// Paths that were not open to all at some time, as they came.
    private var guarded: [NodePath] = []
    /// What became of each entry, and which request it stands for.
    private var results: [ApplyResult] = []
    private var numbers: [Int] = []
    var requests = RequestChecker()

    var last: Zxid { entries.last?.zxid ?? .zero }

    /// Paths that clients read: only their changes are indexed.
    static func isRead(_ path: NodePath) -> Bool {
        guard path.bytes.count > 1 else { return false }
        return switch path.bytes[1] {
        case UInt8(ascii: "k"), UInt8(ascii: "r"), UInt8(ascii: "q"), UInt8(ascii: "a"), UInt8(ascii: "d"): true
        default: false
        }
    }

    /// The number of entries up to and including `zxid`, which is one of theirs or an epoch's beginning; else nil.
    func position(of zxid: Zxid) -> Int? {
        if zxid == .zero { return 0 }
        // The beginning of an epoch, before its first transaction.
        if zxid.counter == 0 { return entries.count - entries.reversed().prefix { $0.zxid > zxid }.count }
        guard zxid.counter > 0, let start = starts[zxid.epoch] else { return nil }
        let position = start + Int(zxid.counter)
        guard position <= entries.count, entries[position - 1].zxid == zxid else { return nil }
        return position
    }

    func entry(at zxid: Zxid) -> LogEntry? { position(of: zxid).flatMap { $0 > 0 ? entries[$0 - 1] : nil } }

    /// What became of the entry, and the number of the request that it stands for.
    func outcome(at zxid: Zxid) -> (result: ApplyResult, number: Int)? {
        position(of: zxid).flatMap { $0 > 0 ? (results[$0 - 1], numbers[$0 - 1]) : nil }
    }

    /// Request `number` is answered with what is committed at `zxid`.
    mutating func answered(_ number: Int, at zxid: Zxid) {
        guard let position = position(of: zxid), position > 0, numbers[position - 1] != number else { return }
        let entry = entries[position - 1]
        if requests.settle(number, takenFor: numbers[position - 1], of: entry.session) { numbers[position - 1] = number }
    }

    func digest(at zxid: Zxid) -> UInt64? { position(of: zxid).flatMap { $0 > 0 ? digests[$0 - 1] : nil } }

    /// Adds the next entry: integrity's "no gaps", and the sessions' ephemerals.
    mutating func extend(_ entry: LogEntry, _ verdict: inout Verdict) {
        let follows =
            entry.zxid.epoch == last.epoch
            ? entry.zxid == last.next : entry.zxid.epoch > last.epoch && entry.zxid.counter == 1
        guard follows else {
            return verdict.fail(.integrity, "\(entry.zxid) is committed right after \(last)")
        }
        checkEphemerals(entry, &verdict)
        add(entry, number: requests.committed(entry, over: tree, &verdict))
        if case .closeSession = entry.transaction {
            if !tree.ephemeralPaths(of: entry.session).isEmpty {
                verdict.fail(.ephemerals, "session \(entry.session) is closed at \(entry.zxid), and has nodes")
            }
            if tree.timeout(of: entry.session) != nil {
                verdict.fail(.sessions, "session \(entry.session) is closed at \(entry.zxid), and lives on")
            }
        }
    }

    /// What was committed before the run. Whose requests these were nobody knows.
    mutating func begins(with past: [LogEntry]) {
        for entry in past { add(entry, number: 0) }
    }

    private mutating func add(_ entry: LogEntry, number: Int) {
        if entry.zxid.epoch != last.epoch || entries.isEmpty { starts[entry.zxid.epoch] = entries.count }
        var changes: [TreeChange] = []
        results.append(tree.apply(entry, changes: &changes))
        numbers.append(number)
        for change in changes { index(change, at: entry.zxid) }
        if case .setACL(let path, let rights, _) = entry.transaction, CommittedHistory.isRead(path) {
            noteRights(path, rights, at: entry.zxid)
        }
        entries.append(entry)
        self.changes.append(changes)
        digests.append(tree.digest)
    }

    private mutating func index(_ change: TreeChange, at zxid: Zxid) {
        let path = change.path
        guard CommittedHistory.isRead(path) else { return }
        let content = change.kind == .deleted ? nil : NodeContent(of: path, in: tree)
        byPath[path, default: []].append(PathChange(zxid: zxid, kind: change.kind, content: content))
        if change.kind == .created { noteRights(path, tree.acl(path) ?? [], at: zxid) }
        guard change.kind != .dataChanged, let parent = path.parent, !parent.isRoot else { return }
        var names = childChanges[parent]?.last ?? ChildNames(zxid: zxid, count: 0, digest: 0)
        names.zxid = zxid
        names.count += change.kind == .created ? 1 : -1
        names.digest ^= ChildNames.digest(of: path.name)
        childChanges[parent, default: []].append(names)
    }

    private mutating func noteRights(_ path: NodePath, _ rights: [AccessRight], at zxid: Zxid) {
        if rights != AccessRight.openToAll, !(rightChanges[path]?.contains { $0.rights != AccessRight.openToAll } ?? false) {
            guarded.append(path)
        }
        rightChanges[path, default: []].append((zxid, rights))
    }

    /// A node whose rights are others in `tree` than were committed: no digest tells of them.
    func otherRights(in tree: DataTree) -> NodePath? {
        let end = tree.lastProcessedZxid
        return guarded.first { exists($0, at: end) && tree.acl($0) != rights(of: $0, at: end) }
    }

    /// A restore has gone back to `end`.
    mutating func goBack(to end: Zxid) {
        var kept = CommittedHistory()
        for (entry, number) in zip(entries, numbers) where entry.zxid <= end { kept.add(entry, number: number) }
        kept.requests = requests
        self = kept
    }

    /// An ephemeral is created within its session's life, and goes by its own delete or its session's end.
    private func checkEphemerals(_ entry: LogEntry, _ verdict: inout Verdict) {
        let parts: [Transaction] = if case .multi(let parts) = entry.transaction { parts } else { [entry.transaction] }
        for case .create(_, let path, _, _, ephemeral: true, _, _) in parts where tree.timeout(of: entry.session) == nil {
            verdict.fail(.ephemerals, "\(path) is created at \(entry.zxid) for a session that is closed")
        }
        if case .closeSession(let listed?) = entry.transaction {
            for path in listed where tree.storedStat(path).map({ $0.ephemeralOwner != entry.session }) ?? false {
                verdict.fail(.ephemerals, "\(path) dies at \(entry.zxid) with a session that is not its own")
            }
        }
    }

    // MARK: What a read at a zxid must show

    /// The last change of `path` up to `zxid`; nil if there was none.
    func lastChange(of path: NodePath, upTo zxid: Zxid) -> PathChange? {
        guard let list = byPath[path] else { return nil }
        var count = list.count
        while count > 0, list[count - 1].zxid > zxid { count -= 1 }
        return count > 0 ? list[count - 1] : nil
    }

    /// The last change of the children of `path`, its own creation included, up to `zxid`.
    func lastChildChange(of path: NodePath, upTo zxid: Zxid) -> Zxid {
        let created = byPath[path]?.last { $0.kind == .created && $0.zxid <= zxid }?.zxid ?? .zero
        return max(created, childNames(of: path, at: zxid).zxid)
    }

    func childNames(of path: NodePath, at zxid: Zxid) -> ChildNames {
        childChanges[path]?.last { $0.zxid <= zxid } ?? ChildNames(zxid: .zero, count: 0, digest: 0)
    }

    /// The access list of a node that exists at `zxid`.
    func rights(of path: NodePath, at zxid: Zxid) -> [AccessRight] {
        rightChanges[path]?.last { $0.zxid <= zxid }?.rights ?? []
    }

    func exists(_ path: NodePath, at zxid: Zxid) -> Bool {
        lastChange(of: path, upTo: zxid).map { $0.kind != .deleted } ?? false
    }
}

/// What a client sees of a node besides its children.
struct NodeContent: Hashable, Sendable {
    var czxid: Zxid
    var mzxid: Zxid
    var version: Int32
    var owner: SessionID
    var length: Int
    /// Of the data.
    var hash: UInt64

    /// nil if there is no such node.
    init?(of path: NodePath, in tree: DataTree) {
        guard let stat = tree.stat(path), let data = tree.data(path) else { return nil }
        self.init(stat, data)
    }

    init(_ stat: Stat, _ data: some Collection<UInt8>) {
        (czxid, mzxid, version, owner) = (stat.czxid, stat.mzxid, stat.version, stat.ephemeralOwner)
        length = data.count
        hash = NodeContent.hash(data)
    }

    /// FNV-1a.
    static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return value
    }
}
