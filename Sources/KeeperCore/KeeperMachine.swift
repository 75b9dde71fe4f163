import EnsembleBase

/// One member of an ensemble: election, synchronisation, broadcast, sessions and requests, as one state machine.
///
/// The host's loop: `recovered` first; then every event through `step`, its actions performed in order; `deadline`
/// armed as one timer, answered by `deadlineReached`. Contract with the disk: `append`ed entries are durable in order
/// and reported by `logSynced`; `saveEpochs`, `truncateLog`, `installSnapshot` and what the marks need are performed
/// in order with respect to the log, and each is answered. A failed disk operation ends the process.
///
/// No clock, no I/O, no randomness but the seed, no iteration in hash order: the same events give the same actions.
package struct KeeperMachine: Sendable {
    enum Role: Hashable, Sendable {
        /// Nothing is known of the disk. → settling.
        case starting
        /// A role has ended; the disk finishes what it was asked. → looking, or leading when standalone.
        case settling
        /// → following or leading by the election's decision.
        case looking
        /// → settling when the leader is lost.
        case following
        /// → settling when the quorum is lost.
        case leading
    }

    let configuration: KeeperConfiguration
    var random: SeededRandom
    var role: Role = .starting
    package internal(set) var tree = DataTree()
    var history = History(recent: [], last: .zero, capacity: 1)
    var acceptedEpoch: Int64 = 0
    var currentEpoch: Int64 = 0
    /// Rule S2: this member's history can't be trusted; it abstains until it has synced with a leader.
    var recovering = false
    /// What digests say of the tree so far.
    var judgement = DigestJudgement()
    /// Up to here the tree may show effects of what comes later (a fuzzy snapshot), so digests prove nothing.
    var treeIsExactAfter = Zxid(rawValue: .max)
    var doubt: Doubt?
    /// Its log can't be cut to what a leader's history has in common with it: what is in front was replaced by a tree of a
    /// leader that was never established.
    var needsTree = false
    /// The leader that it follows, or followed last; nil if it led itself since.
    var followed: ServerID?
    /// Disk operations asked for and not yet answered, the log's own syncs apart.
    var diskOperations = 0
    /// What a leader's SNAP has brought. This member's own history stands until it is on the disk.
    var received: ReceivedHistory?

    var election: Election
    /// Since when clients are served in this role.
    var servingSince: Instant?
    /// Settling: when the next election may begin; nil: at once.
    var looksAgainAt: Instant?
    /// Between elections that end without ever serving.
    var electionBackoff = Backoff(initial: .milliseconds(50), ceiling: .seconds(3))
    var leader: Leader?
    var follower: Follower?
    /// What each voter that looked for a leader last proposed for itself: its own history, by its own word.
    var ownVotes: [ServerID: Vote] = [:]
    /// What notifications say while following or leading.
    var currentVote = Vote(leader: -1, zxid: .none, peerEpoch: -1)

    var clients: [ConnectionID: Client] = [:]
    /// The connection that each local session uses.
    var connectionBySession: [SessionID: ConnectionID] = [:]
    var watches = WatchTable()
    var preparation: RequestPreparation
    var sessionIDs: SessionIDs?
    /// Leader: when sessions expire, and through which member each one talks.
    var expiry: ExpiryWheel
    var owners: [SessionID: ServerID] = [:]
    /// Follower: sessions touched since the last ping, in the order of their first touch.
    var touched = TouchedSessions()

    /// Follower: the connections whose `sync` the leader has not answered, oldest first.
    var unansweredSyncs = FIFO<ConnectionID>()
    /// Follower: the connections for whose sessions the leader was asked and has not answered, oldest first.
    var unansweredRevalidations = FIFO<ConnectionID>()
    var unproposed = UnproposedWrites()

    var clock: OwnClock
    /// Wall clock minus the host's monotonic clock, milliseconds, by the last `clockRead`.
    var wallOffset: Int64 = 0
    var changes: [TreeChange] = []
    var snapshots: SnapshotSchedule

    package init(configuration: KeeperConfiguration, seed: UInt64) {
        self.configuration = configuration
        random = SeededRandom(seed: seed)
        election = Election(configuration: configuration)
        preparation = RequestPreparation(transactionLimit: configuration.transactionLimit)
        expiry = ExpiryWheel(tick: configuration.tickTime)
        clock = OwnClock(patience: configuration.tickTime / 4)
        snapshots = SnapshotSchedule(configuration, &random)
    }

    /// What a host must know after each step. Returned, and not asked for: a getter of another module that is called on a
    /// class's property takes a copy of the whole machine, and two of those cost a third of a read.
    package struct Aftermath: Sendable {
        package var deadline: Instant?
        /// How many entries are appended and not committed: what hosts hold memory for.
        package var outstandingEntries = 0

        package init() {}

        init(deadline: Instant?, outstandingEntries: Int) {
            self.deadline = deadline
            self.outstandingEntries = outstandingEntries
        }
    }

    /// Bytes of the answer to a read, as the tree is now (`DataTree.answerSize`). In place, as `Aftermath` says.
    package mutating func answerSize(to request: Request, from session: SessionID, least: Int, upTo limit: Int) -> Int {
        tree.answerSize(to: request, from: session, least: least, upTo: limit)
    }

    @discardableResult
    package mutating func step(
        _ event: KeeperEvent, at instant: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) -> Aftermath {
        let now = clock.read(at: instant, event, isPatient: isServing || role == .following)
        handle(event, at: now, into: &actions)
        clock.isDue(at: due)
        return Aftermath(deadline: clock.deadline, outstandingEntries: history.outstanding.count)
    }

    private mutating func handle(
        _ event: KeeperEvent, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        // A process that stood still looks at the clock first: what has waited for it may be older than its peers'
        // patience, and acknowledgements of those that have left would establish an epoch behind a newer one.
        if role == .leading, let leader, !leader.isServing, now >= leader.establishBy {
            endRole("no quorum in time to establish an epoch", at: now, into: &actions)
        }
        switch event {
        case .requested(let connection, let xid, let request):
            received(request, xid: xid, from: connection, at: now, into: &actions)
        case .logSynced(let zxid):
            logSynced(zxid, at: now, into: &actions)
        case .leaderPacketReceived(let packet):
            receivedFromLeader(packet, at: now, into: &actions)
        case .learnerPacketReceived(let learner, let packet):
            received(packet, from: learner, at: now, into: &actions)
        case .deadlineReached:
            deadlineReached(at: now, into: &actions)
        case .clockRead(let wall):
            wallOffset = wall.milliseconds - clock.host(now).nanoseconds / 1_000_000
        case .recovered(let state):
            recovered(state, at: now, into: &actions)
        case .clientConnected(let connection, let address):
            clientConnected(connection, address: address, into: &actions)
        case .connectRequested(let connection, let request):
            received(request, from: connection, at: now, into: &actions)
        case .authenticated(let connection, let xid, let identities):
            authenticated(connection, xid: xid, identities, at: now, into: &actions)
        case .clientTookReplies(let connection):
            tookReplies(connection, at: now)
        case .clientDisconnected(let connection):
            clientDisconnected(connection)
        case .notificationReceived(let sender, let message):
            received(message, from: sender, at: now, into: &actions)
        case .learnerConnected(let learner):
            learnerConnected(learner, at: now, into: &actions)
        case .learnerDisconnected(let learner):
            learnerDisconnected(learner, at: now, into: &actions)
        case .learnerProgressed(let learner):
            learnerProgressed(learner, at: now)
        case .learnerTook(let learner):
            learnerTook(learner, at: now, into: &actions)
        case .logRead(let learner, let entries):
            logRead(for: learner, entries, at: now, into: &actions)
        case .logUnreadable(let learner, let reason):
            logUnreadable(for: learner, reason, at: now, into: &actions)
        case .leaderConnected(let server):
            leaderConnected(server, at: now, into: &actions)
        case .snapshotReceived(let received):
            snapshotReceived(received, at: now, into: &actions)
        case .leaderBytesReceived:
            follower?.heard(at: now)
        case .leaderDisconnected:
            if role == .following { endRole("the connection to the leader ended", at: now, into: &actions) }
        case .epochsSaved(let accepted, let current):
            epochsSaved(accepted: accepted, current: current, at: now, into: &actions)
        case .snapshotInstalled(let accepted, let current):
            snapshotInstalled(accepted: accepted, current: current, at: now, into: &actions)
        case .snapshotSaved:
            snapshots.saved(configuration, &random)
        case .snapshotFailed:
            snapshots.failed(at: now, &random)
        case .recoveringMarkCleared:
            recoveringMarkCleared(at: now, into: &actions)
        case .doubtMarked:
            doubtMarked(at: now, into: &actions)
        case .handOffRequested:
            handOffRequested(at: now, into: &actions)
        }
    }

    /// When `deadlineReached` is due; nil while only events can bring progress.
    package var deadline: Instant? { clock.deadline }

    /// By the machine's own clock.
    private var due: Instant? {
        switch role {
        case .starting: return nil
        // While the disk is at work its answer brings the next step.
        case .settling: return diskOperations == 0 && history.isSynced ? looksAgainAt : nil
        case .looking: return min(election.deadline ?? .distantFuture, votesAgainAt ?? .distantFuture)
        case .following: return follower?.deadline
        case .leading:
            guard let leader else { return nil }
            return leader.isServing ? leader.nextPing : min(leader.nextPing, leader.establishBy)
        }
    }

    package var status: KeeperStatus {
        let shown: KeeperStatus.Role =
            switch role {
            case .starting: .starting
            case .settling: due == nil ? .starting : .looking
            case .looking: .looking
            case .following: .following
            case .leading: configuration.standalone ? .standalone : .leading
            }
        let established = leader.map { $0.learners.count { $0.isEstablished && configuration.isVoter($0.server) } } ?? 0
        return KeeperStatus(
            role: shown, serving: isServing,
            leader: role == .following ? follower?.leader : role == .leading ? configuration.serverID : nil,
            acceptedEpoch: acceptedEpoch, currentEpoch: currentEpoch, lastProcessed: tree.lastProcessedZxid,
            lastLogged: history.lastAppended, lastCommitted: history.lastCommitted, lastSynced: history.lastSynced, recovering: recovering,
            learners: leader?.learners.count ?? 0, syncedFollowers: established,
            pendingSyncs: leader?.pendingSyncs.count ?? 0, outstandingProposals: history.outstanding.count,
            connections: clients.count, electionRound: election.round)
    }

    /// The watches, for the four-letter words.
    package var watchTable: WatchTable { watches }

    package var isLeading: Bool { role == .leading }

    /// For whoever watches from outside; hosts have `Aftermath`.
    package var outstandingEntries: Int { history.outstanding.count }

    /// Whether clients are served.
    package var isServing: Bool {
        switch role {
        case .following: follower?.isServing ?? false
        case .leading: leader?.isServing ?? false
        case .starting, .settling, .looking: false
        }
    }

    /// Milliseconds of the wall clock at `now`.
    func wall(_ now: Instant) -> Int64 { clock.host(now).nanoseconds / 1_000_000 + wallOffset }
}
