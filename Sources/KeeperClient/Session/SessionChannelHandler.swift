import KeeperCodec
import NIOCore

/// Cuts one connection's bytes into frames and hands them to the session's driver, which lives on the same event loop.
final class SessionChannelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let driver: SessionDriver
    private let token: ChannelToken
    private let frameLimit: Int
    private var received = ByteBuffer()
    private var reason = "the server closed the connection"

    init(driver: SessionDriver, token: ChannelToken, frameLimit: Int) {
        self.driver = driver
        self.token = token
        self.frameLimit = frameLimit
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var incoming = unwrapInboundIn(data)
        if received.readableBytes == 0 { received = incoming } else { received.writeBuffer(&incoming) }
        do {
            while let frame = try received.readFrame(limit: frameLimit) { try driver.take(frame, from: token) }
            received.discardReadBytes()
        } catch {
            reason = "malformed data: \(error)"
            received.clear()
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        driver.failed(token, reason)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        reason = "\(error)"
        context.close(promise: nil)
    }
}
