import NIOCore
import NIOPosix

/// TCP, on the one loop of a server.
package final class SocketNetwork: Network {
    private let eventLoop: any EventLoop

    package init(eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    package func listen(
        at address: SocketAddress, backlog: Int, _ profile: ConnectionProfile,
        accept: @escaping (any Channel) throws -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> {
        let accept = NIOLoopBound(accept, eventLoop: eventLoop)
        var bootstrap = ServerBootstrap(group: eventLoop)
        // The wildcard too is its own family's only: IPv4 has a socket beside it.
        if address.protocol == .inet6 {
            bootstrap = bootstrap.serverChannelOption(
                ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only), value: 1)
        }
        return bootstrap
            .serverChannelOption(.backlog, value: CInt(clamping: backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                // Out of descriptors: by itself accept would be tried again at once, for ever.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptBackoffHandler(shouldForwardIOErrorCaught: false) { _ in .milliseconds(100) })
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: profile.allowsHalfClosure)
            // Who is read no further is read no further: by itself four more buffers would be.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: profile.lowWater, high: profile.highWater))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(try accept.value(channel))
                }
            }
            .bind(to: address)
    }

    package func connect(
        to address: HostPort, within limit: TimeAmount, _ profile: ConnectionProfile,
        handler: @escaping () -> any ChannelHandler
    ) -> EventLoopFuture<any Channel> {
        let handler = NIOLoopBound(handler, eventLoop: eventLoop)
        return ClientBootstrap(group: eventLoop)
            .connectTimeout(limit)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelOption(.writeBufferWaterMark, value: .init(low: profile.lowWater, high: profile.highWater))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(handler.value())
                }
            }
            .connect(host: address.host, port: address.port)
    }
}
