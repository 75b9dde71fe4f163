import EnsembleBase
import KeeperCodec
import KeeperCore
import Logging
import NIOCore

/// The machine's hands: one event loop that owns the machine, its timer, and everything that it acts upon. It decides
/// nothing. Loop-bound.
package final class KeeperShell {
    package let turn: LoopTurn
    package let clients: ClientTable
    package let disk: Disk
    let network: any Network
    /// nil in a standalone server.
    package let peers: PeerNetwork?
    package private(set) var machine: KeeperMachine
    /// For whoever judges whole servers: sees each step's event and what it asks for before that is done, and may change
    /// it. nil in production.
    package var stepped: ((KeeperEvent, inout [KeeperAction]) -> Void)?
    /// As the last step has left it.
    private var aftermath = KeeperMachine.Aftermath()
    private let configuration: ServerConfiguration
    private let wallTime: () -> WallTime
    private let statistics: ServerStatistics
    private let log: Logger
    private let started: Instant
    private var leadingSince: Instant?

    private var buffer = ActionBuffer<KeeperAction>()
    private var spare: [KeeperAction] = []
    private static let keptActions = 8192
    /// Sizes of what the machine has appended and not committed, oldest first.
    private var held = FIFO<Int>()
    private var timer: Scheduled<Void>?
    private var timerDeadline = Instant.distantFuture
    private var clock: Scheduled<Void>?
    /// Nothing is stepped, sent or written any more.
    private var isHalted = false
    private let fatal: (ServerExitReport) -> Void
    /// Set by `stop`: called as soon as this member leads no longer.
    private var steppedDown: (() -> Void)?

    package init(
        configuration: ServerConfiguration, addresses: PeerAddresses?, host: ServerHost, seed: UInt64, log: Logger,
        fatal: @escaping (ServerExitReport) -> Void
    ) {
        self.configuration = configuration
        network = host.network
        wallTime = host.wallTime
        self.log = log
        self.fatal = fatal
        let turn = LoopTurn(eventLoop: host.eventLoop, budget: MemoryBudget(limit: configuration.memoryBudget ?? SystemMemory.budget))
        self.turn = turn
        started = turn.now
        statistics = ServerStatistics()
        clients = ClientTable(turn: turn, policy: configuration.clientPolicy, statistics: statistics)
        machine = KeeperMachine(configuration: configuration.machineConfiguration, seed: seed)
        disk = Disk(turn: turn, host: host, configuration: configuration, statistics: statistics, log: log, fatal: fatal)
        peers = addresses.flatMap {
            PeerNetwork(turn: turn, network: host.network, configuration: configuration, addresses: $0, seed: seed, log: log)
        }
        turn.step = { [unowned self] event, now in step(event, at: now) }
        turn.submit = { [unowned self] in disk.submit() }
        clients.warn = { log.warning("\($0)") }
        clients.capacity = Descriptors.forClients(members: configuration.members.count)
        clients.answerSize = { [unowned self] request, session, least in
            machine.answerSize(to: request, from: session, least: least, upTo: ClientConnection.outputMark)
        }
        clients.answerLater = { [unowned self] word in directories(for: word) }
        clients.answer = { [unowned self] word in Array(view.answer(word).utf8) }
    }

    /// Reads the disk; the first event but for the clock is `recovered`.
    package func start() {
        tick()
        disk.recover()
    }

    /// Once a second.
    private func tick() {
        guard !isHalted else { return }
        let wall = wallTime()
        clients.wallTime = wall
        turn.raise(.clockRead(wall))
        clients.closeOverdue(at: turn.now)
        clock = turn.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) { [unowned self] in tick() }
    }

    var status: KeeperStatus { machine.status }

    /// The first part of an orderly stop: a leader hands over. `done` is called once, when this member doesn't lead, or
    /// after `limit`. From then on it is silent in elections: its vote could make it the leader again.
    func stop(within limit: TimeAmount, _ done: @escaping () -> Void) {
        steppedDown = done
        turn.raise(.handOffRequested)
        leaveIfPossible()
        turn.eventLoop.assumeIsolated().scheduleTask(in: limit) { [weak self] in self?.leave() }
    }

    private func leaveIfPossible() {
        if steppedDown != nil, machine.status.role != .leading { leave() }
    }

    private func leave() {
        guard let steppedDown else { return }
        self.steppedDown = nil
        halt()
        steppedDown()
    }

    /// Ends all activity at once: for a failure that makes going on unsafe.
    package func halt() {
        isHalted = true
        clock?.cancel()
        timer?.cancel()
    }

    // MARK: stepping

    private func step(_ event: KeeperEvent, at now: Instant) {
        guard !isHalted else { return }
        aftermath = machine.step(event, at: now, into: &buffer)
        buffer.exchange(with: &spare)
        stepped?(event, &spare)
        for action in spare {
            if isHalted { break }
            perform(action)
        }
        // One transaction may have told millions of watchers.
        if spare.capacity > KeeperShell.keptActions { spare = [] } else { spare.removeAll(keepingCapacity: true) }
        releaseCommitted()
        leaveIfPossible()
        armTimer()
    }

    /// Re-armed only when the deadline moved earlier: one that moved later is noticed when the timer fires.
    private func armTimer() {
        guard !isHalted, let deadline = aftermath.deadline, deadline < timerDeadline else { return }
        timer?.cancel()
        timerDeadline = deadline
        let at = NIODeadline.uptimeNanoseconds(UInt64(clamping: deadline.nanoseconds))
        timer = turn.eventLoop.assumeIsolated().scheduleTask(deadline: at) { [unowned self] in timerFired() }
    }

    private func timerFired() {
        timer = nil
        timerDeadline = .distantFuture
        guard !isHalted else { return }
        if let deadline = aftermath.deadline, deadline <= turn.now {
            turn.raise(.deadlineReached)
        }
        armTimer()
    }

    // MARK: acting

    private func perform(_ action: KeeperAction) {
        switch action {
        case .reply(let id, let reply): clients[id]?.send(reply)
        case .connectReply(let id, let response): clients[id]?.send(response)
        case .watchEvent(let id, let event): clients[id]?.send(event)
        case .closeClient(let id): clients[id]?.close()

        case .append(let entry):
            hold(entry)
            disk.append(entry)
        case .saveEpochs(let accepted, let current): disk.saveEpochs(accepted: accepted, current: current)
        case .truncateLog(let zxid): disk.truncateLog(to: zxid)
        case .installSnapshot(let tree, let entries, let accepted, let current):
            disk.install(tree, entries: entries, accepted: accepted, current: current)
        case .takeSnapshot(_, let needed): disk.takeSnapshot(needed: needed) { [unowned self] in machine.tree }
        case .readLog(let learner, let zxid, let end): disk.readLog(for: learner, behind: zxid, upTo: end)
        case .clearRecoveringMark: disk.clearRecoveringMark()
        case .markDoubt(let leader): disk.markDoubt(leader: leader)

        case .propose(let entry, let learners):
            statistics.proposals += 1
            // Serialised once: the same bytes go to the learners and to the log. The learners come first; their disks
            // work while ours does.
            var encoded = entry
            let payload = entry.payload
            encoded.encoded = payload
            hold(encoded)
            statistics.proposalSizes.add(payload.count)
            peers?.send(.proposal(encoded), to: learners)
            disk.append(encoded)
        case .commit(let zxid, let learners):
            statistics.commits += 1
            peers?.send(.commit(zxid), to: learners)

        case .sendNotification, .openLearnerPort, .closeLearnerPort, .sendToLearner, .sendSnapshot, .awaitLearner,
            .closeLearner, .connectToLeader, .sendToLeader, .pauseLeader, .resumeLeader, .disconnectFromLeader:
            performOnNetwork(action)

        case .note(let note): say(note)
        case .halt(let reason): fatal(ServerExitReport(exit: .internalError, message: reason))
        }
    }

    private func performOnNetwork(_ action: KeeperAction) {
        guard let peers else { return }
        switch action {
        case .sendNotification(let server, let notification):
            if steppedDown == nil { peers.election.send(notification, to: server) }
        case .openLearnerPort: peers.learners.open()
        case .closeLearnerPort: peers.learners.close()
        case .sendToLearner(let id, let packet): peers.learners[id]?.send(packet)
        case .sendSnapshot(let id, let zxid):
            peers.learners[id]?.send(snapshotAt: zxid) { [unowned self] in machine.tree }
        case .awaitLearner(let id): peers.learners[id]?.awaitRoom()
        case .closeLearner(let id): peers.learners[id]?.close()
        case .connectToLeader(let server):
            let limit = configuration.tickTime * configuration.initLimit
            peers.leader.connect(to: server, within: .nanoseconds(limit.inNanoseconds))
        case .sendToLeader(let packet): peers.leader.send(packet)
        case .pauseLeader: peers.leader.read(false)
        case .resumeLeader: peers.leader.read(true)
        case .disconnectFromLeader: peers.leader.disconnect()
        default: break
        }
    }

    // MARK: holding

    /// What is appended is held until it is committed, or given up with its role.
    private func hold(_ entry: LogEntry) {
        let size = entry.payload.count
        held.append(size)
        turn.budget.charge(size)
    }

    private func releaseCommitted() {
        while held.count > aftermath.outstandingEntries, let size = held.popFirst() { turn.budget.release(size) }
        if clients.room.isWanted { clients.room.admit() }
    }

    // MARK: telling

    /// `dirs`: its answer needs the disk.
    private func directories(for word: FourLetterWord) -> EventLoopFuture<[UInt8]>? {
        guard word == .dirs, configuration.allowedWords.contains(word.rawValue), machine.isServing else { return nil }
        return disk.sizes().map { Array(ServerView.directoriesText(snapshots: $0.snapshots, logs: $0.logs).utf8) }
    }

    private func say(_ note: KeeperNote) {
        switch note {
        case .leading, .standalone: leadingSince = turn.now
        case .looking, .roleEnded: leadingSince = nil
        default: break
        }
        statistics.count(note)
        log.log(level: note.level, "\(note.sentence)")
    }

    private var view: ServerView {
        ServerView(
            configuration: configuration, status: machine.status, tree: machine.tree, watches: machine.watchTable,
            clients: clients, statistics: statistics, uptime: turn.now - started,
            leaderUptime: leadingSince.map { turn.now - $0 }, descriptors: .current)
    }
}
