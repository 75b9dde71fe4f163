import EnsembleBase

/// Packets between leader and learner (reference/zookeeper.md, 3.3), decoded. The wire's type number is in each
/// comment.
package enum QuorumPacket: Hashable, Sendable {
    /// 11, or 16 for an observer.
    case learnerInfo(acceptedEpoch: Int64, server: ServerID, protocolVersion: Int32, configVersion: Int64, observer: Bool)
    /// 17.
    case leaderInfo(epoch: Int64, protocolVersion: Int32)
    /// 18. `currentEpoch` −1: this epoch was accepted before, or the sender is recovering (S2); not counted either way.
    case ackEpoch(lastZxid: Zxid, currentEpoch: Int32)
    /// 13.
    case diff(to: Zxid)
    /// 14.
    case trunc(to: Zxid)
    /// 15: the tree follows on the same stream, then `BenWasHere`; the codec delivers it as `snapshotReceived`.
    case snap(at: Zxid)
    /// 10.
    case newLeader(epoch: Int64, config: [UInt8])
    /// 12.
    case upToDate
    /// 1: a client's write or session request on its way to the leader; also `sync`.
    case request(ForwardedRequest)
    /// 2.
    case proposal(LogEntry)
    /// 3.
    case ack(Zxid)
    /// 4.
    case commit(Zxid)
    /// 8: a committed proposal, for observers.
    case inform(LogEntry)
    /// 5. From a learner: the sessions touched since the last one, with their timeouts in milliseconds.
    case ping(zxid: Zxid, sessions: [TouchedSession])
    /// 6, learner to leader.
    case revalidate(session: SessionID, timeout: Int32)
    /// 6, leader to learner.
    case revalidated(session: SessionID, valid: Bool)
    /// 7: all proposals outstanding at the receipt of the oldest unanswered sync are committed. It carries nothing: a
    /// learner's syncs are answered in the order of its requests.
    case sync
}

package struct TouchedSession: Hashable, Sendable {
    package var session: SessionID
    /// Milliseconds.
    package var timeout: Int32

    package init(session: SessionID, timeout: Int32) {
        self.session = session
        self.timeout = timeout
    }
}

package struct ForwardedRequest: Hashable, Sendable {
    package var session: SessionID
    package var cxid: Int32
    package var request: Request
    package var identities: [Identity]

    package init(session: SessionID, cxid: Int32, request: Request, identities: [Identity]) {
        self.session = session
        self.cxid = cxid
        self.request = request
        self.identities = identities
    }
}

/// What a member is doing, in the numbers of the election protocol (reference/zookeeper.md, 3.2).
package enum PeerState: Int32, Hashable, Sendable {
    case looking = 0
    case following = 1
    case leading = 2
    case observing = 3
}

/// A vote: who should lead, and why.
package struct Vote: Hashable, Sendable {
    package var leader: ServerID
    package var zxid: Zxid
    package var peerEpoch: Int64

    package init(leader: ServerID, zxid: Zxid, peerEpoch: Int64) {
        self.leader = leader
        self.zxid = zxid
        self.peerEpoch = peerEpoch
    }
}

/// An election message (reference/zookeeper.md, 3.2).
package struct Notification: Hashable, Sendable {
    package var state: PeerState
    package var vote: Vote
    /// The sender's logical clock: its election round.
    package var electionEpoch: Int64
    /// The sender's configuration text (`server.N=…` lines and `version=`); empty from old peers.
    package var config: [UInt8]

    package init(state: PeerState, vote: Vote, electionEpoch: Int64, config: [UInt8]) {
        self.state = state
        self.vote = vote
        self.electionEpoch = electionEpoch
        self.config = config
    }
}

extension QuorumPacket {
    package var isPing: Bool {
        if case .ping = self { true } else { false }
    }

    /// What Apache's servers say in LEADERINFO and FOLLOWERINFO. They read the leader's and make nothing of it.
    static let protocolVersion: Int32 = 0x10000
    /// What a leader of this kind says instead: it wants its pings answered also before NEWLEADER is acknowledged, by
    /// learners that have much to install. Apache's leader closes the connection of whoever sends anything before that.
    static let patientProtocolVersion: Int32 = 0x10001

    /// Bytes that it takes in memory, about.
    var size: Int {
        switch self {
        case .proposal(let entry), .inform(let entry): 64 + entry.size + (entry.encoded?.count ?? 0)
        case .newLeader(_, let config): 64 + config.count
        case .ping(_, let sessions): 64 + 16 * sessions.count
        default: 64
        }
    }

    /// The protocol's name for it, for notes.
    package var name: String {
        switch self {
        case .learnerInfo(_, _, _, _, let observer): observer ? "OBSERVERINFO" : "FOLLOWERINFO"
        case .leaderInfo: "LEADERINFO"
        case .ackEpoch: "ACKEPOCH"
        case .diff: "DIFF"
        case .trunc: "TRUNC"
        case .snap: "SNAP"
        case .newLeader: "NEWLEADER"
        case .upToDate: "UPTODATE"
        case .request: "REQUEST"
        case .proposal: "PROPOSAL"
        case .ack: "ACK"
        case .commit: "COMMIT"
        case .inform: "INFORM"
        case .ping: "PING"
        case .revalidate, .revalidated: "REVALIDATE"
        case .sync: "SYNC"
        }
    }
}
