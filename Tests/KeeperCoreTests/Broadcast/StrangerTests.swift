import EnsembleBase
import Testing

@testable import KeeperCore

/// A leader with a quorum, and members whose past is not its own.
@Suite struct StrangerTests {
    /// Member 1 comes to the leader, with a vote for itself and a later epoch promised.
    private func comes(_ vote: Vote?, to leader: inout TestMember) -> [KeeperAction] {
        if let vote {
            leader.step(
                .notificationReceived(
                    from: 1, Notification(state: .looking, vote: vote, electionEpoch: 2, config: [])))
        }
        leader.step(.learnerConnected(LearnerID(rawValue: 1)))
        return leader.heard(
            .learnerInfo(acceptedEpoch: 5, server: 1, protocolVersion: 0x10000, configVersion: 0, observer: false), from: 1)
    }

    /// Issue 8, A31: four of five were made anew and acknowledge writes; the fifth comes with the old data. It would win
    /// the election, and what was acknowledged would be gone. So would one whose history is merely longer.
    @Test(arguments: [
        Vote(leader: 1, zxid: Zxid(epoch: 4, counter: 9), peerEpoch: 4), Vote(leader: 1, zxid: Zxid(epoch: 1, counter: 9), peerEpoch: 1),
        nil,
    ])
    func aServingLeaderDoesNotMakeWayForAStranger(_ vote: Vote?) {
        var leader = TestMember.leading()
        _ = leader.open(ConnectionID(rawValue: 1))
        let actions = comes(vote, to: &leader)
        #expect(leader.machine.isServing)
        #expect(actions.contains { if case .closeLearner(LearnerID(rawValue: 1)) = $0 { true } else { false } })
        #expect(actions.notes.contains { if case .keptOut(1, _) = $0 { true } else { false } })
        // It comes again and again.
        #expect(comes(vote, to: &leader).notes.isEmpty)
        leader.heard(.ping(zxid: .zero, sessions: []), from: 2)
        leader.pass(.seconds(3))
        leader.heard(.ping(zxid: .zero, sessions: []), from: 2)
        leader.pass(.seconds(3))
        leader.heard(.ping(zxid: .zero, sessions: []), from: 2)
        leader.pass(.seconds(4))
        #expect(!comes(vote, to: &leader).notes.isEmpty)
    }

    /// One that has a part of this history, or none that counts, comes back by an election that it can't win.
    @Test(arguments: [
        Vote(leader: 1, zxid: .zero, peerEpoch: 0), Vote(leader: 1, zxid: Zxid(epoch: 1, counter: 1), peerEpoch: 1),
        Vote(leader: 1, zxid: .none, peerEpoch: -1),
    ])
    func aServingLeaderMakesWayForAPartOfItsHistory(_ vote: Vote) {
        var leader = TestMember.leading()
        _ = leader.open(ConnectionID(rawValue: 1))
        _ = comes(vote, to: &leader)
        #expect(!leader.machine.isServing)
    }

    /// Issue 8, A12: a tree of a leader that was never established is newer than the cut, and what was before it is set
    /// aside. Storage touches nothing then (`Recovery.truncateLog`).
    @Test func aLogThatCannotBeCutIsReplaced() {
        var state = TestMember.empty(epoch: 1)
        state.tree.lastProcessedZxid = Zxid(epoch: 1, counter: 9)
        var member = TestMember.looking(1, state)
        member.elect()
        member.step(.leaderConnected(3))
        member.told(.leaderInfo(epoch: 2, protocolVersion: 0x10000))
        member.step(.epochsSaved(accepted: 2, current: 1))
        member.told(.trunc(to: Zxid(epoch: 1, counter: 5)))
        let refused = member.step(.recovered(state))
        #expect(!refused.contains { if case .halt = $0 { true } else { false } })
        member.pass(.seconds(1))
        // A vote like any other.
        #expect(member.machine.election.notification.vote.zxid == Zxid(epoch: 1, counter: 9))
        member.elect()
        member.step(.leaderConnected(3))
        let promised = member.told(.leaderInfo(epoch: 2, protocolVersion: 0x10000)).toLeader
        #expect(promised == [.ackEpoch(lastZxid: .zero, currentEpoch: -1)])
        #expect(member.machine.received != nil)
    }
}
