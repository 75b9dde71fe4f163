import EnsembleBase
import EnsembleControl
import KeeperCore

/// The one host's daemon and what it keeps: the real `OperatorMachine` while its process lives, the state
/// directory and the archive always.
///
/// The world plays its hands, and keeps their contract (`OperatorAction`): actions in order, the two files durable
/// before the next action, long effects beside it and answered once. A crash may come before any action; what was
/// under way in the background is then done wholly or not at all, and nobody is told.
struct SimOperator: Sendable {
    /// What happens to the daemon, or has been done for it.
    enum Event: Sendable {
        case starts
        case goesOn
        /// An event of the process `life`; later ones do not hear it.
        case told(life: Int, OperatorEvent)
        case tick(life: Int)
        case probe(life: Int, ServerID)
        case probeAnswers(life: Int, ServerID, incarnation: Int, askedAt: Instant)
        case backupDue
        case effectDue(life: Int, number: Int)
        /// A server that was asked to stop waits no longer for who is to lead after it.
        case serverLeaves(ServerID, incarnation: Int)
        /// A signalled server ends.
        case serverEnds(ServerID, incarnation: Int, ExitCause)
        case fault
        case ambush(OperatorAmbush.Strike, ServerID)
        case hearingFault
        case directoryReadable(ServerID)
        case absence
        case mounted(ServerID)
        case unmounted(ServerID)
        case promiseLost(ServerID)
        case personHelps
        case archiveReturns
        case personAsks
    }

    /// Work on files that is under way.
    struct Effect: Sendable {
        var number: Int
        var action: OperatorAction
    }

    let policy: OperatorPolicy
    let fingerprints: [MemberFingerprint]
    /// Its hands' and its processes' chances; faults and people draw from streams of their own.
    var random: SeededRandom
    var faultRandom: SeededRandom
    var personRandom: SeededRandom
    var hearingRandom: SeededRandom
    var absenceRandom: SeededRandom
    /// For people who change their minds.
    var mindRandom: SeededRandom
    /// A person was told that nothing voluntary is begun.
    var isPaused = false
    /// The requests that ask for that, and those that take it back.
    var pauses: [String: Bool] = [:]
    /// Requests to cancel, and what.
    var cancellations: [String: String] = [:]
    /// By request: whether whoever asked for the restore is still there to be answered.
    var restores: [String: Bool] = [:]
    var ambushRandom: SeededRandom

    /// The state directory.
    var ledger: Ledger
    var intents = Intents()
    var history = History()
    var archive = SimArchive()
    /// By member: what it has told this daemon and those before it.
    var vouched: [Vouched]
    /// By member: the epoch that it has told of while it served, as the zxid before its first.
    var served: [Vouched]
    /// The highest epoch that any of them has told, as the zxid before its first.
    var promised = Vouched()
    /// Launched, and this daemon has not heard so yet.
    var launchesUnheard: Set<ServerID> = []
    /// A daemon died while it moved their directories, and none has launched them since: what a person starts there may be
    /// a part of what was.
    var perhapsMoved: Set<ServerID> = []
    /// By member: what was moved there, oldest first.
    var quarantine: [[SimDisk]]

    /// The process; nil while there is none.
    var machine: OperatorMachine?
    /// Processes so far.
    var life = 0
    var isFrozen = false
    /// What waits for a frozen process.
    var waiting: [OperatorEvent] = []
    var effects: [Effect] = []
    var effectCount = 0
    /// Answers since a member's directory was last looked at.
    var looks: [Int]
    /// Servers that an earlier process started: the kernel does not tell this one how they end.
    var adopted: Set<ServerID> = []
    var link = OperatorLink()
    /// Sessions that made the lock's node, the newest last; on the daemon's disk.
    var leftSessions: [OperatorLink.Left] = []
    /// The session that this process acquired the lock with last.
    var lockSession: SessionID = 0
    var requestCount = 0
    /// What a person asks of the next process at once.
    var askedAtStart: OperatorRequest?
    /// When it wrote down what it is at, of late.
    var savedAt = FIFO<Instant>()
    /// The member that has told this process last that it leads.
    var toldLeader: ServerID?
    var lostMajority: LostMajority?
    /// How often in a row this process has seen all servers live.
    var attendance = 0
    /// One of them has for seconds: it knows that they have run, whoever it has heard.
    var hasAttended = false
    /// The restore for which the world has taken note that history goes back.
    var restoreNoted: String?

    /// - Parameter bug: one that lives in its policy.
    init(servers: Int, seed: UInt64, bug: DeliberateBug?) {
        let members = (1...servers).map {
            MemberDeclaration(
                id: $0, host: "127.0.0.1", clientPort: 100 + $0, quorumPort: 200 + $0, electionPort: 300 + $0)
        }
        var manifest = Manifest(cluster: "simulated", members: members)
        manifest.settings.tickTime = .milliseconds(200)
        manifest.settings.initLimit = 5
        manifest.settings.syncLimit = 4
        manifest.restart.initialDelay = .milliseconds(100)
        manifest.restart.maximumDelay = .seconds(2)
        manifest.restart.giveUpAfter = 1000
        manifest.restart.soak = .seconds(1)
        manifest.reseed.perMemberPerHour = 60
        manifest.reseed.perDay = 1000
        manifest.limits.stopTimeout = .seconds(2)
        var policy = OperatorPolicy(manifest)
        if bug == .promiseWaitSkipped { policy.promiseLifetime = .zero }
        self.policy = policy
        fingerprints = members.map { MemberFingerprint(member: $0.id, fingerprint: Fingerprint()) }
        ledger = Ledger(cluster: "simulated")
        random = SeededRandom(seed: seed ^ 0x0bead)
        faultRandom = SeededRandom(seed: seed ^ 0x0bead_fa17)
        personRandom = SeededRandom(seed: seed ^ 0x0bead_9e50)
        hearingRandom = SeededRandom(seed: seed ^ 0x0bead_ea55)
        absenceRandom = SeededRandom(seed: seed ^ 0x0bead_ab5e)
        mindRandom = SeededRandom(seed: seed ^ 0x00d_313d)
        ambushRandom = SeededRandom(seed: seed ^ 0x0bead_a3b5)
        quarantine = Array(repeating: [], count: servers)
        looks = Array(repeating: 0, count: servers)
        vouched = Array(repeating: Vouched(), count: servers)
        served = vouched
    }
}

extension World {
    /// Whether a real operator drives the processes.
    var isOperated: Bool { daemon != nil }

    mutating func schedule(_ event: SimOperator.Event, in delay: Duration) { schedule(.operated(event), in: delay) }

    mutating func handle(_ event: SimOperator.Event) {
        guard let daemon else { return }
        switch event {
        case .starts: startDaemon()
        case .goesOn: thawDaemon()
        case .told(let life, let event):
            guard life == daemon.life else { return }
            hear(event)
        case .tick(let life):
            guard life == daemon.life, daemon.machine != nil else { return }
            schedule(.tick(life: life), in: .milliseconds(200))
            if !daemon.isFrozen { hear(.timePassed) }
            attend()
        case .probe(let life, let id): probe(id, life: life)
        case .probeAnswers(let life, let id, let incarnation, let askedAt):
            answerProbe(of: id, incarnation: incarnation, askedAt: askedAt, life: life)
        case .backupDue:
            guard clientsEnabled else { return }
            schedule(.backupDue, in: .milliseconds(Int64.random(in: 4_000...9_000, using: &self.daemon!.random)))
            hear(.backupDue)
        case .effectDue(let life, let number): effectDue(number, life: life)
        case .serverLeaves(let id, let incarnation):
            guard isRunning(id, incarnation), !waitsForThaw(id, event) else { return }
            leave(id)
        case .serverEnds(let id, let incarnation, let cause):
            guard isRunning(id, incarnation), cause != .clean || !waitsForThaw(id, event) else { return }
            end(id, cause)
        case .fault: injectOperatorFault()
        case .ambush(let strike, let id): self.strike(strike, id)
        case .hearingFault: injectHearingFault()
        case .directoryReadable(let id): servers[index(id)].isUnreadable = false
        case .absence: injectAbsence()
        case .mounted(let id): mount(id)
        case .unmounted(let id): if faultsEnabled { mountLate(id) }
        case .promiseLost(let id): losePromise(of: id)
        case .personHelps: helpMajority()
        case .archiveReturns:
            guard !daemon.archive.isReachable else { return }
            record("the archive is back")
            self.daemon!.archive.isReachable = true
        case .personAsks: askSomething()
        }
    }

    // MARK: The daemon's process

    private mutating func startDaemon() {
        guard var daemon, daemon.machine == nil else { return }
        daemon.life += 1
        record("daemon \(daemon.life) starts")
        daemon.isFrozen = false
        daemon.waiting = []
        daemon.lockSession = 0
        daemon.toldLeader = nil
        daemon.looks = daemon.looks.map { _ in 0 }
        daemon.lostMajority?.told = []
        daemon.machine = OperatorMachine(
            policy: daemon.policy, fingerprints: daemon.fingerprints, ledger: daemon.ledger, intents: daemon.intents,
            history: daemon.history, seed: daemon.random.next(), origin: WallTime(milliseconds: 1_700_000_000_000))
        daemon.adopted = Set(servers.filter { $0.machine != nil }.map(\.id))
        self.daemon = daemon
        let life = daemon.life
        // S9: what lives is adopted before anything is decided.
        for server in servers where server.machine != nil {
            hear(.adopted(Int(server.id), pid: Int32(server.id), fingerprint: Fingerprint()))
        }
        guard self.daemon?.life == life, self.daemon?.machine != nil else { return }
        listBackups()
        tell(.timePassed)
        if let request = self.daemon!.askedAtStart.take() { ask(request) }
        schedule(.tick(life: life), in: .milliseconds(200))
        for server in servers { schedule(.probe(life: life, server.id), in: .milliseconds(10)) }
    }

    private mutating func attend() {
        guard daemon!.machine != nil, !daemon!.isFrozen, servers.allSatisfy({ $0.machine != nil }) else {
            return daemon!.attendance = 0
        }
        daemon!.attendance += 1
        if daemon!.attendance > 10 { daemon!.hasAttended = true }
    }

    /// kill -9: what was not written down is forgotten, servers live on.
    mutating func crashDaemon() {
        guard daemon?.machine != nil else { return }
        record("the daemon crashes")
        endDaemon()
        let longest: Int64 = Int.random(in: 0..<8, using: &daemon!.faultRandom) == 0 ? 10_000 : 2_000
        schedule(.starts, in: .milliseconds(Int64.random(in: 50...longest, using: &daemon!.faultRandom)))
    }

    /// The process is gone. Each effect under way is done wholly or not at all.
    mutating func endDaemon() {
        let effects = daemon!.effects
        daemon!.effects = []
        for case .quarantine(let id, _, _) in effects.map(\.action) { daemon!.perhapsMoved.insert(ServerID(id)) }
        for effect in effects where Bool.random(using: &daemon!.random) { _ = carryOut(effect.action) }
        daemon!.machine = nil
        daemon!.isFrozen = false
        daemon!.attendance = 0
        daemon!.launchesUnheard = []
        daemon!.life += 1
        for i in servers.indices {
            daemon!.vouched[i].daemonDied()
            daemon!.served[i].daemonDied()
        }
        daemon!.promised.daemonDied()
        dropLink()
    }

    mutating func thawDaemon() {
        guard daemon?.machine != nil, daemon?.isFrozen == true else { return }
        record("the daemon goes on")
        daemon!.isFrozen = false
        let waiting = daemon!.waiting
        daemon!.waiting = []
        let life = daemon!.life
        for event in waiting where daemon!.life == life { hear(event) }
    }

    /// Puts an event into the daemon's queue: it is heard in this instant, behind what was put there before.
    mutating func tell(_ event: OperatorEvent, in delay: Duration = .zero) {
        guard let daemon, daemon.machine != nil else { return }
        schedule(.told(life: daemon.life, event), in: delay)
    }

    /// One step of the core, and its actions.
    mutating func hear(_ told: OperatorEvent) {
        guard daemon?.machine != nil, checkers.verdict.violation == nil else { return }
        guard let event = bug == nil ? told : sabotaged(told) else { return }
        if daemon!.isFrozen { return daemon!.waiting.append(event) }
        if case .answered(let id, let answer) = told {
            if let durable = answer.durable { daemon!.vouched[id - 1].hears(Zxid(rawValue: durable), at: now) }
            if answer.role.serves { daemon!.served[id - 1].hears(Zxid(rawValue: (answer.zxid >> 32) << 32), at: now) }
            if let epoch = answer.acceptedEpoch { daemon!.promised.hears(Zxid(rawValue: epoch << 32), at: now) }
        }
        if case .answered(let id, let answer) = told {
            if answer.role == .leading { daemon!.toldLeader = ServerID(id) }
            if answer.role != .leading, daemon!.toldLeader == ServerID(id) { daemon!.toldLeader = nil }
        }
        noteLoss(told)
        let life = daemon!.life
        var buffer = ActionBuffer<OperatorAction>()
        daemon!.machine!.step(event, at: now, into: &buffer)
        var actions = buffer.drain()
        if bug != nil { sabotage(&actions) }
        for action in actions {
            guard daemon!.life == life, daemon!.machine != nil else { return }
            if crashesBefore(action) { return crashDaemon() }
            perform(action)
            if plan.operatorMoment != nil { spring(on: action) }
        }
        if case .launched(let id, _, _) = told { daemon!.launchesUnheard.remove(ServerID(id)) }
        for i in servers.indices {
            daemon!.vouched[i].stepped(at: now)
            daemon!.served[i].stepped(at: now)
        }
        daemon!.promised.stepped(at: now)
    }

    /// S9 is asked at every boundary between two actions.
    private mutating func crashesBefore(_ action: OperatorAction) -> Bool {
        guard faultsEnabled, plan.operatorFaults.contains(.crashes) else { return false }
        let odds =
            switch action {
            case .note, .answer: 0
            case .saveLedger: 100
            default: 30
            }
        return odds > 0 && Int.random(in: 0..<odds, using: &daemon!.faultRandom) == 0
    }
}
