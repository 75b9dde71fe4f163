import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

// What is decoded is judged next: bytes that are well-formed may still hold what no conforming peer sends. These inputs
// are conversations: clients, peers, the disk and the clock, in the order that the fuzzer likes.

extension FuzzedParser {
    static let conversations: [FuzzedParser] = [
        FuzzedParser("client-conversations", "what clients say to a member that serves by itself", seeds: clientConversations) {
            bytes throws(Violation) in try Conversation.check(bytes, standalone: true)
        },
        FuzzedParser("peer-conversations", "what peers and clients say to a member of an ensemble", seeds: peerConversations) {
            bytes throws(Violation) in try Conversation.check(bytes, standalone: false)
        },
    ]

    private static func clientConversations() -> [[UInt8]] {
        var samples = SampleRecords(seed: 5)
        let acl = AccessRight.openToAll
        func create(_ path: NodePath, _ flags: Int32, _ op: OpCode = .create) -> Request {
            .create(CreateRequest(op: op, path: path, data: [1], acl: acl, flags: flags))
        }
        let work: [Request] = [
            create("/a", 0), create("/a/e", 1), create("/a/s", 2), create("/a/es", 3, .create2), create("/c", 4, .createContainer),
            .setData(path: "/a", data: [2, 3], version: 0), .setACL(path: "/a", acl: acl, version: -1),
            .multi([create("/m", 0), .check(path: "/a", version: -1), .delete(path: "/m", version: 0)]),
            .multi([.delete(path: "/a", version: -1), create("/n", 0)]), .getChildren2(path: "/a", watch: true),
            .addWatch(path: "/", recursive: true), .sync(path: "/"), .getEphemerals(prefix: "/"), .delete(path: "/a/e", version: -1),
            .setWatches(WatchSet(relativeZxid: .zero, data: ["/a"], exist: ["/x"], child: ["/"]), extended: false),
            .getAllChildrenNumber(path: "/"), .whoAmI, .closeSession,
        ]
        var opened = Script()
        opened.connect(0)
        opened.disk()
        var long = opened
        for request in work {
            long.request(0, request)
            long.disk()
        }
        var two = opened
        two.connect(1)
        two.disk()
        for request in work.prefix(9) { two.request(1, request) }
        two.disconnect(0)
        two.connect(2, session: 1)
        two.pass(ticks: 90)
        two.disk()
        let each = samples.requests().map { request in
            var script = opened
            script.request(0, request)
            script.disk()
            return script.bytes
        }
        return [long.bytes, two.bytes] + each
    }

    private static func peerConversations() -> [[UInt8]] {
        let ours = Vote(leader: 2, zxid: .zero, peerEpoch: 0)
        let theirs = Vote(leader: 3, zxid: Zxid(rawValue: 5), peerEpoch: 0)
        func notification(_ state: PeerState, _ vote: Vote) -> Notification {
            Notification(state: state, vote: vote, electionEpoch: 1, config: [])
        }
        var leading = Script()
        for peer in [1, 3] { leading.notify(UInt8(peer), notification(.looking, ours)) }
        leading.learner(1, .learnerInfo(acceptedEpoch: 0, server: 1, protocolVersion: 0x10000, configVersion: 0, observer: false))
        leading.disk()
        leading.learner(1, .ackEpoch(lastZxid: .zero, currentEpoch: 0))
        leading.disk()
        leading.learner(1, .ack(Zxid(epoch: 1, counter: 0)))
        leading.disk()
        var served = leading
        served.connect(0)
        served.disk()
        served.learner(1, .ack(Zxid(epoch: 1, counter: 1)))
        served.learner(
            1, .request(ForwardedRequest(session: 9, cxid: 0, request: .createSession(timeout: 4000), identities: [])))
        served.learner(1, .ping(zxid: .zero, sessions: [TouchedSession(session: 9, timeout: 4000)]))
        served.learner(1, .revalidate(session: 9, timeout: 4000))
        served.disk()
        served.learner(1, .ack(Zxid(epoch: 1, counter: 2)))
        served.handOff()
        var following = Script()
        for peer in [1, 3] { following.notify(UInt8(peer), notification(peer == 3 ? .leading : .following, theirs)) }
        following.leader(.leaderInfo(epoch: 1, protocolVersion: 0x10000))
        following.disk()
        var synced = following
        synced.leader(.diff(to: .zero))
        synced.leader(.newLeader(epoch: 1, config: []))
        synced.disk()
        synced.leader(.upToDate)
        for entry in SampleTrees.entries { synced.leader(.proposal(entry)) }
        synced.disk()
        for entry in SampleTrees.entries { synced.leader(.commit(entry.zxid)) }
        synced.connect(0)
        synced.leader(.ping(zxid: .zero, sessions: []))
        var installed = following
        installed.leader(.snap(at: Zxid(epoch: 1, counter: 10)))
        installed.tree()
        installed.disk()
        installed.leader(.newLeader(epoch: 1, config: []))
        installed.disk()
        installed.leader(.upToDate)
        var cut = following
        cut.leader(.trunc(to: .zero))
        cut.disk()
        return [leading.bytes, served.bytes, following.bytes, synced.bytes, installed.bytes, cut.bytes]
    }
}

/// A conversation as bytes: {who, two bytes of length, what} again and again. A code that can't be read is passed over.
struct Script {
    enum Speaker: UInt8, CaseIterable {
        case connect, request, disconnect, disk, clock, notification, learner, leader, tree, learnerGone, leaderGone, handOff
    }

    private(set) var bytes: [UInt8] = []

    private mutating func add(_ speaker: Speaker, _ id: UInt8, _ content: [UInt8] = []) {
        bytes += [speaker.rawValue << 2 | id, UInt8(truncatingIfNeeded: content.count >> 8), UInt8(truncatingIfNeeded: content.count)]
        bytes += content
    }

    /// - Parameter session: the how-manieth that was granted; 0 asks for a new one.
    mutating func connect(_ id: UInt8, session: Int64 = 0) {
        add(.connect, id, ConnectRequest(timeout: 4000, sessionID: session).encoded())
    }
    mutating func request(_ id: UInt8, _ request: Request) { add(.request, id, RequestFrame(xid: 7, request: request).encoded()) }
    mutating func disconnect(_ id: UInt8) { add(.disconnect, id) }
    mutating func disk() { add(.disk, 0) }
    mutating func pass(ticks: UInt8) { add(.clock, 0, [ticks]) }
    mutating func notify(_ id: UInt8, _ notification: Notification) { add(.notification, id, notification.encoded()) }
    mutating func learner(_ id: UInt8, _ packet: QuorumPacket) { add(.learner, id, packet.encoded()) }
    mutating func leader(_ packet: QuorumPacket) { add(.leader, 3, packet.encoded()) }
    mutating func tree() { add(.tree, 0) }
    mutating func handOff() { add(.handOff, 0) }

    static func turns(_ bytes: [UInt8]) -> [(speaker: Speaker, id: UInt8, content: [UInt8])] {
        var turns: [(speaker: Speaker, id: UInt8, content: [UInt8])] = []
        var rest = bytes[...]
        while rest.count >= 3, turns.count < 400 {
            let start = rest.startIndex
            let length = Int(rest[start + 1]) << 8 | Int(rest[start + 2])
            if let speaker = Speaker(rawValue: rest[start] >> 2) {
                turns.append((speaker, rest[start] & 3, Array(rest.dropFirst(3).prefix(length))))
            }
            rest = rest.dropFirst(3 + length)
        }
        return turns
    }
}

/// One member, its disk and its clock, and everybody who talks to it.
private struct Conversation {
    private var machine: KeeperMachine
    private var now = Instant(nanoseconds: 1_000_000_000_000)
    private var actions = ActionBuffer<KeeperAction>()
    private var answersOfDisk = FIFO<KeeperEvent>()
    private var hasHalted = false
    /// By the fuzzer's number: the connection that is open under it now.
    private var connections: [ConnectionID?] = Array(repeating: nil, count: 4)
    private var nextConnection: UInt64 = 1
    private var granted: [(session: SessionID, password: [UInt8])] = []
    private var learners: Set<UInt8> = []
    private let standalone: Bool

    static func check(_ bytes: [UInt8], standalone: Bool) throws(Violation) {
        var conversation = Conversation(standalone: standalone)
        try conversation.begin()
        for turn in Script.turns(bytes) where !conversation.hasHalted {
            try conversation.take(turn.speaker, turn.id, turn.content)
        }
        try SampleTrees.checkSerialisation(of: conversation.machine.tree)
    }

    private init(standalone: Bool) {
        self.standalone = standalone
        machine = KeeperMachine(
            configuration: KeeperConfiguration(
                serverID: 2, voters: standalone ? [2] : [1, 2, 3], standalone: standalone, tickTime: .seconds(2), snapCount: 10,
                windowCount: 8),
            seed: 1)
    }

    private mutating func begin() throws(Violation) {
        try step(.clockRead(WallTime(milliseconds: 1_790_000_000_000)))
        try step(
            .recovered(RecoveredState(tree: DataTree(), recent: [], acceptedEpoch: 0, currentEpoch: 0, recovering: false)))
    }

    private mutating func take(_ speaker: Script.Speaker, _ id: UInt8, _ content: [UInt8]) throws(Violation) {
        switch speaker {
        case .connect, .request, .disconnect: try takeClient(speaker, id, content)
        case .disk: while let event = answersOfDisk.popFirst() { try step(event) }
        case .clock:
            now = now + .milliseconds(100 * Int64(content.first ?? 1))
            if let deadline = machine.deadline, deadline <= now { try step(.deadlineReached) }
        case .notification:
            guard let message = try? Notification(message: ByteBuffer(bytes: content)) else { return }
            try step(.notificationReceived(from: ServerID(id), message))
        case .learner: try takeLearner(id, content)
        case .leader: if let packet = Self.packet(content) { try step(.leaderPacketReceived(packet)) }
        case .tree:
            // What follows a SNAP packet; parsed on its own (`tree-stream`).
            try step(.snapshotReceived(SampleTrees.withEverything))
        case .learnerGone:
            learners.remove(id)
            try step(.learnerDisconnected(LearnerID(rawValue: UInt64(id))))
        case .leaderGone: try step(.leaderDisconnected)
        case .handOff: try step(.handOffRequested)
        }
    }

    private static func packet(_ content: [UInt8]) -> QuorumPacket? {
        var buffer = ByteBuffer(bytes: content)
        return try? QuorumPacket.next(from: &buffer)
    }

    private mutating func takeLearner(_ id: UInt8, _ content: [UInt8]) throws(Violation) {
        if learners.insert(id).inserted { try step(.learnerConnected(LearnerID(rawValue: UInt64(id)))) }
        if let packet = Self.packet(content) { try step(.learnerPacketReceived(LearnerID(rawValue: UInt64(id)), packet)) }
    }

    private mutating func takeClient(_ speaker: Script.Speaker, _ id: UInt8, _ content: [UInt8]) throws(Violation) {
        let number = Int(id)
        switch speaker {
        case .connect:
            guard connections[number] == nil, var request = try? ConnectRequest(frame: ByteBuffer(bytes: content)) else { return }
            if request.sessionID > 0, request.sessionID <= granted.count {
                (request.sessionID, request.password) = granted[Int(request.sessionID) - 1]
            }
            let connection = ConnectionID(rawValue: nextConnection)
            nextConnection += 1
            connections[number] = connection
            try step(.clientConnected(connection, address: "127.0.0.1"))
            if connections[number] == connection { try step(.connectRequested(connection, request)) }
        case .disconnect:
            guard let connection = connections[number] else { return }
            connections[number] = nil
            try step(.clientDisconnected(connection))
        default:
            guard let connection = connections[number], let frame = try? RequestFrame(frame: ByteBuffer(bytes: content)) else { return }
            if case .auth(_, let scheme, let credential) = frame.request {
                let identity = Identity(scheme: scheme, id: ByteString(credential ?? []))
                return try step(.authenticated(connection, xid: frame.xid, identity.id.bytes.isEmpty ? nil : [identity]))
            }
            try step(.requested(connection, xid: frame.xid, frame.request))
        }
    }

    private mutating func step(_ event: KeeperEvent) throws(Violation) {
        guard !hasHalted else { return }
        machine.step(event, at: now, into: &actions)
        for action in actions.drain() { try perform(action) }
    }

    private mutating func perform(_ action: KeeperAction) throws(Violation) {
        switch action {
        case .append(let entry), .propose(let entry, _):
            try require((try? LogEntry(payload: entry.payload)) == entry, "an entry that cannot be read from the log: \(entry)")
            answersOfDisk.append(.logSynced(entry.zxid))
        case .saveEpochs(let accepted, let current): answersOfDisk.append(.epochsSaved(accepted: accepted, current: current))
        case .truncateLog:
            answersOfDisk.append(
                .recovered(RecoveredState(tree: DataTree(), recent: [], acceptedEpoch: 0, currentEpoch: 0, recovering: false)))
        case .installSnapshot(_, _, let accepted, let current):
            answersOfDisk.append(.snapshotInstalled(accepted: accepted, current: current))
        case .takeSnapshot(let start, _): answersOfDisk.append(.snapshotSaved(start))
        case .clearRecoveringMark: answersOfDisk.append(.recoveringMarkCleared)
        case .markDoubt: answersOfDisk.append(.doubtMarked)
        case .awaitLearner(let learner): answersOfDisk.append(.learnerTook(learner))
        case .readLog(let learner, _, _): answersOfDisk.append(.logUnreadable(learner, reason: "there is none"))
        case .connectToLeader(let server): try step(.leaderConnected(server))
        case .closeClient(let connection): for index in connections.indices where connections[index] == connection { connections[index] = nil }
        case .connectReply(_, let response):
            if response.sessionID != 0 { granted.append((response.sessionID, response.password)) }
        case .halt: hasHalted = true
        case .note(.digestMismatch(let zxid, let expected, let actual)):
            // A leader's foresight is exact. (A hostile leader may announce any digest to a follower.)
            try require(machine.status.role != .leading, "digest \(expected) was foreseen for \(zxid), it is \(actual)")
        case .reply(_, let reply): _ = reply.encoded()
        case .watchEvent(_, let event): _ = event.encoded()
        case .sendToLearner(_, let packet), .sendToLeader(let packet): _ = packet.encoded()
        case .sendNotification(_, let notification): _ = notification.encoded()
        case .openLearnerPort, .closeLearnerPort, .sendSnapshot, .commit, .closeLearner, .pauseLeader, .resumeLeader,
            .disconnectFromLeader, .note:
            break
        }
    }
}
