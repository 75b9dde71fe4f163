import EnsembleBase
import KeeperCore
import KeeperStorage

/// How the deliberate bugs of storage show at its two ends: files that lie, lanes that report too early.
extension World {
    /// What a bug makes of the disk for the length of one piece of work.
    mutating func beforeTurn(of lane: SimLane, of id: ServerID) {
        let i = index(id)
        switch bug {
        case .truncateInMemoryOnly where lane.name == "disk" && servers[i].isTruncating:
            servers[i].disk.drive.faults.lies = [.logSyncs, .directorySyncs, .snapshotSyncs]
        case .logReportedEarly where lane.name == "log" && Int.random(in: 0..<3, using: &random) == 0:
            servers[i].disk.drive.faults.lies = .logSyncs
        default: break
        }
    }

    /// What a bug does to a disk from its beginning.
    var liesOfDisks: DiskLies {
        switch bug {
        case .failedSyncIgnored: .failures
        case .currentEpochNotWritten: .currentEpochNames
        case .acceptedEpochNotWritten: .acceptedEpochNames
        case .epochsNotWritten: [.acceptedEpochNames, .currentEpochNames]
        case .logSyncSkipped: .logSyncs
        case .epochSyncSkipped: .epochSyncs
        case .snapshotSyncSkipped: .snapshotSyncs
        case .directorySyncSkipped: .directorySyncs
        case .wholeLogRead: .wholeReads
        default: []
        }
    }

    /// Recovery that overlooks entries of the log.
    func misread(_ state: RecoveredState, of id: ServerID) -> RecoveredState {
        if bug == .truncatedEffectsStay { return servers[index(id)].isTruncating ? showingWhatWasCut(state, of: id) : state }
        let disk = servers[index(id)].disk
        let end = state.tree.lastProcessedZxid
        guard bug == .noFastForward || bug == .replaySkipsEntry,
            let contents = try? disk.contents(upTo: end), contents.entries.count > 3
        else { return state }
        let entries = contents.entries
        let skipped = bug == .noFastForward ? entries.count - 2..<entries.count : entries.count - 3..<entries.count - 2
        var state = state
        state.tree = contents.tree
        var changes: [TreeChange] = []
        for (place, entry) in entries.enumerated() where !skipped.contains(place) {
            changes.removeAll(keepingCapacity: true)
            _ = state.tree.apply(entry, changes: &changes)
        }
        if bug == .noFastForward { state.recent.removeLast(min(2, state.recent.count)) }
        return state
    }

    /// All that the log holds, with a hole or without.
    mutating func keepWindow(upTo end: Zxid, of id: ServerID) {
        sabotage.windows[id] = try? servers[index(id)].disk.entries(behind: .zero, upTo: end)
    }

    private func showingWhatWasCut(_ state: RecoveredState, of id: ServerID) -> RecoveredState {
        let end = state.tree.lastProcessedZxid
        var state = state
        var changes: [TreeChange] = []
        for var entry in servers[index(id)].logged where entry.zxid > end {
            entry.zxid = end
            entry.digest = nil
            _ = state.tree.apply(entry, changes: &changes)
        }
        return state
    }

    /// The epochs of a leader whose tree is being installed, before the tree.
    mutating func saveEpochsFirst(of id: ServerID, accepted: Int64, current: Int64) {
        try? servers[index(id)].disk.layout.epochs.save(EpochFiles.Epochs(accepted: accepted, current: current))
    }

    /// A snapshot that shows effects of what the log has not on disk, and has its name.
    mutating func nameSnapshotEarly(of id: ServerID, start: Zxid, _ copy: FuzzyCopy) {
        let i = index(id)
        guard let machine = servers[i].machine, let tree = completed(copy, over: machine.tree, zxid: start) else { return }
        let disk = servers[i].disk
        _ = try? SnapshotFile.write(tree, in: disk.layout.snapshotDirectory, isFuzzy: true, files: disk.drive)
        spring(on: .namesSnapshot, of: id)
        deliver(.snapshotSaved(start), to: id)
    }

    /// Damage that passes for the torn end of a log.
    mutating func cutAtDamage(_ report: ServerExitReport, of id: ServerID) -> Bool {
        let drive = servers[index(id)].disk.drive
        guard let path = report.file, DiskNames.name(of: path).hasPrefix("log."), let offset = report.offset,
            let file = try? drive.open(path, .writing)
        else { return false }
        do throws(StorageError) {
            try file.truncate(to: Int(offset))
            try file.sync()
            return true
        } catch { return false }
    }
}
