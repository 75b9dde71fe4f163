import EnsembleBase

/// Operation numbers (reference/zookeeper.md, 1.3).
package enum OpCode: Int32, Hashable, Sendable {
    case notification = 0
    case create = 1
    case delete = 2
    case exists = 3
    case getData = 4
    case setData = 5
    case getACL = 6
    case setACL = 7
    case getChildren = 8
    case sync = 9
    case ping = 11
    case getChildren2 = 12
    case check = 13
    case multi = 14
    case create2 = 15
    case reconfig = 16
    case checkWatches = 17
    case removeWatches = 18
    case createContainer = 19
    case deleteContainer = 20
    case createTTL = 21
    case multiRead = 22
    case auth = 100
    case setWatches = 101
    case sasl = 102
    case getEphemerals = 103
    case getAllChildrenNumber = 104
    case setWatches2 = 105
    case addWatch = 106
    case whoAmI = 107
    case createSession = -10
    case closeSession = -11
    case error = -1
}

/// What `create` and its kin ask for.
package struct CreateRequest: Hashable, Sendable {
    /// Which of create (1), create2 (15), createContainer (19), createTTL (21) was called: it decides the reply's form.
    package var op: OpCode
    package var path: NodePath
    /// nil is null: kept, and given back as null.
    package var data: [UInt8]?
    package var acl: [AccessRight]
    /// 0 persistent, 1 ephemeral, 2 sequential, 3 both, 4 container, 5 TTL, 6 TTL-sequential.
    package var flags: Int32
    /// Milliseconds; only with flags 5 and 6.
    package var ttl: Int64

    package init(op: OpCode = .create, path: NodePath, data: [UInt8]?, acl: [AccessRight], flags: Int32 = 0, ttl: Int64 = 0) {
        self.op = op
        self.path = path
        self.data = data
        self.acl = acl
        self.flags = flags
        self.ttl = ttl
    }
}

/// Watches that a client re-registers after a reconnect.
package struct WatchSet: Hashable, Sendable {
    /// Changes later than this are reported as events at once.
    package var relativeZxid: Zxid
    package var data: [NodePath]
    package var exist: [NodePath]
    package var child: [NodePath]
    package var persistent: [NodePath]
    package var persistentRecursive: [NodePath]

    package init(
        relativeZxid: Zxid, data: [NodePath] = [], exist: [NodePath] = [], child: [NodePath] = [],
        persistent: [NodePath] = [], persistentRecursive: [NodePath] = []
    ) {
        self.relativeZxid = relativeZxid
        self.data = data
        self.exist = exist
        self.child = child
        self.persistent = persistent
        self.persistentRecursive = persistentRecursive
    }
}

/// Watcher kinds of checkWatches/removeWatches (reference/zookeeper.md, 1.4).
package enum WatcherType: Int32, Hashable, Sendable {
    case children = 1
    case data = 2
    case any = 3
    case persistent = 4
    case persistentRecursive = 5
}

/// A decoded client request. Writes become transactions; reads are answered from the tree.
package indirect enum Request: Hashable, Sendable {
    case create(CreateRequest)
    case delete(path: NodePath, version: Int32)
    case setData(path: NodePath, data: [UInt8]?, version: Int32)
    case setACL(path: NodePath, acl: [AccessRight], version: Int32)
    /// Only inside `multi`: a bare one is refused (ZOOKEEPER-2623).
    case check(path: NodePath, version: Int32)
    case multi([Request])
    case createSession(timeout: Int32)
    case closeSession
    /// Made by the leader for an empty container; never accepted from a client.
    case deleteContainer(path: NodePath)
    case sync(path: NodePath)
    /// Refused (−123), whatever it asks for: reconfiguration is switched off, as by default in Apache's server.
    /// No write here: it takes no zxid and is not forwarded.
    case reconfig

    case exists(path: NodePath, watch: Bool)
    case getData(path: NodePath, watch: Bool)
    case getACL(path: NodePath)
    case getChildren(path: NodePath, watch: Bool)
    case getChildren2(path: NodePath, watch: Bool)
    case multiRead([Request])
    case getEphemerals(prefix: NodePath)
    case getAllChildrenNumber(path: NodePath)
    case whoAmI

    case ping
    /// A step of a SASL login: answered without a token, as Apache's server does that has no SASL configured; the client goes
    /// on without.
    case sasl
    /// A null credential proves nothing.
    case auth(type: Int32, scheme: ByteString, credential: [UInt8]?)
    /// 101 with `extended` false, 105 with true.
    case setWatches(WatchSet, extended: Bool)
    case addWatch(path: NodePath, recursive: Bool)
    case checkWatches(path: NodePath, type: WatcherType)
    case removeWatches(path: NodePath, type: WatcherType)
    /// A frame whose header is sound and whose body is none of its operation's: answered with −5, by the member that
    /// received it. The leader of Apache's follower, which forwards whatever it gets, refuses it by a transaction.
    case malformed(op: Int32)
    /// An operation that this server does not have: answered with −6, then the connection is closed.
    case unknown(op: Int32)

    /// Whether it must go through the leader and take a zxid. (`sync` goes to the leader without one.)
    package var isWrite: Bool {
        switch self {
        case .create, .delete, .setData, .setACL, .check, .multi, .createSession, .closeSession, .deleteContainer: true
        default: false
        }
    }

    /// The wire's number for it.
    package var op: Int32 {
        switch self {
        case .create(let c): c.op.rawValue
        case .delete: OpCode.delete.rawValue
        case .setData: OpCode.setData.rawValue
        case .setACL: OpCode.setACL.rawValue
        case .check: OpCode.check.rawValue
        case .multi: OpCode.multi.rawValue
        case .createSession: OpCode.createSession.rawValue
        case .closeSession: OpCode.closeSession.rawValue
        case .deleteContainer: OpCode.deleteContainer.rawValue
        case .sync: OpCode.sync.rawValue
        case .exists: OpCode.exists.rawValue
        case .getData: OpCode.getData.rawValue
        case .getACL: OpCode.getACL.rawValue
        case .getChildren: OpCode.getChildren.rawValue
        case .getChildren2: OpCode.getChildren2.rawValue
        case .multiRead: OpCode.multiRead.rawValue
        case .getEphemerals: OpCode.getEphemerals.rawValue
        case .getAllChildrenNumber: OpCode.getAllChildrenNumber.rawValue
        case .whoAmI: OpCode.whoAmI.rawValue
        case .ping: OpCode.ping.rawValue
        case .sasl: OpCode.sasl.rawValue
        case .auth: OpCode.auth.rawValue
        case .setWatches(_, let extended): extended ? OpCode.setWatches2.rawValue : OpCode.setWatches.rawValue
        case .addWatch: OpCode.addWatch.rawValue
        case .checkWatches: OpCode.checkWatches.rawValue
        case .removeWatches: OpCode.removeWatches.rawValue
        case .reconfig: OpCode.reconfig.rawValue
        case .malformed(let op), .unknown(let op): op
        }
    }
}

/// The first frame of a client connection (reference/zookeeper.md, 1.2).
package struct ConnectRequest: Hashable, Sendable {
    package var protocolVersion: Int32
    package var lastZxidSeen: Zxid
    /// Milliseconds asked for.
    package var timeout: Int32
    /// 0 asks for a new session.
    package var sessionID: SessionID
    package var password: [UInt8]
    /// nil if the client's frame had no such byte; the reply mirrors its presence.
    package var readOnly: Bool?

    package init(
        protocolVersion: Int32 = 0, lastZxidSeen: Zxid = .zero, timeout: Int32, sessionID: SessionID = 0,
        password: [UInt8] = Array(repeating: 0, count: 16), readOnly: Bool? = false
    ) {
        self.protocolVersion = protocolVersion
        self.lastZxidSeen = lastZxidSeen
        self.timeout = timeout
        self.sessionID = sessionID
        self.password = password
        self.readOnly = readOnly
    }
}

package struct ConnectResponse: Hashable, Sendable {
    /// Milliseconds granted; 0 refuses the session.
    package var timeout: Int32
    package var sessionID: SessionID
    package var password: [UInt8]
    package var readOnly: Bool?

    package init(timeout: Int32, sessionID: SessionID, password: [UInt8], readOnly: Bool?) {
        self.timeout = timeout
        self.sessionID = sessionID
        self.password = password
        self.readOnly = readOnly
    }

    package static func refusal(readOnly: Bool?) -> ConnectResponse {
        ConnectResponse(timeout: 0, sessionID: 0, password: Array(repeating: 0, count: 16), readOnly: readOnly)
    }
}
