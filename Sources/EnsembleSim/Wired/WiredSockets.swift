import EnsembleBase
import KeeperCore
import KeeperServer
import NIOCore

/// A server's door to the switchboard, and the sockets of its process.
final class WiredSockets: Network {
    private let server: ServerID
    private let loop: WiredLoop
    private let switchboard: Switchboard
    private let sabotage: WiredSabotage
    /// Those that the next turn reads, in the order in which they became readable.
    private var ready = FIFO<WiredChannel>()
    private var channels: [WiredChannel] = []

    init(server: ServerID, loop: WiredLoop, switchboard: Switchboard, sabotage: WiredSabotage) {
        self.sabotage = sabotage
        self.server = server
        self.loop = loop
        self.switchboard = switchboard
    }

    // MARK: Network

    func listen(
        at address: SocketAddress, backlog: Int, _ profile: ConnectionProfile,
        accept: @escaping (any Channel) throws -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> {
        guard let port = address.port else { return loop.makeFailedFuture(ChannelError.operationUnsupported) }
        let channel = WiredChannel(listener: loop, local: address) { [switchboard] in switchboard.stopListening(on: port) }
        let listener = Switchboard.Listener(server: server, loop: loop, profile: profile, accept: accept, channel: channel)
        guard switchboard.listen(on: port, listener) else {
            channel.vanish()
            return loop.makeFailedFuture(WiredError.inUse)
        }
        return loop.makeSucceededFuture(channel)
    }

    func connect(
        to address: HostPort, within limit: TimeAmount, _ profile: ConnectionProfile,
        handler: @escaping () -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> {
        let connected = loop.makePromise(of: (any Channel).self)
        let remote = try? SocketAddress(ipAddress: address.host, port: address.port)
        let channel = makeChannel(profile, remote: remote)
        do { try channel.pipeline.syncOperations.addHandler(handler()) } catch {
            connected.fail(error)
            return connected.futureResult
        }
        var overdue: Scheduled<Void>?
        var cable: Cable?
        let dialled = switchboard.dial(address.port, from: .server(server)) { [loop] isAccepted in
            // The answer is one more event of the loop.
            let found = NIOLoopBound((cable, overdue), eventLoop: loop)
            loop.execute {
                let (cable, overdue) = found.value
                overdue?.cancel()
                guard let cable, isAccepted else {
                    channel.close0(error: WiredError.refused, mode: .all, promise: nil)
                    return connected.fail(WiredError.refused)
                }
                channel.activate(cable, as: .dialler)
                connected.succeed(channel)
            }
        }
        cable = dialled
        let number = dialled.number
        overdue = loop.assumeIsolated().scheduleTask(in: limit) { [switchboard] in
            switchboard.givesUp(number)
            channel.close0(error: WiredError.unreachable, mode: .all, promise: nil)
            connected.fail(ChannelError.connectTimeout(limit))
        }
        pending.append(connected)
        connected.futureResult.assumeIsolated().whenComplete { [self] _ in pending.removeAll { $0.futureResult === connected.futureResult } }
        return connected.futureResult
    }

    private var pending: [EventLoopPromise<any Channel>] = []

    // MARK: The loop's turn

    var hasNews: Bool { ready.first != nil }

    /// Accepts what waits, and reads from up to `limit` sockets.
    func turn(limit: Int, timeline: Timeline) {
        while let (cable, listener) = switchboard.nextToAccept(at: server) { accept(cable, listener) }
        var left = limit
        while left > 0, let channel = ready.popFirst() {
            channel.readOnce(limit: Int(timeline.oneIn(3) ? timeline.draw(1...200) : timeline.draw(200...65_536)))
            left -= 1
        }
        if ready.first != nil { loop.wake(in: .microseconds(timeline.draw(5...50))) }
    }

    private func accept(_ cable: Cable, _ listener: Switchboard.Listener) {
        let address =
            switch cable.dialler {
            case .server(let id): Switchboard.host(of: id)
            case .client(let number): "10.1.0.\(number % 250 + 1)"
            }
        let channel = makeChannel(listener.profile, remote: try? SocketAddress(ipAddress: address, port: Switchboard.clientPort(ofCable: cable.number)))
        do {
            try channel.pipeline.syncOperations.addHandler(listener.accept(channel))
            channel.activate(cable, as: .acceptor)
        } catch {
            cable.close(from: .acceptor)
            channel.vanish()
        }
    }

    private func makeChannel(_ profile: ConnectionProfile, remote: SocketAddress?) -> WiredChannel {
        let channel = WiredChannel(loop: loop, profile: profile, local: nil, remote: remote, sabotage: sabotage) { [weak self] in self?.ready.append($0) }
        channels.removeAll { !$0.isOpen }
        channels.append(channel)
        return channel
    }

    /// The process is dead.
    func end() {
        switchboard.forget(server)
        for channel in channels { channel.vanish() }
        channels = []
        ready.removeAll()
        for promise in pending { promise.fail(EventLoopError.shutdown) }
        pending = []
    }
}
