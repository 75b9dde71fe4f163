import EnsembleBase
import KeeperCodec
import KeeperCore
import Logging
import NIOCore

/// Carries notifications between voters (reference/zookeeper.md, 3.1): one connection per pair, the one that the larger
/// id dialled; only the newest message per peer is worth sending, and it is sent again on every new connection.
/// Loop-bound.
final class ElectionTransport {
    private struct Peer {
        var address: HostPort
        var link: ElectionLink?
        var isDialling = false
        var newest: ByteBuffer?
        /// `newest` waits for a slow socket.
        var isUnsent = false
        var backoff = Backoff(initial: .milliseconds(50), ceiling: ElectionTransport.longestWait)
        var linkedSince = Instant(nanoseconds: 0)
        var dialsAgain = false
    }

    private let turn: LoopTurn
    private let network: any Network
    private let myself: MemberAddress
    private let log: Logger
    private var random: SeededRandom
    private var peers: [ServerID: Peer]
    private let addresses: [SocketAddress]
    private var port: ListeningPort?
    private var isOpen = true

    private static let connectTimeout = TimeAmount.seconds(5)
    /// Between two attempts; a link that has lasted so long was a success.
    private static let longestWait = Duration.seconds(2)

    init(
        turn: LoopTurn, network: any Network, myself: MemberAddress, addresses: [SocketAddress], others: [MemberAddress],
        seed: UInt64, log: Logger
    ) {
        self.turn = turn
        self.network = network
        self.myself = myself
        self.addresses = addresses
        self.log = log
        random = SeededRandom(seed: seed)
        peers = Dictionary(uniqueKeysWithValues: others.map { ($0.id, Peer(address: $0.election)) })
    }

    func listen() -> EventLoopFuture<Void> {
        let port = ListeningPort(
            eventLoop: turn.eventLoop, network: network, addresses: addresses, backlog: 128, profile: .election, log: log
        ) { [self] _ in ElectionLink(transport: self, peer: nil) }
        self.port = port
        return port.open()
    }

    func close() {
        isOpen = false
        port?.close()
        port = nil
        for id in peers.keys.sorted() { peers[id]?.link?.close() }
    }

    func send(_ notification: Notification, to id: ServerID) {
        guard peers[id] != nil else { return }
        var frame = ByteBuffer()
        frame.writeFrame(notification)
        peers[id]?.newest = frame
        guard let link = peers[id]?.link else { return dial(id) }
        if link.isWritable { link.send(frame) } else { peers[id]?.isUnsent = true }
    }

    // MARK: what links report

    /// Whether an accepted connection is kept.
    func admitted(_ link: ElectionLink, _ id: ServerID) -> Bool {
        guard isOpen, peers[id] != nil else {
            log.warning("election connection from \(id), which is not another member; closed")
            return false
        }
        guard id > myself.id else {
            // Of two dialled crosswise the larger id's survives: ours.
            dial(id)
            return false
        }
        install(link, id)
        return true
    }

    func received(_ notification: Notification, from id: ServerID, over link: ElectionLink) {
        guard peers[id]?.link === link else { return }
        turn.raise(.notificationReceived(from: id, notification))
    }

    func becameWritable(_ link: ElectionLink) {
        guard let id = link.peer, let peer = peers[id], peer.link === link, peer.isUnsent, let newest = peer.newest else { return }
        peers[id]?.isUnsent = false
        link.send(newest)
    }

    func ended(_ link: ElectionLink) {
        guard let id = link.peer, let peer = peers[id], peer.link === link else { return }
        peers[id]?.link = nil
        // A peer that closes what it has answered would else be dialled twenty times a second.
        if turn.now - peer.linkedSince >= ElectionTransport.longestWait { peers[id]?.backoff.reset() }
        if myself.id > id { dialLater(id) }
    }

    // MARK: connections

    private func install(_ link: ElectionLink, _ id: ServerID) {
        let old = peers[id]?.link
        peers[id]?.link = link
        peers[id]?.linkedSince = turn.now
        peers[id]?.isUnsent = false
        old?.close()
        if let newest = peers[id]?.newest { link.send(newest) }
    }

    private func dialLater(_ id: ServerID) {
        guard isOpen, peers[id]?.dialsAgain == false, let wait = peers[id]?.backoff.next(using: &random) else { return }
        peers[id]?.dialsAgain = true
        turn.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(wait.inNanoseconds)) { [self] in
            peers[id]?.dialsAgain = false
            if peers[id]?.link == nil { dial(id) }
        }
    }

    private func dial(_ id: ServerID) {
        guard isOpen, let peer = peers[id], !peer.isDialling, peer.link == nil || id < myself.id else { return }
        if peer.dialsAgain && peer.link == nil && id > myself.id { return }
        peers[id]?.isDialling = true
        network.connect(to: peer.address, within: ElectionTransport.connectTimeout, .election) { [self] in
            ElectionLink(transport: self, peer: id)
        }
            .assumeIsolated()
            .whenComplete { [self] result in
                peers[id]?.isDialling = false
                switch result {
                case .success(let channel): dialled(id, channel)
                case .failure(let error):
                    log.debug("cannot reach \(id) for the election at \(peer.address): \(error)")
                    dialLater(id)
                }
            }
    }

    private func dialled(_ id: ServerID, _ channel: any Channel) {
        guard isOpen, let link = try? channel.pipeline.syncOperations.handler(type: ElectionLink.self) else {
            return channel.close(promise: nil)
        }
        var hello = ByteBuffer()
        hello.write(ElectionHello(server: myself.id, address: Array(myself.election.description.utf8)))
        guard myself.id > id else {
            // The peer has the larger id: it sees the hello, and dials back.
            return link.close(after: hello)
        }
        link.send(hello)
        install(link, id)
    }
}
