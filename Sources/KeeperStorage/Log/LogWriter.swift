import EnsembleBase
import Glibc
import KeeperCodec
import KeeperCore
import NIOConcurrencyHelpers

/// What the log writer reports, on its lane.
package enum LogOutcome: Sendable {
    /// Every entry appended up to and including this one is durable.
    case synced(Zxid)
    /// A write or sync failed. Said once, and nothing is ever synced behind it: end the process.
    case failed(StorageError)
}

/// The log's hand: one lane that writes what one event loop appends, many entries to a sync.
///
/// Whatever waits when a sync ends is written and synced as one; nothing waits for company when the lane is idle.
/// Files are preallocated and zero-written ahead, so that a sync moves data and no metadata
/// (reference/swift-linux.md, 3). Each writer starts a new file with its first entry and never appends to another's.
package final class LogWriter: Sendable {
    package struct Configuration: Hashable, Sendable {
        /// Files are preallocated in steps of so many bytes (Apache: 64 MiB).
        package var preallocation: Int
        /// Zeros are written ahead in chunks of so many bytes.
        package var zeroChunk: Int

        /// A file of more bytes is followed by the next one; nil: files change with `roll` only.
        package var fileLimit: Int?

        package init(preallocation: Int = 64 << 20, zeroChunk: Int = 1 << 20, fileLimit: Int? = nil) {
            self.preallocation = max(preallocation, 4096)
            self.zeroChunk = max(zeroChunk, 4096)
            self.fileLimit = fileLimit
        }
    }

    private enum Item: Sendable {
        case entry(payload: [UInt8], Zxid)
        case roll
    }

    private struct Queue: Sendable {
        var items: [Item] = []
        var lastZxid: Zxid
        /// A drain is under way on the lane, or was asked for.
        var isDraining = false
    }

    private struct Hand: Sendable {
        var file: LogFile?
        /// After a failed write or sync nothing is written any more.
        var hasFailed = false
    }

    private let queue: NIOLockedValueBox<Queue>
    /// The lane's alone.
    private let hand = NIOLockedValueBox(Hand())
    private let lane: any Lane
    private let files: any FileSystem
    private let directory: String
    private let configuration: Configuration
    private let report: @Sendable (LogOutcome) -> Void

    /// `report` is called on the lane.
    ///
    /// - Parameters:
    ///   - directory: the log `version-2`, which exists.
    ///   - lastZxid: of the recovered state: the next entry must follow it.
    ///   - lane: this writer's alone; `close` ends it.
    package init(
        directory: String, lastZxid: Zxid, configuration: Configuration = Configuration(),
        files: any FileSystem = SystemFiles.shared, lane: any Lane, report: @escaping @Sendable (LogOutcome) -> Void
    ) {
        self.directory = directory
        self.configuration = configuration
        self.report = report
        queue = NIOLockedValueBox(Queue(lastZxid: lastZxid))
        self.files = files
        self.lane = lane
    }

    /// Puts an entry into the queue. It is written after the next `submit`, or earlier.
    ///
    /// - Throws: if the entry does not follow the one before. Within an epoch zxids have no gaps: one that got into a
    ///   log once spread through an ensemble (ZOOKEEPER-4925). The entry is not queued; end the process.
    package func append(_ entry: LogEntry) throws(StorageError) {
        let payload = entry.payload
        let previous = queue.withLockedValue { queue -> Zxid? in
            guard entry.zxid.follows(queue.lastZxid) else { return queue.lastZxid }
            queue.lastZxid = entry.zxid
            queue.items.append(.entry(payload: payload, entry.zxid))
            return nil
        }
        if let previous {
            throw .inconsistent(
                directory, "entry \(entry.zxid) was to be appended behind \(previous), which it does not follow",
                remedy: "report this as a bug; the log on disk is sound")
        }
    }

    /// Hands over what was appended. Once per turn of the loop.
    package func submit() {
        let mustDrain = queue.withLockedValue { queue -> Bool in
            guard !queue.isDraining, !queue.items.isEmpty else { return false }
            queue.isDraining = true
            return true
        }
        if mustDrain { lane.run { [self] in drain() } }
    }

    /// Lets the next entry start a new file. Called when a snapshot begins.
    package func roll() {
        queue.withLockedValue { $0.items.append(.roll) }
        submit()
    }

    /// Writes and syncs what is queued, ends the lane and waits for it.
    package func close() {
        submit()
        lane.end()
    }

    // MARK: On the lane

    /// One sync for everything that waits. What was appended meanwhile is the next drain's.
    private func drain() {
        let items = queue.withLockedValue { queue in
            defer { queue.items.removeAll(keepingCapacity: false) }
            return queue.items
        }
        hand.withLockedValue { hand in
            if !hand.hasFailed { write(items, with: &hand) }
        }
        let hasMore = queue.withLockedValue { queue in
            queue.isDraining = !queue.items.isEmpty
            return queue.isDraining
        }
        if hasMore { lane.run { [self] in drain() } }
    }

    private func write(_ items: [Item], with hand: inout Hand) {
        do throws(StorageError) {
            if let zxid = try write(items, to: &hand.file) { report(.synced(zxid)) }
            guard queue.withLockedValue({ $0.items.isEmpty }) else { return }
            try hand.file?.markEnd()
            try hand.file?.zeroAhead(configuration)
        } catch {
            hand.hasFailed = true
            report(.failed(error))
        }
    }

    /// Writes the items and syncs once (and once for every file that ends among them, and for every 4 MiB). Returns the
    /// last zxid.
    private func write(_ items: [Item], to file: inout LogFile?) throws(StorageError) -> Zxid? {
        var records: [UInt8] = []
        var last: Zxid?
        for item in items {
            switch item {
            case .entry(let payload, let zxid):
                if !records.isEmpty, records.count + LogFormat.recordSize(payload: payload) > LogFormat.batchLimit {
                    try flush(&records, to: &file)
                }
                if file == nil { file = try LogFile.create(in: directory, first: zxid, configuration, files) }
                LogFormat.append(payload: payload, to: &records)
                last = zxid
            case .roll:
                try flush(&records, to: &file)
                try file?.end()
                file = nil
            }
        }
        try flush(&records, to: &file)
        return last
    }

    private func flush(_ records: inout [UInt8], to file: inout LogFile?) throws(StorageError) {
        if records.isEmpty { return }
        try file?.write(&records, configuration)
        records.removeAll(keepingCapacity: true)
        if let limit = configuration.fileLimit, let size = file?.size, size > limit {
            try file?.end()
            file = nil
        }
    }
}
