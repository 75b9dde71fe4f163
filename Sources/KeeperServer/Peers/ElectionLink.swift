import KeeperCodec
import KeeperCore
import NIOCore

/// One election connection, dialled or accepted (reference/zookeeper.md, 3.1). Loop-bound.
final class ElectionLink: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private weak var transport: ElectionTransport?
    private var context: ChannelHandlerContext?
    private var input = ByteBuffer()
    /// nil until an accepted connection has said its hello.
    private(set) var peer: ServerID?
    private var overdue: Scheduled<Void>?

    /// An accepted connection must say hello within this.
    private static let helloTimeout = TimeAmount.seconds(5)

    /// - Parameter peer: nil for an accepted connection.
    init(transport: ElectionTransport, peer: ServerID?) {
        self.transport = transport
        self.peer = peer
    }

    var isWritable: Bool { context?.channel.isWritable ?? false }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard peer == nil else { return }
        overdue = context.eventLoop.assumeIsolated().scheduleTask(in: ElectionLink.helloTimeout) { [weak self] in
            if let self, peer == nil { close() }
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        overdue?.cancel()
        self.context = nil
        transport?.ended(self)
        transport = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = buffer } else { input.writeBuffer(&buffer) }
        do {
            if peer == nil {
                guard let hello = try ElectionHello.next(from: &input) else { return }
                overdue?.cancel()
                peer = hello.server
                guard transport?.admitted(self, hello.server) == true else { return close() }
            }
            while self.context != nil, let message = try input.readFrame(limit: FrameLimit.election) {
                let notification = try Notification(message: message)
                if let peer { transport?.received(notification, from: peer, over: self) }
            }
        } catch {
            return close()
        }
        if input.readableBytes == 0 { input = ByteBuffer() } else if input.readerIndex > 4096 { input.discardReadBytes() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close() }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { transport?.becameWritable(self) }
        context.fireChannelWritabilityChanged()
    }

    func send(_ bytes: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil) }
    func close() { context?.close(promise: nil) }

    /// Closes once `bytes` have left: a close right behind a write discards it if the channel is not active yet.
    func close(after bytes: ByteBuffer) {
        guard let context else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { [self] _ in close() }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: written)
    }
}
