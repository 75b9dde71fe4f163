import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperServer
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

/// What only a real socket shows: its buffers are full, or its peer is slow.
@Suite(.serialized) struct ClientSocketTests {
    /// Reads everything that comes once it is told to, and counts it.
    private final class Sink: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let ended: EventLoopPromise<Int>
        private var count = 0

        init(_ ended: EventLoopPromise<Int>) { self.ended = ended }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { count += unwrapInboundIn(data).readableBytes }
        func channelInactive(context: ChannelHandlerContext) { ended.succeed(count) }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { ended.fail(error) }
    }

    /// A client port on a loop of its own, whose machine answers nothing, and a connection to it that reads nothing.
    private func connect(
        _ group: MultiThreadedEventLoopGroup, answer: @escaping @Sendable (FourLetterWord) -> [UInt8]
    ) throws -> (server: any Channel, client: any Channel, received: EventLoopFuture<Int>) {
        let loop = group.next()
        let server = try loop.flatSubmit {
            let turn = LoopTurn(eventLoop: loop)
            let table = ClientTable(turn: turn, policy: ClientPolicy(), statistics: ServerStatistics())
            table.answer = answer
            let opened = try? SocketAddress(ipAddress: "127.0.0.1", port: 0)
            return opened.map {
                SocketNetwork(eventLoop: loop).listen(at: $0, backlog: 8, .client, accept: ClientPort.accept(into: table))
            }
                ?? loop.makeFailedFuture(ChannelError.badInterfaceAddressFamily)
        }.wait()
        let ended = loop.makePromise(of: Int.self)
        let client = try ClientBootstrap(group: group)
            .channelOption(.autoRead, value: false)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Sink(ended)) }
            }
            .connect(to: #require(server.localAddress)).wait()
        return (server, client, ended.futureResult)
    }

    @Test(arguments: [false, true]) func aLongAnswerArrivesWholeBeforeTheConnectionCloses(halfClosed: Bool) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let size = 12 << 20
        let (server, client, received) = try connect(group) { _ in [UInt8](repeating: 65, count: size) }
        try client.writeAndFlush(ByteBuffer(string: "cons")).wait()
        if halfClosed { try client.close(mode: .output).wait() }
        // The server has closed, or thinks so, long before the first byte is read.
        try client.eventLoop.scheduleTask(in: .milliseconds(300)) {}.futureResult.wait()
        try client.setOption(.autoRead, value: true).wait()
        #expect(try received.wait() == size)
        try server.close().wait()
    }

    /// Until its session is granted a client has nothing to say; what it says nevertheless stays in the sockets.
    @Test func bytesBehindTheConnectRequestDoNotGather() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let (server, client, _) = try connect(group) { _ in [] }
        var hello = ByteBuffer()
        hello.writeFrame(ConnectRequest(timeout: 4000))
        try client.writeAndFlush(hello).wait()
        let flood = client.writeAndFlush(ByteBuffer(repeating: 0, count: 256 << 20))
        let gathered = NIOLockedValueBox(false)
        flood.whenSuccess { gathered.withLockedValue { $0 = true } }
        try client.eventLoop.scheduleTask(in: .seconds(2)) {}.futureResult.wait()
        #expect(gathered.withLockedValue { !$0 })
        try client.close().wait()
        try server.close().wait()
    }

    @Test func aClientThatEndsItsSideWithoutAWordIsLetGo() throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let (server, client, received) = try connect(group) { _ in [] }
        try client.close(mode: .output).wait()
        // Fails where the server was faster: with both sides ended, the channel is closed without a read.
        try? client.setOption(.autoRead, value: true).wait()
        #expect(try received.wait() == 0)
        try server.close().wait()
    }
}
