import EnsembleBase

/// A position in the tree's slab.
typealias NodeSlot = Int32

extension NodeSlot {
    static let none: NodeSlot = -1
}

/// What every node has: 48 bytes, for a tree is as large as its nodes are many. Its name and data are in
/// `NodeContents`, the rest, which a leaf that nobody changed lacks, in a `ZnodeDetails`. The order of the properties
/// leaves no padding but two bytes. A freed slot's `parent` is `Znode.freed`; its `indexInParent` links to the next free
/// slot.
struct Znode: Sendable {
    static let freed: NodeSlot = -2

    var digest: NodeDigest
    /// Whether a client gave null for data, which it gets back; in all else, null is as empty.
    var isNull: Bool
    let nameCount: Int32
    let czxid: Zxid
    /// Wall clock, milliseconds.
    let ctime: Int64
    /// `NodeSlot.none` for the root.
    var parent: NodeSlot
    /// Where the parent's `children` holds this slot, so that removal is a swap with the last.
    var indexInParent: Int32
    /// `NodeSlot.none`: no children, and `stat` is as the node's creation made it.
    var details: NodeSlot = .none
    var aclKey: NarrowACLKey

    var isLive: Bool { parent != Znode.freed }

    /// Its stat while it has no details.
    var initialStat: StoredStat { StoredStat(created: czxid, time: ctime, owner: .persistent) }
}

/// An access list's key in half its width: keys count up from 1, but a snapshot from elsewhere may hold any
/// (reference/zookeeper.md, 2.2).
struct NarrowACLKey: Sendable {
    /// Int32.min, which is no key, says that the key is in the node's details.
    private let stored: Int32

    init(_ key: Int64) { stored = Int32(exactly: key) ?? .min }

    /// nil: too wide for here.
    var key: Int64? { stored == .min ? nil : Int64(stored) }
}

/// What only nodes have that were changed since their creation, have or had children, belong to a session, or are a
/// container or a TTL node. A freed one's `indexInOwner` links to the next free one.
struct ZnodeDetails: Sendable {
    var children: [NodeSlot] = []
    var stat: StoredStat
    /// Where the owner's list (a session's ephemerals, or the containers) holds the node's slot.
    var indexInOwner: Int32 = 0
    /// The access list's key, where it is too wide for the node.
    var wideACLKey: Int64 = 0
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
