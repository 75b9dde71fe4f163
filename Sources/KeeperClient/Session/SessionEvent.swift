import EnsembleBase
import KeeperCore

/// Names one call of the client's user, from submission to completion.
struct CallToken: Hashable, Sendable {
    let rawValue: UInt64
}

/// Names one TCP connection, so that what a closed one still delivers is not taken for its successor's.
struct ChannelToken: Hashable, Sendable {
    let rawValue: UInt64
}

/// A request of the client's user.
struct Call: Sendable {
    var token: CallToken
    var request: Request
    /// When the caller stops waiting.
    var deadline: Instant
    /// A watcher that the request's success registers.
    var watch: (token: WatchToken, kind: WatchRegistry.Kind)?
}

/// What happened to the session, as the shell saw it.
enum SessionEvent: Sendable {
    case started
    case called(Call)
    case callCancelled(CallToken)
    case watchDropped(WatchToken, WatchRegistry.Kind, NodePath)
    case channelOpened(ChannelToken)
    /// The channel could not be opened, or is closed now.
    case channelClosed(ChannelToken, reason: String)
    case connectAnswered(ChannelToken, ConnectResponse)
    case replied(ChannelToken, Reply)
    case watchFired(ChannelToken, WatchEvent)
    case closeRequested
    /// The user is gone as if this process had crashed: nothing is sent, the server will expire the session.
    case abandoned
    /// `deadline` has come.
    case timePassed
}

/// What the shell must do, in this order.
enum SessionAction: Sendable {
    case openChannel(ChannelToken, to: ConnectString.Server, within: Duration)
    case closeChannel(ChannelToken)
    case sendConnect(ChannelToken, ConnectRequest)
    case send(ChannelToken, xid: Int32, Request)
    case complete(CallToken, Result<Reply, KeeperClientError>)
    case deliver(WatchToken, WatchEvent)
    /// The watcher will be told nothing more.
    case endWatch(WatchToken, NodePath)
    case changed(SessionStatus)
}

/// Where the session stands, as the client's user sees it.
public enum SessionStatus: Hashable, Sendable {
    /// No server can be used at this moment; the session may be alive, and a new connection is being made.
    case disconnected
    case connected
    /// The server has ended the session. Final.
    case expired
    /// A credential was refused. Final.
    case authenticationRefused
    /// `close()` was called. Final.
    case closed

    public var isFinal: Bool { self != .connected && self != .disconnected }
}
