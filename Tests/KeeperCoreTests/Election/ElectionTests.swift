import EnsembleBase
import Testing

@testable import KeeperCore

@Suite struct ElectionTests {
    private let configuration = KeeperConfiguration(serverID: 1, voters: [1, 2, 3])
    private let now = Instant.origin + .seconds(1)

    private func vote(_ leader: ServerID, _ zxid: Int64, epoch: Int64 = 1) -> Vote {
        Vote(leader: leader, zxid: Zxid(rawValue: zxid), peerEpoch: epoch)
    }

    private func looking(_ vote: Vote, round: Int64 = 1) -> Notification {
        Notification(state: .looking, vote: vote, electionEpoch: round, config: [])
    }

    private func started(_ vote: Vote, _ actions: inout ActionBuffer<KeeperAction>) -> Election {
        var election = Election(configuration: configuration)
        _ = election.start(vote, at: now, into: &actions)
        return election
    }

    @Test func votesAreOrderedByEpochThenHistoryThenID() {
        #expect(Election.isBetter(vote(1, 5, epoch: 2), than: vote(3, 9, epoch: 1)))
        #expect(Election.isBetter(vote(1, 6), than: vote(3, 5)))
        #expect(Election.isBetter(vote(3, 5), than: vote(2, 5)))
        #expect(!Election.isBetter(vote(2, 5), than: vote(2, 5)))
    }

    @Test func aQuorumWaitsForABetterVoteAndAllVotersDoNot() {
        var actions = ActionBuffer<KeeperAction>()
        var election = started(vote(1, 5), &actions)
        // Two of three agree on 2: not final yet, 3 may know better.
        #expect(election.receive(looking(vote(2, 7)), from: 2, at: now, into: &actions) == nil)
        #expect(election.proposal == vote(2, 7))
        let later = now + configuration.finalizeWait
        #expect(election.deadlineReached(at: later, into: &actions) == Election.Decision(vote: vote(2, 7), round: 1))

        var other = started(vote(1, 5), &actions)
        _ = other.receive(looking(vote(2, 7)), from: 2, at: now, into: &actions)
        #expect(other.receive(looking(vote(2, 7)), from: 3, at: now, into: &actions)?.vote == vote(2, 7))
    }

    /// The last round there is, by whoever speaks on the election port, is no reason to die.
    @Test func anyRoundIsSurvived() {
        var actions = ActionBuffer<KeeperAction>()
        var election = started(vote(1, 9), &actions)
        _ = election.receive(looking(vote(2, 7), round: .max), from: 2, at: now, into: &actions)
        _ = election.start(vote(1, 9), at: now, into: &actions)
        _ = election.receive(looking(vote(2, 7), round: 3), from: 2, at: now, into: &actions)
        #expect(election.round == 3)
    }

    @Test func aLaterRoundStartsOverAndAnOlderOneIsAnswered() {
        var actions = ActionBuffer<KeeperAction>()
        var election = started(vote(1, 9), &actions)
        _ = election.receive(looking(vote(2, 7), round: 5), from: 2, at: now, into: &actions)
        #expect(election.round == 5)
        #expect(election.proposal == vote(1, 9))
        _ = actions.drain()
        _ = election.receive(looking(vote(3, 12), round: 4), from: 3, at: now, into: &actions)
        #expect(election.proposal == vote(1, 9))
        guard case .sendNotification(to: 3, let answer)? = actions.drain().first else {
            Issue.record("the old round got no answer")
            return
        }
        #expect(answer.electionEpoch == 5)
    }

    /// S2: a member without a trustworthy history counts for nobody, and nobody counts for it.
    @Test func aRecoveringMemberNeitherVotesNorIsVotedFor() {
        var actions = ActionBuffer<KeeperAction>()
        let amnesiac = Vote(leader: 1, zxid: .none, peerEpoch: -1)
        var election = started(amnesiac, &actions)
        #expect(election.receive(looking(vote(2, 7)), from: 2, at: now, into: &actions) == nil)
        #expect(election.receive(looking(vote(2, 7)), from: 3, at: now, into: &actions) == nil)
        #expect(election.proposal == amnesiac)

        // Its vote doesn't help a peer: 2 and the amnesiac are no quorum.
        var peer = Election(configuration: KeeperConfiguration(serverID: 2, voters: [1, 2, 3]))
        _ = peer.start(vote(2, 7), at: now, into: &actions)
        _ = peer.receive(looking(Vote(leader: 2, zxid: .none, peerEpoch: -1)), from: 1, at: now, into: &actions)
        #expect(peer.deadlineReached(at: now + .seconds(1), into: &actions) == nil)
    }

    /// S2: it joins a quorum that exists without it, and only with the leader's own word.
    @Test func aRecoveringMemberJoinsAnEstablishedQuorum() {
        var actions = ActionBuffer<KeeperAction>()
        var election = started(Vote(leader: 1, zxid: .none, peerEpoch: -1), &actions)
        let settled = vote(3, 7, epoch: 4)
        let following = Notification(state: .following, vote: settled, electionEpoch: 9, config: [])
        let leading = Notification(state: .leading, vote: settled, electionEpoch: 9, config: [])
        #expect(election.receive(following, from: 2, at: now, into: &actions) == nil)
        #expect(election.receive(leading, from: 3, at: now, into: &actions)?.vote.leader == 3)
    }

    @Test func followersThatNameADeadLeaderDoNotConvince() {
        var actions = ActionBuffer<KeeperAction>()
        var election = started(vote(1, 5), &actions)
        let following = Notification(state: .following, vote: vote(9, 7), electionEpoch: 9, config: [])
        #expect(election.receive(following, from: 2, at: now, into: &actions) == nil)
        #expect(election.receive(following, from: 3, at: now, into: &actions) == nil)
    }
}
