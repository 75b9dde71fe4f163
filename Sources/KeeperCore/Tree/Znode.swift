import EnsembleBase

/// A position in the tree's slab.
typealias NodeSlot = Int32

extension NodeSlot {
    static let none: NodeSlot = -1
}

/// One node in the slab: 112 bytes and one allocation, for a tree is as large as its nodes are many. The order of the
/// properties leaves no padding between them. A freed slot is an empty node whose `parent` is `Znode.freed`; its
/// `indexInParent` links to the next free slot.
struct Znode: Sendable {
    static let freed: NodeSlot = -2

    /// The name (the path's last part, empty for the root) and, behind it, the data.
    private var content: [UInt8]
    var children: [NodeSlot]
    var aclKey: Int64
    var stat: StoredStat
    /// `NodeSlot.none` for the root.
    var parent: NodeSlot
    /// Where the parent's `children` holds this slot, so that removal is a swap with the last.
    var indexInParent: Int32
    /// Where the owner's list (a session's ephemerals, or the containers) holds this slot.
    var indexInOwner: Int32
    private let storedNameCount: Int32
    var digest: NodeDigest
    private var isNull: Bool

    init(
        name: ArraySlice<UInt8>, data: [UInt8]?, aclKey: Int64, stat: StoredStat, digest: NodeDigest, parent: NodeSlot,
        indexInParent: Int32 = 0
    ) {
        content = Znode.joined(name, data ?? [])
        storedNameCount = Int32(name.count)
        isNull = data == nil
        children = []
        self.aclKey = aclKey
        self.stat = stat
        self.digest = digest
        self.parent = parent
        self.indexInParent = indexInParent
        indexInOwner = 0
    }

    var isLive: Bool { parent != Znode.freed }

    var nameCount: Int { Int(storedNameCount) }

    var name: ArraySlice<UInt8> { content[..<nameCount] }

    /// nil if a client gave null, which it gets back; in all else, as empty.
    var data: ArraySlice<UInt8>? { isNull ? nil : content[nameCount...] }

    var dataCount: Int { content.count - nameCount }

    mutating func setData(_ data: [UInt8]?) {
        content = Znode.joined(name, data ?? [])
        isNull = data == nil
    }

    func withName<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        content.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<nameCount])) }
    }

    /// Exactly as long as both: what an append would reserve beyond stays for the node's life.
    private static func joined(_ name: ArraySlice<UInt8>, _ data: [UInt8]) -> [UInt8] {
        // The standard library writes the count of an array without room too, which is one array for all threads.
        if name.isEmpty && data.isEmpty { return [] }
        return [UInt8](unsafeUninitializedCapacity: name.count + data.count) { buffer, count in
            count = buffer.update(fromContentsOf: name)
            count = buffer[count...].update(fromContentsOf: data)
        }
    }

    /// The stat as clients see it. The shown cversion counts deletions too: 2 × stored − children; the owner is
    /// hidden unless it is a session (reference/zookeeper.md, 1.3).
    var shownStat: Stat {
        Stat(
            czxid: stat.czxid, mzxid: stat.mzxid, ctime: stat.ctime, mtime: stat.mtime, version: stat.version,
            cversion: stat.cversion &* 2 &- Int32(truncatingIfNeeded: children.count), aversion: stat.aversion,
            ephemeralOwner: NodeOwner(stat.ephemeralOwner).session ?? 0,
            dataLength: Int32(truncatingIfNeeded: dataCount),
            numChildren: Int32(truncatingIfNeeded: children.count), pzxid: stat.pzxid)
    }
}

/// What the `ephemeralOwner` field says about a node (reference/zookeeper.md, 1.6).
package enum NodeOwner: Hashable, Sendable {
    case persistent
    case session(SessionID)
    case container
    /// Milliseconds.
    case ttl(Int64)

    private static let ttlMask: Int64 = 0x0000_00FF_FFFF_FFFF
    private static let ttlMark = Int64(bitPattern: 0xFF00_0000_0000_0000)

    /// The marker's high byte 0xFF is no server's id here (`ServerID` is at most 254), so that no session is mistaken
    /// for a TTL (ZOOKEEPER-2901).
    package init(_ ephemeralOwner: Int64) {
        if ephemeralOwner == 0 {
            self = .persistent
        } else if ephemeralOwner == StoredStat.containerMarker {
            self = .container
        } else if ephemeralOwner & ~NodeOwner.ttlMask == NodeOwner.ttlMark {
            self = .ttl(ephemeralOwner & NodeOwner.ttlMask)
        } else {
            self = .session(ephemeralOwner)
        }
    }

    /// The field's value.
    package var rawValue: Int64 {
        switch self {
        case .persistent: 0
        case .session(let id): id
        case .container: StoredStat.containerMarker
        case .ttl(let milliseconds): NodeOwner.ttlMark | (milliseconds & NodeOwner.ttlMask)
        }
    }

    package var session: SessionID? {
        if case .session(let id) = self { id } else { nil }
    }
}
