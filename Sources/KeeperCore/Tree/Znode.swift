import EnsembleBase

/// A position in the tree's slab.
typealias NodeSlot = Int32

extension NodeSlot {
    static let none: NodeSlot = -1
}

/// How a node is linked: 16 bytes, for a tree is as large as its nodes are many. All else that every node has is in its
/// content (`NodeHeader`, then the data); what a leaf that nobody changed lacks, in a `ZnodeDetails`. A freed slot's
/// `parent` is `Znode.freed`; its `next` is the next free slot.
struct Znode: Sendable {
    static let freed: NodeSlot = -2

    /// `NodeSlot.none` for the root.
    var parent: NodeSlot
    /// Siblings form a ring, in the order in which they were linked. To keep them in an array of the parent's would make
    /// one write in many pay for its growth, which a parent of a million notices.
    var next: NodeSlot = .none
    var previous: NodeSlot = .none
    /// `NodeSlot.none`: no children, `stat` is as the node's creation made it, and it was created with little data.
    var details: NodeSlot = .none

    var isLive: Bool { parent != Znode.freed }
}

/// What only nodes have that were changed since their creation, have or had children, belong to a session, are a
/// container or a TTL node, or hold much. A freed one's `indexInOwner` links to the next free one.
struct ZnodeDetails: Sendable {
    /// `NodeSlot.none`: no children.
    var firstChild: NodeSlot = .none
    var childCount: Int32 = 0
    var stat: StoredStat
    /// Where the owner's list (a session's ephemerals, or the containers) holds the node's slot.
    var indexInOwner: Int32 = 0
    /// Of the content and `stat`. A node without details has its digest computed when something needs it: its deletion,
    /// or its first change.
    var digest: NodeDigest
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
