import EnsembleBase

/// One learner's connection, as its leader sees it.
struct Learner: Sendable {
    enum Phase: Hashable, Sendable {
        /// Connected. → agreeing on FOLLOWERINFO.
        case connected
        /// FOLLOWERINFO received; waits for a quorum to settle the epoch. → promising on LEADERINFO.
        case agreeing
        /// LEADERINFO sent. → acknowledged on ACKEPOCH.
        case promising
        /// ACKEPOCH received; waits for a quorum of them. → synchronizing.
        case acknowledged
        /// Gets this leader's history, then NEWLEADER. → established on its ack.
        case synchronizing
        /// NEWLEADER acknowledged; counts in quorums, and gets what was committed since. → serving on UPTODATE.
        case established
        /// Gets each proposal and each commit.
        case serving
    }

    let id: LearnerID
    var server: ServerID = -1
    var phase: Phase = .connected
    var acceptedEpoch: Int64 = 0
    /// From ACKEPOCH.
    var lastZxid: Zxid = .zero
    /// The highest proposal it has acknowledged. Followers acknowledge in order, so all before it are, too.
    var acknowledged: Zxid = .zero
    /// The last committed transaction when it was sent NEWLEADER.
    var syncedThrough: Zxid = .zero
    /// nil before synchronizing, and once serving.
    var feed: LearnerFeed?
    var deadline: Instant
    /// The oldest proposal it had not acknowledged at the last check, and since when.
    var lagging: (zxid: Zxid, since: Instant)?

    init(id: LearnerID, deadline: Instant) {
        self.id = id
        self.deadline = deadline
    }

    /// It has promised the epoch and is brought to its history, or has it.
    var isInEpoch: Bool { phase == .synchronizing || isEstablished }
    var isEstablished: Bool { phase == .established || phase == .serving }
}

/// The leader of an epoch, or a standalone server (then without the phases before `broadcasting`).
///
/// Discovery: a quorum's acceptedEpochs settle the new epoch; a quorum of ACKEPOCHs promise to follow nobody older.
/// Synchronisation: learners get this leader's history; when a quorum has acknowledged NEWLEADER, that history is
/// committed and the epoch is established. Then broadcast. (Zab 1.0; reference/zookeeper.md, 3.3.)
struct Leader: Sendable {
    enum Phase: Hashable, Sendable {
        /// → promising when a quorum of voters has connected.
        case discovering
        /// The new acceptedEpoch is on its way to the disk. → collectingPromises.
        case promising
        /// LEADERINFO is out. → savingEpoch on a quorum of counted ACKEPOCHs.
        case collectingPromises
        /// The new currentEpoch is on its way to the disk. → synchronizing.
        case savingEpoch
        /// → broadcasting when a quorum has acknowledged NEWLEADER.
        case synchronizing
        /// Until the role ends.
        case broadcasting
    }

    var phase: Phase
    var epoch: Int64
    /// In the order of connecting; a handful, so searched linearly.
    var learners: [Learner] = []
    var lastProposed: Zxid
    /// When discovery and synchronisation must be over.
    var establishBy: Instant
    var nextPing: Instant
    var nextContainerSweep: Instant
    /// Voters whose ACKEPOCH counts.
    private(set) var promises: [ServerID] = []
    /// `sync` requests that wait for a commit, oldest first.
    var pendingSyncs = FIFO<PendingSync>()
    /// Voters that are kept out, and when that was last said.
    var keptOut: [ServerID: Instant] = [:]
    /// Why no further requests are proposed; the role ends when the outstanding ones are committed.
    var handOff: String?
    /// The learners that get each proposal, and those that get each commit: rebuilt when membership changes, so that
    /// proposing allocates nothing.
    private(set) var recipients: [LearnerID] = []

    struct PendingSync: Sendable {
        enum Origin: Sendable {
            case client(ConnectionID)
            case learner(LearnerID)
        }
        var origin: Origin
        var after: Zxid
    }

    init(phase: Phase, epoch: Int64, lastProposed: Zxid, establishBy: Instant, nextPing: Instant, nextContainerSweep: Instant) {
        self.phase = phase
        self.epoch = epoch
        self.lastProposed = lastProposed
        self.establishBy = establishBy
        self.nextPing = nextPing
        self.nextContainerSweep = nextContainerSweep
    }

    var isServing: Bool { phase == .broadcasting }

    func index(of id: LearnerID) -> Int? { learners.firstIndex { $0.id == id } }

    mutating func updateRecipients() { recipients = learners.filter { $0.phase == .serving }.map(\.id) }

    mutating func promised(_ server: ServerID) {
        if !promises.contains(server) { promises.append(server) }
    }

    /// How many voters have connected, this one included.
    func connectedCount(_ configuration: KeeperConfiguration) -> Int {
        1 + configuration.voters.count { voter in
            voter != configuration.serverID && learners.contains { $0.server == voter && $0.phase != .connected }
        }
    }

    /// How many voters have this leader's history durably, this one included.
    func establishedCount(_ configuration: KeeperConfiguration) -> Int {
        1 + configuration.voters.count { voter in
            voter != configuration.serverID && learners.contains { $0.server == voter && $0.isEstablished }
        }
    }

    /// The highest zxid that a quorum of voters has on disk.
    ///
    /// S1: only this commits. A voter counts with what it has acknowledged after NEWLEADER, this member with what its
    /// own log has synced.
    func quorumAcknowledged(own synced: Zxid, _ configuration: KeeperConfiguration) -> Zxid {
        let needed = configuration.voters.count / 2 + 1
        if needed == 1 { return synced }
        var best = Zxid.zero
        for candidate in learners where candidate.isEstablished {
            if countAcknowledging(candidate.acknowledged, own: synced, configuration) >= needed {
                best = max(best, candidate.acknowledged)
            }
        }
        if synced > best, countAcknowledging(synced, own: synced, configuration) >= needed { best = synced }
        return best
    }

    private func countAcknowledging(_ zxid: Zxid, own synced: Zxid, _ configuration: KeeperConfiguration) -> Int {
        var count = synced >= zxid ? 1 : 0
        for learner in learners where learner.isEstablished && learner.acknowledged >= zxid {
            if configuration.isVoter(learner.server) { count += 1 }
        }
        return count
    }
}
