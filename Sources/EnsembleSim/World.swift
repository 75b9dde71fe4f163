import EnsembleBase
import KeeperCore

/// A world of servers, disks, a network and clients, in which everything follows from the seed.
///
/// It runs the real `KeeperMachine`s. Virtual time jumps from event to event; nothing outside the seed is random or
/// timed; collections are walked in a fixed order. Faults and clients draw from streams of their own, so that leaving
/// out one (`Shrinking`) leaves the others what they were for as long as possible.
package struct World {
    enum Event: Sendable {
        case wakeServer(ServerID, incarnation: Int)
        case notification(from: ServerID, to: ServerID, Notification)
        case linkDelivery(link: Int, toLeader: Bool)
        case linkOpened(link: Int)
        case linkClosed(link: Int, atLeader: Bool)
        case lateUpToDate(LearnerID)
        case laneTurn(ServerID, incarnation: Int, SimLane)
        case loopTurn(ServerID, incarnation: Int)
        case diskFreed(ServerID)
        case restart(ServerID)
        case crash(ServerID)
        case thaw(ServerID)
        case heal
        case fault
        /// An ambush strikes.
        case blow(FaultAtlas, ServerID)
        /// What an isolated leader still hears falls silent, too.
        case deafened(ServerID)
        /// A leader is left behind.
        case depose
        /// A client moves to this server, of all.
        case lured(Int, ServerID)
        case stutter(ServerID)
        case lull
        case clientTurn(Int)
        case clientDelivery(Int, connection: UInt64, ToClient)
        case serverDelivery(ServerID, client: Int, connection: UInt64, KeeperEvent)
        case clockTick(ServerID, incarnation: Int)
        case operated(SimOperator.Event)
        /// Deliberate bugs'.
        case earlySnapshot(ServerID, incarnation: Int, start: Zxid, FuzzyCopy)
        case lie(ServerID, incarnation: Int, KeeperEvent)
    }

    enum ToClient: Sendable {
        case connected(ConnectResponse)
        case reply(Reply)
        case event(WatchEvent)
        case closed
    }

    package let plan: Plan
    package internal(set) var now = Instant.origin
    /// The network's and the disks'.
    var random: SeededRandom
    var faultRandom: SeededRandom
    var lullRandom: SeededRandom
    /// What befalls small files.
    var fileRandom: SeededRandom
    /// What befalls copies of them.
    var copyRandom: SeededRandom
    /// When disks say what they have done.
    var answerRandom: SeededRandom
    var sleepRandom: SeededRandom
    var queue = EventQueue<Event>()
    var servers: [SimServer] = []
    /// Learner connections, by number; never reused.
    var links: [SimLink] = []
    /// Directed pairs of servers between which nothing passes.
    var cuts = ServerPairs()
    var slowPairs = ServerPairs()
    var clients: [SimClient] = []
    /// The operator that drives the servers' processes; nil: the world itself does.
    var daemon: SimOperator?
    var nextConnection: UInt64 = 0
    var faultsEnabled = true
    /// Those of the atlas, in the order of their bits.
    let enabledFaults: [FaultAtlas]
    var clientsEnabled = true
    /// Faults are over, and everyone has had time to come back.
    var isPeaceful = false
    /// One that speaks as Apache's server does.
    var apachePeer: ApachePeer?
    /// The host's last sleep.
    var hostSleep: HostSleep?
    /// A fault that waits for its moment.
    var ambush: Ambush?
    /// Clients are silent until then.
    var lullEnd = Instant.origin
    var sabotage = SabotageMemory()
    package internal(set) var checkers: Checkers
    package internal(set) var stepCount = 0
    package internal(set) var trace = Trace()
    /// FNV-1a over every happening: two runs of one seed must agree.
    package internal(set) var fingerprint: UInt64 = 0xcbf2_9ce4_8422_2325

    var bug: DeliberateBug? { plan.bug }
    var atlas: FaultAtlas { plan.atlas }
    var usesBytes: Bool { plan.usesBytes }

    package init(_ plan: Plan) {
        self.plan = plan
        enabledFaults = FaultAtlas.named.map(\.fault).filter(plan.atlas.contains)
        random = SeededRandom(seed: plan.seed)
        faultRandom = SeededRandom(seed: plan.seed ^ 0xfa17)
        lullRandom = SeededRandom(seed: plan.seed ^ 0x1011)
        fileRandom = SeededRandom(seed: plan.seed ^ 0xf11e)
        copyRandom = SeededRandom(seed: plan.seed ^ 0xc09e)
        answerRandom = SeededRandom(seed: plan.seed ^ 0xa15e)
        sleepRandom = SeededRandom(seed: plan.seed ^ 0x51ee)
        checkers = Checkers(members: plan.servers, outsideOnly: plan.outsideOnly, only: plan.only)
        checkers.proposals.epochLength = plan.epochLength ?? .max
        let ids = (1...Int64(plan.servers)).map { ServerID($0) }
        for id in ids {
            var configuration = KeeperConfiguration(
                serverID: id, voters: ids, standalone: plan.servers == 1, tickTime: .milliseconds(200), initLimit: 5, syncLimit: 4,
                snapCount: plan.snapCount, windowCount: plan.windowCount, containerSweepInterval: .seconds(3))
            if let length = plan.epochLength { configuration.epochLength = length }
            servers.append(SimServer(id: id, configuration: configuration, smallFiles: plan.smallFiles, seed: random.next()))
        }
        for server in servers { server.disk.drive.faults.lies = liesOfDisks }
        apachePeer = plan.apachePeer.map { ApachePeer(id: $0, seed: plan.seed) }
        var rates = SeededRandom(seed: plan.seed ^ 0xc10c)
        if plan.clocksDrift {
            for index in servers.indices { servers[index].clockRate = Int64.random(in: 900...1_100, using: &rates) }
        }
        for index in 0..<plan.clients { clients.append(SimClient(index: index, seed: plan.seed)) }
        if plan.isOperated {
            clients.append(SimClient(index: plan.clients, seed: plan.seed))
            daemon = SimOperator(servers: plan.servers, seed: plan.seed, bug: plan.bug)
            schedule(.starts, in: .milliseconds(10))
            schedule(.backupDue, in: .seconds(3))
            schedule(SimOperator.Event.fault, in: .seconds(2))
            schedule(.personAsks, in: .seconds(4))
            if plan.deafAtFirst { hearNobodyAtFirst() }
            if plan.confusesDisks, plan.operatorFaults.contains(.lateMounts) { beginUnmounted() }
            if !plan.operatorFaults.isDisjoint(with: .ofHearing) { schedule(.hearingFault, in: .seconds(3)) }
            if !plan.operatorFaults.isDisjoint(with: .ofAbsence) { schedule(.absence, in: .seconds(plan.deafAtFirst ? 3 : 5)) }
        } else {
            if plan.wasApaches { takeOverFromApache() } else { for id in ids { setInitialize(of: id, true) } }
            for id in ids { schedule(.restart(id), in: .milliseconds(Int64.random(in: 0...50, using: &random))) }
        }
        for index in clients.indices { schedule(.clientTurn(index), in: .milliseconds(100 + Int64(index))) }
        schedule(Event.fault, in: .seconds(2))
        if plan.luresClients, plan.servers > 2, plan.atlas.contains(.isolatedLeaders) { schedule(.depose, in: .seconds(3)) }
        if plan.lulls { schedule(.lull, in: .seconds(1)) }
    }

    mutating func schedule(_ event: Event, in delay: Duration) { queue.schedule(event, at: now + delay) }

    func index(_ id: ServerID) -> Int { Int(id) - 1 }

    /// Runs until `end`, or until a checker has found something.
    package mutating func run(until end: Instant) {
        while let next = queue.nextTime, next <= end, checkers.verdict.violation == nil {
            guard let (time, event) = queue.popFirst() else { return }
            now = time
            stepCount += 1
            handle(event)
        }
        if checkers.verdict.violation == nil { now = max(now, end) }
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .wakeServer(let id, let incarnation):
            guard isRunning(id, incarnation), !servers[index(id)].isFrozen else { return }
            servers[index(id)].armed = nil
            if let deadline = servers[index(id)].machine?.deadline, clock(of: id) >= deadline {
                step(id, .deadlineReached)
            } else {
                arm(id)
            }
        case .clockTick(let id, let incarnation):
            guard isRunning(id, incarnation) else { return }
            schedule(.clockTick(id, incarnation: incarnation), in: .seconds(1))
            deliver(.clockRead(wall(of: id)), to: id)
        case .notification(let sender, let receiver, let message):
            deliver(.notificationReceived(from: sender, message), to: receiver)
        case .linkDelivery(let link, let toLeader): deliverOnLink(link, toLeader: toLeader)
        case .linkOpened(let link): openLink(link)
        case .linkClosed(let link, let atLeader): linkEnded(link, atLeader: atLeader)
        case .lateUpToDate(let learner): sayUpToDate(learner)
        case .laneTurn(let id, let incarnation, let lane):
            guard isRunning(id, incarnation) else { return }
            laneTurn(of: id, lane)
        case .loopTurn(let id, let incarnation):
            guard isRunning(id, incarnation) else { return }
            loopTurn(of: id)
        case .diskFreed(let id): servers[index(id)].disk.drive.faults.isFull = false
        case .earlySnapshot(let id, let incarnation, let start, let copy):
            guard isRunning(id, incarnation) else { return }
            nameSnapshotEarly(of: id, start: start, copy)
        case .lie(let id, let incarnation, let event):
            guard isRunning(id, incarnation) else { return }
            deliver(event, to: id)
        case .restart(let id): start(id)
        case .crash(let id): scheduledCrash(id)
        case .thaw(let id): thaw(id)
        case .heal: heal()
        case .fault: injectFault()
        case .blow(let fault, let id): if faultsEnabled { strike(fault, id) }
        case .deafened(let id): deafen(id)
        case .depose: deposeSomeLeader()
        case .lured(let client, let id): lure(client, to: id)
        case .stutter(let id): stutter(id)
        case .lull: beginLull()
        case .clientTurn(let client):
            if isOperated, client == linkClient { linkTurn(client) } else { clientTurn(client) }
        case .clientDelivery(let client, let connection, let message): clientReceived(client, connection, message)
        case .serverDelivery(let id, let client, let connection, let event):
            serverReceived(id, client, connection, event)
        case .operated(let event): handle(event)
        }
    }

    func isRunning(_ id: ServerID, _ incarnation: Int) -> Bool {
        servers[index(id)].incarnation == incarnation && servers[index(id)].machine != nil
    }

    mutating func record(_ happening: @autoclosure () -> String) {
        let text = happening()
        for byte in text.utf8 { fingerprint = (fingerprint ^ UInt64(byte)) &* 0x100_0000_01b3 }
        fingerprint ^= UInt64(bitPattern: now.nanoseconds)
        trace.add(text, at: now)
    }
}

/// Directed pairs of servers: a bit for each, since every message asks.
struct ServerPairs: Sendable {
    private var bits: UInt64 = 0

    var isEmpty: Bool { bits == 0 }
    func contains(from: ServerID, to: ServerID) -> Bool { bits & ServerPairs.bit(from, to) != 0 }
    mutating func insert(from: ServerID, to: ServerID) { bits |= ServerPairs.bit(from, to) }
    mutating func removeAll() { bits = 0 }

    /// Ids are 1 to 7.
    private static func bit(_ from: ServerID, _ to: ServerID) -> UInt64 { 1 << UInt64(from * 8 + to) }
}

/// The happenings of a run, in words: the last few hundred of them.
package struct Trace: Sendable {
    package private(set) var lines: [String] = []
    private static let limit = 400

    mutating func add(_ text: String, at now: Instant) {
        if lines.count >= Trace.limit * 2 { lines.removeFirst(Trace.limit) }
        lines.append("\(now.nanoseconds / 1_000_000) ms  \(text)")
    }
}
