import EnsembleBase
import KeeperCore
import KeeperStorage
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A server from its start to its end: what the program, and tests, hold.
package final class RunningServer: Sendable {
    private let group: MultiThreadedEventLoopGroup
    private let shell: NIOLoopBound<KeeperShell>
    private let eventLoop: any EventLoop
    private let configuration: ServerConfiguration
    private let clientAddresses: [SocketAddress]
    private let log: Logger
    private let ended: @Sendable (ServerExitReport) -> Void
    private let hasEnded = NIOLockedValueBox(false)
    private let listener = NIOLockedValueBox<NIOLoopBound<ListeningPort>?>(nil)
    private let chosenPort = NIOLockedValueBox<Int?>(nil)
    private let isStopping = NIOLockedValueBox(false)

    /// How long an orderly stop may take to hand leadership over.
    private static let handOffLimit = TimeAmount.seconds(3)

    /// Starts a server and returns at once. `ended` is called once, on any thread, when it has stopped or failed; after
    /// a failure the process should end without touching the server again.
    ///
    /// - Throws: `ServerExitReport` if a directory is missing that is not to be made, or if an address of this member's own can't be resolved.
    package static func start(
        _ configuration: ServerConfiguration, log: Logger, ended: @escaping @Sendable (ServerExitReport) -> Void
    ) throws(ServerExitReport) -> RunningServer {
        try requireDirectories(configuration)
        var peers: PeerAddresses?
        let clients: [SocketAddress]
        do throws(HostAddresses.Unresolved) {
            if !configuration.standalone, let myself = configuration.myself {
                peers = try PeerAddresses.resolve(myself, everywhere: configuration.quorumListenOnAllAddresses)
            }
            clients = try HostAddresses.listening(host: configuration.client.host, port: configuration.client.port)
        } catch {
            // The name may come: with the network, or with the resolver.
            throw ServerExitReport(exit: .temporaryFailure, message: "\(error), which is to be this member's own address")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = RunningServer(configuration, peers, clients, group, log, ended)
        server.eventLoop.execute {
            TimeSlice.ask(TimeSlice.loop)
            server.shell.value.start()
        }
        server.eventLoop.execute { server.openPorts() }
        return server
    }

    /// `datadir.autocreate=false`: a directory that isn't there is a disk that isn't mounted, not an empty database.
    private static func requireDirectories(_ configuration: ServerConfiguration) throws(ServerExitReport) {
        guard !configuration.createsDirectories else { return }
        let layout = configuration.layout
        for path in [layout.snapshotDirectory, layout.logDirectory] where !FileContent.isDirectory(path) {
            throw ServerExitReport(
                exit: .temporaryFailure,
                message: "\(path) is missing, and datadir.autocreate=false forbids to make it: mount its disk, or make it yourself",
                file: path)
        }
    }

    private init(
        _ configuration: ServerConfiguration, _ addresses: PeerAddresses?, _ clientAddresses: [SocketAddress],
        _ group: MultiThreadedEventLoopGroup, _ log: Logger, _ ended: @escaping @Sendable (ServerExitReport) -> Void
    ) {
        self.group = group
        self.configuration = configuration
        self.clientAddresses = clientAddresses
        self.log = log
        self.ended = ended
        let loop = group.next()
        eventLoop = loop
        let box = FailureBox()
        var random = SystemRandomNumberGenerator()
        let seed = random.next()
        do {
            shell = try loop.submit {
                NIOLoopBound(
                    KeeperShell(
                        configuration: configuration, addresses: addresses, host: .system(loop), seed: seed, log: log
                    ) {
                        box.fail($0)
                    }, eventLoop: loop)
            }.wait()
        } catch {
            // The closure doesn't throw.
            fatalError("\(error)")
        }
        box.arm { [weak self] report in self?.failed(report) }
    }

    private func openPorts() {
        let shell = shell.value
        let election = shell.peers?.listen() ?? eventLoop.makeSucceededVoidFuture()
        let clients = ListeningPort(
            eventLoop: eventLoop, network: shell.network, addresses: clientAddresses, backlog: configuration.clientBacklog,
            profile: .client, log: log, accept: ClientPort.accept(into: shell.clients))
        shell.clients.accept(through: clients)
        let port = NIOLoopBound(clients, eventLoop: eventLoop)
        listener.withLockedValue { $0 = port }
        election
            .flatMap { port.value.open() }
            .whenComplete { [self] result in
                switch result {
                case .success:
                    let addresses = port.value.localAddresses
                    chosenPort.withLockedValue { $0 = addresses.first?.port }
                    log.info("listening for clients at \(addresses.map(\.description).joined(separator: ", "))")
                case .failure(let error):
                    failed(ServerExitReport(exit: .temporaryFailure, message: "cannot listen at \(error)"))
                }
            }
    }

    /// The port that clients connect to; nil until it is open.
    package var clientPort: Int? { chosenPort.withLockedValue { $0 } }

    /// A moment's status.
    package func status() throws -> KeeperStatus { try eventLoop.submit { [self] in shell.value.status }.wait() }

    /// Asks a leader to step down in favour of the most advanced follower.
    package func handOff() { eventLoop.execute { [self] in shell.value.turn.raise(.handOffRequested) } }

    // MARK: end

    /// Orderly: no further clients, a leader hands over, the log is flushed. Answered by `ended`.
    package func stop() {
        let isFirst = isStopping.withLockedValue { stopping in
            defer { stopping = true }
            return !stopping
        }
        guard isFirst else { return }
        eventLoop.execute { [self] in
            log.info("stopping")
            listener.withLockedValue { $0 }?.value.close()
            shell.value.stop(within: RunningServer.handOffLimit) { [self] in finish() }
        }
    }

    /// The log is flushed while peers and clients are already told by their closing connections.
    private func finish() {
        let shell = shell.value
        shell.clients.closeAll()
        shell.peers?.close()
        shell.disk.close { [self] in end(ServerExitReport(exit: .orderly, message: "stopped")) }
    }

    private func failed(_ report: ServerExitReport) {
        eventLoop.execute { [self] in shell.value.halt() }
        end(report)
    }

    private func end(_ report: ServerExitReport) {
        let isFirst = hasEnded.withLockedValue { ended in
            defer { ended = true }
            return !ended
        }
        if isFirst { ended(report) }
    }
}

/// Carries a failure from the shell, which is made first, to the server that owns it.
private final class FailureBox: Sendable {
    private let state = NIOLockedValueBox<(handler: (@Sendable (ServerExitReport) -> Void)?, early: ServerExitReport?)>((nil, nil))

    func arm(_ handler: @escaping @Sendable (ServerExitReport) -> Void) {
        let early = state.withLockedValue { state in
            state.handler = handler
            return state.early
        }
        if let early { handler(early) }
    }

    func fail(_ report: ServerExitReport) {
        let handler = state.withLockedValue { state in
            if state.handler == nil { state.early = report }
            return state.handler
        }
        handler?(report)
    }
}
