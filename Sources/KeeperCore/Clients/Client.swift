import EnsembleBase

/// One client connection, as the core sees it.
struct Client: Sendable {
    enum Phase: Hashable, Sendable {
        /// → opening or resuming on the connect request.
        case connected
        /// createSession is on its way. → established when it commits.
        case opening
        /// The leader is asked whether the session lives. → established or closed.
        case resuming
        case established
        /// Nothing more is read from it.
        case closing
    }

    /// A request that has not been answered, because it or one before it waits for the leader.
    struct Pending: Sendable {
        enum Kind: Sendable {
            /// Proposed or forwarded; answered when it commits. Its transaction comes after this one, the last that this
            /// member knew of when it passed the request on.
            case write(after: Zxid)
            /// No request of this connection: the last transaction that the session had under way when it came here.
            /// What stands behind it is answered once it has committed.
            case earlier(Zxid)
            /// Answered when the leader says that all before it is committed.
            case sync
            /// Answered from the tree once it is first in line, with so many of the identities: those that the client
            /// had proved when it asked.
            case local(proved: Int)
            /// An `auth`: what it proves counts from its arrival on. One that proves nothing is answered, and then the
            /// connection is closed.
            case authentication(isProven: Bool)
        }
        var xid: Int32
        var request: Request
        var kind: Kind
    }

    var phase: Phase = .connected
    var session: SessionID = 0
    /// Milliseconds, granted.
    var timeout: Int32 = 0
    /// What this connection has proved: its address first.
    var identities: [Identity]
    /// The connect request, mirrored in its reply.
    var mirrorsReadOnly: Bool?
    var pending = FIFO<Pending>()

    /// Bytes of `identities`: they travel with every request that is forwarded.
    static let identityLimit = 64 << 10

    init(address: ByteString) {
        identities = [Identity(scheme: "ip", id: address)]
    }
}
