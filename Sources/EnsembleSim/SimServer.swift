import EnsembleBase
import KeeperCore

/// One server: its process (a machine, while it runs) and its disk.
struct SimServer {
    /// What the disk thread has been asked to do, in order.
    enum DiskWork {
        case sync(Zxid)
        case saveEpochs(accepted: Int64, current: Int64)
        case truncate(Zxid)
        case install(DataTree)
        case snapshot(start: Zxid, walk: SnapshotWalk)
        case clearMark
    }

    let id: ServerID
    let configuration: KeeperConfiguration
    var disk = SimDisk()
    var machine: KeeperMachine?
    var incarnation = 0
    var isFrozen = false
    /// What arrived while the process stood still.
    var frozenEvents: [KeeperEvent] = []
    var clockOffset: Int64 = 0
    /// The instant that a wake-up is scheduled for.
    var armed: Instant?
    var diskQueue = FIFO<DiskWork>()
    var diskBusy = false
    var acceptsLearners = false
    /// The link over which this server follows.
    var leaderLink: Int?
    /// The clients' connections, by number.
    var connections: [UInt64: Int] = [:]
    /// Entries appended in the step that is being performed.
    var appended: Zxid?

    init(id: ServerID, configuration: KeeperConfiguration) {
        self.id = id
        self.configuration = configuration
    }
}

extension World {
    mutating func start(_ id: ServerID) {
        let i = index(id)
        guard servers[i].machine == nil else { return }
        servers[i].incarnation += 1
        servers[i].isFrozen = false
        servers[i].machine = KeeperMachine(configuration: servers[i].configuration, seed: random.next())
        var state = servers[i].disk.recover(windowCount: servers[i].configuration.windowCount)
        if bug == .ignoreRecovering { state.recovering = false }
        // An empty database that may be one becomes durable before it votes.
        if servers[i].disk.initialize {
            servers[i].disk.initialize = false
            if servers[i].disk.snapshot == nil { servers[i].disk.snapshot = DataTree() }
        }
        record("\(id) starts at \(state.tree.lastProcessedZxid)\(state.recovering ? ", recovering" : "")")
        step(id, .clockRead(WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000 + servers[i].clockOffset)))
        step(id, .recovered(state))
        schedule(.clockTick(id, incarnation: servers[i].incarnation), in: .seconds(1))
    }

    /// The process dies: its connections break, and what it had not synced is lost in part.
    mutating func crash(_ id: ServerID) {
        let i = index(id)
        guard servers[i].machine != nil else { return }
        record("\(id) crashes")
        servers[i].machine = nil
        servers[i].isFrozen = false
        servers[i].frozenEvents = []
        servers[i].incarnation += 1
        servers[i].armed = nil
        servers[i].disk.crash(using: &random)
        servers[i].diskQueue = FIFO()
        servers[i].diskBusy = false
        servers[i].acceptsLearners = false
        servers[i].leaderLink = nil
        for link in links.indices where links[link].involves(id) { breakLink(link) }
        for connection in servers[i].connections.keys.sorted() { dropClient(of: id, connection) }
        servers[i].connections = [:]
    }

    mutating func thaw(_ id: ServerID) {
        let i = index(id)
        guard servers[i].isFrozen else { return }
        record("\(id) goes on")
        servers[i].isFrozen = false
        servers[i].armed = nil
        let waiting = servers[i].frozenEvents
        servers[i].frozenEvents = []
        for event in waiting { step(id, event) }
        arm(id)
    }

    /// Hands an event to a server, or keeps it while the process stands still.
    mutating func deliver(_ event: KeeperEvent, to id: ServerID) {
        let i = index(id)
        guard servers[i].machine != nil else { return }
        if servers[i].isFrozen {
            servers[i].frozenEvents.append(event)
        } else {
            step(id, event)
        }
    }

    mutating func step(_ id: ServerID, _ event: KeeperEvent) {
        let i = index(id)
        guard servers[i].machine != nil, checker.violation == nil else { return }
        var actions = ActionBuffer<KeeperAction>()
        servers[i].machine!.step(event, at: now, into: &actions)
        for action in actions.drain() {
            guard servers[i].machine != nil else { return }
            perform(action, of: id)
        }
        flushLog(id)
        checker.observe(id, servers[i].machine!)
        arm(id)
    }

    mutating func arm(_ id: ServerID) {
        let i = index(id)
        guard let deadline = servers[i].machine?.deadline, deadline < .distantFuture else { return }
        if let armed = servers[i].armed, armed <= deadline { return }
        servers[i].armed = max(deadline, now)
        queue.schedule(.wakeServer(id, incarnation: servers[i].incarnation), at: max(deadline, now))
    }

    // MARK: The disk

    /// Group commit: what one step appended is one write.
    mutating func flushLog(_ id: ServerID) {
        let i = index(id)
        guard let zxid = servers[i].appended else { return }
        servers[i].appended = nil
        enqueue(.sync(zxid), on: id)
        if bug == .ackBeforeSync { deliver(.logSynced(zxid), to: id) }
    }

    mutating func enqueue(_ work: SimServer.DiskWork, on id: ServerID) {
        let i = index(id)
        servers[i].diskQueue.append(work)
        if !servers[i].diskBusy { beginDiskWork(id) }
    }

    private mutating func beginDiskWork(_ id: ServerID) {
        let i = index(id)
        guard !servers[i].diskQueue.isEmpty else { return }
        servers[i].diskBusy = true
        let slow = atlas.slowDisks && Int.random(in: 0..<20, using: &random) == 0
        let microseconds = slow ? Int64.random(in: 5_000...300_000, using: &random) : Int64.random(in: 100...2_000, using: &random)
        schedule(.diskDone(id, incarnation: servers[i].incarnation), in: .microseconds(microseconds))
    }

    mutating func diskFinished(_ id: ServerID) {
        let i = index(id)
        guard let work = servers[i].diskQueue.popFirst() else { return }
        servers[i].diskBusy = false
        let answer: KeeperEvent
        switch work {
        case .sync(let zxid):
            servers[i].disk.sync()
            answer = .logSynced(zxid)
        case .saveEpochs(let accepted, let current):
            servers[i].disk.acceptedEpoch = accepted
            servers[i].disk.currentEpoch = current
            answer = .epochsSaved(accepted: accepted, current: current)
        case .truncate(let zxid):
            servers[i].disk.truncate(to: zxid)
            answer = .recovered(servers[i].disk.recover(windowCount: servers[i].configuration.windowCount))
        case .install(let tree):
            servers[i].disk.install(tree)
            answer = .snapshotInstalled(tree.lastProcessedZxid)
        case .snapshot(let start, let walk):
            finishSnapshot(id, start: start, walk: walk)
            answer = .snapshotSaved(start)
        case .clearMark:
            servers[i].disk.marked = false
            answer = .recoveringMarkCleared
        }
        beginDiskWork(id)
        deliver(answer, to: id)
    }

    /// The walk ends now, over a tree that has moved on since it began: as fuzzy as a snapshot gets.
    private mutating func finishSnapshot(_ id: ServerID, start: Zxid, walk: SnapshotWalk) {
        let i = index(id)
        guard let machine = servers[i].machine, let tree = fuzzyCopy(of: machine.tree, walk: walk, zxid: start) else {
            return
        }
        // It shows effects of what was applied while it was walked, so those entries must be durable before it is
        // (KeeperAction.takeSnapshot).
        servers[i].disk.sync()
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
            checker.fail("a snapshot at \(zxid) can't be loaded: \(error)")
            return nil
        }
    }
}
