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
    private var childChanges: [NodePath: [Zxid]] = [:]

    var last: Zxid { entries.last?.zxid ?? .zero }

    /// Paths that clients read: only their changes are indexed.
    static func isRead(_ path: NodePath) -> Bool {
        path.bytes.count > 1 && [UInt8(ascii: "k"), UInt8(ascii: "r"), UInt8(ascii: "q")].contains(path.bytes[1])
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
        if entry.zxid.counter == 1 { starts[entry.zxid.epoch] = entries.count }
        var changes: [TreeChange] = []
        _ = tree.apply(entry, changes: &changes)
        for change in changes where CommittedHistory.isRead(change.path) {
            byPath[change.path, default: []].append(PathChange(zxid: entry.zxid, kind: change.kind))
            if change.kind != .dataChanged, let parent = change.path.parent, !parent.isRoot {
                childChanges[parent, default: []].append(entry.zxid)
            }
        }
        if case .closeSession = entry.transaction, !tree.ephemeralPaths(of: entry.session).isEmpty {
            verdict.fail(.ephemerals, "session \(entry.session) is closed at \(entry.zxid), and has nodes")
        }
        entries.append(entry)
        self.changes.append(changes)
        digests.append(tree.digest)
    }

    /// A restore has gone back to `end`.
    mutating func goBack(to end: Zxid) {
        var kept = CommittedHistory()
        var verdict = Verdict()
        for entry in entries where entry.zxid <= end { kept.extend(entry, &verdict) }
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
        let children = childChanges[path]?.last { $0 <= zxid } ?? .zero
        return max(created, children)
    }

    func exists(_ path: NodePath, at zxid: Zxid) -> Bool {
        lastChange(of: path, upTo: zxid).map { $0.kind != .deleted } ?? false
    }
}
