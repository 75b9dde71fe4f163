import EnsembleBase
import KeeperCore

/// A world of servers, disks, a network and clients, in which everything follows from the seed.
///
/// It runs the real `KeeperMachine`s. Virtual time jumps from event to event; nothing outside the seed is random or
/// timed; collections are walked in a fixed order.
package struct World {
    enum Event {
        case wakeServer(ServerID, incarnation: Int)
        case notification(from: ServerID, to: ServerID, Notification)
        case linkDelivery(link: Int, toLeader: Bool)
        case linkOpened(link: Int)
        case linkClosed(link: Int, atLeader: Bool)
        case diskDone(ServerID, incarnation: Int)
        case restart(ServerID)
        case thaw(ServerID)
        case heal
        case fault
        case clientTurn(Int)
        case clientDelivery(Int, connection: UInt64, ToClient)
        case serverDelivery(Int, connection: UInt64, KeeperEvent)
        case clockTick(ServerID, incarnation: Int)
    }

    enum ToClient {
        case connected(ConnectResponse)
        case reply(Reply)
        case event(WatchEvent)
        case closed
    }

    package let seed: UInt64
    package let atlas: FaultAtlas
    package internal(set) var now = Instant.origin
    var random: SeededRandom
    var queue = EventQueue<Event>()
    var servers: [SimServer] = []
    /// Learner connections, by number; never reused.
    var links: [SimLink] = []
    /// Directed pairs of servers between which nothing passes.
    var cuts: Set<ServerPair> = []
    var clients: [SimClient] = []
    var nextConnection: UInt64 = 0
    var faultsEnabled = true
    var clientsEnabled = true
    /// Sensitivity: a deliberate bug, switched on by tests to show that the checkers see it.
    let bug: DeliberateBug?
    package internal(set) var checker = HistoryChecker()
    package internal(set) var stepCount = 0
    /// The last happenings, for a person: kept short unless asked for more.
    package internal(set) var trace = Trace()
    /// FNV-1a over every happening: two runs of one seed must agree.
    package internal(set) var fingerprint: UInt64 = 0xcbf2_9ce4_8422_2325

    package init(seed: UInt64, servers count: Int, clients clientCount: Int, atlas: FaultAtlas, bug: DeliberateBug? = nil) {
        self.seed = seed
        self.atlas = atlas
        self.bug = bug
        random = SeededRandom(seed: seed)
        let ids = (1...Int64(count)).map { ServerID($0) }
        let window = [10, 200, 5_000][Int.random(in: 0..<3, using: &random)]
        for id in ids {
            let configuration = KeeperConfiguration(
                serverID: id, voters: ids, tickTime: .milliseconds(200), initLimit: 5, syncLimit: 4, snapCount: 800,
                windowCount: window)
            servers.append(SimServer(id: id, configuration: configuration))
        }
        for index in 0..<clientCount { clients.append(SimClient(index: index)) }
        for id in ids { schedule(.restart(id), in: .milliseconds(Int64.random(in: 0...50, using: &random))) }
        for index in 0..<clientCount { schedule(.clientTurn(index), in: .milliseconds(100 + Int64(index))) }
        schedule(.fault, in: .seconds(2))
    }

    mutating func schedule(_ event: Event, in delay: Duration) { queue.schedule(event, at: now + delay) }

    func index(_ id: ServerID) -> Int { Int(id) - 1 }

    /// Runs until `end`, or until a checker has found something.
    package mutating func run(until end: Instant) {
        while let next = queue.nextTime, next <= end, checker.violation == nil {
            guard let (time, event) = queue.popFirst() else { return }
            now = time
            stepCount += 1
            handle(event)
        }
        now = max(now, end)
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .wakeServer(let id, let incarnation):
            guard isRunning(id, incarnation) else { return }
            servers[index(id)].armed = nil
            if let deadline = servers[index(id)].machine?.deadline, now >= deadline {
                step(id, .deadlineReached)
            } else {
                arm(id)
            }
        case .clockTick(let id, let incarnation):
            guard servers[index(id)].incarnation == incarnation, servers[index(id)].machine != nil else { return }
            schedule(.clockTick(id, incarnation: incarnation), in: .seconds(1))
            step(id, .clockRead(WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000 + servers[index(id)].clockOffset)))
        case .notification(let sender, let receiver, let message):
            deliver(.notificationReceived(from: sender, message), to: receiver)
        case .linkDelivery(let link, let toLeader): deliverOnLink(link, toLeader: toLeader)
        case .linkOpened(let link): openLink(link)
        case .linkClosed(let link, let atLeader): linkEnded(link, atLeader: atLeader)
        case .diskDone(let id, let incarnation):
            guard servers[index(id)].incarnation == incarnation, servers[index(id)].machine != nil else { return }
            diskFinished(id)
        case .restart(let id): start(id)
        case .thaw(let id): thaw(id)
        case .heal: heal()
        case .fault: injectFault()
        case .clientTurn(let client): clientTurn(client)
        case .clientDelivery(let client, let connection, let message): clientReceived(client, connection, message)
        case .serverDelivery(let client, let connection, let event): serverReceived(client, connection, event)
        }
    }

    func isRunning(_ id: ServerID, _ incarnation: Int) -> Bool {
        servers[index(id)].incarnation == incarnation && servers[index(id)].machine != nil
            && !servers[index(id)].isFrozen
    }

    mutating func record(_ happening: @autoclosure () -> String) {
        let text = happening()
        for byte in text.utf8 { fingerprint = (fingerprint ^ UInt64(byte)) &* 0x100_0000_01b3 }
        fingerprint ^= UInt64(bitPattern: now.nanoseconds)
        trace.add(text, at: now)
    }
}

struct ServerPair: Hashable {
    var from: ServerID
    var to: ServerID
}

/// The happenings of a run, in words: the last `limit` of them.
package struct Trace: Sendable {
    package private(set) var lines: [String] = []
    package var limit = 400

    mutating func add(_ text: String, at now: Instant) {
        if lines.count >= limit * 2 { lines.removeFirst(limit) }
        let milliseconds = now.nanoseconds / 1_000_000
        lines.append("\(milliseconds) ms  \(text)")
    }
}
