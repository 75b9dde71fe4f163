import NIOCore

/// What one kind of connection is held to.
package struct ConnectionProfile: Hashable, Sendable {
    /// Bytes that wait for the socket: above `highWater` a channel isn't writable, until they are below `lowWater` again.
    package var lowWater: Int
    package var highWater: Int
    /// Whether a peer that has ended its side may still be answered.
    package var allowsHalfClosure: Bool

    package init(lowWater: Int = 32 << 10, highWater: Int = 64 << 10, allowsHalfClosure: Bool = false) {
        self.lowWater = lowWater
        self.highWater = highWater
        self.allowsHalfClosure = allowsHalfClosure
    }

    package static let election = ConnectionProfile()
    /// A leader's end of a learner's connection: proposals gather behind a slow link.
    package static let learner = ConnectionProfile(lowWater: 256 << 10, highWater: 1 << 20)
    /// A word asked by `nc -N` is answered behind the end of its side.
    package static let client = ConnectionProfile(lowWater: 64 << 10, highWater: 256 << 10, allowsHalfClosure: true)
}

/// The one door between a server and its connections: sockets in production, channels whose every byte the simulator
/// delays and cuts. Loop-bound; what it calls, it calls on the loop.
package protocol Network: AnyObject {
    /// Accepts connections until the returned channel is closed. `accept` makes each one's handler; a connection for which
    /// it throws is closed.
    func listen(
        at address: SocketAddress, backlog: Int, _ profile: ConnectionProfile,
        accept: @escaping (any Channel) throws -> any ChannelHandler
    ) -> EventLoopFuture<any Channel>

    /// Connects, and adds the handler before the first byte. Fails when the peer can't be reached within `limit`.
    func connect(
        to address: HostPort, within limit: TimeAmount, _ profile: ConnectionProfile,
        handler: @escaping () -> any ChannelHandler
    ) -> EventLoopFuture<any Channel>
}
