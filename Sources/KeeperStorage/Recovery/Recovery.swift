import EnsembleBase
import KeeperCodec
import KeeperCore

/// What a server reads from its directories before it does anything, and what it does to them on the protocol's order
/// (reference/zookeeper.md, 2.5). Nothing here runs while a `LogWriter` or `SnapshotWriter` of the same directories does.
package struct Recovery: Sendable {
    package let layout: DataLayout
    /// A standalone server has no peers whose data an empty directory could contradict.
    package let isStandalone: Bool
    /// What was seen in the directories before this start; nil: nothing, or nobody looked.
    private let floor: DataFloor?
    private let window: RecentEntries

    package init(
        layout: DataLayout, isStandalone: Bool, floor: DataFloor? = nil, recent: RecentEntries = RecentEntries()
    ) {
        self.layout = layout
        self.isStandalone = isStandalone
        self.floor = floor
        window = recent
    }

    private var mark: RecoveringMark { layout.recoveringMark }
    private var doubt: DoubtMark { layout.doubtMark }
    private var epochs: EpochFiles { layout.epochs }
    private var files: any FileSystem { layout.files }

    /// Recovers the state of the newest sound snapshot and the logs behind it, and repairs what a crash left: an
    /// interrupted write at a log's end is cut off durably, so that nothing can be appended behind it.
    ///
    /// New entries go into a new file (`LogWriter` never appends to one that it didn't create).
    ///
    /// - Throws: for damage anywhere else, naming file and offset; for gaps between logs; for logs without a snapshot that
    ///   are not provably whole; for files in the wrong directory; for less than the floor. The files are then as they were.
    package func recover() throws(StorageError) -> RecoveredState {
        try layout.create()
        try Installation(layout).complete()
        try removeUnfinished()
        try checkPlaces()
        let snapshots = try layout.snapshots()
        let logs = try layout.logs()
        if snapshots.isEmpty, try !holdEntries(logs) {
            if let floor { throw shortfall(floor, found: "it is empty") }
            return try recoverEmpty(logs)
        }
        let replay = try Replay.run(
            layout, limit: nil, recent: window, isJudged: doubt.leader == nil, admitsCut: !isStandalone)
        try checkFloor(replay.tree.lastProcessedZxid)
        try makeDurable(replay)
        if !replay.cutSnapshots.isEmpty { try passOver(replay.cutSnapshots) }
        if replay.snapshot == nil { try supplySnapshot(snapshots) }
        return try state(replay)
    }

    /// Cuts the log behind `zxid`, sets aside what is newer, and recovers.
    ///
    /// - Returns: the state that is then there. If it can't be that of `zxid`, because every snapshot is later (an
    ///   installation has set the older ones aside), or may hold effects of what is to be cut (seed 1067), or the log doesn't
    ///   hold `zxid`, nothing was touched, and the state's own zxid says so: the member needs the leader's snapshot in place
    ///   of the cut.
    package func truncateLog(to zxid: Zxid) throws(StorageError) -> RecoveredState {
        let logs = try layout.logs()
        let snapshots = try layout.snapshots()
        guard snapshots.contains(where: { $0.zxid <= zxid }) else { return try recover() }
        let remaining: Replay
        do throws(StorageError) {
            remaining = try Replay.run(layout, limit: zxid, recent: window, isJudged: doubt.leader == nil)
        } catch {
            // What is damaged is found again.
            if case .system = error.cause { throw error }
            return try recover()
        }
        guard remaining.tree.lastProcessedZxid == zxid else { return try recover() }
        // Snapshots first: those that may hold effects behind `zxid`. Without the logs that complete them they are no
        // state at all, whereas an older one and the uncut logs are the state before. The order makes a crash safe.
        let newer = snapshots.filter { $0.zxid > remaining.startZxid }
        try SetAside.move(newer, of: layout.snapshotDirectory, in: files)
        // The newest first, and each durably: what a crash leaves goes on without a hole (seed 2425).
        for log in logs.filter({ $0.zxid > zxid }).reversed() { try SetAside.move([log], of: layout.logDirectory, in: files) }
        // More than one where Apache's server has logged entries again (`AppliedEntries`); the last first, so that none is
        // left that would go on behind a cut one.
        for log in remaining.logs.reversed() where log.goesOn { try cut(log) }
        return try recover()
    }

    /// Makes what a leader sent this member's data: the tree as a snapshot, `entries` the log behind it, and the epochs
    /// (ZOOKEEPER-3642). Durable on return; a crash before leaves the data as it was or as it is to be (`Installation`).
    ///
    /// The leader's tree went on changing while it was sent, so the snapshot states no digest: effects of the
    /// transactions that follow may be in it, and replay must not compare before it is past them.
    package func install(
        _ tree: DataTree, entries: [LogEntry], _ epochs: EpochFiles.Epochs
    ) throws(StorageError) {
        let installation = Installation(layout)
        try installation.prepare(tree, entries, epochs)
        try installation.complete()
    }

    // MARK: The empty directory

    private func holdEntries(_ logs: [NumberedFile]) throws(StorageError) -> Bool {
        var found = false
        for log in logs where !found {
            _ = try LogFileContent(log, in: files).forEachEntry { (_, _) throws(StorageError) in
                found = true
                return false
            }
        }
        return found
    }

    /// S2: a member without data votes only if the ensemble is known to be new: the `initialize` file says so, and no
    /// epoch file contradicts it. Otherwise its data was lost, and the mark says so before there is a database that a
    /// restart could take for its own.
    private func recoverEmpty(_ logs: [NumberedFile]) throws(StorageError) -> RecoveredState {
        let initialize = layout.initializeFile
        let epochs = try epochs.load(lastZxid: .zero)
        let isNew = try initialize.exists && epochs.accepted == 0
        if !isStandalone, !isNew, try !mark.isSet {
            try mark.set(
                reason: """
                    The data directory held no database, and nothing showed that the ensemble is new (the file \
                    \(initialize.path)). The member's earlier data, if it had any, is lost. Until it has synced with a \
                    leader it does not vote.

                    """)
        }
        try SetAside.move(logs, of: layout.logDirectory, in: files)
        let tree = DataTree()
        try SnapshotFile.write(tree, in: layout.snapshotDirectory, files: files)
        try initialize.consume()
        var state = try RecoveredState(
            tree: tree, recent: [], acceptedEpoch: epochs.accepted, currentEpoch: epochs.current,
            recovering: mark.isSet)
        state.isExact = true
        return state
    }

    /// Logs that were replayed on the empty tree get the snapshot of it, so that from now on they are what every reader
    /// takes for a database: this one, and Apache's.
    private func supplySnapshot(_ unusable: [NumberedFile]) throws(StorageError) {
        try SetAside.move(unusable.filter { $0.zxid == .zero }, of: layout.snapshotDirectory, in: files)
        try SnapshotFile.write(DataTree(), in: layout.snapshotDirectory, files: files)
    }

    // MARK: Checks and repairs

    /// S2: promises that this directory does not know of may have been made from the one that was looked at. Whoever looked
    /// waits them out; a server that went on would not.
    private func checkFloor(_ end: Zxid) throws(StorageError) {
        guard let floor else { return }
        let epochs = try epochs.load(lastZxid: isStandalone ? .zero : end)
        let isMarked = try mark.isSet
        guard floor.isMet(zxid: end.rawValue, acceptedEpoch: epochs.accepted, currentEpoch: epochs.current, isMarked: isMarked) else {
            let marked = isMarked || !floor.isMarked ? "" : ", without the mark that it had"
            throw shortfall(
                floor, found: "it ends at \(end), with epoch \(epochs.accepted) accepted, in epoch \(epochs.current)\(marked)")
        }
    }

    private func shortfall(_ floor: DataFloor, found: String) -> StorageError {
        .inconsistent(
            layout.snapshotDirectory,
            "\(found), and held \(Zxid(rawValue: floor.zxid)) and epochs \(floor.acceptedEpoch) and \(floor.currentEpoch) when it was looked at before this start")
    }

    private func state(_ replay: Replay) throws(StorageError) -> RecoveredState {
        let last = replay.tree.lastProcessedZxid
        // A server that stands alone has promised nothing, and its zxids run on into the next epoch.
        var epochs = try epochs.load(lastZxid: isStandalone ? .zero : last)
        if isStandalone {
            epochs.accepted = max(epochs.accepted, last.epoch)
            epochs.current = max(epochs.current, last.epoch)
        }
        // A leftover would let a later loss of the data pass for a new member (S2).
        try layout.initializeFile.consume()
        var state = try RecoveredState(
            tree: replay.tree, recent: replay.recent.all, acceptedEpoch: epochs.accepted, currentEpoch: epochs.current,
            recovering: mark.isSet, behindSnapshot: replay.behind)
        state.judgement = replay.digests
        state.isExact = replay.isExact
        state.doubted = try doubt.leader
        state.findings = replay.findings
        return state
    }

    /// With separate directories, files in the wrong one mean that the configuration was changed without moving them:
    /// going on would lose them.
    private func checkPlaces() throws(StorageError) {
        guard layout.directoriesDiffer else { return }
        let swapped = DataLayout(dataDir: layout.dataLogDir, dataLogDir: layout.dataDir, files: files)
        let remedy = "move the files to where dataDir and dataLogDir say, or correct these two"
        if let snapshot = try swapped.snapshots().first {
            throw .inconsistent(snapshot.path, "a snapshot in the log directory", remedy: remedy)
        }
        if let log = try swapped.logs().first {
            throw .inconsistent(log.path, "a log in the snapshot directory", remedy: remedy)
        }
    }

    /// What `SnapshotWriter` and `LogFile` left when the server died: never had a final name.
    private func removeUnfinished() throws(StorageError) {
        for (directory, prefix) in [
            (layout.snapshotDirectory, NumberedFile.snapshotPrefix), (layout.logDirectory, NumberedFile.logPrefix),
        ] {
            for name in try files.names(directory) where NumberedFile.isUnfinished(name, prefix: prefix) {
                try files.remove(directory + "/" + name)
            }
        }
    }

    /// S2: what they held may have been acknowledged: first the mark, then they go out of the way.
    private func passOver(_ cut: [NumberedFile]) throws(StorageError) {
        if try !mark.isSet {
            try mark.set(reason: "\(cut.map(\.name).joined(separator: ", ")) was cut short, and the log ended before it\n")
        }
        try SetAside.move(cut, of: layout.snapshotDirectory, in: files)
    }

    /// S1: a process that was killed leaves what it had written and not yet synced, and this one reads it: an entry, or
    /// the name of a file. What is vouched for from here on must outlive a power failure, too. Interrupted writes are cut
    /// off, so that nothing stands behind the last entry of a file.
    private func makeDurable(_ replay: Replay) throws(StorageError) {
        for log in replay.logs where !log.isEmpty {
            if log.isMarked {
                try LogFile.seal(log.file, at: log.end, in: files)
            } else if log.tornTail != nil {
                try cut(log)
            } else {
                try files.open(log.file.path, .reading).sync()
            }
        }
        // An empty log would stand in the way of the one that the next entry names.
        try SetAside.move(replay.logs.filter(\.isEmpty).map(\.file), of: layout.logDirectory, in: files)
        try files.syncDirectory(layout.logDirectory)
        try files.syncDirectory(layout.snapshotDirectory)
    }

    private func cut(_ log: Replay.Log) throws(StorageError) {
        if log.isMarked { return try LogFile.seal(log.file, at: log.end, in: files) }
        let file = try files.open(log.file.path, .writing)
        try file.truncate(to: log.end)
        try file.sync()
    }
}
