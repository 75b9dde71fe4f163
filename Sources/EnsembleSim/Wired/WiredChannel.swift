import EnsembleBase
import KeeperServer
import NIOCore

/// A server's end of a cable, as NIO's handlers know a socket: watermarks, partial writes, `autoRead`, half closure, and
/// what is dropped when a channel is closed.
final class WiredChannel: Channel, ChannelCore, CableEnd {
    private struct Waiting {
        var bytes: ByteBuffer
        var promise: EventLoopPromise<Void>?
        var isFlushed = false
    }

    private struct State {
        var cable: Cable?
        var side = Cable.Side.acceptor
        /// Written and not taken by the socket.
        var waiting: [Waiting] = []
        var waitingBytes = 0
        var isWritable = true
        var isActive = false
        var isOpen = true
        var readsByItself = true
        var inputHasEnded = false
        var pipeline: ChannelPipeline?
        /// Puts the channel among those that the loop's next turn reads.
        var ready: (WiredChannel) -> Void = { _ in }
        var isReady = false
        /// For a listener.
        var closed: (() -> Void)?
    }

    private let loop: WiredLoop
    private let profile: ConnectionProfile
    private let sabotage: WiredSabotage
    private let state: NIOLoopBoundBox<State>
    private let closePromise: EventLoopPromise<Void>
    let localAddress: SocketAddress?
    let remoteAddress: SocketAddress?

    /// - Parameter ready: called when there is something to read.
    init(
        loop: WiredLoop, profile: ConnectionProfile, local: SocketAddress?, remote: SocketAddress?, sabotage: WiredSabotage,
        ready: @escaping (WiredChannel) -> Void
    ) {
        self.loop = loop
        self.profile = profile
        self.sabotage = sabotage
        localAddress = local
        remoteAddress = remote
        closePromise = loop.makePromise(of: Void.self)
        state = NIOLoopBoundBox(State(ready: ready), eventLoop: loop)
        state.value.pipeline = ChannelPipeline(channel: self)
    }

    /// A channel without a cable: what a listener is to those who close it.
    convenience init(listener loop: WiredLoop, local: SocketAddress, closed: @escaping () -> Void) {
        self.init(loop: loop, profile: ConnectionProfile(), local: local, remote: nil, sabotage: WiredSabotage(nil), ready: { _ in })
        state.value.closed = closed
        state.value.isActive = true
    }

    /// The connection stands.
    func activate(_ cable: Cable, as side: Cable.Side) {
        guard state.value.isOpen else { return cable.close(from: side) }
        state.value.cable = cable
        state.value.side = side
        state.value.isActive = true
        cable.attach(self, as: side)
        pipeline.syncOperations.fireChannelRegistered()
        pipeline.syncOperations.fireChannelActive()
        push()
        if cable.hasNews(at: side) { becameReadable() }
    }

    // MARK: CableEnd

    func becameReadable() {
        guard state.value.isOpen, !state.value.isReady else { return }
        state.value.isReady = true
        state.value.ready(self)
        loop.wake()
    }

    func becameWritable() {
        // The loop sees it in its next turn, as `epoll` would tell.
        loop.assumeIsolated().execute { [self] in push() }
    }

    /// One read of a turn.
    func readOnce(limit: Int) {
        state.value.isReady = false
        guard state.value.isOpen, let cable = state.value.cable else { return }
        // Behind the end of its peer's side NIO reads all there is, whoever wants it (`BaseSocketChannel.readEOF0`).
        if cable.hasEnded(at: state.value.side) {
            while state.value.isOpen, !state.value.inputHasEnded { take(cable.read(at: state.value.side, limit: 1 << 16)) }
        } else if state.value.readsByItself || cable.wasReset {
            take(cable.read(at: state.value.side, limit: limit))
            if isOpen, !state.value.inputHasEnded, cable.hasNews(at: state.value.side) { becameReadable() }
        }
    }

    private func take(_ reading: Cable.Reading) {
        switch reading {
        case .nothing: return
        case .bytes(let bytes):
            let isCut = (state.value.cable?.unread(at: state.value.side) ?? 0) > 0
            pipeline.syncOperations.fireChannelRead(NIOAny(sabotage.read(bytes, isCut: isCut)))
            pipeline.syncOperations.fireChannelReadComplete()
        case .end:
            state.value.inputHasEnded = true
            guard profile.allowsHalfClosure else { return close0(error: ChannelError.eof, mode: .all, promise: nil) }
            pipeline.syncOperations.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        case .reset: fail(WiredError.reset)
        }
    }

    /// The connection has failed from outside.
    func fail(_ error: any Error) {
        guard state.value.isOpen else { return }
        pipeline.syncOperations.fireErrorCaught(error)
        close0(error: error, mode: .all, promise: nil)
    }

    /// Gives the socket what it takes.
    private func push() {
        guard let cable = state.value.cable, state.value.isOpen else { return }
        var written: [EventLoopPromise<Void>] = []
        while var first = state.value.waiting.first, first.isFlushed {
            let count = cable.send(&first.bytes, from: state.value.side)
            state.value.waitingBytes -= count
            guard first.bytes.readableBytes == 0 else {
                if count > 0, sabotage.repeatsWrite {
                    state.value.waitingBytes += count
                } else {
                    state.value.waiting[0] = first
                }
                break
            }
            state.value.waiting.removeFirst()
            if let promise = first.promise { written.append(promise) }
        }
        for promise in written { promise.succeed() }
        if !state.value.isWritable, state.value.waitingBytes < profile.lowWater, state.value.isOpen {
            state.value.isWritable = true
            pipeline.syncOperations.fireChannelWritabilityChanged()
        }
    }

    // MARK: Channel

    var eventLoop: any EventLoop { loop }
    var allocator: ByteBufferAllocator { ByteBufferAllocator() }
    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var parent: (any Channel)? { nil }
    var isWritable: Bool { state.value.isWritable }
    var isActive: Bool { state.value.isActive }
    var isOpen: Bool { state.value.isOpen }
    /// For a listener: whether it accepts.
    var isReading: Bool { state.value.readsByItself }
    var _channelCore: any ChannelCore { self }

    var pipeline: ChannelPipeline {
        guard let pipeline = state.value.pipeline else { preconditionFailure("a channel has its pipeline from its beginning") }
        return pipeline
    }

    var syncOptions: (any NIOSynchronousChannelOptions)? { Options(channel: self) }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        loop.makeCompletedFuture { try set(option, value) }
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        loop.makeCompletedFuture { try get(option) }
    }

    fileprivate func set<Option: ChannelOption>(_ option: Option, _ value: Option.Value) throws {
        guard option is ChannelOptions.Types.AutoReadOption, let reads = value as? Bool else { throw ChannelError.operationUnsupported }
        guard state.value.isOpen else { throw ChannelError.ioOnClosedChannel }
        if reads, sabotage.forgetsToRead { return }
        state.value.readsByItself = reads
        guard reads else { return }
        if let cable = state.value.cable {
            if cable.hasNews(at: state.value.side) { becameReadable() }
        } else {
            loop.wake()
        }
    }

    fileprivate func get<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        guard state.value.isOpen else { throw ChannelError.ioOnClosedChannel }
        let value: Any? =
            switch option {
            case is ChannelOptions.Types.AutoReadOption: state.value.readsByItself
            case is ChannelOptions.Types.BufferedWritableBytesOption: state.value.waitingBytes
            case is ChannelOptions.Types.AllowRemoteHalfClosureOption: profile.allowsHalfClosure
            default: nil
            }
        guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }

    // MARK: ChannelCore

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard state.value.isOpen else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        let bytes = unwrapData(data, as: ByteBuffer.self)
        state.value.waiting.append(Waiting(bytes: bytes, promise: promise))
        state.value.waitingBytes += bytes.readableBytes
        if state.value.isWritable, state.value.waitingBytes > profile.highWater {
            state.value.isWritable = false
            pipeline.syncOperations.fireChannelWritabilityChanged()
        }
    }

    func flush0() {
        for index in state.value.waiting.indices { state.value.waiting[index].isFlushed = true }
        push()
    }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard state.value.isOpen else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        let wasActive = state.value.isActive
        state.value.isOpen = false
        state.value.isActive = false
        let dropped = state.value.waiting
        state.value.waiting = []
        state.value.waitingBytes = 0
        state.value.cable?.close(from: state.value.side)
        state.value.closed?()
        state.value.closed = nil
        for write in dropped { write.promise?.fail(ChannelError.ioOnClosedChannel) }
        promise?.succeed()
        if wasActive { pipeline.syncOperations.fireChannelInactive() }
        pipeline.syncOperations.fireChannelUnregistered()
        loop.assumeIsolated().execute { [self] in dissolve() }
    }

    private func dissolve() {
        removeHandlers(pipeline: pipeline)
        closePromise.succeed()
    }

    /// The process is dead: the kernel ends the connection, and nobody here hears of it.
    func vanish() {
        guard state.value.isOpen else { return }
        state.value.isOpen = false
        state.value.isActive = false
        for write in state.value.waiting { write.promise?.fail(ChannelError.ioOnClosedChannel) }
        state.value.waiting = []
        state.value.cable?.close(from: state.value.side)
        dissolve()
    }

    func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.unknownLocalAddress }
        return localAddress
    }

    func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    func register0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed() }
    func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func read0() {}
    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    func channelRead0(_ data: NIOAny) {}
    func errorCaught0(error: any Error) {}
}

/// As the system's errors of these names.
enum WiredError: Error {
    case refused, reset, unreachable, inUse
}

private struct Options: NIOSynchronousChannelOptions {
    let channel: WiredChannel
    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws { try channel.set(option, value) }
    func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value { try channel.get(option) }
}
