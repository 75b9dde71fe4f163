/// A node's metadata as stored (reference/zookeeper.md, 2.2 item 4; 60 bytes on disk). `cversion` here is the *stored*
/// one; what clients see is in `Stat`.
package struct StoredStat: Hashable, Sendable {
    package var czxid = Zxid.zero
    package var mzxid = Zxid.zero
    package var ctime: Int64 = 0
    package var mtime: Int64 = 0
    package var pzxid = Zxid.zero
    /// 0, a session id, or a container/TTL marker (reference/zookeeper.md, 1.6).
    package var ephemeralOwner: Int64 = 0
    // Behind the wide fields: three narrow ones between them would pad every node.
    package var version: Int32 = 0
    package var cversion: Int32 = 0
    package var aversion: Int32 = 0

    package init() {}

    /// The `ephemeralOwner` that marks a container.
    package static let containerMarker = Int64.min
}

/// A node's metadata as clients see it, in wire order.
package struct Stat: Hashable, Sendable {
    package var czxid: Zxid
    package var mzxid: Zxid
    package var ctime: Int64
    package var mtime: Int64
    package var version: Int32
    package var cversion: Int32
    package var aversion: Int32
    package var ephemeralOwner: Int64
    package var dataLength: Int32
    package var numChildren: Int32
    package var pzxid: Zxid

    package init(
        czxid: Zxid, mzxid: Zxid, ctime: Int64, mtime: Int64, version: Int32, cversion: Int32, aversion: Int32,
        ephemeralOwner: Int64, dataLength: Int32, numChildren: Int32, pzxid: Zxid
    ) {
        self.czxid = czxid
        self.mzxid = mzxid
        self.ctime = ctime
        self.mtime = mtime
        self.version = version
        self.cversion = cversion
        self.aversion = aversion
        self.ephemeralOwner = ephemeralOwner
        self.dataLength = dataLength
        self.numChildren = numChildren
        self.pzxid = pzxid
    }
}
