import EnsembleBase
import Testing

@testable import KeeperCore

/// How a leader brings a learner to its history while it goes on committing (issue 8, A11; ZOOKEEPER-4394).
@Suite struct FeedTests {
    private let learner = LearnerID(rawValue: 1)
    private let client = ConnectionID(rawValue: 7)

    /// A leader that keeps the last two committed entries in memory, and has committed some.
    private struct Leading {
        var member: TestMember
        var log: [LogEntry] = []
        var xid: Int32 = 0

        init(windowCount: Int, snapCount: Int = 100_000, snapSizeLimit: Int = 4 << 30) {
            member = TestMember.leading(windowCount: windowCount, snapCount: snapCount, snapSizeLimit: snapSizeLimit)
            _ = member.open(ConnectionID(rawValue: 7))
        }

        mutating func propose() -> [KeeperAction] {
            xid += 1
            let actions = member.step(.requested(ConnectionID(rawValue: 7), xid: xid, create(NodePath("/n\(xid)"))))
            log += actions.proposals
            return actions
        }

        @discardableResult
        mutating func commit(_ count: Int) -> [KeeperAction] {
            var actions: [KeeperAction] = []
            for _ in 0..<count { actions += propose() + member.commitAll() }
            return actions
        }

        mutating func join() -> [KeeperAction] {
            member.connectLearner(1)
            return member.heard(.ackEpoch(lastZxid: Zxid(epoch: 9, counter: 1), currentEpoch: 0), from: 1)
        }

        mutating func acknowledge() -> [KeeperAction] { member.heard(.ack(Zxid(epoch: 1, counter: 0)), from: 1) }
        mutating func took() -> [KeeperAction] { member.step(.learnerTook(LearnerID(rawValue: 1))) }
    }

    /// What learner 1 is sent, by name; pings apart.
    private func sent(_ actions: [KeeperAction]) -> [String] {
        actions.flatMap { action -> [String] in
            switch action {
            case .sendToLearner(learner, let packet): packet.isPing ? [] : [text(packet)]
            case .sendSnapshot(learner, let zxid): ["SNAP \(zxid.counter)"]
            case .propose(let entry, let learners): learners.contains(learner) ? ["PROPOSAL \(entry.zxid.counter)"] : []
            case .commit(let zxid, let learners): learners.contains(learner) ? ["COMMIT \(zxid.counter)"] : []
            case .closeLearner(learner): ["closed"]
            default: []
            }
        }
    }

    private func text(_ packet: QuorumPacket) -> String {
        switch packet {
        case .proposal(let entry): "PROPOSAL \(entry.zxid.counter)"
        case .commit(let zxid): "COMMIT \(zxid.counter)"
        default: packet.name
        }
    }

    private func reads(_ actions: [KeeperAction]) -> [ClosedRange<UInt32>] {
        actions.compactMap {
            if case .readLog(learner, let behind, let end) = $0 { behind.counter...end.counter } else { nil }
        }
    }

    private func awaits(_ actions: [KeeperAction]) -> Bool {
        actions.contains { if case .awaitLearner(learner) = $0 { true } else { false } }
    }

    /// The session is 1, so what is written begins with 2.
    @Test func whileATreeIsOnItsWayNothingIsHeldForTheLearner() {
        var leader = Leading(windowCount: 100)
        leader.commit(2)
        let began = leader.join()
        #expect(sent(began) == ["SNAP 3"] && awaits(began))
        #expect(sent(leader.commit(2)) == [])
        #expect(sent(leader.propose()) == [])
        // Of what is proposed and not committed nothing comes before NEWLEADER.
        #expect(sent(leader.took()) == ["PROPOSAL 4", "COMMIT 4", "PROPOSAL 5", "COMMIT 5", "NEWLEADER"])
    }

    /// ZOOKEEPER-4394: Apache's follower dies of a commit behind NEWLEADER of what was proposed before it.
    @Test func betweenNewLeaderAndItsAcknowledgementOnlyPingsAreSent() {
        var leader = Leading(windowCount: 100)
        _ = leader.join()
        #expect(sent(leader.took()) == ["NEWLEADER"])
        #expect(sent(leader.commit(2)) == [])
        #expect(sent(leader.propose()) == [])
        let pinged = leader.member.pass(leader.member.machine.configuration.tickTime)
        #expect(pinged.contains { if case .sendToLearner(learner, .ping) = $0 { true } else { false } })
        #expect(
            sent(leader.acknowledge()) == ["PROPOSAL 2", "COMMIT 2", "PROPOSAL 3", "COMMIT 3", "UPTODATE", "PROPOSAL 4"])
        #expect(sent(leader.member.commitAll()) == ["COMMIT 4"])
        #expect(sent(leader.commit(1)) == ["PROPOSAL 5", "COMMIT 5"])
    }

    /// It counts in quorums with what NEWLEADER vouched for and with what it acknowledges, not with what it was never sent.
    @Test func whatALearnerWasNotSentItDoesNotVouchFor() {
        var leader = Leading(windowCount: 100)
        _ = leader.join()
        _ = leader.took()
        _ = leader.propose()
        let last = leader.member.machine.history.lastAppended
        leader.member.step(.logSynced(last))
        let joined = leader.acknowledge()
        #expect(leader.member.machine.history.lastCommitted < last, "of three only this member has it")
        #expect(sent(joined) == ["UPTODATE", "PROPOSAL 2"])
        #expect(sent(leader.member.heard(.ack(last), from: 1)) == ["COMMIT 2"])
    }

    @Test func whatIsBehindTheWindowIsReadFromTheLogPieceByPiece() {
        var leader = Leading(windowCount: 2)
        _ = leader.join()
        leader.commit(6)
        var actions = leader.took()
        #expect(sent(actions) == [] && reads(actions) == [1...7])
        #expect(sent(leader.took()) == [], "it is being read")
        actions = leader.member.step(.logRead(learner, Array(leader.log[0..<3])))
        #expect(sent(actions) == ["PROPOSAL 2", "COMMIT 2", "PROPOSAL 3", "COMMIT 3", "PROPOSAL 4", "COMMIT 4"] && awaits(actions))
        actions = leader.took()
        #expect(reads(actions) == [4...7])
        actions = leader.member.step(.logRead(learner, [leader.log[3]]))
        // From here on the window does.
        #expect(sent(leader.took()) == ["PROPOSAL 6", "COMMIT 6", "PROPOSAL 7", "COMMIT 7", "NEWLEADER"])
        leader.commit(4)
        actions = leader.acknowledge()
        #expect(sent(actions) == [] && reads(actions) == [7...11])
        _ = leader.member.step(.logRead(learner, Array(leader.log[6..<9])))
        #expect(sent(leader.took()).suffix(3) == ["PROPOSAL 11", "COMMIT 11", "UPTODATE"])
        #expect(leader.member.machine.status.syncedFollowers == 2)
    }

    /// ZOOKEEPER-4925: a hole would enter the learner's log.
    @Test(arguments: [[1], [0, 2], [5]])
    func aLogWithAHoleIsNotSent(_ read: [Int]) {
        var leader = Leading(windowCount: 2)
        _ = leader.join()
        leader.commit(6)
        _ = leader.took()
        let actions = leader.member.step(.logRead(learner, read.map { leader.log[$0] }))
        #expect(sent(actions).last == "closed")
        #expect(leader.member.machine.role == .leading)
    }

    @Test func aLogThatCantBeReadCostsTheLearnerItsConnection() {
        var leader = Leading(windowCount: 2)
        _ = leader.join()
        leader.commit(6)
        _ = leader.took()
        #expect(sent(leader.member.step(.logUnreadable(learner, reason: "rotten"))) == ["closed"])
        #expect(leader.member.machine.role == .leading)
        // Its answers come for nobody.
        #expect(leader.member.step(.logRead(learner, [leader.log[0]])).isEmpty)
        // What is hurt is left behind, and the next tree is of later (seeds 1682, 2815).
        #expect(leader.commit(1).contains { if case .takeSnapshot = $0 { true } else { false } })
        #expect(!leader.commit(1).contains { if case .takeSnapshot = $0 { true } else { false } })
    }

    /// A window may be larger than what its connection takes within the leader's patience (seed 2509).
    @Test func theWindowIsSentPieceByPiece() {
        var leader = Leading(windowCount: 10_000)
        _ = leader.join()
        leader.commit(2_000)
        let tick = leader.member.machine.configuration.tickTime
        let ticks = Int(leader.member.machine.configuration.initTimeout / tick) * 6 / 10
        var (pieces, count) = (0, 0)
        var actions = leader.took()
        while awaits(actions), pieces < 100 {
            #expect(!sent(actions).contains("NEWLEADER"))
            count += sent(actions).count
            pieces += 1
            for _ in 0..<ticks {
                _ = leader.member.step(.requested(client, xid: -2, .ping))
                let passed = leader.member.pass(tick) + leader.member.heard(.ping(zxid: .zero, sessions: []), from: 2)
                #expect(!sent(passed).contains("closed"), "it takes what it is sent")
            }
            actions = leader.took()
        }
        #expect(pieces > 2)
        #expect(count + sent(actions).count == 4_001 && sent(actions).last == "NEWLEADER")
    }

    @Test func newLeaderCantBeAcknowledgedBeforeItIsSent() {
        var leader = Leading(windowCount: 2)
        _ = leader.join()
        #expect(sent(leader.acknowledge()) == ["closed"])
    }

    /// What a learner is still to be sent is not purged.
    @Test func aSnapshotSaysWhatLogIsNeeded() {
        var leader = Leading(windowCount: 2)
        leader.commit(1)
        _ = leader.join()
        #expect(leader.member.machine.neededLog == Zxid(epoch: 1, counter: 2))
        leader.commit(6)
        #expect(leader.member.machine.neededLog == Zxid(epoch: 1, counter: 2))
        _ = leader.took()
        _ = leader.member.step(.logRead(learner, Array(leader.log[1..<5])))
        _ = leader.took()
        _ = leader.acknowledge()
        #expect(leader.member.machine.neededLog == nil)
    }

    /// What thirty snapshots keep for a learner that has joined and takes nothing.
    private func needed(snapCount: Int, snapSizeLimit: Int) -> [Zxid] {
        var leader = Leading(windowCount: 2, snapCount: snapCount, snapSizeLimit: snapSizeLimit)
        _ = leader.join()
        var needed: [Zxid] = []
        for _ in 0..<200 where needed.count < 30 {
            for case .takeSnapshot(let start, let zxid?) in leader.commit(1) {
                needed.append(zxid)
                leader.member.step(.snapshotSaved(start))
            }
        }
        #expect(needed.count == 30)
        return needed
    }

    /// Where snapshots come fast, ten of them are less than a large tree takes to be received (seed 238).
    @Test func theLogIsKeptForAsManyBytesAsARestartMayReplay() {
        let needed = needed(snapCount: 2, snapSizeLimit: 4 << 30)
        #expect(needed.allSatisfy { $0 == Zxid(epoch: 1, counter: 1) })
    }

    /// One that stands still would fill the disk.
    @Test func theLogIsNotKeptForEver() {
        let needed = needed(snapCount: 2, snapSizeLimit: 500)
        let joined = Zxid(epoch: 1, counter: 1)
        #expect(needed.prefix(9).allSatisfy { $0 == joined })
        #expect(zip(needed.dropFirst(9), needed.dropFirst(10)).allSatisfy { joined < $0 && $0 < $1 })
    }
}
