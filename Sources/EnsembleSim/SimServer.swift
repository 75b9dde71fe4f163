import EnsembleBase
import EnsembleControl
import KeeperCore

/// One server: its process (a machine, while it runs) and its disk.
struct SimServer: Sendable {
    let id: ServerID
    let configuration: KeeperConfiguration
    var disk = SimDisk()
    /// What stands in the directory's place while the process still has the old one open.
    var replacement: SimDisk?
    /// Its directory can't be looked at.
    var isUnreadable = false
    /// An older copy of the directory, that a fault may put in its place.
    var copy: SimDisk?
    var machine: KeeperMachine?
    var incarnation = 0
    var isFrozen = false
    /// What arrived while the process stood still.
    var frozenEvents: [KeeperEvent] = []
    /// Milliseconds between this server's wall clock and the world's.
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
    /// The last entry appended in the step that is being performed.
    var appended: Zxid?
    /// How far the tree that was received last shows effects.
    var receivedThrough = Zxid.zero
    /// S2: lost promises are waited out, whoever else would start it.
    var startsNotBefore = Instant.origin
    var diskFullUntil = Instant.origin
    var failsNextSync = false
    var snapshot: SnapshotUnderWay?

    /// What whoever looks finds in the directory's place.
    var directory: SimDisk { replacement ?? disk }

    init(id: ServerID, configuration: KeeperConfiguration) {
        self.id = id
        self.configuration = configuration
    }
}

extension World {
    func wall(of id: ServerID) -> WallTime {
        WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000 + servers[index(id)].clockOffset)
    }

    mutating func start(_ id: ServerID) {
        let i = index(id)
        guard servers[i].machine == nil, now >= servers[i].startsNotBefore, findsSoundFiles(id) else { return }
        servers[i].incarnation += 1
        servers[i].isFrozen = false
        servers[i].machine = KeeperMachine(configuration: servers[i].configuration, seed: random.next())
        let state = readDirectory(of: id)
        // An empty database becomes durable before it votes, and the mark before one that must not.
        if state.recovering { servers[i].disk.marked = true }
        servers[i].disk.initialize = false
        if servers[i].disk.isBlank { servers[i].disk.snapshot = DataTree() }
        record("\(id) starts at \(state.tree.lastProcessedZxid)\(state.recovering ? ", recovering" : "")")
        let servers = servers
        checkers.quorum.comesBack(
            id, disk: servers[i].disk, at: now, patience: servers[i].configuration.initTimeout,
            isCandidate: { candidate, epoch in
                let server = servers[Int(candidate) - 1]
                guard !server.isFrozen, let machine = server.machine, machine.isLeading, !machine.isServing else { return false }
                return machine.status.acceptedEpoch == epoch
            }, &checkers.verdict)
        step(id, .clockRead(wall(of: id)))
        step(id, .recovered(state))
        schedule(.clockTick(id, incarnation: servers[i].incarnation), in: .seconds(1))
    }

    /// What the server reads: every record of the log has a checksum, and every snapshot.
    private mutating func findsSoundFiles(_ id: ServerID) -> Bool {
        let i = index(id)
        guard let damage = servers[i].disk.damage else { return true }
        if bug == .damageTakenForTail {
            servers[i].disk.endAtDamage()
            checkers.quorum.forgot(id)
            return true
        }
        // It ends with `corruptData`; whoever operates it gives the directory up (rule S2).
        record("\(id) refuses to start: its files are damaged at \(damage)")
        servers[i].disk.lose()
        servers[i].copy = nil
        comeBack(id)
        return false
    }

    private mutating func readDirectory(of id: ServerID) -> RecoveredState {
        let disk = servers[index(id)].disk
        var state = disk.recover(
            windowCount: servers[index(id)].configuration.windowCount, isReplayed: isReplayed(logCount: disk.log.count))
        if !state.recovering, !disk.isReceived || disk.end >= disk.exactFrom {
            checkers.agreement.recovered(id, state.tree, checkers.history, &checkers.verdict)
        }
        if bug == .recoveringIgnored { state.recovering = false }
        return state
    }

    /// The process dies: its connections break, and what it had not synced is lost in part.
    mutating func crash(_ id: ServerID, _ cause: ExitCause = .signalled(9)) {
        let i = index(id)
        guard servers[i].machine != nil else { return }
        record(cause == .clean ? "\(id) stops" : "\(id) crashes")
        let couldVote = !checkers.quorum.hasForgotten(id)
        servers[i].machine = nil
        servers[i].isFrozen = false
        servers[i].frozenEvents = []
        servers[i].incarnation += 1
        servers[i].armed = nil
        servers[i].snapshot = nil
        crashDisk(id)
        servers[i].acceptsLearners = false
        servers[i].leaderLink = nil
        checkers.agreement.reset(i)
        for link in links.indices where links[link].involves(id) { breakLink(link) }
        for connection in servers[i].connections.keys.sorted() { dropClient(of: id, connection) }
        servers[i].connections = [:]
        if isOperated { died(id, cause, couldVote: couldVote) }
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
        guard servers[i].machine != nil, checkers.verdict.violation == nil else { return }
        noteTouches(event, at: id)
        var actions = ActionBuffer<KeeperAction>()
        servers[i].machine!.step(bug == nil ? event : sabotaged(event, of: id), at: now, into: &actions)
        var list = actions.drain()
        if bug != nil { sabotage(&list, of: id) }
        if ambush != nil { spring(on: list, of: id) }
        for action in list {
            guard servers[i].machine != nil else { return }
            perform(action, of: id)
        }
        flushLog(id)
        observe(id)
        arm(id)
    }

    /// What the checkers want to see after each step.
    ///
    /// - Parameter isServing: nil: as the member itself says.
    mutating func observe(_ id: ServerID, isServing: Bool? = nil) {
        let i = index(id)
        let isServing = isServing ?? servers[i].machine!.isServing
        if isOperated { checkers.oversight.observe(i, isServing: isServing, at: now) }
        guard isServing else { return checkers.agreement.stopsServing(i) }
        var log: [LogEntry] = []
        if !checkers.agreement.isServing(i) {
            let end = servers[i].machine!.tree.lastProcessedZxid
            log = checkers.proposals.path(to: end, behind: checkers.history.last) + servers[i].disk.log + servers[i].disk.unsynced
        }
        checkers.agreement.observe(
            i, tree: servers[i].machine!.tree, isLeading: servers[i].machine!.isLeading, log: log,
            history: &checkers.history, &checkers.verdict)
    }

    mutating func arm(_ id: ServerID) {
        let i = index(id)
        guard let deadline = servers[i].machine?.deadline, deadline < .distantFuture else { return }
        if let armed = servers[i].armed, armed <= deadline { return }
        servers[i].armed = max(deadline, now)
        queue.schedule(.wakeServer(id, incarnation: servers[i].incarnation), at: max(deadline, now))
    }
}
