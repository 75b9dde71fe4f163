import EnsembleBase
import Testing

@testable import KeeperCore

/// A tree that differs from the leader's is noticed, not served, and not acknowledged (issue 8, A2).
@Suite struct DivergenceTests {
    private func serving() throws -> (Trio, leader: ServerID, others: [ServerID]) {
        var trio = Trio()
        trio.pass(.seconds(5))
        let leader = try #require(trio.leader)
        trio.write([create("/a")], at: leader)
        #expect(trio.serving == [1, 2, 3])
        return (trio, leader, (1...3).filter { $0 != leader })
    }

    private func digests(_ trio: Trio) -> Set<UInt64> { Set((1...3).map { trio[$0].tree.digest }) }

    @Test func theOneThatDiffersLeavesAndTakesTheTree() throws {
        var (trio, leader, others) = try serving()
        trio.slip(
            .create(
                op: .create, path: "/nowhere", data: [], acl: AccessRight.openToAll, ephemeral: false, parentCVersion: 1, ttl: 0),
            into: others[0])
        trio.write([create("/b")], at: leader)
        // Two transactions: the second proves what the first made suspect.
        #expect(trio.serving == [leader, others[1]].sorted())
        #expect(trio.notes[Int(others[0]) - 1].contains { if case .doubted(leader, _) = $0 { true } else { false } })
        #expect(trio.doubts[Int(others[0]) - 1] == leader)
        trio.write([create("/c")], at: leader)
        trio.pass(.seconds(60))
        #expect(trio.serving == [1, 2, 3] && trio.leader == leader)
        #expect(digests(trio).count == 1 && trio.doubts.allSatisfy { $0 == nil })
        #expect(!trio[others[0]].tree.has("/nowhere") && trio[others[0]].tree.has("/c"))
    }

    /// Its tree lacks what was acknowledged: it must not win (S1), though the other two have both left it.
    @Test func aLeaderThatDiffersFromAllIsReplacedAndTakesTheTree() throws {
        var (trio, leader, _) = try serving()
        trio.slip(.delete(path: "/a", container: false), into: leader)
        trio.write([create("/b")], at: leader)
        #expect(trio.serving.isEmpty)
        trio.pass(.seconds(60))
        let next = try #require(trio.leader)
        #expect(next != leader)
        trio.write([create("/c"), create("/d")], at: next)
        trio.pass(.seconds(60))
        #expect(trio.serving == [1, 2, 3] && digests(trio).count == 1 && trio.doubts.allSatisfy { $0 == nil })
        for path: NodePath in ["/a", "/b", "/c", "/d"] { #expect(trio[leader].tree.has(path)) }
    }

    /// One digest that the next contradicts is noted; nobody leaves.
    @Test func aWrongAnnouncementIsNoted() {
        var member = TestMember.following()
        var leader = DataTree()
        member.proposed(announced(&leader, 1, error: 5))
        #expect(member.told(.commit(zxid(1))).notes.contains { if case .digestMismatch = $0 { true } else { false } })
        member.proposed(announced(&leader, 2))
        #expect(member.told(.commit(zxid(2))).notes == [.digestWronglyAnnounced(zxid: zxid(1))])
        #expect(member.machine.isServing && member.machine.judgement.wrongAnnouncements == 1)
    }

    // MARK: Before NEWLEADER

    /// A member that has been told the epoch and waits for the history.
    private func synchronizing(_ state: RecoveredState) -> TestMember {
        var member = TestMember.looking(1, state)
        member.elect()
        member.step(.leaderConnected(3))
        member.told(.leaderInfo(epoch: 2, protocolVersion: 0x10000))
        member.step(.epochsSaved(accepted: 2, current: 0))
        return member
    }

    /// Issue 8, A1: the DIFF of a leader that had a hole was applied without a look at its digests.
    @Test func aHistoryThatDoesNotFitIsNotAcknowledged() {
        var member = synchronizing(TestMember.empty())
        var leader = differing()
        member.told(.diff(to: zxid(2)))
        for counter in 1...2 { member.proposed(announced(&leader, UInt32(counter))) }
        member.told(.commit(zxid(1)))
        let actions = member.told(.commit(zxid(2))) + member.told(.newLeader(epoch: 2, config: []))
        #expect(actions.contains { if case .disconnectFromLeader = $0 { true } else { false } })
        #expect(actions.contains { if case .markDoubt(leader: 3) = $0 { true } else { false } })
        #expect(!actions.toLeader.contains(.ack(Zxid(epoch: 2, counter: 0))))
    }

    /// An earlier leader was the one that was wrong, and the log has what it announced: the others know better by now.
    @Test func whatAWrongLeaderAnnouncedKeepsNobodyOut() {
        var member = synchronizing(TestMember.empty())
        var (wrong, right) = (differing(), DataTree())
        member.told(.diff(to: zxid(3)))
        for counter in UInt32(1)...2 {
            _ = announced(&right, counter)
            member.proposed(announced(&wrong, counter))
        }
        member.proposed(announced(&right, 3))
        for counter in UInt32(1)...3 { member.told(.commit(zxid(counter))) }
        member.told(.newLeader(epoch: 2, config: []))
        #expect(member.step(.epochsSaved(accepted: 2, current: 2)).toLeader.first == .ack(Zxid(epoch: 2, counter: 0)))
        #expect(member.machine.doubt == nil)
    }

    /// S2: where the mark stands, already a suspicion keeps it.
    @Test func aRecoveringMemberKeepsItsMarkWhileItsTreeIsSuspect() {
        var state = TestMember.empty()
        state.recovering = true
        var member = synchronizing(state)
        var leader = differing()
        member.told(.diff(to: zxid(1)))
        member.proposed(announced(&leader, 1))
        member.told(.commit(zxid(1)))
        let actions = member.told(.newLeader(epoch: 2, config: []))
        #expect(actions.contains { if case .markDoubt(leader: 3) = $0 { true } else { false } })
        #expect(!actions.contains { if case .clearRecoveringMark = $0 { true } else { false } })
        #expect(member.machine.recovering)
    }

    /// The part of the log that nobody has committed yet is applied before the next vote, and judged as well.
    @Test func theTailIsJudged() {
        var member = TestMember.following()
        var leader = differing()
        for counter in 1...2 { member.proposed(announced(&leader, UInt32(counter))) }
        let actions = member.step(.leaderDisconnected)
        #expect(actions.contains { if case .markDoubt(leader: 3) = $0 { true } else { false } })
        #expect(member.machine.role == .settling)
    }

    // MARK: In doubt

    private func doubting() -> RecoveredState {
        var state = TestMember.empty(epoch: 1)
        state.doubted = 3
        return state
    }

    /// Also behind a restart: it neither votes nor builds on its tree while a quorum is there without it.
    @Test func aDoubtOutlivesARestart() {
        var member = TestMember.looking(1, doubting())
        #expect(member.machine.election.notification.vote.zxid == .none)
        member.elect()
        member.step(.leaderConnected(3))
        member.told(.leaderInfo(epoch: 2, protocolVersion: 0x10000))
        let promised = member.step(.epochsSaved(accepted: 2, current: 1)).toLeader
        #expect(promised == [.ackEpoch(lastZxid: .zero, currentEpoch: -1)])
        member.told(.snap(at: zxid(7)))
        var tree = DataTree()
        tree.lastProcessedZxid = zxid(7)
        member.step(.snapshotReceived(tree))
        let installing = member.told(.newLeader(epoch: 2, config: []))
        #expect(installing.contains { if case .installSnapshot = $0 { true } else { false } })
        let installed = member.step(.snapshotInstalled(accepted: 2, current: 2))
        #expect(installed.contains { if case .clearRecoveringMark = $0 { true } else { false } } && installed.toLeader.isEmpty)
        #expect(member.step(.recoveringMarkCleared).toLeader == [.ack(Zxid(epoch: 2, counter: 0))])
        #expect(member.machine.doubt == nil)
    }

    /// A whole history from its very beginning is as good as a tree.
    @Test func allThereEverWasReplacesADoubtedTree() {
        var member = TestMember.looking(1, doubting())
        member.elect()
        member.step(.leaderConnected(3))
        member.told(.leaderInfo(epoch: 2, protocolVersion: 0x10000))
        member.step(.epochsSaved(accepted: 2, current: 1))
        member.told(.diff(to: zxid(1)))
        var leader = DataTree()
        member.told(.proposal(announced(&leader, 1)))
        member.told(.commit(zxid(1)))
        let installing = member.told(.newLeader(epoch: 2, config: []))
        guard case .installSnapshot(let tree, _, _, _)? = installing.first else { return #expect(Bool(false), "\(installing)") }
        #expect(tree.digest == leader.digest && tree.lastProcessedZxid == zxid(1))
    }

    /// Where no quorum is without it, it votes after a while, for anyone but the one that it left.
    @Test func itVotesAgainWhereItIsNeeded() {
        var member = TestMember.looking(1, doubting())
        let round = member.machine.election.round
        func vote(for leader: ServerID) -> Notification {
            Notification(
                state: .looking, vote: Vote(leader: leader, zxid: zxid(9), peerEpoch: 1),
                electionEpoch: member.machine.election.round, config: [])
        }
        member.pass(member.machine.configuration.syncTimeout)
        #expect(member.machine.election.round > round)
        #expect(member.machine.election.notification.vote == Vote(leader: 1, zxid: .zero, peerEpoch: 1))
        member.step(.notificationReceived(from: 3, vote(for: 3)))
        #expect(member.machine.election.notification.vote.leader == 1)
        member.step(.notificationReceived(from: 2, vote(for: 2)))
        #expect(member.machine.election.notification.vote.leader == 2)
    }

    // MARK: Nothing to judge

    /// A tree that a leader sent shows effects of what comes later, up to where the log was when it may serve.
    @Test func aFuzzyTreeIsNotJudgedAndMakesNoSnapshot() {
        var member = synchronizing(TestMember.empty())
        var leader = DataTree()
        let entries = (1...4).map { announced(&leader, UInt32($0), epoch: 2) }
        member.told(.snap(at: .zero))
        var fuzzy = leader
        fuzzy.lastProcessedZxid = .zero
        member.step(.snapshotReceived(fuzzy))
        member.told(.newLeader(epoch: 2, config: []))
        member.step(.snapshotInstalled(accepted: 2, current: 2))
        for entry in entries[..<3] { member.proposed(entry) }
        member.told(.commit(zxid(2, 1)))
        member.told(.upToDate)
        member.machine.snapshots.found(LogExtent(transactions: 1_000_000))
        var actions = member.told(.commit(zxid(2, 2)))
        #expect(member.machine.isServing)
        #expect(!actions.contains { if case .takeSnapshot = $0 { true } else { false } })
        actions += member.told(.commit(zxid(2, 3)))
        #expect(actions.contains { if case .takeSnapshot = $0 { true } else { false } })
        member.proposed(entries[3])
        actions += member.told(.commit(zxid(2, 4)))
        #expect(actions.notes.isEmpty && member.machine.judgement == DigestJudgement())
        // What comes behind is judged.
        var other = differing()
        other.lastProcessedZxid = zxid(2, 4)
        member.proposed(announced(&other, 5, epoch: 2))
        #expect(!member.told(.commit(zxid(2, 5))).notes.isEmpty)
    }

    // MARK: What leaders announce

    private func zxid(_ counter: UInt32) -> Zxid { zxid(1, counter) }
    private func zxid(_ epoch: Int64, _ counter: UInt32) -> Zxid { Zxid(epoch: epoch, counter: counter) }

    /// A leader's tree that has what the member's has not.
    private func differing() -> DataTree {
        var tree = DataTree()
        _ = announced(&tree, 99)
        tree.lastProcessedZxid = .zero
        return tree
    }

    private func announced(_ tree: inout DataTree, _ counter: UInt32, epoch: Int64 = 1, error: UInt64 = 0) -> LogEntry {
        var entry = LogEntry(
            session: 9, cxid: 1, zxid: zxid(epoch, counter), time: 1,
            transaction: .create(
                op: .create, path: NodePath("/n\(counter)"), data: [], acl: AccessRight.openToAll, ephemeral: false,
                parentCVersion: Int32(counter), ttl: 0))
        var changes: [TreeChange] = []
        _ = tree.apply(entry, changes: &changes)
        entry.digest = TransactionDigest(treeDigest: tree.digest &+ error)
        return entry
    }
}

extension DataTree {
    fileprivate func has(_ path: NodePath) -> Bool { storedStat(path) != nil }
}
