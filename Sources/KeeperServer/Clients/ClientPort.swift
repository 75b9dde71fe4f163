import EnsembleBase
import NIOCore

/// The listening socket for clients.
package enum ClientPort {
    /// What access rights, limits and `cons` call an address. A socket for both families shows IPv4 peers as mapped
    /// addresses (RFC 4291, 2.5.5.2): they are whom they were written down as, `a.b.c.d`.
    package static func identity(of address: String) -> ByteString {
        let prefix = "::ffff:"
        guard address.lowercased().hasPrefix(prefix), address.contains(".") else { return ByteString(address) }
        return ByteString(String(address.dropFirst(prefix.count)))
    }

    /// Accepts on `table`'s loop until the returned channel is closed.
    package static func open(
        at address: SocketAddress, backlog: Int, network: any Network, table: ClientTable
    ) -> EventLoopFuture<any Channel> {
        let opened = network.listen(at: address, backlog: backlog, .client) { channel in
            let remote = channel.remoteAddress
            guard let connection = table.admit(address: identity(of: remote?.ipAddress ?? ""), port: remote?.port ?? 0) else {
                throw ChannelError.connectTimeout(.zero)
            }
            return connection
        }
        opened.assumeIsolated().whenSuccess { table.accept(through: $0) }
        return opened
    }
}
