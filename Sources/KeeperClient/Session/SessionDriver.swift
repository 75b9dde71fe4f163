import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore
import NIOPosix

/// The session's hands: opens channels, encodes and decodes frames, keeps one timer, resumes callers and watchers.
/// Everything here happens on one event loop; every decision is `SessionMachine`'s.
final class SessionDriver {
    /// Who is told of a watch's events.
    enum Watcher {
        case once(@Sendable (NodeEvent) -> Void)
        case stream(AsyncStream<NodeEvent>.Continuation)
    }

    private let loop: any EventLoop
    private let chroot: String
    private let frameLimit: Int
    private var machine: SessionMachine
    private var actions = ActionBuffer<SessionAction>()
    private var spare: [SessionAction] = []
    /// Events that arrived while actions were being performed: a step must not begin before the last one's are done.
    private var pending = FIFO<SessionEvent>()
    private var isPerforming = false

    private var channels: [ChannelToken: any Channel] = [:]
    private var outgoing = ByteBuffer()
    private var outgoingChannel: (any Channel)?
    private var timer: (at: Instant, scheduled: Scheduled<Void>)?

    private var calls: [CallToken: CheckedContinuation<Reply, any Error>] = [:]
    private var watchers: [WatchToken: Watcher] = [:]
    private var observers: [UInt64: AsyncStream<SessionStatus>.Continuation] = [:]
    private(set) var lastFailure: String?

    init(machine: SessionMachine, chroot: String, frameLimit: Int, loop: any EventLoop) {
        self.machine = machine
        self.chroot = chroot
        self.frameLimit = frameLimit
        self.loop = loop
    }

    static func now() -> Instant { Instant(nanoseconds: Int64(NIODeadline.now().uptimeNanoseconds)) }

    var status: SessionStatus { machine.status }
    var sessionID: Int64 { machine.sessionID }
    var ticket: SessionTicket? { machine.ticket }
    var timeout: Duration { machine.timeout }
    var lastZxid: Int64 { machine.lastZxid.rawValue }
    /// How long the session is certainly still alive; negative when that time has passed.
    var certainty: Duration? { machine.certainUntil.map { $0 - SessionDriver.now() } }

    // MARK: Events in

    func feed(_ event: SessionEvent) {
        loop.preconditionInEventLoop()
        pending.append(event)
        guard !isPerforming else { return }
        isPerforming = true
        while let next = pending.popFirst() {
            machine.step(next, at: SessionDriver.now(), into: &actions)
            actions.exchange(with: &spare)
            for action in spare { perform(action) }
            spare.removeAll(keepingCapacity: true)
        }
        isPerforming = false
        flush()
        arm()
    }

    func call(_ call: Call, watcher: Watcher?, _ continuation: CheckedContinuation<Reply, any Error>) {
        calls[call.token] = continuation
        if let watcher, let watch = call.watch { watchers[watch.token] = watcher }
        feed(.called(call))
    }

    func observe(_ id: UInt64, _ continuation: AsyncStream<SessionStatus>.Continuation) {
        continuation.yield(machine.status)
        if machine.status.isFinal { continuation.finish() } else { observers[id] = continuation }
    }

    func stopObserving(_ id: UInt64) { observers[id] = nil }

    func dropWatch(_ token: WatchToken, _ kind: WatchRegistry.Kind, at path: NodePath) {
        watchers[token] = nil
        feed(.watchDropped(token, kind, path))
    }

    /// A watcher whose registration failed: it will never be told anything.
    func forgetWatcher(_ token: WatchToken) { watchers[token] = nil }

    /// One frame of a connection. Throws `CodecError` if it is none that the protocol allows here.
    func take(_ frame: ByteBuffer, from token: ChannelToken) throws {
        if case .handshaking(token, _) = machine.state {
            feed(.connectAnswered(token, try ConnectResponse(frame: frame)))
            return
        }
        var body = frame
        let header = try ReplyHeader(readingFrom: &body)
        if header.xid == ReplyHeader.watchEventXid {
            feed(.watchFired(token, try WatchEvent(header: header, body: body)))
            return
        }
        let op = machine.awaited(header.xid).flatMap { OpCode(rawValue: $0.op) } ?? .ping
        feed(.replied(token, try Reply(header: header, op: op, body: body)))
    }

    // MARK: Actions out

    private func perform(_ action: SessionAction) {
        switch action {
        case .openChannel(let token, let server, let patience): open(token, server, within: patience)
        case .closeChannel(let token):
            flush()
            channels.removeValue(forKey: token)?.close(promise: nil)
        case .sendConnect(let token, let request):
            prepare(token)
            outgoing.writeFrame(request)
        case .send(let token, let xid, let request):
            prepare(token)
            outgoing.writeFrame(RequestFrame(xid: xid, request: request))
        case .complete(let token, let result):
            calls.removeValue(forKey: token)?.resume(with: result.mapError { $0 as any Error })
        case .deliver(let token, let event): deliver(event, to: token)
        case .endWatch(let token, let path): endWatch(token, path)
        case .changed(let status):
            for id in observers.keys.sorted() {
                observers[id]?.yield(status)
                if status.isFinal { observers.removeValue(forKey: id)?.finish() }
            }
        }
    }

    private func prepare(_ token: ChannelToken) {
        let channel = channels[token]
        if outgoingChannel !== channel { flush() }
        outgoingChannel = channel
    }

    /// All requests of a step leave in one write.
    private func flush() {
        guard outgoing.readableBytes > 0 else { return }
        outgoingChannel?.writeAndFlush(outgoing, promise: nil)
        outgoing = ByteBuffer()
        outgoingChannel = nil
    }

    private func open(_ token: ChannelToken, _ server: ConnectString.Server, within patience: Duration) {
        let driver = NIOLoopBound(self, eventLoop: loop)
        let limit = frameLimit
        ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(patience.inNanoseconds))
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = SessionChannelHandler(driver: driver.value, token: token, frameLimit: limit)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .connect(host: server.host, port: server.port)
            .whenComplete { result in
                switch result {
                case .success(let channel): driver.value.opened(token, channel)
                case .failure(let error): driver.value.failed(token, "\(server): \(error)")
                }
            }
    }

    private func opened(_ token: ChannelToken, _ channel: any Channel) {
        channels[token] = channel
        feed(.channelOpened(token))
    }

    /// The channel could not be opened, or has ended.
    func failed(_ token: ChannelToken, _ reason: String) {
        channels[token] = nil
        lastFailure = reason
        feed(.channelClosed(token, reason: reason))
    }

    private func deliver(_ event: WatchEvent, to token: WatchToken) {
        let kind: NodeEvent.Kind =
            switch event.type {
            case .created: .created
            case .deleted: .deleted
            case .dataChanged: .dataChanged
            case .childrenChanged: .childrenChanged
            case .none: .watchLost
            }
        let path = PathRules.relative(event.path, to: chroot)
        let told = NodeEvent(kind: kind, path: path, zxid: event.zxid.rawValue)
        switch watchers[token] {
        case .once(let callback):
            watchers[token] = nil
            callback(told)
        case .stream(let continuation):
            // A reader this far behind would miss events: its stream ends, which it can see, and none is left out.
            if case .dropped = continuation.yield(told) { continuation.finish() }
        case nil: break
        }
    }

    private func endWatch(_ token: WatchToken, _ path: NodePath) {
        let lost = NodeEvent(kind: .watchLost, path: PathRules.relative(path, to: chroot), zxid: -1)
        switch watchers.removeValue(forKey: token) {
        case .once(let callback): callback(lost)
        case .stream(let continuation):
            continuation.yield(lost)
            continuation.finish()
        case nil: break
        }
    }

    // MARK: Time

    private func arm() {
        guard let due = machine.deadline else {
            timer?.scheduled.cancel()
            timer = nil
            return
        }
        if let timer, timer.at <= due { return }
        timer?.scheduled.cancel()
        let driver = NIOLoopBound(self, eventLoop: loop)
        let deadline = NIODeadline.uptimeNanoseconds(UInt64(max(due.nanoseconds, 0)))
        timer = (due, loop.scheduleTask(deadline: deadline) { driver.value.timerFired() })
    }

    /// A timer that fires early, because its reason has moved, costs one look and arms the next.
    private func timerFired() {
        timer = nil
        feed(.timePassed)
    }
}
