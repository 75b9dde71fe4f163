import EnsembleBase
import KeeperCodec
import KeeperCore

/// What clients are held to.
package struct ClientPolicy: Hashable, Sendable {
    /// Bytes of one frame.
    package var maxFrame = FrameLimit.client
    /// Requests of one connection that may wait for a reply; beyond it the connection isn't read.
    package var outstandingPerConnection = 1000
    package var outstandingGlobally = 1000
    /// Bytes that may wait for a client that doesn't read. Beyond it the connection is closed; requests stop being read
    /// much earlier, when the socket's own buffer is full.
    package var unsentBytes = 16 << 20
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
    /// Requests of all connections that have no reply yet.
    var outstanding = 0

    private var connections: [ConnectionID: ClientConnection] = [:]
    private var perAddress: [ByteString: Int] = [:]
    private var opening = FIFO<(ConnectionID, Instant)>()
    private var nextID: UInt64 = 1

    package init(turn: LoopTurn, policy: ClientPolicy, statistics: ServerStatistics) {
        self.turn = turn
        self.policy = policy
        self.statistics = statistics
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
        return connection
    }

    func closed(_ connection: ClientConnection) {
        guard connections.removeValue(forKey: connection.id) != nil else { return }
        let left = perAddress[connection.address, default: 1] - 1
        perAddress[connection.address] = left == 0 ? nil : left
    }

    /// Closes connections that have been open too long without a session: half-open ones, port scanners.
    package func closeOverdue(at now: Instant) {
        while let (id, deadline) = opening.first, deadline <= now {
            _ = opening.popFirst()
            if let connection = connections[id], !connection.hasSession { connection.close() }
        }
    }

    package func closeAll() {
        for connection in all { connection.close() }
    }
}
