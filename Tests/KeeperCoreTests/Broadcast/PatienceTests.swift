import EnsembleBase
import Testing

@testable import KeeperCore

/// What takes long is waited for as long as it goes on, and costs bounded memory (issue 8, A9 and A11).
@Suite struct PatienceTests {
    private let learner = LearnerID(rawValue: 1)

    /// A leader of a quorum, and learner 1, which has the history and NEWLEADER on its way.
    private func leading() -> TestMember {
        var leader = TestMember.leading()
        leader.connectLearner(1)
        leader.heard(.ackEpoch(lastZxid: .zero, currentEpoch: 0), from: 1)
        return leader
    }

    private func drops(_ actions: [KeeperAction]) -> Bool {
        actions.contains { if case .closeLearner(learner) = $0 { true } else { false } }
    }

    /// For ten times initLimit, while the other learner talks as ever.
    private func waits(_ leader: inout TestMember, _ sign: KeeperEvent?) -> Bool {
        let end = leader.now + leader.machine.configuration.initTimeout * 10
        var actions: [KeeperAction] = []
        while leader.now < end {
            actions += leader.pass(leader.machine.configuration.tickTime)
            actions += leader.heard(.ping(zxid: .zero, sessions: []), from: 2)
            if let sign { actions += leader.step(sign) }
        }
        return !drops(actions)
    }

    @Test func aLearnerMayTakeLongWhileItGoesOn() {
        var leader = leading()
        #expect(waits(&leader, .learnerPacketReceived(learner, .ping(zxid: .zero, sessions: []))))
        leader = leading()
        #expect(waits(&leader, .learnerProgressed(learner)))
        leader = leading()
        #expect(!waits(&leader, nil))
    }

    /// The epoch waits for the one that makes its quorum, and no longer than that one's signs of life.
    @Test func soMayTheQuorumOfANewEpoch() {
        var leader = TestMember.looking(3)
        let vote = Notification(
            state: .looking, vote: Vote(leader: 3, zxid: .zero, peerEpoch: 0), electionEpoch: 1, config: [])
        for peer in ServerID(1)...2 { leader.step(.notificationReceived(from: peer, vote)) }
        leader.connectLearner(1)
        leader.step(.epochsSaved(accepted: 1, current: 0))
        leader.heard(.ackEpoch(lastZxid: .zero, currentEpoch: 0), from: 1)
        leader.step(.epochsSaved(accepted: 1, current: 1))
        for _ in 0..<50 {
            leader.pass(leader.machine.configuration.tickTime)
            leader.step(.learnerProgressed(learner))
        }
        #expect(leader.machine.role == .leading)
        leader.pass(leader.machine.configuration.initTimeout)
        #expect(leader.machine.role != .leading)
    }

    // MARK: A follower whose disk is at work

    private func truncating(protocolVersion: Int32 = QuorumPacket.patientProtocolVersion) -> TestMember {
        var state = TestMember.empty(epoch: 1)
        state.tree.lastProcessedZxid = Zxid(epoch: 1, counter: 9)
        var member = TestMember.looking(1, state)
        member.elect()
        member.step(.leaderConnected(3))
        member.told(.leaderInfo(epoch: 2, protocolVersion: protocolVersion))
        member.step(.epochsSaved(accepted: 2, current: 1))
        member.told(.trunc(to: Zxid(epoch: 1, counter: 5)))
        return member
    }

    private func entry(_ counter: UInt32, bytes: Int) -> LogEntry {
        LogEntry(
            session: 9, cxid: 1, zxid: Zxid(epoch: 1, counter: counter), time: 1,
            transaction: .setData(path: "/", data: [UInt8](repeating: 1, count: bytes), version: 1))
    }

    private func has(_ actions: [KeeperAction], _ isIt: (KeeperAction) -> Bool) -> Bool { actions.contains(where: isIt) }
    private func pauses(_ action: KeeperAction) -> Bool { if case .pauseLeader = action { true } else { false } }
    private func resumes(_ action: KeeperAction) -> Bool { if case .resumeLeader = action { true } else { false } }

    /// What comes while the log is cut waits with the leader, but for a bounded part; this member goes on showing that it
    /// lives, and what waited is in its log afterwards.
    @Test func whatWaitsForTheDiskIsBounded() {
        var member = truncating()
        let size = KeeperConfiguration.inboxSize / 4
        var actions: [KeeperAction] = []
        for counter in UInt32(6)...9 { actions += member.told(.proposal(entry(counter, bytes: size))) }
        #expect(actions.count { pauses($0) } == 1)
        // It is not the leader that is silent.
        let waiting = member.pass(member.machine.configuration.initTimeout * 3)
        #expect(member.machine.role == .following)
        #expect(waiting.toLeader.count >= 3 * member.machine.configuration.initLimit)
        var state = TestMember.empty(epoch: 1)
        state.tree.lastProcessedZxid = Zxid(epoch: 1, counter: 5)
        let resumed = member.step(.recovered(state))
        #expect(resumed.count { resumes($0) } == 1)
        #expect(member.machine.history.lastAppended == Zxid(epoch: 1, counter: 9))
        // From here on silence is the leader's again.
        member.pass(member.machine.configuration.initTimeout)
        #expect(member.machine.role != .following)
    }

    /// An Apache leader closes the connection of a learner that says anything before it acknowledges NEWLEADER.
    @Test func apachesLeaderHearsNothingBeforeTheAcknowledgement() {
        var member = TestMember.looking(1)
        member.elect()
        member.step(.leaderConnected(3))
        member.told(.leaderInfo(epoch: 1, protocolVersion: QuorumPacket.protocolVersion))
        member.step(.epochsSaved(accepted: 1, current: 0))
        member.told(.diff(to: .zero))
        member.told(.proposal(entry(1, bytes: 1)))
        member.told(.newLeader(epoch: 1, config: []))
        #expect(member.told(.ping(zxid: .zero, sessions: [])).toLeader.isEmpty)
        member.step(.logSynced(Zxid(epoch: 1, counter: 1)))
        #expect(member.told(.ping(zxid: .zero, sessions: [])).toLeader.isEmpty)
        #expect(member.step(.epochsSaved(accepted: 1, current: 1)).toLeader.first == .ack(Zxid(epoch: 1, counter: 0)))
        #expect(member.told(.ping(zxid: .zero, sessions: [])).toLeader == [.ping(zxid: .zero, sessions: [])])
    }

    /// Ours wants to know that a large tree is still being installed.
    @Test func ourLeaderHearsFromALearnerThatInstalls() {
        var member = truncating()
        #expect(member.told(.ping(zxid: .zero, sessions: [])).toLeader == [.ping(zxid: .zero, sessions: [])])
        member = truncating(protocolVersion: QuorumPacket.protocolVersion)
        #expect(member.told(.ping(zxid: .zero, sessions: [])).toLeader.isEmpty)
    }
}
