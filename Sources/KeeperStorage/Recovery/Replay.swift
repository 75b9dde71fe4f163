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
    }

    var tree: DataTree { replayed.tree }
    var snapshot: NumberedFile
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

    private var replayed: ReplayedTree

    /// - Parameters:
    ///   - layout: the newest sound snapshot is taken; one that is damaged is passed over only if the logs reach as far
    ///     as it did.
    ///   - limit: entries and snapshots behind it are left alone.
    /// - Throws: for damage, gaps, and a digest that isn't the leader's. Also if there is no sound snapshot.
    static func run(_ layout: DataLayout, limit: Zxid?, recent: RecentEntries) throws(StorageError) -> Replay {
        let logs = try layout.logs()
        var failures: [(snapshot: NumberedFile, error: StorageError)] = []
        for snapshot in try layout.snapshots() where limit.map({ snapshot.zxid <= $0 }) ?? true {
            let loaded: LoadedSnapshot
            do throws(StorageError) { loaded = try SnapshotFile.read(snapshot, in: layout.files) } catch {
                failures.append((snapshot, error))
                continue
            }
            var replay = try Replay(loaded, from: snapshot, recent: recent)
            try replay.readLogs(logs, in: layout.files, limit: limit)
            do throws(ReplayProblem) { try replay.replayed.checkComplete() } catch {
                failures.append((snapshot, Replay.error(error, of: snapshot, in: snapshot)))
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

    private init(_ loaded: LoadedSnapshot, from snapshot: NumberedFile, recent: RecentEntries) throws(StorageError) {
        do throws(ReplayProblem) {
            replayed = try ReplayedTree(loaded.tree, snapshotZxid: snapshot.zxid, digest: loaded.digest)
        } catch {
            throw Replay.error(error, of: snapshot, in: snapshot)
        }
        self.snapshot = snapshot
        self.recent = recent
    }

    private mutating func readLogs(_ all: [NumberedFile], in files: any FileSystem, limit: Zxid?) throws(StorageError) {
        // The log with the greatest start that is not behind the snapshot's next zxid may hold it.
        let first = all.lastIndex { $0.zxid <= Zxid(rawValue: snapshot.zxid.rawValue + 1) } ?? 0
        for file in all.dropFirst(first) {
            if let limit, file.zxid > limit { break }
            let content = try LogFileContent(file, in: files)
            recent.beginFile(isOurs: content.mark != nil)
            let (end, offset) = try content.forEachEntry { (entry, _) throws(StorageError) in
                if let limit, entry.zxid > limit { return false }
                try add(entry, from: file)
                return true
            }
            var log = Log(
                file: file, end: offset, tornTail: nil, isMarked: content.mark != nil, isEmpty: offset <= FileHeader.size)
            if case .torn(let finding) = end { log.tornTail = finding }
            logs.append(log)
        }
        recent.end(at: tree.lastProcessedZxid)
    }

    private mutating func add(_ entry: LogEntry, from file: NumberedFile) throws(StorageError) {
        if entry.zxid > snapshot.zxid, firstReplayed == nil { recent.pass(snapshot.zxid, to: entry.zxid) }
        recent.append(entry)
        do throws(ReplayProblem) {
            guard try replayed.apply(entry) else { return }
        } catch {
            throw Replay.error(error, of: snapshot, in: file)
        }
        if firstReplayed == nil { firstReplayed = entry.zxid }
        entryCount += 1
        behind.add(entry)
        lastTime = entry.time
    }

    /// What was found and does no harm, for people.
    var findings: [String] {
        logs.compactMap(\.tornTail)
            + replayed.wrongAnnouncements.map { "entry \($0) announces a digest that its application does not have; what follows agrees with the tree" }
            + unusableSnapshots.map { "snapshot passed over, the log makes up for it: \($0)" } + notObeyed
    }

    /// What an Apache server was told to do with nodes, and this one doesn't. It goes when that is built.
    private var notObeyed: [String] {
        let (ttl, quotas) = (tree.ttlCount, tree.quotaCount)
        guard ttl + quotas > 0 else { return [] }
        return ["kept, but not obeyed by this server: TTL nodes, which stay for ever (\(ttl)), and quotas (\(quotas))"]
    }

    var digests: DigestJudgement { replayed.digests }

    private static func error(_ problem: ReplayProblem, of snapshot: NumberedFile, in log: NumberedFile) -> StorageError {
        switch problem {
        case .snapshot(let text): .inconsistent(snapshot.path, text)
        case .entry(let text): .inconsistent(log.path, text)
        }
    }
}
