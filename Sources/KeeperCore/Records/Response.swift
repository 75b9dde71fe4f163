import EnsembleBase

/// One result inside a multi or multiRead reply.
package enum MultiResult: Hashable, Sendable {
    case create(path: NodePath)
    /// create2, createContainer and createTTL.
    case createWithStat(path: NodePath, stat: Stat)
    case delete
    case setData(Stat)
    case check
    case getData(ArraySlice<UInt8>?, Stat)
    case getChildren([ByteString])
    case error(KeeperError?)
}

/// The body of a reply whose error is 0.
package enum ResponseBody: Hashable, Sendable {
    /// Header only: delete, ping, auth, closeSession, setWatches, checkWatches, removeWatches.
    case none
    /// create, sync.
    case path(NodePath)
    case pathAndStat(NodePath, Stat)
    /// exists, setData, setACL.
    case stat(Stat)
    /// A slice, because a node holds its data behind its name.
    case data(ArraySlice<UInt8>?, Stat)
    case acl([AccessRight], Stat)
    case children([ByteString])
    case childrenAndStat([ByteString], Stat)
    case multi([MultiResult])
    /// addWatch answers with an ErrorResponse of 0.
    case errorCode(Int32)
    case paths([NodePath])
    case count(Int32)
    case identities([Identity])
    /// Null: nothing was negotiated.
    case saslToken([UInt8]?)
}

/// A reply to one request, in the order of the connection's requests.
package struct Reply: Hashable, Sendable {
    package var xid: Int32
    package var zxid: Zxid
    package var error: KeeperError?
    package var body: ResponseBody

    package init(xid: Int32, zxid: Zxid, error: KeeperError? = nil, body: ResponseBody = .none) {
        self.xid = xid
        self.zxid = zxid
        self.error = error
        self.body = body
    }
}

package enum WatchEventType: Int32, Hashable, Sendable {
    case none = -1
    case created = 1
    case deleted = 2
    case dataChanged = 3
    case childrenChanged = 4
}

/// A watch that fired, for one connection. The state on the wire is always 3 (SyncConnected).
package struct WatchEvent: Hashable, Sendable {
    package var type: WatchEventType
    package var path: NodePath
    /// The transaction that fired it (ZOOKEEPER-4655: sent in the header since 3.9).
    package var zxid: Zxid

    package init(type: WatchEventType, path: NodePath, zxid: Zxid) {
        self.type = type
        self.path = path
        self.zxid = zxid
    }
}
