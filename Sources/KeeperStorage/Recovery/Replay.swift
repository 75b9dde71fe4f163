import EnsembleBase
import KeeperCodec
import KeeperCore

/// A snapshot and the logs behind it, put together (reference/zookeeper.md, 2.5). Reads only.
struct Replay: Sendable {
    /// An interrupted write at the end of a log.
    struct TornTail: Hashable, Sendable {
        var file: NumberedFile
        /// Behind the last whole entry.
        var offset: Int
    }

    var tree: DataTree
    var snapshot: NumberedFile
    /// The first entry behind the snapshot, if there is one.
    var firstReplayed: Zxid?
    var entryCount = 0
    /// The leader's clock in the last entry, milliseconds; nil without an entry.
    var lastTime: Int64?
    var recent: RecentEntries
    var tornTails: [TornTail] = []
    /// Logs in which no whole entry stands.
    var emptyLogs: [NumberedFile] = []
    /// The logs that were read, in their order.
    var logs: [NumberedFile] = []
    /// Snapshots that could not be used, with the reason, and that the logs made up for.
    var unusableSnapshots: [StorageError] = []

    /// The zxid from which on the tree's digest is exact; nil: the snapshot doesn't say.
    private var exactFrom: Zxid?
    private var snapshotDigest: SnapshotDigest?

    /// - Parameters:
    ///   - snapshots: newest first. The first sound one is taken; one that is damaged is passed over only if the logs
    ///     reach as far as it did.
    ///   - logs: oldest first.
    ///   - limit: entries and snapshots behind it are left alone.
    /// - Throws: for damage, gaps, and a digest that isn't the leader's. Also if there is no sound snapshot.
    static func run(
        snapshots: [NumberedFile], logs: [NumberedFile], limit: Zxid?, recent: RecentEntries
    ) throws(StorageError) -> Replay {
        var failures: [(snapshot: NumberedFile, error: StorageError)] = []
        for snapshot in snapshots where limit.map({ snapshot.zxid <= $0 }) ?? true {
            let loaded: LoadedSnapshot
            do throws(StorageError) { loaded = try SnapshotFile.read(snapshot) } catch {
                failures.append((snapshot, error))
                continue
            }
            var replay = Replay(loaded, from: snapshot, recent: recent)
            try replay.readLogs(logs, limit: limit)
            if let error = replay.incompleteness {
                failures.append((snapshot, error))
                continue
            }
            // Without this, a damaged newest snapshot whose logs are gone would silently take its data along.
            if let lost = failures.first(where: { $0.snapshot.zxid > replay.tree.lastProcessedZxid }) {
                throw lost.error
            }
            replay.unusableSnapshots = failures.map(\.error)
            return replay
        }
        if let first = failures.first { throw first.error }
        let directory = logs.first.map { Directory.parent(of: $0.path) } ?? "the data directory"
        // ZOOKEEPER-3056 and 3781: a lost snapshot directory is no empty database.
        throw .inconsistent(directory, "there are logs but no snapshot that they could be replayed on")
    }

    private init(_ loaded: LoadedSnapshot, from snapshot: NumberedFile, recent: RecentEntries) {
        tree = loaded.tree
        self.snapshot = snapshot
        self.recent = recent
        snapshotDigest = loaded.digest
        exactFrom = loaded.digest.map { max($0.zxid, snapshot.zxid) }
    }

    /// A fuzzy snapshot that the logs don't complete is no state that ever was: transactions behind the end may have
    /// left some of their effects in it.
    private var incompleteness: StorageError? {
        guard let end = snapshotDigest?.zxid, end > tree.lastProcessedZxid else { return nil }
        return .inconsistent(
            snapshot.path, "it may hold effects of transactions up to \(end), but the logs end at \(tree.lastProcessedZxid)")
    }

    private mutating func readLogs(_ all: [NumberedFile], limit: Zxid?) throws(StorageError) {
        try compareSnapshotDigest(at: snapshot.zxid)
        // The log with the greatest start that is not behind the snapshot's next zxid may hold it.
        let first = all.lastIndex { $0.zxid <= Zxid(rawValue: snapshot.zxid.rawValue + 1) } ?? 0
        for file in all.dropFirst(first) {
            if let limit, file.zxid > limit { break }
            let content = try LogFileContent(file)
            var entries = 0
            let (end, offset) = try content.forEachEntry { (entry, _) throws(StorageError) in
                if let limit, entry.zxid > limit { return false }
                entries += 1
                try add(entry, from: file)
                return true
            }
            logs.append(file)
            if end == .torn { tornTails.append(TornTail(file: file, offset: offset)) }
            if entries == 0, offset <= FileHeader.size { emptyLogs.append(file) }
        }
    }

    private mutating func add(_ entry: LogEntry, from file: NumberedFile) throws(StorageError) {
        let last = tree.lastProcessedZxid
        if entry.zxid <= snapshot.zxid {
            recent.append(entry)
            return
        }
        guard entry.zxid.follows(last) else {
            throw .inconsistent(file.path, "entry \(entry.zxid) does not follow \(last): entries between are missing")
        }
        if firstReplayed == nil { firstReplayed = entry.zxid }
        var changes: [TreeChange] = []
        _ = tree.apply(entry, changes: &changes)
        entryCount += 1
        lastTime = entry.time
        recent.append(entry)
        try compareSnapshotDigest(at: entry.zxid)
        try compareDigest(of: entry, in: file)
    }

    /// The snapshot was fuzzy up to its digest's zxid; there the tree must be what the writer had.
    private func compareSnapshotDigest(at zxid: Zxid) throws(StorageError) {
        // Apache's server writes (0, 0) until it has applied a transaction.
        guard let stored = snapshotDigest, stored.zxid == zxid, zxid > .zero, stored.version == 2, let digest = stored.digest,
            digest != tree.digest
        else { return }
        throw .inconsistent(
            snapshot.path,
            "the tree's digest at \(zxid) is \(hex(tree.digest)), the snapshot's trailer has \(hex(digest))")
    }

    /// The leader's expectation, in every entry (reference/zookeeper.md, 2.4).
    private func compareDigest(of entry: LogEntry, in file: NumberedFile) throws(StorageError) {
        guard let exactFrom, entry.zxid >= exactFrom, let digest = entry.digest, digest.version == 2,
            digest.treeDigest != tree.digest
        else { return }
        throw .inconsistent(
            file.path,
            "the tree's digest after \(entry.zxid) is \(hex(tree.digest)), the leader's was \(hex(digest.treeDigest))")
    }

    private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}

/// The last entries of a log, bounded in number and bytes: the window for DIFF.
package struct RecentEntries: Sendable {
    private var entries = FIFO<LogEntry>()
    private var size = 0
    private let countLimit: Int
    private let sizeLimit: Int

    package init(countLimit: Int = 10_000, sizeLimit: Int = 16 << 20) {
        self.countLimit = countLimit
        self.sizeLimit = sizeLimit
    }

    mutating func append(_ entry: LogEntry) {
        if !entries.isEmpty, !entry.zxid.follows(entries[entries.count - 1].zxid) {
            // What is before a gap (a snapshot came from the leader there) is no history of what is behind it.
            entries.removeAll()
            size = 0
        }
        entries.append(entry)
        size += entry.encoded?.count ?? 0
        while entries.count > countLimit || size > sizeLimit, let oldest = entries.popFirst() {
            size -= oldest.encoded?.count ?? 0
        }
    }

    /// Oldest first.
    var all: [LogEntry] { (0..<entries.count).map { entries[$0] } }
}
