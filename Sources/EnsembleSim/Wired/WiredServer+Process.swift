import EnsembleBase
import KeeperCore
import KeeperServer
import KeeperStorage
import Logging
import NIOCore

/// The process of a wired server: how it begins, and how it ends.
extension WiredServer {
    /// As the program starts it: recovery begins, ports are opened.
    func start(in world: WiredWorld) {
        incarnation += 1
        isFrozen = false
        missedTurn = false
        (logged, installing) = ([], [])
        let loop = WiredLoop(server: id, incarnation: incarnation, timeline: world.timeline, clock: clock)
        let sockets = WiredSockets(server: id, loop: loop, switchboard: world.switchboard, sabotage: world.sabotage)
        let bell = SimLane.Bell()
        var host = ServerHost(
            eventLoop: loop, network: sockets, files: disk.drive, lane: { SimLane(name: $0, bell: bell) }, trimMemory: {})
        host.wallTime = { [clock, timeline = world.timeline] in
            WallTime(milliseconds: 1_700_000_000_000 + clock.local(timeline.now).nanoseconds / 1_000_000)
        }
        host.nodesPerSlice = Int(world.timeline.draw(1...60))
        let shell = KeeperShell(
            configuration: configuration, addresses: addresses, host: host, seed: UInt64(bitPattern: world.timeline.draw(0...Int64.max)),
            log: WiredServer.silence
        ) { [unowned self] report in ended(report) }
        process = Process(loop: loop, sockets: sockets, shell: shell, bell: bell)
        shell.stepped = { [unowned self, unowned world] event, actions in world.stepped(self, event, &actions) }
        shell.start()
        openPorts(shell, loop, sockets)
    }

    /// As `RunningServer` does.
    private func openPorts(_ shell: KeeperShell, _ loop: WiredLoop, _ sockets: WiredSockets) {
        let election = shell.peers?.listen() ?? loop.makeSucceededVoidFuture()
        let port = ListeningPort(
            eventLoop: loop, network: sockets, addresses: WiredServer.addresses(configuration.client.host, configuration.client.port),
            backlog: configuration.clientBacklog, profile: .client, log: WiredServer.silence,
            accept: ClientPort.accept(into: shell.clients))
        shell.clients.accept(through: port)
        election.assumeIsolated().flatMap { port.open() }.whenFailure { [unowned self] error in
            ended(ServerExitReport(exit: .temporaryFailure, message: "cannot listen at \(error)"))
        }
    }

    /// As a person does before a new ensemble's first start.
    func initialize() throws(StorageError) {
        let layout = configuration.layout(disk.drive)
        try layout.create()
        if !configuration.standalone { try layout.initializeFile.create() }
        try disk.drive.syncDirectory(layout.dataLogDir)
    }

    private static let silence = Logger(label: "simulated") { _ in SwiftLogNoOpLogHandler() }

    private var addresses: PeerAddresses? {
        guard let myself = configuration.myself else { return nil }
        return PeerAddresses(
            election: WiredServer.addresses(myself.host, myself.electionPort),
            quorum: WiredServer.addresses(myself.host, myself.quorumPort))
    }

    private static func addresses(_ host: String, _ port: Int) -> [SocketAddress] {
        (try? SocketAddress(ipAddress: host, port: port)).map { [$0] } ?? []
    }

    /// The process says that it ends: it does, once what it is at is over.
    func ended(_ report: ServerExitReport) {
        if process?.ending == nil { process?.ending = report }
    }

    /// `kill -9`: the kernel closes its connections, and nothing of it runs any more.
    func kill() {
        guard let process else { return }
        process.shell.halt()
        process.shell.disk.abandon()
        process.sockets.end()
        for number in process.lanes.keys.sorted() { process.lanes[number]?.abandon() }
        for lane in process.bell.take() { lane.abandon() }
        process.loop.end()
        self.process = nil
        disk.drive.endProcess()
        disk.appended = []
        isFrozen = false
        missedTurn = false
    }

    /// Of what was not synced something is left.
    func losePower() { disk.drive.cutPower() }

    /// Lanes that have got work begin with it: each in its own time.
    func startLanes(_ timeline: Timeline, isSlow: Bool) {
        guard let news = process?.bell.take() else { return }
        for lane in news {
            process!.laneCount += 1
            process!.lanes[process!.laneCount] = lane
            timeline.schedule(.laneDone(id, incarnation: incarnation, lane: process!.laneCount), in: WiredServer.workTime(timeline, isSlow))
        }
    }

    /// A piece of a lane's work is done.
    func laneTurn(_ number: Int, _ timeline: Timeline, isSlow: Bool) {
        guard let lane = process?.lanes[number] else { return }
        if lane.turn() {
            timeline.schedule(.laneDone(id, incarnation: incarnation, lane: number), in: WiredServer.workTime(timeline, isSlow))
        } else {
            process?.lanes[number] = nil
        }
    }

    private static func workTime(_ timeline: Timeline, _ isSlow: Bool) -> Duration {
        if isSlow, timeline.oneIn(25) { return .milliseconds(timeline.oneIn(10) ? timeline.draw(300...4_000) : timeline.draw(5...300)) }
        return .microseconds(timeline.draw(60...1_500))
    }
}
