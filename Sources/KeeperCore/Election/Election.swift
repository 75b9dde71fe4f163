import EnsembleBase

/// Fast leader election: the part of a member that is looking for a leader (reference/zookeeper.md, 3.2).
///
/// Voters exchange proposals within a numbered round and adopt the best one they hear of, ordered by
/// (peerEpoch, zxid, id). A member that finds a working quorum joins it whatever its own round.
///
/// Rule S2: a member without a trustworthy history proposes itself with zxid −1. Peers ignore such a vote, and it
/// ignores theirs, so it joins only a quorum that exists without it.
struct Election: Sendable {
    struct Decision: Hashable, Sendable {
        var vote: Vote
        var round: Int64
        /// Others are a quorum for it, and need no vote of this member's.
        var isJoined = false
    }

    private struct ReceivedVote: Hashable {
        var vote: Vote
        var round: Int64
    }

    /// The logical clock. Grows by one per election of this member and never goes back.
    private(set) var round: Int64 = 0
    private(set) var proposal = Vote(leader: -1, zxid: .none, peerEpoch: -1)
    private(set) var deadline: Instant?

    private let configuration: KeeperConfiguration
    private var ownVote = Vote(leader: -1, zxid: .none, peerEpoch: -1)
    /// Neither elected nor counted for by this member; a quorum of others may still make it follow.
    private var avoided: ServerID?
    /// Votes of this round, by voter; iterated in the order of `configuration.voters` only.
    private var received: [ServerID: ReceivedVote] = [:]
    /// What members that already follow or lead have said.
    private var settled: [ServerID: Notification] = [:]
    private var finalizeAt: Instant?
    private var resendAt = Instant.distantFuture
    private var resendInterval = Election.firstResend

    /// The reference's minimum; doubled to the ceiling. Apache's ceiling is 60 s; a lost notification should not cost
    /// that, and a message of 100 bytes every two seconds costs nothing.
    private static let firstResend: Duration = .milliseconds(200)
    private static let resendCeiling: Duration = .seconds(2)

    init(configuration: KeeperConfiguration) { self.configuration = configuration }

    /// A vote with zxid −1 takes no part (rule S2).
    var abstains: Bool { ownVote.zxid == .none }

    /// Begins a new round with this member's own vote.
    ///
    /// - Parameter avoided: a member that this one doesn't vote for.
    mutating func start(
        _ vote: Vote, avoiding avoided: ServerID? = nil, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) -> Decision? {
        // A peer may have named any round.
        round &+= 1
        ownVote = vote
        self.avoided = avoided
        settled = [:]
        resendInterval = Election.firstResend
        adopt(vote, at: now, into: &actions)
        received = [:]
        recordOwn()
        return decideByTally(at: now)
    }

    mutating func stop() {
        deadline = nil
        finalizeAt = nil
        resendAt = .distantFuture
    }

    /// What a peer is told on asking while this member looks.
    var notification: Notification {
        Notification(state: .looking, vote: proposal, electionEpoch: round, config: configuration.configurationText)
    }

    mutating func receive(
        _ message: Notification, from sender: ServerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) -> Decision? {
        switch message.state {
        case .looking: return receiveProposal(message, from: sender, at: now, into: &actions)
        case .following, .leading: return receiveSettled(message, from: sender, at: now)
        case .observing: return nil
        }
    }

    mutating func deadlineReached(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) -> Decision? {
        if let finalizeAt, now >= finalizeAt {
            self.finalizeAt = nil
            if hasQuorum(for: proposal) { return Decision(vote: proposal, round: round) }
        }
        if now >= resendAt {
            resendInterval = min(resendInterval * 2, Election.resendCeiling)
            broadcast(at: now, into: &actions)
        }
        updateDeadline()
        return nil
    }

    // MARK: Votes of members that are looking

    private mutating func receiveProposal(
        _ message: Notification, from sender: ServerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) -> Decision? {
        // S2: a vote with zxid −1 neither counts nor counts others.
        guard message.vote.zxid != .none, !abstains else { return nil }
        guard configuration.isVoter(message.vote.leader), message.vote.leader != avoided else { return nil }
        if message.electionEpoch > round {
            round = message.electionEpoch
            received = [:]
            adopt(Election.isBetter(message.vote, than: ownVote) ? message.vote : ownVote, at: now, into: &actions)
        } else if message.electionEpoch < round {
            // The sender is in an older round: our vote brings it up to date.
            actions.append(.sendNotification(to: sender, notification))
            return nil
        } else if Election.isBetter(message.vote, than: proposal) {
            adopt(message.vote, at: now, into: &actions)
        }
        received[sender] = ReceivedVote(vote: message.vote, round: message.electionEpoch)
        recordOwn()
        return decideByTally(at: now)
    }

    private mutating func decideByTally(at now: Instant) -> Decision? {
        guard hasQuorum(for: proposal) else {
            finalizeAt = nil
            updateDeadline()
            return nil
        }
        // Nobody is left who could bring a better vote.
        let unanimous = configuration.voters.allSatisfy { received[$0]?.vote == proposal }
        if unanimous { return Decision(vote: proposal, round: round) }
        if finalizeAt == nil { finalizeAt = now + configuration.finalizeWait }
        updateDeadline()
        return nil
    }

    private func hasQuorum(for vote: Vote) -> Bool {
        guard vote.zxid != .none else { return false }
        let count = configuration.voters.count { received[$0]?.vote == vote && received[$0]?.round == round }
        return configuration.isQuorum(count)
    }

    /// This member's own ballot, unless it abstains.
    private mutating func recordOwn() {
        guard !abstains, configuration.isVoter(configuration.serverID) else { return }
        received[configuration.serverID] = ReceivedVote(vote: proposal, round: round)
    }

    private mutating func adopt(_ vote: Vote, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        proposal = vote
        finalizeAt = nil
        broadcast(at: now, into: &actions)
    }

    // MARK: Members that already have a leader

    private mutating func receiveSettled(_ message: Notification, from sender: ServerID, at now: Instant) -> Decision? {
        settled[sender] = message
        // ZOOKEEPER-1732, 1805: an established ensemble is recognised by leader and epoch; rounds and zxids of its
        // members may differ.
        let agreeing = configuration.voters.count {
            settled[$0]?.vote.leader == message.vote.leader && settled[$0]?.vote.peerEpoch == message.vote.peerEpoch
        }
        let isQuorum = configuration.isQuorum(agreeing)
        if message.electionEpoch == round, !abstains {
            received[sender] = ReceivedVote(vote: message.vote, round: message.electionEpoch)
            if hasQuorum(for: message.vote), leaderConfirms(message.vote.leader, round: message.electionEpoch) {
                return Decision(vote: message.vote, round: round, isJoined: isQuorum)
            }
        }
        guard isQuorum, leaderConfirms(message.vote.leader, round: message.electionEpoch) else {
            updateDeadline()
            return nil
        }
        round = max(round, message.electionEpoch)
        return Decision(vote: message.vote, round: message.electionEpoch, isJoined: true)
    }

    /// Guards against followers that still name a leader which has ceased to be one.
    private func leaderConfirms(_ leader: ServerID, round claimed: Int64) -> Bool {
        if leader == configuration.serverID { return !abstains && claimed == round }
        return settled[leader]?.state == .leading
    }

    // MARK: Sending

    private mutating func broadcast(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        for peer in configuration.voters where peer != configuration.serverID {
            actions.append(.sendNotification(to: peer, notification))
        }
        resendAt = now + resendInterval
        updateDeadline()
    }

    private mutating func updateDeadline() {
        deadline = finalizeAt.map { min($0, resendAt) } ?? resendAt
    }

    /// The total order of votes: epoch, then history, then id.
    static func isBetter(_ a: Vote, than b: Vote) -> Bool {
        (a.peerEpoch, a.zxid.rawValue, a.leader) > (b.peerEpoch, b.zxid.rawValue, b.leader)
    }
}
