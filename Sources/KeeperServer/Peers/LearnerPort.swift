import KeeperCodec
import KeeperCore
import Logging
import NIOCore

/// A leader's end of its learners' connections: the quorum port, open only while leading. Loop-bound.
final class LearnerPort {
    private let turn: LoopTurn
    private let network: any Network
    private let addresses: [SocketAddress]
    /// Bytes of one packet's data.
    private let dataLimit: Int
    private let log: Logger
    private var isWanted = false
    private var port: ListeningPort?
    private var streams: [LearnerID: PacketStream] = [:]
    private var nextID: UInt64 = 1
    /// Attempts to bind since the port was last wanted.
    private var attempts = 0

    init(turn: LoopTurn, network: any Network, addresses: [SocketAddress], dataLimit: Int, log: Logger) {
        self.turn = turn
        self.network = network
        self.addresses = addresses
        self.dataLimit = dataLimit
        self.log = log
    }

    subscript(id: LearnerID) -> PacketStream? { streams[id] }

    func open() {
        guard !isWanted else { return }
        isWanted = true
        attempts = 0
        bind()
    }

    /// Stops accepting and closes every learner's connection.
    func close() {
        isWanted = false
        port?.close()
        port = nil
        for id in streams.keys.sorted() { streams[id]?.close() }
    }

    private func bind() {
        let port = ListeningPort(
            eventLoop: turn.eventLoop, network: network, addresses: addresses, backlog: 128, profile: .learner, log: log
        ) { [self] _ in admit() }
        self.port = port
        port.open().assumeIsolated().whenFailure { [self] error in
            // Closed while it was being bound.
            if self.port === port { failed(error) }
        }
    }

    private func failed(_ error: any Error) {
        port = nil
        attempts += 1
        // The port of an earlier leadership may still be closing. The machine gives up leading by itself if no
        // learner comes in time.
        log.log(level: attempts == 1 ? .warning : .debug, "cannot listen for learners at \(error); trying again")
        turn.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(200)) { [self] in
            if isWanted, port == nil { bind() }
        }
    }

    private func admit() -> PacketStream {
        let id = LearnerID(rawValue: nextID)
        nextID += 1
        let stream = PacketStream(
            turn: turn, dataLimit: dataLimit,
            received: { [turn] packet in turn.raise(.learnerPacketReceived(id, packet)) },
            treeTaken: { [turn] in turn.raise(.learnerProgressed(id)) },
            hasRoom: { [turn] in turn.raise(.learnerTook(id)) },
            closed: { [weak self] in self?.ended(id) })
        streams[id] = stream
        turn.raise(.learnerConnected(id))
        return stream
    }

    private func ended(_ id: LearnerID) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        if let fault = stream.fault { log.info("learner connection \(id.rawValue) ended: \(fault)") }
        turn.raise(.learnerDisconnected(id))
    }
}
