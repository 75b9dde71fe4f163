import EnsembleBase
import EnsembleControl
import KeeperCore

/// What the disk thread has been asked to do; done in order.
enum DiskWork: Sendable {
    case sync(Zxid)
    case saveEpochs(accepted: Int64, current: Int64)
    case truncate(Zxid)
    case install(DataTree, entries: [LogEntry], accepted: Int64, current: Int64)
    case clearMark

    var isSync: Bool { if case .sync = self { true } else { false } }
}

/// A snapshot that is being written beside the log.
struct SnapshotUnderWay: Sendable {
    enum State: Sendable {
        case copying(FuzzyCopy)
        /// Waits for the log up to what it shows.
        case complete(DataTree, shows: Zxid)
    }

    var start: Zxid
    var state: State
}

extension World {
    /// Group commit: what one step appended is one write.
    mutating func flushLog(_ id: ServerID) {
        let i = index(id)
        guard let zxid = servers[i].appended else { return }
        servers[i].appended = nil
        enqueue(.sync(zxid), on: id)
        if liesAboutLog(id) { deliver(.logSynced(zxid), to: id) }
    }

    mutating func enqueue(_ work: DiskWork, on id: ServerID) {
        let i = index(id)
        servers[i].diskQueue.append(work)
        if !servers[i].diskBusy { beginDiskWork(id) }
    }

    private mutating func beginDiskWork(_ id: ServerID) {
        let i = index(id)
        guard let first = servers[i].diskQueue.first else { return }
        servers[i].diskBusy = true
        // Group commit: what waited together is synced together.
        if case .sync = first {
            while servers[i].diskQueue.count > 1, case .sync = servers[i].diskQueue[1] { _ = servers[i].diskQueue.popFirst() }
        }
        let slow = faultsEnabled && atlas.contains(.slowDisks) && Int.random(in: 0..<20, using: &random) == 0
        let microseconds =
            slow ? Int64.random(in: 5_000...300_000, using: &random) : Int64.random(in: 100...2_000, using: &random)
        schedule(.diskDone(id, incarnation: servers[i].incarnation), in: .microseconds(microseconds))
    }

    mutating func diskFinished(_ id: ServerID) {
        let i = index(id)
        guard let work = servers[i].diskQueue.popFirst() else { return }
        servers[i].diskBusy = false
        // A log that is open is written on; whatever needs the directory's name does not find it.
        if servers[i].replacement != nil, !work.isSync { return end(id, .storage("no such file or directory")) }
        guard !failsToDo(work, on: id) else { return }
        let answer = carryOut(work, on: id)
        beginDiskWork(id)
        if let answer { deliver(answer, to: id) }
    }

    /// A write that fails is fatal, whatever it was for.
    private mutating func failsToDo(_ work: DiskWork, on id: ServerID) -> Bool {
        let i = index(id)
        let isFull = now < servers[i].diskFullUntil
        switch work {
        case .sync, .saveEpochs, .install: break
        // Renaming, cutting and removing need no room.
        case .truncate, .clearMark: if !servers[i].failsNextSync { return false }
        }
        guard isFull || servers[i].failsNextSync else { return false }
        if bug == .failedSyncIgnored {
            // The kernel has dropped the pages.
            servers[i].failsNextSync = false
            if case .sync = work { servers[i].disk.unsynced.removeAll() }
            return false
        }
        // A failed fsync says nothing about what is on the disk.
        if servers[i].failsNextSync, Bool.random(using: &random) { _ = carryOut(work, on: id) }
        servers[i].failsNextSync = false
        endProcess(id, isFull ? "its disk is full" : "an fsync failed")
        return true
    }

    /// The process ends by itself, and is started again.
    private mutating func endProcess(_ id: ServerID, _ reason: String) {
        record("\(id) ends: \(reason)")
        crash(id)
        schedule(.restart(id), in: .milliseconds(Int64.random(in: 300...2_000, using: &random)))
    }

    /// A crash may come before or after the work in hand was done, but nobody was told.
    mutating func crashDisk(_ id: ServerID) {
        let i = index(id)
        if let work = servers[i].diskQueue.popFirst(), servers[i].diskBusy, Bool.random(using: &random) {
            if bug == .installEpochFirst, case .install(_, _, let accepted, let current) = work {
                (servers[i].disk.acceptedEpoch, servers[i].disk.currentEpoch) = (accepted, current)
            } else {
                _ = carryOut(work, on: id)
            }
        }
        servers[i].disk.crash(using: &random)
        servers[i].diskQueue = FIFO()
        servers[i].diskBusy = false
    }

    /// What the work does to the disk, and the event that tells of it; nil if it was told before (a deliberate bug).
    private mutating func carryOut(_ work: DiskWork, on id: ServerID) -> KeeperEvent? {
        let i = index(id)
        switch work {
        case .sync(let zxid):
            servers[i].disk.sync()
            checkers.quorum.isDurable(servers[i].disk.end, at: id)
            return .logSynced(zxid)
        case .saveEpochs(let accepted, let current):
            if bug != .acceptedEpochNotWritten, bug != .epochsNotWritten { servers[i].disk.acceptedEpoch = accepted }
            if bug != .currentEpochNotWritten, bug != .epochsNotWritten { servers[i].disk.currentEpoch = current }
            return bug == .newLeaderAckedEarly ? nil : .epochsSaved(accepted: accepted, current: current)
        case .truncate(let zxid):
            guard servers[i].disk.damage == nil else {
                if servers[i].machine != nil { endProcess(id, "its files are damaged") }
                return nil
            }
            var cut = servers[i].disk
            cut.truncate(to: zxid)
            if bug != .truncateInMemoryOnly { servers[i].disk = cut }
            checkers.agreement.reset(i)
            return .recovered(cut.recover(windowCount: servers[i].configuration.windowCount))
        case .install(let tree, let entries, let accepted, let current):
            servers[i].disk.install(tree, exactFrom: servers[i].receivedThrough, entries: entries)
            (servers[i].disk.acceptedEpoch, servers[i].disk.currentEpoch) = (accepted, current)
            checkers.agreement.reset(i)
            for entry in entries { checkers.agreement.appended(entry, at: i) }
            checkers.quorum.isDurable(servers[i].disk.end, at: id)
            return .snapshotInstalled(accepted: accepted, current: current)
        case .clearMark:
            servers[i].disk.marked = false
            checkers.quorum.clearsMark(id)
            return .recoveringMarkCleared
        }
    }

    // MARK: Snapshots, by a thread of their own

    mutating func beginSnapshot(of id: ServerID, start: Zxid) {
        guard let tree = servers[index(id)].machine?.tree else { return }
        var copy = FuzzyCopy(of: tree)
        copy.advance(over: tree, limit: Int.random(in: 0...tree.nodeCount, using: &random))
        servers[index(id)].snapshot = SnapshotUnderWay(start: start, state: .copying(copy))
        let slow = faultsEnabled && atlas.contains(.slowDisks)
        let length = Duration.microseconds(Int64.random(in: 500...(slow ? 200_000 : 20_000), using: &random))
        schedule(.snapshotTurn(id, incarnation: servers[index(id)].incarnation), in: length)
    }

    /// The directory is about to be rewritten.
    mutating func abandonSnapshot(of id: ServerID) {
        guard servers[index(id)].snapshot.take() != nil else { return }
        later(.snapshotFailed, to: id)
    }

    mutating func advanceSnapshot(of id: ServerID) {
        let i = index(id)
        guard let snapshot = servers[i].snapshot, let machine = servers[i].machine else { return }
        guard !servers[i].isFrozen else {
            return schedule(.snapshotTurn(id, incarnation: servers[i].incarnation), in: .milliseconds(10))
        }
        switch snapshot.state {
        case .copying(let copy):
            // The copy ends now, over a tree that has moved on since it began: as fuzzy as a snapshot gets.
            guard let tree = completed(copy, over: machine.tree, zxid: snapshot.start) else { return }
            servers[i].snapshot?.state = .complete(tree, shows: machine.tree.lastProcessedZxid)
            advanceSnapshot(of: id)
        case .complete(let tree, let shown):
            // It shows effects of what was applied while it was copied, so those entries must be durable before it has
            // its name (KeeperAction.takeSnapshot).
            if servers[i].disk.end < shown, bug != .snapshotBeforeLog {
                return schedule(.snapshotTurn(id, incarnation: servers[i].incarnation), in: .milliseconds(2))
            }
            // Where there is no room for it, it is given up.
            let hasRoom = now >= servers[i].diskFullUntil
            if hasRoom { servers[i].disk.take(tree, start: snapshot.start, shows: shown) }
            servers[i].snapshot = nil
            spring(on: .namesSnapshot, of: id)
            deliver(hasRoom ? .snapshotSaved(snapshot.start) : .snapshotFailed, to: id)
        }
    }

    /// What a loader makes of a copy that is completed over `tree`.
    mutating func completed(_ copy: FuzzyCopy, over tree: DataTree, zxid: Zxid) -> DataTree? {
        var copy = copy
        copy.advance(over: tree, limit: .max, without: bug == .snapshotLosesNode ? "/q" : nil)
        do throws(TreeLoadingError) { return try copy.finish(zxid: zxid) } catch {
            checkers.fail(.soundness, "a snapshot at \(zxid) can't be loaded: \(error)")
            return nil
        }
    }
}
