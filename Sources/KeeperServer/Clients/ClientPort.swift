import EnsembleBase
import NIOCore

/// The port for clients.
package enum ClientPort {
    /// Makes the handler of each connection that is accepted, on `table`'s loop.
    package static func accept(into table: ClientTable) -> (any Channel) throws -> any ChannelHandler {
        { channel in
            let remote = channel.remoteAddress
            guard let connection = table.admit(address: ByteString(remote?.ipAddress ?? ""), port: remote?.port ?? 0) else {
                throw ChannelError.connectTimeout(.zero)
            }
            return connection
        }
    }
}
