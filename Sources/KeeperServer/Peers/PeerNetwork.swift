import EnsembleBase
import KeeperCodec
import KeeperCore
import Logging
import NIOCore

/// Where this member listens for its peers.
package struct PeerAddresses: Sendable {
    var election: SocketAddress
    var quorum: SocketAddress

    /// Resolves this member's own name. Blocks: not for an event loop.
    static func resolve(_ myself: MemberAddress, everywhere: Bool) throws -> PeerAddresses {
        let host = everywhere ? "::" : myself.host
        do {
            return PeerAddresses(
                election: try SocketAddress.makeAddressResolvingHost(host, port: myself.electionPort),
                quorum: try SocketAddress.makeAddressResolvingHost(host, port: myself.quorumPort))
        } catch where everywhere {
            // A host without IPv6.
            return PeerAddresses(
                election: try SocketAddress(ipAddress: "0.0.0.0", port: myself.electionPort),
                quorum: try SocketAddress(ipAddress: "0.0.0.0", port: myself.quorumPort))
        }
    }
}

/// A member's connections to the other members. Loop-bound.
final class PeerNetwork {
    let election: ElectionTransport
    let learners: LearnerPort
    let leader: LeaderLink
    private let addresses: PeerAddresses

    /// nil if the configuration has no line for this member.
    init?(
        turn: LoopTurn, network: any Network, configuration: ServerConfiguration, addresses: PeerAddresses, seed: UInt64,
        log: Logger
    ) {
        guard let myself = configuration.myself else { return nil }
        self.addresses = addresses
        election = ElectionTransport(
            turn: turn, network: network, myself: myself, others: configuration.members.filter { $0.id != myself.id }, seed: seed,
            log: log)
        // What a client may ask for at most, twice: the leader adds to it (ServerConfiguration.machineConfiguration). No
        // less than Apache's peers send with their standard limit.
        let dataLimit = max(2 * configuration.maxFrame, QuorumPacket.dataLimit)
        learners = LearnerPort(turn: turn, network: network, address: addresses.quorum, dataLimit: dataLimit, log: log)
        leader = LeaderLink(
            turn: turn, network: network,
            quorumAddresses: Dictionary(uniqueKeysWithValues: configuration.members.map { ($0.id, $0.quorum) }),
            dataLimit: dataLimit, log: log)
    }

    func listen() -> EventLoopFuture<Void> { election.listen(at: addresses.election) }

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
