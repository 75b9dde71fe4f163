import EnsembleBase
import KeeperCore

/// What the disk thread has been asked to do; done in order.
enum DiskWork: Sendable {
    case sync(Zxid)
    case saveEpochs(accepted: Int64, current: Int64)
    case truncate(Zxid)
    case install(DataTree)
    case snapshot(start: Zxid, walk: SnapshotWalk)
    case clearMark
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
        let answer = carryOut(work, on: id)
        beginDiskWork(id)
        if let answer { deliver(answer, to: id) }
    }

    /// A crash may come before or after the work in hand was done, but nobody was told.
    mutating func crashDisk(_ id: ServerID) {
        let i = index(id)
        if let work = servers[i].diskQueue.popFirst(), servers[i].diskBusy, Bool.random(using: &random) {
            switch work {
            // The walk needs the process.
            case .snapshot: break
            default: _ = carryOut(work, on: id)
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
            if bug != .acceptedEpochNotWritten { servers[i].disk.acceptedEpoch = accepted }
            if bug != .currentEpochNotWritten { servers[i].disk.currentEpoch = current }
            return bug == .newLeaderAckedEarly ? nil : .epochsSaved(accepted: accepted, current: current)
        case .truncate(let zxid):
            var cut = servers[i].disk
            cut.truncate(to: zxid)
            if bug != .truncateInMemoryOnly { servers[i].disk = cut }
            checkers.agreement.reset(i)
            return .recovered(cut.recover(windowCount: servers[i].configuration.windowCount))
        case .install(let tree):
            servers[i].disk.install(tree)
            checkers.agreement.reset(i)
            checkers.quorum.isDurable(servers[i].disk.end, at: id)
            return .snapshotInstalled(tree.lastProcessedZxid)
        case .snapshot(let start, let walk):
            finishSnapshot(id, start: start, walk: walk)
            return .snapshotSaved(start)
        case .clearMark:
            servers[i].disk.marked = false
            return .recoveringMarkCleared
        }
    }

    /// The walk ends now, over a tree that has moved on since it began: as fuzzy as a snapshot gets.
    private mutating func finishSnapshot(_ id: ServerID, start: Zxid, walk: SnapshotWalk) {
        let i = index(id)
        guard let machine = servers[i].machine, let tree = fuzzyCopy(of: machine.tree, walk: walk, zxid: start) else {
            return
        }
        // It shows effects of what was applied while it was walked, so those entries must be durable before it is
        // (KeeperAction.takeSnapshot).
        if bug != .snapshotBeforeLog { servers[i].disk.sync() }
        servers[i].disk.snapshot = tree
        servers[i].disk.log.removeAll { $0.zxid <= start }
    }

    /// What a loader makes of a walk that began at `zxid` and is completed over `tree`.
    mutating func fuzzyCopy(of tree: DataTree, walk: SnapshotWalk, zxid: Zxid) -> DataTree? {
        var walk = walk
        var loader = DataTreeLoader()
        do {
            for session in walk.sessions { try loader.addSession(session.session, timeout: session.timeout) }
            for (key, list) in walk.accessLists { try loader.addAccessList(key: key, list) }
            var failure: TreeLoadingError?
            _ = tree.snapshotNodes(&walk, limit: .max) { path, data, key, stat in
                guard failure == nil else { return }
                do throws(TreeLoadingError) {
                    try loader.addNode(path: path, data: data, aclKey: key, stat: stat)
                } catch { failure = error }
            }
            if let failure { throw failure }
            return try loader.finish(zxid: zxid)
        } catch {
            checkers.fail(.soundness, "a snapshot at \(zxid) can't be loaded: \(error)")
            return nil
        }
    }
}
