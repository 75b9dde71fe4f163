import EnsembleBase
import KeeperCodec
import KeeperCore

/// A snapshot and the logs behind it, put together (reference/zookeeper.md, 2.5). Reads only.
struct Replay: Sendable {
    /// A log that was read.
    struct Log: Hashable, Sendable {
        var file: NumberedFile
        /// Behind the last whole entry that was read.
        var end: Int
        /// What was found of an interrupted write behind it.
        var tornTail: String?
        /// The file says how far it is durable.
        var isMarked: Bool
        var isEmpty: Bool
        /// Entries behind the limit stand in it.
        var goesOn = false
    }

    var tree: DataTree { replayed.tree }
    /// nil: the logs were replayed on the empty tree, and lack nothing.
    let snapshot: NumberedFile?
    /// The first entry behind the snapshot, if there is one.
    var firstReplayed: Zxid?
    var entryCount = 0
    /// What the logs hold behind the snapshot.
    var behind = LogExtent()
    /// The leader's clock in the last entry, milliseconds; nil without an entry.
    var lastTime: Int64?
    var recent: RecentEntries
    /// The logs that were read, in their order.
    var logs: [Log] = []
    /// Snapshots that could not be used, with the reason, and that the logs made up for.
    var unusableSnapshots: [StorageError] = []
    /// Newer than everything else, and cut short.
    private(set) var cutSnapshots: [NumberedFile] = []

    private var replayed: ReplayedTree
    /// Newer snapshots that could not be used, and those of them that the logs have led through.
    private let unusable: [Zxid]
    private var met: Set<Zxid> = []
    /// Those of them in an epoch that began behind another's transactions, without a digest that agreed since.
    private var metUnproved: Set<Zxid> = []
    /// Entries are missing in the logs that were read.
    private var lacksEntries = false
    /// The snapshot is no state that ever was.
    private var refusal: StorageError?

    var startZxid: Zxid { replayed.snapshotZxid }

    /// - Parameters:
    ///   - layout: the newest sound snapshot is taken; one that is damaged is passed over only if the logs lead through its
    ///     transaction.
    ///   - limit: entries and snapshots behind it are left alone.
    ///   - isJudged: false: digests that are not the leader's are let pass.
    ///   - admitsCut: a newest snapshot that is cut short is passed over although the logs end before it (`cutSnapshot`).
    /// - Throws: for damage, gaps, and digests that aren't the leader's. Also if there is no sound snapshot, and the logs
    ///   are not provably whole.
    static func run(
        _ layout: DataLayout, limit: Zxid?, recent: RecentEntries, isJudged: Bool = true, admitsCut: Bool = false
    ) throws(StorageError) -> Replay {
        let logs = try layout.logs()
        var failures: [(snapshot: NumberedFile, error: StorageError)] = []
        for snapshot in try layout.snapshots() where limit.map({ snapshot.zxid <= $0 }) ?? true {
            let loaded: LoadedSnapshot
            do throws(StorageError) { loaded = try SnapshotFile.read(snapshot, in: layout.files) } catch {
                failures.append((snapshot, error))
                continue
            }
            let unread = Replay(
                loaded.tree, loaded.digest, from: snapshot, past: failures.map(\.snapshot.zxid), recent: recent, isJudged: isJudged)
            var replay = unread
            do throws(StorageError) { try replay.readLogs(logs, in: layout.files, limit: limit) } catch {
                guard replay.lacksEntries else { throw error }
                replay = unread
                do throws(StorageError) { try replay.readLogs(logs, from: 0, in: layout.files, limit: limit) } catch _ { throw error }
            }
            if let refusal = replay.refusal {
                failures.append((snapshot, refusal))
                continue
            }
            try replay.passOver(failures, admitsCut: admitsCut)
            return replay
        }
        var replay = Replay(
            DataTree(), SnapshotDigest(zxid: .zero, digest: nil), from: nil, past: failures.map(\.snapshot.zxid), recent: recent,
            isJudged: isJudged)
        do throws(StorageError) {
            try replay.requireBeginning(of: logs, in: layout)
            try replay.readLogs(logs, in: layout.files, limit: limit)
            try replay.requireProof(in: layout)
        } catch {
            throw failures.first?.error ?? error
        }
        try replay.passOver(failures, admitsCut: admitsCut)
        return replay
    }

    private init(
        _ tree: DataTree, _ digest: SnapshotDigest?, from snapshot: NumberedFile?, past unusable: [Zxid], recent: RecentEntries,
        isJudged: Bool
    ) {
        self.unusable = unusable
        replayed = ReplayedTree(tree, snapshotZxid: snapshot?.zxid ?? .zero, digest: digest, isJudged: isJudged)
        self.snapshot = snapshot
        self.recent = recent
    }

    /// Without this, a damaged newest snapshot whose logs are gone would silently take its data along.
    ///
    /// Apache's server writes a snapshot under its final name, does not sync it, and may take one that is ahead of its own
    /// log: killed in the middle, it leaves one that is cut short. What was acknowledged is in the log then; but the same is
    /// left of a tree that came by SNAP and was acknowledged, when the power failed. Nothing tells the two apart, so who
    /// passes it over must not vote (`Recovery`).
    private mutating func passOver(
        _ failures: [(snapshot: NumberedFile, error: StorageError)], admitsCut: Bool
    ) throws(StorageError) {
        for (snapshot, error) in failures where !makesUp(for: snapshot.zxid) {
            guard admitsCut, snapshot.zxid > tree.lastProcessedZxid, case .cutShort = error.cause else { throw error }
            cutSnapshots.append(snapshot)
        }
        unusableSnapshots = failures.filter { !cutSnapshots.contains($0.snapshot) }.map(\.error)
    }

    /// A log may go on behind a snapshot without having led to it: Apache's does behind a tree that came by SNAP, and where an
    /// epoch begins there nothing in the zxids shows it; nor does a digest, where a session was opened. It may even hold the
    /// snapshot's own transaction, that was proposed while the tree was on its way: where that is of another epoch than what
    /// is before it, a digest must show that nothing is missing between. The beginning of an epoch itself is no transaction:
    /// a digest behind it must do.
    private func makesUp(for snapshot: Zxid) -> Bool {
        if snapshot == startZxid || met.contains(snapshot) && !metUnproved.contains(snapshot) { return true }
        return snapshot.counter == 0 && snapshot < tree.lastProcessedZxid && replayed.unprovedBeginning == nil
    }

    // MARK: without a snapshot

    private static let remedy = """
        keep the files, they may be the only copy; look for the snapshots (another dataDir, a disk that isn't mounted), or bring \
        the member up from its peers or a backup, on an empty directory beside this one
        """

    /// ZOOKEEPER-3056 and 3781: a lost snapshot directory is no empty database. But the first transaction of all (that of a
    /// server that stands alone, or of an ensemble's first epoch) was applied to the empty tree.
    private func requireBeginning(of logs: [NumberedFile], in layout: DataLayout) throws(StorageError) {
        for log in logs {
            var first: Zxid?
            _ = try LogFileContent(log, in: layout.files).forEachEntry { (entry, _) throws(StorageError) in
                first = entry.zxid
                return false
            }
            guard let first else { continue }
            if first.counter == 1, first.epoch <= 1 { return }
            throw .inconsistent(
                layout.logDirectory, "there is no snapshot, and the logs begin with \(first): what was before is missing",
                remedy: Replay.remedy)
        }
        throw .inconsistent(layout.snapshotDirectory, "there is no snapshot, and no entry in a log", remedy: Replay.remedy)
    }

    /// Across epochs only a digest proves that nothing is missing (3.6 and later write them).
    private func requireProof(in layout: DataLayout) throws(StorageError) {
        if let refusal { throw refusal }
        guard let beginning = replayed.unprovedBeginning else { return }
        throw .inconsistent(
            layout.logDirectory,
            "there is no snapshot, and nothing shows that no transaction is missing before \(beginning), where an epoch begins",
            remedy: Replay.remedy
                + "; Apache's server, started once on a copy with -Dzookeeper.snapshot.trust.empty=true, writes a snapshot that this one reads"
        )
    }

    // MARK: logs

    /// - Parameter first: the log to begin with; nil: the one with the greatest start that is not behind the snapshot's next
    ///   zxid, which may hold it. What is missing there may be in an earlier one: Apache's learner that is brought up again
    ///   and again logs what it is given in several rows of files, and each goes on for as long as its own.
    private mutating func readLogs(
        _ all: [NumberedFile], from first: Int? = nil, in files: any FileSystem, limit: Zxid?
    ) throws(StorageError) {
        let first = first ?? all.lastIndex { $0.zxid <= Zxid(rawValue: startZxid.rawValue + 1) } ?? 0
        for file in all.dropFirst(first) {
            if let limit, file.zxid > limit { break }
            let content = try LogFileContent(file, in: files)
            recent.beginFile(isOurs: content.mark != nil)
            var goesOn = false
            let (end, offset) = try content.forEachEntry { (entry, _) throws(StorageError) in
                goesOn = limit.map { entry.zxid > $0 } ?? false
                if !goesOn { try add(entry, from: file) }
                return !goesOn && refusal == nil
            }
            if refusal != nil { return }
            var log = Log(
                file: file, end: offset, tornTail: nil, isMarked: content.mark != nil, isEmpty: offset <= FileHeader.size,
                goesOn: goesOn)
            if case .torn(let finding) = end { log.tornTail = finding }
            logs.append(log)
        }
        recent.end(at: tree.lastProcessedZxid)
        do throws(ReplayProblem) { try replayed.checkComplete() } catch { try note(error, in: snapshot) }
        do throws(ReplayProblem) { try replayed.checkAgreement() } catch {
            try note(error, in: logs.last { !$0.isEmpty }?.file ?? snapshot)
        }
    }

    private mutating func add(_ entry: LogEntry, from file: NumberedFile) throws(StorageError) {
        do throws(ReplayProblem) {
            if try replayed.isRepetition(entry) { return }
            if entry.zxid > startZxid, firstReplayed == nil { recent.pass(startZxid, to: entry.zxid) }
            recent.append(entry)
            guard try replayed.apply(entry) else { return }
        } catch {
            return try note(error, in: file)
        }
        if replayed.unprovedBeginning == nil { metUnproved = [] }
        if unusable.contains(entry.zxid) {
            met.insert(entry.zxid)
            if replayed.unprovedBeginning != nil { metUnproved.insert(entry.zxid) }
        }
        if firstReplayed == nil { firstReplayed = entry.zxid }
        entryCount += 1
        behind.add(entry)
        lastTime = entry.time
    }

    /// What was found and does no harm, for people.
    var findings: [String] {
        (snapshot == nil ? ["there is no snapshot; the logs begin with the first transaction and lack none"] : [])
            + logs.compactMap(\.tornTail)
            + replayed.wrongAnnouncements.map { "entry \($0) announces a digest that its application does not have; what follows agrees with the tree" }
            + unusableSnapshots.map { "snapshot passed over, the log makes up for it: \($0)" }
            + cutSnapshots.map { "\($0.path) is cut short, and the log ends before it: the member must synchronise before it votes" }
            + notObeyed
    }

    /// What an Apache server was told to do with nodes, and this one doesn't. It goes when that is built.
    private var notObeyed: [String] {
        let (ttl, quotas) = (tree.ttlCount, tree.quotaCount)
        guard ttl + quotas > 0 else { return [] }
        return ["kept, but not obeyed by this server: TTL nodes, which stay for ever (\(ttl)), and quotas (\(quotas))"]
    }

    var digests: DigestJudgement { replayed.digests }
    var isExact: Bool { replayed.isExact }

    /// What is wrong with the snapshot refuses it, and an older one may do.
    private mutating func note(_ problem: ReplayProblem, in file: NumberedFile?) throws(StorageError) {
        switch problem {
        case .snapshot(let text): refusal = .inconsistent(snapshot?.path ?? "the empty tree", text)
        case .entry(let text): throw .inconsistent(file?.path ?? "the log", text)
        case .missing(let text):
            lacksEntries = true
            throw .inconsistent(file?.path ?? "the log", text)
        }
    }
}
