import EnsembleBase
import KeeperCore

/// A node's metadata.
public struct NodeStat: Hashable, Sendable {
    /// The transaction that created the node: with the path, the identity of this very incarnation.
    public var creationZxid: Int64
    /// The transaction that last changed its data.
    public var modificationZxid: Int64
    /// The transaction that last created or deleted a child.
    public var childrenZxid: Int64
    /// Milliseconds since 1970, by the leader's clock.
    public var creationTime: Int64
    /// Milliseconds since 1970, by the leader's clock.
    public var modificationTime: Int64
    /// Changes of the data.
    public var version: Int32
    /// Changes of the set of children.
    public var childrenVersion: Int32
    /// Changes of the access list.
    public var accessVersion: Int32
    /// The session that an ephemeral node dies with; 0 for others.
    public var ephemeralOwner: Int64
    /// Bytes.
    public var dataLength: Int32
    public var childrenCount: Int32

    package init(_ stat: Stat) {
        creationZxid = stat.czxid.rawValue
        modificationZxid = stat.mzxid.rawValue
        childrenZxid = stat.pzxid.rawValue
        creationTime = stat.ctime
        modificationTime = stat.mtime
        version = stat.version
        childrenVersion = stat.cversion
        accessVersion = stat.aversion
        ephemeralOwner = stat.ephemeralOwner
        dataLength = stat.dataLength
        childrenCount = stat.numChildren
    }
}

/// One entry of a node's access list.
public struct NodeAccess: Hashable, Sendable {
    public struct Rights: OptionSet, Hashable, Sendable {
        public let rawValue: Int32
        public init(rawValue: Int32) { self.rawValue = rawValue }

        public static let read = Rights(rawValue: 1)
        public static let write = Rights(rawValue: 2)
        public static let create = Rights(rawValue: 4)
        public static let delete = Rights(rawValue: 8)
        public static let admin = Rights(rawValue: 16)
        public static let all = Rights(rawValue: 31)
    }

    public var rights: Rights
    /// `world`, `auth`, `digest`, `ip`, …
    public var scheme: String
    /// Within the scheme: `anyone`, `user:base64digest`, an address.
    public var id: String

    public init(_ rights: Rights, scheme: String, id: String) {
        self.rights = rights
        self.scheme = scheme
        self.id = id
    }

    /// Every right for everyone.
    public static let open = [NodeAccess(.all, scheme: "world", id: "anyone")]
    /// Every right for the identities that this connection has authenticated as, none for others.
    public static let creatorOnly = [NodeAccess(.all, scheme: "auth", id: "")]

    package init(_ right: AccessRight) {
        rights = Rights(rawValue: right.permissions.rawValue)
        scheme = right.identity.scheme.description
        id = right.identity.id.description
    }

    package var record: AccessRight {
        AccessRight(
            permissions: Permissions(rawValue: rights.rawValue),
            identity: Identity(scheme: ByteString(scheme), id: ByteString(id)))
    }
}

/// What kind of node `create` makes.
public enum CreateMode: Int32, Hashable, Sendable, CaseIterable {
    case persistent = 0
    /// Dies with the session that created it; has no children.
    case ephemeral = 1
    /// The server appends a ten-digit counter of the parent to the name.
    case persistentSequential = 2
    case ephemeralSequential = 3
    /// Removed by the leader some time after its last child is deleted.
    case container = 4
}

/// Something that happened to a watched node.
public struct NodeEvent: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case created
        case deleted
        case dataChanged
        case childrenChanged
        /// The watch is gone because the session is: nothing more will be reported, and changes may have been missed.
        case watchLost
    }

    public var kind: Kind
    /// Relative to the client's chroot.
    public var path: String
    /// The transaction that caused it; −1 if the server is older than 3.9 and does not say.
    public var zxid: Int64

    public init(kind: Kind, path: String, zxid: Int64) {
        self.kind = kind
        self.path = path
        self.zxid = zxid
    }
}

/// Which events a lasting watch reports.
public enum WatchReach: Hashable, Sendable {
    /// The node itself, and its set of children.
    case node
    /// The node and everything below it; child creations and deletions are reported under the child's own path.
    case subtree
}

/// One operation of a `multi`: all of them take effect, or none.
public enum MultiOperation: Hashable, Sendable {
    case create(path: String, data: [UInt8], access: [NodeAccess] = NodeAccess.open, mode: CreateMode = .persistent)
    case delete(path: String, version: Int32 = -1)
    case setData(path: String, data: [UInt8], version: Int32 = -1)
    /// Refuses the whole multi unless the node's data version is this.
    case check(path: String, version: Int32)
}

/// The result of one operation of a `multi` that took effect.
public enum MultiOutcome: Hashable, Sendable {
    case created(path: String)
    case deleted
    case dataSet(NodeStat)
    case checked
}
