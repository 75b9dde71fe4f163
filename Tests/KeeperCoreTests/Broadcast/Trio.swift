import EnsembleBase
import Testing

@testable import KeeperCore

/// Three members that talk to each other at once, on disks that never fail: what they do among themselves, without a
/// world that is against them.
struct Trio {
    private(set) var now = Instant.origin + .seconds(1)
    private var machines: [KeeperMachine] = []
    private var events = FIFO<(ServerID, KeeperEvent)>()
    private var acceptsLearners: [Bool] = [false, false, false]
    /// Learners of leaders that don't know yet that they are.
    private var knocking: [(learner: ServerID, leader: ServerID)] = []
    private var links: [(learner: ServerID, leader: ServerID, isOpen: Bool)] = []
    private(set) var notes: [[KeeperNote]] = [[], [], []]
    /// Who has the mark of a doubt, about whom.
    private(set) var doubts: [ServerID?] = [nil, nil, nil]
    private var connections: UInt64 = 0

    init() {
        var state = RecoveredState(tree: DataTree(), recent: [], acceptedEpoch: 0, currentEpoch: 0, recovering: false)
        state.isExact = true
        for id in 1...3 {
            machines.append(
                KeeperMachine(configuration: KeeperConfiguration(serverID: ServerID(id), voters: [1, 2, 3]), seed: UInt64(id)))
        }
        for id in ServerID(1)...3 {
            events.append((id, .clockRead(WallTime(milliseconds: 1_000_000))))
            events.append((id, .recovered(state)))
        }
        drain()
    }

    subscript(id: ServerID) -> KeeperMachine {
        get { machines[Int(id) - 1] }
        set { machines[Int(id) - 1] = newValue }
    }

    var leader: ServerID? { (1...3).first { self[$0].isLeading && self[$0].isServing } }
    var serving: [ServerID] { (1...3).filter { self[$0].isServing } }

    mutating func pass(_ span: Duration) {
        let end = now + span
        while let next = machines.compactMap(\.deadline).min(), next <= end {
            now = max(now, next)
            for id in ServerID(1)...3 where self[id].deadline.map({ $0 <= now }) ?? false { step(id, .deadlineReached) }
            drain()
        }
        now = end
    }

    /// A client of that member writes, over a session of its own.
    mutating func write(_ requests: [Request], at id: ServerID) {
        connections += 1
        let connection = ConnectionID(rawValue: connections)
        events.append((id, .clientConnected(connection, address: "127.0.0.1")))
        events.append((id, .connectRequested(connection, ConnectRequest(timeout: 30_000))))
        drain()
        for (index, request) in requests.enumerated() {
            events.append((id, .requested(connection, xid: Int32(index + 1), request)))
            drain()
        }
    }

    /// A change of the tree that no log has.
    mutating func slip(_ transaction: Transaction, into id: ServerID) {
        let last = self[id].tree.lastProcessedZxid
        let entry = LogEntry(session: 1, cxid: 0, zxid: last.next, time: 1, transaction: transaction)
        var changes: [TreeChange] = []
        _ = self[id].tree.apply(entry, changes: &changes)
        self[id].tree.lastProcessedZxid = last
    }

    // MARK: The hands

    private mutating func drain() {
        while let (id, event) = events.popFirst() { step(id, event) }
    }

    private mutating func step(_ id: ServerID, _ event: KeeperEvent) {
        var actions = ActionBuffer<KeeperAction>()
        machines[Int(id) - 1].step(event, at: now, into: &actions)
        var appended: Zxid?
        for action in actions.drain() {
            switch action {
            case .append(let entry): appended = entry.zxid
            case .propose(let entry, let learners):
                appended = entry.zxid
                for learner in learners { send(.proposal(entry), to: learner) }
            case .commit(let zxid, let learners): for learner in learners { send(.commit(zxid), to: learner) }
            default: perform(action, of: id)
            }
        }
        if let appended { events.append((id, .logSynced(appended))) }
    }

    private mutating func perform(_ action: KeeperAction, of id: ServerID) {
        switch action {
        case .sendNotification(let receiver, let message): events.append((receiver, .notificationReceived(from: id, message)))
        case .openLearnerPort:
            acceptsLearners[Int(id) - 1] = true
            let waiting = knocking.filter { $0.leader == id }
            knocking.removeAll { $0.leader == id }
            for (learner, leader) in waiting { connect(learner, to: leader) }
        case .closeLearnerPort:
            acceptsLearners[Int(id) - 1] = false
            for index in links.indices where links[index].leader == id { close(index, tellingLeader: false) }
        case .sendToLearner(let learner, let packet): send(packet, to: learner)
        case .closeLearner(let learner): close(Int(learner.rawValue), tellingLeader: false)
        case .sendSnapshot(let learner, let zxid):
            var tree = self[id].tree
            tree.lastProcessedZxid = zxid
            send(.snap(at: zxid), to: learner)
            events.append((links[Int(learner.rawValue)].learner, .snapshotReceived(tree)))
        case .awaitLearner(let learner):
            if links[Int(learner.rawValue)].isOpen { events.append((id, .learnerTook(learner))) }
        case .connectToLeader(let leader): connect(id, to: leader)
        case .sendToLeader(let packet):
            guard let index = links.lastIndex(where: { $0.learner == id && $0.isOpen }) else { return }
            events.append((links[index].leader, .learnerPacketReceived(LearnerID(rawValue: UInt64(index)), packet)))
        case .disconnectFromLeader:
            knocking.removeAll { $0.learner == id }
            for index in links.indices where links[index].learner == id { close(index, tellingLeader: true) }
        default: performLocally(action, of: id)
        }
    }

    private mutating func performLocally(_ action: KeeperAction, of id: ServerID) {
        switch action {
        case .saveEpochs(let accepted, let current): events.append((id, .epochsSaved(accepted: accepted, current: current)))
        case .installSnapshot(_, _, let accepted, let current):
            events.append((id, .snapshotInstalled(accepted: accepted, current: current)))
        case .takeSnapshot(let start, _): events.append((id, .snapshotSaved(start)))
        case .clearRecoveringMark:
            doubts[Int(id) - 1] = nil
            events.append((id, .recoveringMarkCleared))
        case .markDoubt(let leader):
            doubts[Int(id) - 1] = leader
            events.append((id, .doubtMarked))
        case .note(let note): notes[Int(id) - 1].append(note)
        case .truncateLog, .readLog, .halt: Issue.record("\(id): \(action)")
        default: break
        }
    }

    private mutating func connect(_ learner: ServerID, to leader: ServerID) {
        guard acceptsLearners[Int(leader) - 1] else { return knocking.append((learner, leader)) }
        events.append((leader, .learnerConnected(LearnerID(rawValue: UInt64(links.count)))))
        links.append((learner, leader, true))
        events.append((learner, .leaderConnected(leader)))
    }

    private mutating func send(_ packet: QuorumPacket, to learner: LearnerID) {
        let link = links[Int(learner.rawValue)]
        if link.isOpen { events.append((link.learner, .leaderPacketReceived(packet))) }
    }

    private mutating func close(_ index: Int, tellingLeader: Bool) {
        guard links[index].isOpen else { return }
        links[index].isOpen = false
        let event: (ServerID, KeeperEvent) =
            tellingLeader
            ? (links[index].leader, .learnerDisconnected(LearnerID(rawValue: UInt64(index))))
            : (links[index].learner, .leaderDisconnected)
        events.append(event)
    }
}
