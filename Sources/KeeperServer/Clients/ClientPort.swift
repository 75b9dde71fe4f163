import EnsembleBase
import NIOCore

/// The port for clients.
package enum ClientPort {
    /// What access rights, limits and `cons` call an address. A socket for both families shows IPv4 peers as mapped
    /// addresses (RFC 4291, 2.5.5.2): they are whom they were written down as, `a.b.c.d`.
    package static func identity(of address: String) -> ByteString {
        let prefix = "::ffff:"
        guard address.lowercased().hasPrefix(prefix), address.contains(".") else { return ByteString(address) }
        return ByteString(String(address.dropFirst(prefix.count)))
    }

    /// Makes the handler of each connection that is accepted, on `table`'s loop.
    package static func accept(into table: ClientTable) -> (any Channel) throws -> any ChannelHandler {
        { channel in
            let remote = channel.remoteAddress
            guard let connection = table.admit(address: identity(of: remote?.ipAddress ?? ""), port: remote?.port ?? 0) else {
                throw ChannelError.connectTimeout(.zero)
            }
            return connection
        }
    }
}
