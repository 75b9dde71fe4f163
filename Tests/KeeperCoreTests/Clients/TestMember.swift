import EnsembleBase
import Testing

@testable import KeeperCore

/// One machine, driven event by event, with the peers and the disk played by the test.
struct TestMember {
    static let began = Instant.origin + .seconds(1)

    var machine: KeeperMachine
    var now = TestMember.began
    private var actions = ActionBuffer<KeeperAction>()

    private init(_ configuration: KeeperConfiguration, _ state: RecoveredState) {
        machine = KeeperMachine(configuration: configuration, seed: 1)
        step(.clockRead(WallTime(milliseconds: 1_000_000)))
        step(.recovered(state))
    }

    static func empty(epoch: Int64 = 0) -> RecoveredState {
        var state = RecoveredState(
            tree: DataTree(), recent: [], acceptedEpoch: epoch, currentEpoch: epoch, recovering: false)
        state.isExact = true
        return state
    }

    static func alone(
        _ configuration: KeeperConfiguration = KeeperConfiguration(serverID: 1, voters: [1], standalone: true),
        _ state: RecoveredState = TestMember.empty()
    ) -> TestMember { TestMember(configuration, state) }

    /// Has just begun to look for a leader.
    static func looking(_ id: ServerID, _ state: RecoveredState = TestMember.empty()) -> TestMember {
        TestMember(KeeperConfiguration(serverID: id, voters: [1, 2, 3]), state)
    }

    /// Member 3, leading epoch 1 with learner 2 as its quorum.
    static func leading(windowCount: Int = 10_000, snapCount: Int = 100_000, snapSizeLimit: Int = 4 << 30) -> TestMember {
        var member = TestMember(
            KeeperConfiguration(serverID: 3, voters: [1, 2, 3], snapCount: snapCount, snapSizeLimit: snapSizeLimit, windowCount: windowCount), empty())
        let vote = Notification(
            state: .looking, vote: Vote(leader: 3, zxid: .zero, peerEpoch: 0), electionEpoch: 1, config: [])
        member.step(.notificationReceived(from: 1, vote))
        member.step(.notificationReceived(from: 2, vote))
        member.connectLearner(2)
        member.step(.epochsSaved(accepted: 1, current: 0))
        member.heard(.ackEpoch(lastZxid: .zero, currentEpoch: 0), from: 2)
        member.step(.epochsSaved(accepted: 1, current: 1))
        member.heard(.ack(Zxid(epoch: 1, counter: 0)), from: 2)
        return member
    }

    /// Member 1, following member 3 in epoch 1.
    static func following() -> TestMember {
        var member = looking(1)
        member.join()
        return member
    }

    /// Member 3 leads epoch 1, with 2: this one follows, too.
    mutating func join() {
        elect()
        step(.leaderConnected(3))
        told(.leaderInfo(epoch: 1, protocolVersion: 0x10000))
        step(.epochsSaved(accepted: 1, current: machine.currentEpoch))
        told(.diff(to: .zero))
        told(.newLeader(epoch: 1, config: []))
        step(.epochsSaved(accepted: 1, current: 1))
        told(.upToDate)
    }

    mutating func elect() {
        let vote = Vote(leader: 3, zxid: .zero, peerEpoch: 1)
        step(.notificationReceived(from: 2, Notification(state: .following, vote: vote, electionEpoch: 1, config: [])))
        step(.notificationReceived(from: 3, Notification(state: .leading, vote: vote, electionEpoch: 1, config: [])))
    }

    @discardableResult
    mutating func step(_ event: KeeperEvent) -> [KeeperAction] {
        machine.step(event, at: now, into: &actions)
        return actions.drain()
    }

    /// The leader says something.
    @discardableResult
    mutating func told(_ packet: QuorumPacket) -> [KeeperAction] { step(.leaderPacketReceived(packet)) }

    /// A learner says something.
    @discardableResult
    mutating func heard(_ packet: QuorumPacket, from server: ServerID) -> [KeeperAction] {
        step(.learnerPacketReceived(LearnerID(rawValue: UInt64(server)), packet))
    }

    mutating func connectLearner(_ server: ServerID) {
        step(.learnerConnected(LearnerID(rawValue: UInt64(server))))
        heard(
            .learnerInfo(acceptedEpoch: 0, server: server, protocolVersion: 0x10000, configVersion: 0, observer: false),
            from: server)
    }

    /// The deadline's timer, as often as it is due until `end`.
    @discardableResult
    mutating func pass(_ span: Duration) -> [KeeperAction] {
        let end = now + span
        var all: [KeeperAction] = []
        while let deadline = machine.deadline, deadline <= end {
            now = max(now, deadline)
            all += step(.deadlineReached)
        }
        now = end
        return all
    }

    // MARK: clients

    /// On a leader: opens a session whose creation commits with learner 2's and the own disk's help.
    mutating func open(_ connection: ConnectionID, timeout: Int32 = 10_000) -> SessionID {
        step(.clientConnected(connection, address: "127.0.0.1"))
        step(.connectRequested(connection, ConnectRequest(timeout: timeout)))
        commitAll()
        return machine.clients[connection]!.session
    }

    /// A new connection of a session.
    @discardableResult
    mutating func resume(_ session: SessionID, on connection: ConnectionID, timeout: Int32 = 10_000) -> [KeeperAction] {
        step(.clientConnected(connection, address: "127.0.0.1"))
        return step(
            .connectRequested(
                connection,
                ConnectRequest(
                    timeout: timeout, sessionID: session, password: SessionPassword.make(for: session))))
    }

    /// On a leader: everything proposed reaches a quorum's disks.
    @discardableResult
    mutating func commitAll() -> [KeeperAction] {
        let last = machine.history.lastAppended
        let own = step(.logSynced(last))
        return own + (machine.configuration.standalone ? [] : heard(.ack(last), from: 2))
    }

    /// On a follower: the leader proposes an entry, which this member's disk keeps.
    mutating func proposed(_ entry: LogEntry) {
        told(.proposal(entry))
        step(.logSynced(entry.zxid))
    }
}

extension [KeeperAction] {
    /// The replies on one connection.
    func replies(_ connection: ConnectionID) -> [Reply] {
        compactMap { if case .reply(connection, let reply) = $0 { reply } else { nil } }
    }

    func closes(_ connection: ConnectionID) -> Bool {
        contains { if case .closeClient(connection) = $0 { true } else { false } }
    }

    var proposals: [LogEntry] { compactMap { if case .propose(let entry, _) = $0 { entry } else { nil } } }
    var notes: [KeeperNote] { compactMap { if case .note(let note) = $0 { note } else { nil } } }
    var toLeader: [QuorumPacket] { compactMap { if case .sendToLeader(let packet) = $0 { packet } else { nil } } }
    var expired: [SessionID] {
        notes.compactMap { if case .sessionExpired(let session) = $0 { session } else { nil } }
    }
}

func create(_ path: NodePath, flags: Int32 = 0) -> Request {
    .create(CreateRequest(path: path, data: [], acl: AccessRight.openToAll, flags: flags))
}
