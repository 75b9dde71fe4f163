import EnsembleBase
import NIOCore
import NIOPosix

/// The listening socket for clients.
package enum ClientPort {
    /// Accepts on `table`'s loop until the returned channel is closed.
    package static func open(
        at address: SocketAddress, backlog: Int, group: MultiThreadedEventLoopGroup, table: ClientTable
    ) -> EventLoopFuture<any Channel> {
        let loop = table.turn.eventLoop
        let bound = NIOLoopBound(table, eventLoop: loop)
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: CInt(clamping: backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 64 << 10, high: 256 << 10))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let remote = channel.remoteAddress
                    let address = ByteString(remote?.ipAddress ?? "")
                    guard let connection = bound.value.admit(address: address, port: remote?.port ?? 0) else {
                        throw ChannelError.connectTimeout(.zero)
                    }
                    try channel.pipeline.syncOperations.addHandler(connection)
                }
            }
            .bind(to: address)
    }
}
