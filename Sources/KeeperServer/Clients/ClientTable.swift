import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// What clients are held to.
package struct ClientPolicy: Hashable, Sendable {
    /// Bytes of one frame.
    package var maxFrame = FrameLimit.client
    /// Requests of one connection that may wait for a reply; beyond it the connection isn't read.
    package var outstandingPerConnection = 1000
    package var outstandingGlobally = 1000
    /// When the memory budget is used up, a client that holds more than its share of it and has taken nothing for this
    /// long is closed. Requests stop being read much earlier, when the socket's own buffer is full.
    package var patience = Duration.seconds(5)
    /// Connections from one address and in total; 0 = any number.
    package var connectionsPerAddress = 60
    package var connections = 0
    /// A connection without a session is closed after this long.
    package var openingTimeout = Duration.seconds(15)
    package var superDigest: ByteString?

    package init() {}
}

/// Every client connection of this server, and what they share. Loop-bound.
package final class ClientTable {
    package let turn: LoopTurn
    package let policy: ClientPolicy
    package let statistics: ServerStatistics
    /// The answer to a four-letter word.
    package var answer: (FourLetterWord) -> [UInt8] = { Array($0.refusal.utf8) }
    /// The wall clock's last reading, about a second old at most: for `cons`.
    package var wallTime = WallTime(milliseconds: 0)
    /// The same for a word that needs the disk; nil for all others.
    package var answerLater: (FourLetterWord) -> EventLoopFuture<[UInt8]>? = { _ in nil }
    /// Bytes that a request's answer would have, its nodes grown by so many at least.
    package var answerSize: (Request, SessionID, Int) -> Int = { _, _, _ in 0 }
    /// Connections that may be open before strangers wait in the backlog: the rest of the descriptors is the server's own,
    /// for its files and peers.
    package var capacity = Int.max
    /// What is worth telling the operator.
    package var warn: (String) -> Void = { _ in }
    /// Requests of all connections that have no reply yet.
    var outstanding = 0

    private var connections: [ConnectionID: ClientConnection] = [:]
    private var perAddress: [ByteString: Int] = [:]
    private var opening = FIFO<(ConnectionID, Instant)>()
    private var nextID: UInt64 = 1
    /// Connections whose socket is full or that wait for memory, each once.
    private var lookedAfter: [ClientConnection] = []
    private var lookIsScheduled = false
    private var listener: ListeningPort?
    private var isAccepting = true
    private var saidFullAt: Instant?
    /// For large frames that are on their way.
    let room: FrameRoom

    /// How often connections are looked after that no event of their own would wake.
    private static let lookInterval = TimeAmount.milliseconds(100)

    package init(turn: LoopTurn, policy: ClientPolicy, statistics: ServerStatistics) {
        self.turn = turn
        self.policy = policy
        self.statistics = statistics
        room = FrameRoom(turn: turn)
    }

    package subscript(id: ConnectionID) -> ClientConnection? { connections[id] }
    package var count: Int { connections.count }
    package var outstandingRequests: Int { outstanding }
    /// Oldest first.
    package var all: [ClientConnection] { connections.values.sorted { $0.id < $1.id } }

    /// A handler for a connection that has just been accepted; nil if the limits refuse it.
    package func admit(address: ByteString, port: Int) -> ClientConnection? {
        let already = perAddress[address, default: 0]
        guard policy.connections == 0 || connections.count < policy.connections,
            policy.connectionsPerAddress == 0 || already < policy.connectionsPerAddress
        else {
            statistics.refusedConnections += 1
            return nil
        }
        let id = ConnectionID(rawValue: nextID)
        nextID += 1
        let connection = ClientConnection(id: id, address: address, port: port, table: self)
        connections[id] = connection
        perAddress[address] = already + 1
        opening.append((id, turn.now + policy.openingTimeout))
        considerAccepting()
        return connection
    }

    func closed(_ connection: ClientConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        let left = perAddress[connection.address, default: 1] - 1
        perAddress[connection.address] = left == 0 ? nil : left
        considerAccepting()
    }

    /// Closes connections that have been open too long without a session: half-open ones, port scanners.
    package func closeOverdue(at now: Instant) {
        while let (id, deadline) = opening.first, deadline <= now {
            _ = opening.popFirst()
            if let connection = connections[id], !connection.hasSession { connection.close() }
        }
    }

    // MARK: descriptors

    /// `listener` accepts as long as there is room.
    package func accept(through listener: ListeningPort) {
        self.listener = listener
        considerAccepting()
    }

    private func considerAccepting() {
        let isFull = connections.count >= capacity
        guard isFull == isAccepting, let listener else { return }
        isAccepting = !isFull
        listener.isAccepting = isAccepting
        guard isFull, saidFullAt.map({ turn.now - $0 >= .seconds(60) }) ?? true else { return }
        saidFullAt = turn.now
        warn("\(connections.count) clients hold all file descriptors that clients may have; further ones wait (ulimit -n)")
    }

    // MARK: memory

    /// Has `connection` looked at now and then, until it says that it needs it no more.
    func lookAfter(_ connection: ClientConnection) {
        guard !connection.isLookedAfter else { return }
        connection.isLookedAfter = true
        lookedAfter.append(connection)
        scheduleLook()
    }

    func scheduleLook() {
        guard !lookIsScheduled else { return }
        lookIsScheduled = true
        turn.eventLoop.assumeIsolated().scheduleTask(in: ClientTable.lookInterval) { [weak self] in self?.look() }
    }

    private func look() {
        lookIsScheduled = false
        let all = lookedAfter
        lookedAfter = []
        for connection in all {
            if connection.look() { lookedAfter.append(connection) } else { connection.isLookedAfter = false }
        }
        if turn.budget.isExhausted || room.isWanted { closeWorst(of: all) }
        if room.isWanted { makeRoom() }
        if !lookedAfter.isEmpty || room.isWanted { scheduleLook() }
    }

    /// Not reading has not helped: of those that hold more than their share and make no progress so many are closed that
    /// the budget is kept, and one at least, since somebody waits for its room; whoever holds most goes first. When none is
    /// left, because others' writes go on making events for readers that are merely slow, progress no longer protects.
    private func closeWorst(of all: [ClientConnection]) {
        let looks = Int(policy.patience.inNanoseconds / ClientTable.lookInterval.nanoseconds)
        let large = all.filter { $0.held > budget.fairShare }.sorted { ($0.held, $0.id) > ($1.held, $1.id) }
        let stuck = large.filter { $0.isStuck(for: looks) }
        var excess = max(budget.held - budget.limit, 0)
        for connection in stuck where excess >= 0 {
            excess -= connection.held
            cutOff(connection, because: "it doesn't take what it is sent")
        }
        guard stuck.isEmpty, budget.isOverrun, let worst = large.first(where: { $0.backlog > budget.fairShare }) else { return }
        cutOff(worst, because: "it doesn't take what it is sent as fast as it comes")
    }

    /// Of those that have room for a frame and don't send it so many are cut off as others wait for it.
    private func makeRoom() {
        room.admit()
        for connection in all where room.isWanted {
            connection.lookedWhileOthersWait()
            guard connection.isIdle else { continue }
            cutOff(connection, because: "it sends nothing of a frame that it has begun")
            room.admit()
        }
    }

    /// Too many wait for room already.
    func turnAway(_ connection: ClientConnection) {
        cutOff(connection, because: "too many frames that were begun wait for memory")
    }

    private func cutOff(_ connection: ClientConnection, because reason: String) {
        statistics.slowReadersClosed += 1
        let session = String(UInt64(bitPattern: connection.record.session), radix: 16)
        warn(
            "closed the client \(connection.address):\(connection.port), session 0x\(session): \(reason); \(connection.held) bytes are"
                + " held for it, and of \(budget.limit) for all \(budget.held) (ensemble.memoryBudgetMB)")
        connection.cutOff()
    }

    private var budget: MemoryBudget { turn.budget }

    package func closeAll() {
        for connection in all { connection.close() }
    }
}
