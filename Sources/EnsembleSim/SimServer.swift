import EnsembleBase
import EnsembleControl
import KeeperCore
import KeeperServer

/// One server: its process (a machine, while it runs) and its disk.
struct SimServer {
    let id: ServerID
    let configuration: KeeperConfiguration
    var storageConfiguration: ServerConfiguration
    var disk: SimDisk
    /// The process's storage, while it lives.
    var hands: SimHands?
    /// Its files have been read.
    var isRecovered = false
    /// Its process found the mark of a member that recovers.
    var beganMarked = false
    /// It was when it died.
    var diedMarked = false
    /// What its log held when it was read, as far back as a window goes, and what was appended since.
    var logged: [LogEntry] = []
    var lastLogged = Zxid.zero
    /// What is being installed behind a tree.
    var installing: [LogEntry] = []
    /// What its restart would replay.
    var replay = ReplayChecker()
    /// Lanes whose turn came while the process stood still.
    var frozenLanes: [SimLane] = []
    /// For a deliberate bug: its log is being cut.
    var isTruncating = false
    /// Its log is being cut, or its data replaced.
    var isRewriting = false
    /// What the operator saw was more than it finds.
    var isBelowFloor = false
    /// Where its log is being cut, and can be.
    var cutTarget: Zxid?
    /// What stands in the directory's place while the process still has the old one open.
    var replacement: SimDisk?
    /// What is mounted late in the directory's place.
    var absent: AbsentDirectory?
    /// What was made below its mount point while nothing was mounted there, and is covered.
    var beneath: AbsentDirectory?
    /// Its directory is back, and no server was launched on it since.
    var isBackUnseen = false
    /// What came with the tree that its leader sent, and behind it.
    var installedThrough = Zxid.zero
    /// Its directory can't be looked at.
    var isUnreadable = false
    /// An older copy of the directory, that a fault may put in its place.
    var copy: SimDisk?
    var machine: KeeperMachine?
    var incarnation = 0
    var isFrozen = false
    /// When it last stood still no longer.
    var goesOnSince = Instant.origin
    /// It gets its processor in pieces: the kernel doesn't say that it is stopped.
    var isStuttering = false
    /// It was killed, and its process is still there.
    var isDying = false
    /// It was asked to stop: it takes no new connections, and has no say in elections.
    var isStopping = false
    /// It leads no longer, if it did: nothing of it moves but its disk (`World+Stopping`).
    var hasLeft = false
    /// What arrived while the process stood still.
    var frozenEvents: [KeeperEvent] = []
    /// Milliseconds between this server's wall clock and the world's.
    var clockOffset: Int64 = 0
    /// The instant that a wake-up is scheduled for.
    var armed: Instant?
    var acceptsLearners = false
    /// It reads nothing from its leader for now.
    var isPaused = false
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
    var diskStalledUntil = Instant.origin
    /// What is sent from or to it meanwhile arrives then.
    var silentUntil = Instant.origin
    var turnsAwayUntil = Instant.origin
    /// What the daemon meets at its client port in place of an answer.
    var muffling: Muffling?
    /// The last time, or this one, that anything kept its answers from the daemon.
    var unheard: (since: Instant, until: Instant)?
    /// Thousandths of the world's time that pass on its monotonic clock.
    var clockRate: Int64 = 1_000

    var serves: Bool { machine?.status.serving == true && !hasLeft }

    /// What whoever looks finds in the directory's place.
    var directory: SimDisk { replacement ?? disk }

    init(id: ServerID, configuration: KeeperConfiguration, smallFiles: Bool, seed: UInt64) {
        self.id = id
        self.configuration = configuration
        storageConfiguration = smallFiles ? SimServer.smallFiles : SimServer.storage
        disk = SimDisk(seed: seed)
    }

    /// What storage reads of a zoo.cfg: for one member of several.
    private static let storage = configuration("")
    /// A log is followed by the next after a few transactions.
    private static let smallFiles = configuration("txnLogSizeLimitInKb=1\n")

    private static func configuration(_ more: String) -> ServerConfiguration {
        let members = (1...3).map { "server.\($0)=127.0.0.1:\(2000 + $0):\(3000 + $0)" }.joined(separator: "\n")
        let text = "dataDir=\(SimDisk.dataDir)\nclientPort=2181\ninitLimit=5\nsyncLimit=4\npreAllocSize=64\nautopurge.purgeInterval=1\n\(members)\n\(more)"
        let outcome = ConfigurationParser.parse(Array(text.utf8), file: "zoo.cfg") { _ in Array("1".utf8) }
        guard let configuration = outcome.configuration else { preconditionFailure("\(outcome.problems)") }
        return configuration
    }
}

extension World {
    func wall(of id: ServerID) -> WallTime {
        WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000 + servers[index(id)].clockOffset)
    }

    /// The server's monotonic clock.
    func clock(of id: ServerID) -> Instant {
        Instant(nanoseconds: now.nanoseconds * servers[index(id)].clockRate / 1_000)
    }

    /// When that clock will have reached `instant`.
    func worldTime(of instant: Instant, at id: ServerID) -> Instant {
        let rate = servers[index(id)].clockRate
        guard rate != 1_000, instant < .distantFuture else { return instant }
        return Instant(nanoseconds: (instant.nanoseconds * 1_000 + rate - 1) / rate)
    }

    mutating func start(_ id: ServerID) {
        let i = index(id)
        guard servers[i].machine == nil, now >= servers[i].startsNotBefore else { return }
        servers[i].incarnation += 1
        servers[i].isFrozen = false
        servers[i].machine = KeeperMachine(configuration: servers[i].configuration, seed: random.next())
        step(id, .clockRead(wall(of: id)))
        startStorage(of: id)
        schedule(.clockTick(id, incarnation: servers[i].incarnation), in: .seconds(1))
    }

    /// The process dies: its connections break, and what it had in hand is done in part.
    ///
    /// - Parameter losesPower: whether its machine dies with it; nil: chance decides.
    mutating func crash(_ id: ServerID, _ cause: ExitCause = .signalled(9), losesPower: Bool? = nil) {
        let i = index(id)
        guard servers[i].machine != nil else { return }
        record(cause == .clean ? "\(id) stops" : "\(id) crashes")
        let couldVote = !checkers.quorum.hasForgotten(id)
        checkers.quorum.ended(id)
        servers[i].machine = nil
        servers[i].isFrozen = false
        servers[i].isStuttering = false
        (servers[i].isStopping, servers[i].hasLeft, servers[i].isDying) = (false, false, false)
        servers[i].frozenEvents = []
        servers[i].incarnation += 1
        servers[i].armed = nil
        let losesPower = cause != .clean && !isOperated && losesPower ?? (Int.random(in: 0..<3, using: &random) > 0)
        crashDisk(of: id, losesPower: losesPower)
        checkers.agreement.reset(i)
        disconnect(id)
        if isOperated { died(id, cause, couldVote: couldVote) }
    }

    /// Peers and clients learn of it by their connections' ends.
    mutating func disconnect(_ id: ServerID) {
        let i = index(id)
        servers[i].acceptsLearners = false
        servers[i].leaderLink = nil
        for link in links.indices where links[link].involves(id) { breakLink(link) }
        for connection in servers[i].connections.keys.sorted() { dropClient(of: id, connection) }
        servers[i].connections = [:]
    }

    mutating func thaw(_ id: ServerID) {
        let i = index(id)
        guard servers[i].isFrozen, !servers[i].isDying else { return }
        record("\(id) goes on")
        servers[i].isFrozen = false
        servers[i].isStuttering = false
        servers[i].goesOnSince = now
        checkers.oversight.goesOn(i, at: now)
        servers[i].armed = nil
        if bug == .sessionsJudgedBeforeReading { ringLateTimers(of: id) }
        // A loop that goes on may ask for its timers before it reads (issue 8, A8).
        if plan.timersGoFirst, let deadline = servers[i].machine?.deadline, clock(of: id) >= deadline { step(id, .deadlineReached) }
        guard servers[i].machine != nil else { return }
        let waiting = servers[i].frozenEvents
        servers[i].frozenEvents = []
        for event in waiting { step(id, event) }
        thawLanes(of: id)
        guard servers[i].machine != nil else { return }
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
        guard servers[i].machine != nil, !servers[i].hasLeft, checkers.verdict.violation == nil else { return }
        noteTouches(event, at: id)
        let event = bug == nil ? event : sabotaged(event, of: id)
        var actions = ActionBuffer<KeeperAction>()
        servers[i].machine!.step(event, at: sabotage.heldClock ?? clock(of: id), into: &actions)
        var list = actions.drain()
        if bug != nil { sabotage(&list, of: id) }
        if ambush != nil { spring(on: list, of: id) }
        if apachePeer?.id == id { speakAsApache(&list) }
        if case .connectRequested(_, let request) = event { judgeRefusal(of: request, list, by: id) }
        for action in list {
            guard servers[i].machine != nil else { return }
            perform(action, of: id)
        }
        submitLog(of: id)
        guard servers[i].machine != nil else { return }
        observe(id)
        leaveIfPossible(id)
        arm(id)
    }

    /// What the checkers want to see after each step.
    ///
    /// - Parameter isServing: nil: as the member itself says.
    mutating func observe(_ id: ServerID, isServing: Bool? = nil) {
        let i = index(id)
        let isServing = isServing ?? servers[i].machine!.isServing
        if isOperated { checkers.oversight.observe(i, isServing: isServing, applied: servers[i].machine!.tree.lastProcessedZxid, at: now) }
        guard isServing else {
            servers[i].replay.doesNotServe()
            return checkers.agreement.stopsServing(i)
        }
        if servers[i].replay.mayBeOverdue(plan.snapCount) {
            let waiting = servers[i].machine!.outstandingEntries
            servers[i].replay.serves(id, waiting: waiting, snapCount: plan.snapCount, &checkers.verdict)
        }
        var log: [LogEntry] = []
        if !checkers.agreement.isServing(i) {
            let end = servers[i].machine!.tree.lastProcessedZxid
            log = checkers.proposals.path(to: end, behind: checkers.history.last) + servers[i].logged
        }
        checkers.agreement.observe(
            i, tree: servers[i].machine!.tree, isLeading: servers[i].machine!.isLeading, log: log,
            history: &checkers.history, &checkers.verdict)
    }

    /// Group commit: what one step appended is one write.
    private mutating func submitLog(of id: ServerID) {
        let i = index(id)
        if let zxid = servers[i].appended {
            servers[i].appended = nil
            servers[i].hands?.disk.submit()
            if bug != nil, liesAboutLog(id) { deliver(.logSynced(zxid), to: id) }
        }
        settle(id)
    }

    mutating func arm(_ id: ServerID) {
        let i = index(id)
        guard let local = servers[i].machine?.deadline, local < .distantFuture else { return }
        let deadline = worldTime(of: local, at: id)
        if let armed = servers[i].armed, armed <= deadline { return }
        servers[i].armed = max(deadline, now)
        queue.schedule(.wakeServer(id, incarnation: servers[i].incarnation), at: max(deadline, now))
    }
}
