import EnsembleBase
import KeeperCore
import KeeperServer
import KeeperStorage
import Logging
import NIOCore

/// The real `Disk` of one simulated process: on lanes, on a loop and on a disk of the world's.
final class SimHands {
    let disk: Disk
    let loop = SimLoop()
    private let bell = SimLane.Bell()
    private let turn: LoopTurn
    private let mailbox = Mailbox()
    /// Every lane with work, in the order in which they got it.
    private(set) var busy: [SimLane] = []
    /// A snapshot is being written: the loop has tasks of its own.
    var isSnapshotting = false
    /// When the world has been asked to run the loop.
    var armed: Instant?

    private final class Mailbox {
        var raised = FIFO<KeeperEvent>()
        var failure: ServerExitReport?
        /// The machine's tree, while the loop runs.
        var tree: DataTree?
    }

    init(_ configuration: ServerConfiguration, on drive: FaultyDisk, nodesPerSlice: Int) {
        let (mailbox, bell) = (mailbox, bell)
        turn = LoopTurn(eventLoop: loop)
        var host = ServerHost(
            eventLoop: loop, network: Unconnected(loop), files: drive, lane: { SimLane(name: $0, bell: bell) },
            trimMemory: {})
        host.nodesPerSlice = nodesPerSlice
        disk = Disk(
            turn: turn, host: host, configuration: configuration, statistics: ServerStatistics(), log: SimHands.silence
        ) { report in
            if mailbox.failure == nil { mailbox.failure = report }
        }
        turn.step = { event, _ in mailbox.raised.append(event) }
    }

    /// With the world.
    deinit { abandon() }

    private static let silence = Logger(label: "simulated") { _ in SwiftLogNoOpLogHandler() }

    /// What storage has raised since the last time, oldest first.
    func nextEvent() -> KeeperEvent? { mailbox.raised.popFirst() }

    /// Why the process must end; nil while it need not.
    var failure: ServerExitReport? { mailbox.failure }

    /// Runs `body` with the machine's tree in reach.
    func with(_ tree: DataTree?, _ body: () -> Void) {
        mailbox.tree = tree
        body()
        mailbox.tree = nil
    }

    func takeSnapshot(needed: Zxid?) {
        isSnapshotting = true
        disk.takeSnapshot(needed: needed) { [mailbox] in mailbox.tree ?? DataTree() }
    }

    /// Lanes that have got work and that nobody knows of yet.
    func news() -> [SimLane] {
        let news = bell.take()
        busy.append(contentsOf: news)
        return news
    }

    /// Does one piece of a lane's work; whether there is more.
    func turn(_ lane: SimLane) -> Bool {
        if lane.turn() { return true }
        busy.removeAll { $0 === lane }
        return false
    }

    /// Does everything that was asked, for a process that ends in order.
    func finish() {
        disk.close {}
        repeat {
            for lane in news() + busy { lane.end() }
            busy = []
            loop.run()
        } while loop.hasTasks
        abandon()
    }

    /// The process is gone: nobody does what was asked, and nobody is told.
    func abandon() {
        disk.abandon()
        for lane in news() + busy { lane.abandon() }
        busy = []
        loop.abandon()
        mailbox.raised.removeAll()
    }
}

/// Whoever stands on it has no connections: the world carries messages itself.
private final class Unconnected: Network {
    private let loop: SimLoop

    init(_ loop: SimLoop) { self.loop = loop }

    func listen(
        at address: SocketAddress, backlog: Int, _ profile: ConnectionProfile,
        accept: @escaping (any Channel) throws -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> { loop.makeFailedFuture(ChannelError.operationUnsupported) }

    func connect(
        to address: HostPort, within limit: TimeAmount, _ profile: ConnectionProfile, handler: @escaping () -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> { loop.makeFailedFuture(ChannelError.operationUnsupported) }
}
