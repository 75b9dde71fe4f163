import KeeperCodec
import KeeperCore
import Logging
import NIOCore

/// A learner's connection to its leader. Loop-bound.
final class LeaderLink {
    private let turn: LoopTurn
    private let network: any Network
    private let quorumAddresses: [ServerID: HostPort]
    /// Bytes of one packet's data.
    private let dataLimit: Int
    private let log: Logger
    private var stream: PacketStream?
    /// Counts `connect` and `disconnect`, so that a late answer to an earlier one is told from an answer to this one.
    private var generation = 0

    /// A leader opens its port when it has seen the vote through, perhaps after its followers have.
    private static let attempts = 20
    private static let pause = TimeAmount.milliseconds(100)

    init(
        turn: LoopTurn, network: any Network, quorumAddresses: [ServerID: HostPort], dataLimit: Int, log: Logger
    ) {
        self.turn = turn
        self.network = network
        self.quorumAddresses = quorumAddresses
        self.dataLimit = dataLimit
        self.log = log
    }

    /// Answered by `leaderConnected`, or by `leaderDisconnected` if it can't be made.
    func connect(to leader: ServerID, within limit: TimeAmount) {
        disconnect()
        guard let address = quorumAddresses[leader] else {
            log.error("the elected leader \(leader) is not in the configuration")
            return turn.raise(.leaderDisconnected)
        }
        attempt(leader, address, left: LeaderLink.attempts, limit: limit, generation)
    }

    func send(_ packet: QuorumPacket) { stream?.send(packet) }

    /// Whether anything is read from the leader.
    func read(_ isWanted: Bool) { stream?.read(isWanted) }

    /// No event answers it.
    func disconnect() {
        generation += 1
        stream?.close()
        stream = nil
    }

    private func attempt(_ leader: ServerID, _ address: HostPort, left: Int, limit: TimeAmount, _ mine: Int) {
        network.connect(to: address, within: min(limit, .seconds(5)), ConnectionProfile()) { [self] in makeStream(mine) }
            .assumeIsolated()
            .whenComplete { [self] result in
                guard mine == generation else {
                    if case .success(let channel) = result { channel.close(promise: nil) }
                    return
                }
                switch result {
                case .success(let channel):
                    guard let handler = try? channel.pipeline.syncOperations.handler(type: PacketStream.self) else {
                        return turn.raise(.leaderDisconnected)
                    }
                    stream = handler
                    turn.raise(.leaderConnected(leader))
                case .failure(let error):
                    retry(leader, address, left: left - 1, limit: limit, mine, after: error)
                }
            }
    }

    private func retry(
        _ leader: ServerID, _ address: HostPort, left: Int, limit: TimeAmount, _ mine: Int, after error: any Error
    ) {
        guard left > 0 else {
            log.warning("cannot reach the leader \(leader) at \(address): \(error)")
            return turn.raise(.leaderDisconnected)
        }
        turn.eventLoop.assumeIsolated().scheduleTask(in: LeaderLink.pause) { [self] in
            if mine == generation { attempt(leader, address, left: left, limit: limit, mine) }
        }
    }

    private func makeStream(_ mine: Int) -> PacketStream {
        PacketStream(
            turn: turn, dataLimit: dataLimit,
            received: { [weak self] packet in
                if let self, mine == generation { turn.raise(.leaderPacketReceived(packet)) }
            },
            treeEvents: { [weak self] event in
                guard let self, mine == generation else { return }
                switch event {
                case .progressed: turn.raise(.leaderBytesReceived)
                case .completed(let tree): turn.raise(.snapshotReceived(tree))
                }
            },
            closed: { [weak self] in self?.ended(mine) })
    }

    /// An end or a reset is reported at once: the next election begins without waiting for a timeout.
    private func ended(_ mine: Int) {
        guard mine == generation, let stream else { return }
        if let fault = stream.fault { log.warning("connection to the leader ended: \(fault)") }
        self.stream = nil
        generation += 1
        turn.raise(.leaderDisconnected)
    }
}
