import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage
import Logging
import NIOCore

/// The loop's side of the files: asks, and turns answers into events. Nothing here blocks the loop. Loop-bound.
package final class Disk {
    private let turn: LoopTurn
    private let layout: DataLayout
    private let configuration: ServerConfiguration
    private let statistics: ServerStatistics
    private let log: Logger
    /// The end of the process: called once, with the reason.
    private let fatal: (ServerExitReport) -> Void
    private let host: ServerHost
    /// Epochs, truncation, installation, removal, in the order asked. nil before `recover`.
    private var lane: (any Lane)?
    /// Another one, so that an epoch never waits for the reading of old snapshots.
    private var housekeeping: (any Lane)?
    /// For learners that are behind the window: made for the first one.
    private var reading: (any Lane)?
    /// Where in the log each of them is: the latest few.
    private var cursors: [(learner: LearnerID, cursor: LogCursor)] = []
    /// The directories are this server's.
    private var lock: (any DirectoryLock)?

    /// nil before recovery, and while the directory is being rewritten.
    private var writer: LogWriter?
    private var lastAppended = Zxid.zero
    private var hasAppended = false
    /// Everything in the log up to here is durable.
    private var lastSynced = Zxid.zero
    /// What was submitted and is not durable yet: for the time it takes.
    private var unsynced = FIFO<(Zxid, Instant)>()
    private var snapshot: BackgroundSnapshot?

    package init(
        turn: LoopTurn, host: ServerHost, configuration: ServerConfiguration, statistics: ServerStatistics, log: Logger,
        fatal: @escaping (ServerExitReport) -> Void
    ) {
        self.turn = turn
        self.configuration = configuration
        self.statistics = statistics
        self.log = log
        self.fatal = fatal
        self.host = host
        layout = configuration.layout(host.files)
    }

    // MARK: start and end

    /// Reads the directories; answered by `recovered`.
    package func recover() {
        let recovery = Recovery(layout: layout, isStandalone: configuration.standalone, floor: configuration.dataFloor)
        let layout = layout
        let trimMemory = host.trimMemory
        do throws(StorageError) {
            lane = try host.lane("disk")
            housekeeping = try host.lane("housekeeping")
        } catch {
            return fatal(ServerExitReport(error))
        }
        run { () throws(StorageError) in
            let lock = try layout.acquire()
            let state = try recovery.recover()
            trimMemory()
            return (state, lock)
        } then: { [self] state, lock in
            self.lock = lock
            resume(with: state)
        }
    }

    /// Makes everything appended durable, then ends the threads. `done` runs on the loop.
    package func close(_ done: @escaping () -> Void) {
        snapshot?.abandon()
        snapshot = nil
        let writer = self.writer
        self.writer = nil
        run { () throws(StorageError) in writer?.close() } then: { [self] _ in
            lock = nil
            done()
        }
    }

    /// Its process is gone (a simulated one; a real one takes its memory along): what answers to this object, and is kept by
    /// it, would keep both for ever.
    package func abandon() {
        snapshot?.abandon()
        snapshot = nil
        writer = nil
        lock = nil
        cursors = []
    }

    private func resume(with state: RecoveredState) {
        for finding in state.findings { log.warning("\(finding)") }
        guard startWriter(after: state.tree.lastProcessedZxid) else { return }
        turn.raise(.recovered(state))
    }

    private func startWriter(after zxid: Zxid) -> Bool {
        lastSynced = zxid
        let loop = NIOLoopBound(self, eventLoop: turn.eventLoop)
        let eventLoop = turn.eventLoop
        do throws(StorageError) {
            writer = LogWriter(
                directory: layout.logDirectory, lastZxid: zxid,
                configuration: .init(preallocation: configuration.preallocation, fileLimit: configuration.logSizeLimit),
                files: layout.files,
                lane: try host.lane("log")
            ) { outcome in
                eventLoop.execute { loop.value.logged(outcome) }
            }
            return true
        } catch {
            fatal(ServerExitReport(error))
            return false
        }
    }

    // MARK: the log

    package func append(_ entry: LogEntry) {
        guard let writer else {
            return fatal(ServerExitReport(exit: .internalError, message: "entry \(entry.zxid) while the log is being rewritten"))
        }
        do throws(StorageError) {
            try writer.append(entry)
            lastAppended = entry.zxid
            hasAppended = true
        } catch {
            fatal(ServerExitReport(exit: .internalError, message: "\(error)"))
        }
    }

    /// Once per turn of the loop: what was appended in it shares a sync.
    package func submit() {
        guard hasAppended else { return }
        hasAppended = false
        unsynced.append((lastAppended, turn.now))
        writer?.submit()
    }

    private func logged(_ outcome: LogOutcome) {
        switch outcome {
        case .synced(let zxid):
            let now = turn.now
            lastSynced = zxid
            while let (last, began) = unsynced.first, last <= zxid {
                _ = unsynced.popFirst()
                statistics.logSync.add(now - began)
            }
            turn.raise(.logSynced(zxid))
        case .failed(let error):
            // S1: never retried: after a failed fsync the kernel may have dropped the pages.
            fatal(ServerExitReport(error))
        }
    }

    /// Answered by `logRead` or `logUnreadable`; no failure ends the process, which asks its log for nothing that it has not
    /// in its tree.
    package func readLog(for learner: LearnerID, behind zxid: Zxid, upTo end: Zxid) {
        let known = cursors.firstIndex { $0.learner == learner }.map { cursors.remove(at: $0).cursor }
        let place = known.flatMap { $0.last == zxid ? $0 : nil } ?? LogCursor(layout, behind: zxid)
        let completion = NIOLoopBound(self, eventLoop: turn.eventLoop)
        let eventLoop = turn.eventLoop
        do throws(StorageError) {
            if reading == nil { reading = try host.lane("reading") }
        } catch {
            return turn.raise(.logUnreadable(learner, reason: "\(error)"))
        }
        reading?.run {
            var cursor = place
            do throws(StorageError) {
                let entries = try cursor.next(upTo: end, limit: LearnerFeed.pieceSize)
                eventLoop.execute { [cursor] in completion.value.read(entries, for: learner, cursor) }
            } catch {
                eventLoop.execute { completion.value.turn.raise(.logUnreadable(learner, reason: "\(error)")) }
            }
        }
    }

    private func read(_ entries: [LogEntry], for learner: LearnerID, _ cursor: LogCursor) {
        cursors = cursors.suffix(Disk.cursorLimit - 1) + [(learner, cursor)]
        turn.raise(.logRead(learner, entries))
    }

    /// A learner whose place is forgotten is looked for in the log anew.
    private static let cursorLimit = 8

    // MARK: what the protocol orders

    package func saveEpochs(accepted: Int64, current: Int64) {
        let files = layout.epochs
        run { () throws(StorageError) in
            try files.save(EpochFiles.Epochs(accepted: accepted, current: current))
        } then: { [turn] in
            turn.raise(.epochsSaved(accepted: accepted, current: current))
        }
    }

    package func clearRecoveringMark() {
        let (mark, doubt) = (layout.recoveringMark, layout.doubtMark)
        run { () throws(StorageError) in
            if try mark.isSet { try mark.clear() }
            try doubt.clear()
        } then: { [turn] in turn.raise(.recoveringMarkCleared) }
    }

    package func markDoubt(leader: ServerID) {
        let doubt = layout.doubtMark
        run { () throws(StorageError) in try doubt.set(leader: leader) } then: { [turn] in turn.raise(.doubtMarked) }
    }

    package func truncateLog(to zxid: Zxid) {
        let recovery = Recovery(layout: layout, isStandalone: configuration.standalone)
        rewrite { () throws(StorageError) in try recovery.truncateLog(to: zxid) } then: { [self] in resume(with: $0) }
    }

    package func install(_ tree: DataTree, entries: [LogEntry], accepted: Int64, current: Int64) {
        let epochs = EpochFiles.Epochs(accepted: accepted, current: current)
        let recovery = Recovery(layout: layout, isStandalone: configuration.standalone)
        let last = entries.last?.zxid ?? tree.lastProcessedZxid
        rewrite { () throws(StorageError) in try recovery.install(tree, entries: entries, epochs) } then: { [self] in
            guard startWriter(after: last) else { return }
            turn.raise(.snapshotInstalled(accepted: accepted, current: current))
        }
    }

    /// Runs `body` when no writer touches the directories any more.
    private func rewrite<Result: Sendable>(
        _ body: @escaping @Sendable () throws(StorageError) -> Result, then: @escaping (Result) -> Void
    ) {
        let writer = self.writer
        self.writer = nil
        hasAppended = false
        let unfinished = snapshot?.abandon()
        if snapshot != nil { turn.raise(.snapshotFailed) }
        snapshot = nil
        run { () throws(StorageError) -> Result in
            writer?.close()
            unfinished?.join()
            return try body()
        } then: { result in then(result) }
    }

    // MARK: snapshots

    /// `tree` gives the tree as it is at that moment.
    ///
    /// - Parameter needed: what is behind it in the log is not purged.
    package func takeSnapshot(needed: Zxid? = nil, of tree: @escaping () -> DataTree) {
        let began = turn.now
        do throws(StorageError) {
            snapshot = try BackgroundSnapshot(
                turn: turn, layout: layout, lane: try host.lane("snapshot"), nodesPerSlice: host.nodesPerSlice, tree: tree,
                isDurable: { [unowned self] zxid in zxid <= lastSynced },
                ended: { [self] zxid, outcome in snapshotEnded(zxid, outcome, began, needed: needed) })
            writer?.roll()
        } catch {
            log.error("snapshot not begun: \(error)")
            turn.raise(.snapshotFailed)
        }
    }

    private func snapshotEnded(_ zxid: Zxid, _ outcome: Result<NumberedFile, StorageError>, _ began: Instant, needed: Zxid?) {
        guard snapshot?.start == zxid else { return }
        snapshot = nil
        switch outcome {
        case .success(let file):
            statistics.snapshot.add(turn.now - began)
            log.info("snapshot \(file.path) written")
            purge(needed: needed)
            turn.raise(.snapshotSaved(zxid))
        case .failure(let error):
            // Not fatal: the file never got its name, and the log holds every transaction.
            log.error("snapshot failed: \(error)")
            turn.raise(.snapshotFailed)
        }
    }

    private func purge(needed: Zxid?) {
        guard configuration.purgeInterval != nil else { return }
        let layout = layout
        let keep = configuration.snapRetainCount
        let log = log
        guard let lane else { return }
        @Sendable func attempt(_ body: () throws(StorageError) -> Void) {
            do throws(StorageError) { try body() } catch { log.warning("purge stopped: \(error)") }
        }
        housekeeping?.run {
            attempt { () throws(StorageError) in
                guard let purge = try Purge(layout, keep: keep) else { return }
                // In turn with what rewrites the directories.
                lane.run {
                    attempt { () throws(StorageError) in
                        for path in try purge.remove(needed: needed) { log.info("purged \(path)") }
                    }
                }
            }
        }
    }

    /// Bytes of the files in the snapshots' and the logs' directory; one that can't be read counts for nothing.
    func sizes() -> EventLoopFuture<(snapshots: Int, logs: Int)> {
        let layout = layout
        @Sendable func size(of directory: String) -> Int {
            ((try? layout.files.names(directory)) ?? []).reduce(0) { sum, name in
                sum + ((try? layout.files.open(directory + "/" + name, .reading).size()) ?? 0)
            }
        }
        let sizes = turn.eventLoop.makePromise(of: (snapshots: Int, logs: Int).self)
        guard let housekeeping else {
            sizes.succeed((0, 0))
            return sizes.futureResult
        }
        housekeeping.run { sizes.succeed((size(of: layout.snapshotDirectory), size(of: layout.logDirectory))) }
        return sizes.futureResult
    }

    // MARK: lanes

    /// Runs `body` on the disk's lane and `then` on the loop; a failure ends the process.
    private func run<Result: Sendable>(
        _ body: @escaping @Sendable () throws(StorageError) -> Result, then: @escaping (Result) -> Void
    ) {
        let completion = NIOLoopBound((then: then, fatal: fatal), eventLoop: turn.eventLoop)
        let eventLoop = turn.eventLoop
        lane?.run {
            do throws(StorageError) {
                let result = try body()
                eventLoop.execute { completion.value.then(result) }
            } catch {
                let report = ServerExitReport(error)
                eventLoop.execute { completion.value.fatal(report) }
            }
        }
    }
}

extension ServerConfiguration {
    package var layout: DataLayout { layout(SystemFiles.shared) }

    package func layout(_ files: any FileSystem) -> DataLayout {
        DataLayout(dataDir: dataDirectory, dataLogDir: logDirectory, files: files)
    }
}
