import EnsembleBase
import NIOCore

/// The listening socket for clients.
package enum ClientPort {
    /// Accepts on `table`'s loop until the returned channel is closed.
    package static func open(
        at address: SocketAddress, backlog: Int, network: any Network, table: ClientTable
    ) -> EventLoopFuture<any Channel> {
        network.listen(at: address, backlog: backlog, .client) { channel in
            let remote = channel.remoteAddress
            guard let connection = table.admit(address: ByteString(remote?.ipAddress ?? ""), port: remote?.port ?? 0) else {
                throw ChannelError.connectTimeout(.zero)
            }
            return connection
        }
    }
}
