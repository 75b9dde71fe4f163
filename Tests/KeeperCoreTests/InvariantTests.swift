import EnsembleBase
import Testing

@testable import KeeperCore

/// What this process itself must never do ends it (issue 8, B5). Each state here is one that no event brings about.
@Suite struct InvariantTests {
    private func halts(_ actions: [KeeperAction]) -> Bool {
        if case .halt? = actions.first { true } else { false }
    }

    @Test func nothingIsDurableThatWasNotAppended() {
        var follower = TestMember.following()
        #expect(halts(follower.step(.logSynced(Zxid(epoch: 1, counter: 1)))))
    }

    @Test func nothingIsProposedBehindAHole() {
        var leader = TestMember.leading()
        _ = leader.open(ConnectionID(rawValue: 1))
        leader.machine.leader!.lastProposed = Zxid(epoch: 1, counter: 7)
        let actions = leader.step(.requested(ConnectionID(rawValue: 1), xid: 1, create("/a")))
        #expect(halts(actions) && actions.proposals.isEmpty)
    }

    @Test func nothingIsCommittedThatWasNotProposed() {
        var leader = TestMember.leading()
        _ = leader.open(ConnectionID(rawValue: 1))
        leader.step(.requested(ConnectionID(rawValue: 1), xid: 1, create("/a")))
        leader.machine.leader!.lastProposed = Zxid(epoch: 1, counter: 1)
        leader.machine.leader!.learners[0].acknowledged = Zxid(epoch: 1, counter: 2)
        #expect(halts(leader.step(.logSynced(Zxid(epoch: 1, counter: 2)))))
    }

    @Test func noTransactionIsAppliedTwice() {
        var follower = TestMember.following()
        let zxid = Zxid(epoch: 1, counter: 1)
        follower.proposed(LogEntry(session: 9, cxid: 1, zxid: zxid, time: 1, transaction: .error(-101)))
        follower.machine.tree.lastProcessedZxid = zxid
        #expect(halts(follower.told(.commit(zxid))))
    }

    /// S1, S2.
    @Test func noEpochIsSavedBeforeTheHistoryThatItVouchesFor() {
        var follower = TestMember.following()
        var actions = ActionBuffer<KeeperAction>()
        follower.machine.saveEpochs(accepted: 0, current: 0, into: &actions)
        #expect(halts(actions.drain()))
        follower.machine.saveEpochs(accepted: 2, current: 3, into: &actions)
        #expect(halts(actions.drain()))
        follower.told(
            .proposal(
                LogEntry(session: 9, cxid: 1, zxid: Zxid(epoch: 1, counter: 1), time: 1, transaction: .error(-101))))
        follower.machine.saveEpochs(accepted: 2, current: 1, into: &actions)
        #expect(!halts(actions.drain()))
        follower.machine.saveEpochs(accepted: 2, current: 2, into: &actions)
        #expect(halts(actions.drain()))
    }
}
