import EnsembleBase
import KeeperCodec
import KeeperCore
import Logging
import NIOCore

/// Where this member listens for its peers: on every address of its name.
package struct PeerAddresses: Sendable {
    var election: [SocketAddress]
    var quorum: [SocketAddress]

    package init(election: [SocketAddress], quorum: [SocketAddress]) {
        self.election = election
        self.quorum = quorum
    }

    /// Resolves this member's own name. Blocks: not for an event loop.
    static func resolve(_ myself: MemberAddress, everywhere: Bool) throws(HostAddresses.Unresolved) -> PeerAddresses {
        let host = everywhere ? "::" : myself.host
        return PeerAddresses(
            election: try HostAddresses.listening(host: host, port: myself.electionPort),
            quorum: try HostAddresses.listening(host: host, port: myself.quorumPort))
    }
}

/// A member's connections to the other members. Loop-bound.
package final class PeerNetwork {
    let election: ElectionTransport
    let learners: LearnerPort
    let leader: LeaderLink

    /// nil if the configuration has no line for this member.
    init?(
        turn: LoopTurn, network: any Network, configuration: ServerConfiguration, addresses: PeerAddresses, seed: UInt64,
        log: Logger
    ) {
        guard let myself = configuration.myself else { return nil }
        election = ElectionTransport(
            turn: turn, network: network, myself: myself, addresses: addresses.election,
            others: configuration.members.filter { $0.id != myself.id }, seed: seed, log: log)
        // What a client may ask for at most, twice: the leader adds to it (ServerConfiguration.machineConfiguration). No
        // less than Apache's peers send with their standard limit.
        let dataLimit = max(2 * configuration.maxFrame, QuorumPacket.dataLimit)
        learners = LearnerPort(turn: turn, network: network, addresses: addresses.quorum, dataLimit: dataLimit, log: log)
        leader = LeaderLink(
            turn: turn, network: network,
            quorumAddresses: Dictionary(uniqueKeysWithValues: configuration.members.map { ($0.id, $0.quorum) }),
            dataLimit: dataLimit, log: log)
    }

    package func listen() -> EventLoopFuture<Void> { election.listen() }

    /// One packet to several learners, serialised once.
    func send(_ packet: QuorumPacket, to ids: [LearnerID]) {
        guard !ids.isEmpty else { return }
        var bytes = ByteBuffer()
        bytes.write(packet)
        for id in ids { learners[id]?.send(encoded: bytes) }
    }

    func close() {
        election.close()
        learners.close()
        leader.disconnect()
    }
}
