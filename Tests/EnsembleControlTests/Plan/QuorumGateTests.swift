import EnsembleBase
import EnsembleControl
import Testing

@Suite struct QuorumGateTests {
    static let now = Instant(nanoseconds: 1_000_000_000_000)

    /// Roles by member: L leads, F follows, "-" is silent.
    static func observed(_ roles: String, synced: Int? = nil, age: Duration = .zero) -> EnsembleObservation {
        let ids = Array(1...roles.count)
        var observed = EnsembleObservation(members: ids, voters: ids, freshness: .seconds(3))
        for (id, role) in zip(ids, roles) where role != "-" {
            observed[id]?.process = .alive(pid: Int32(id), ProcessSight())
            observed[id]?.answer = MemberAnswer(
                at: now - age, role: role == "L" ? .leading : .following, zxid: 1 << 32,
                syncedFollowers: role == "L" ? synced : nil)
        }
        return observed
    }

    @Test func aFollowerOfThreeMayGoWhenAllParticipate() {
        #expect(QuorumGate(Self.observed("LFF"), at: Self.now).objection(toDisrupting: 2) == nil)
    }

    @Test func nobodyMayGoWhenOneOfThreeIsDown() {
        let gate = QuorumGate(Self.observed("LF-"), at: Self.now)
        #expect(gate.objection(toDisrupting: 2) == .quorumWouldBreak(participatingAfter: 1, quorum: 2))
        #expect(gate.objection(toDisrupting: 1) != nil)
        #expect(gate.objection(toDisrupting: 3) == nil, "the one that is down costs nothing")
    }

    @Test func staleAnswersCountForNothing() {
        let gate = QuorumGate(Self.observed("LFF", age: .seconds(4)), at: Self.now)
        #expect(gate.objection(toDisrupting: 2) == .noLeader)
    }

    @Test func twoLeadersAreNone() {
        #expect(QuorumGate(Self.observed("LLF"), at: Self.now).objection(toDisrupting: 3) == .noLeader)
    }

    @Test func theLeadersOwnCountOutweighsTheFollowersWord() {
        let gate = QuorumGate(Self.observed("LFF", synced: 1), at: Self.now)
        #expect(gate.objection(toDisrupting: 2) == .leaderCountsFewer(counted: 2, seen: 3))
    }

    /// S4: only a person's word breaks a quorum.
    @Test func aSingleMemberGoesOnlyWithAcceptedOutage() {
        let gate = QuorumGate(Self.observed("L"), at: Self.now)
        #expect(gate.objection(toDisrupting: 1) != nil)
        #expect(gate.objection(toDisrupting: 1, acceptOutage: true) == nil)
        let three = QuorumGate(Self.observed("LF-"), at: Self.now)
        #expect(three.objection(toDisrupting: 2) != nil)
        #expect(three.objection(toDisrupting: 2, acceptOutage: true) == nil)
    }

    @Test func theOrderIsAbsentThenLaggingThenHealthyThenLeader() {
        var observed = Self.observed("LFFF-")
        observed[1]?.answer?.zxid = 1 << 32 | 9
        observed[2]?.answer?.zxid = 1 << 32 | 9
        observed[3]?.answer?.zxid = 1 << 32 | 2
        observed[4]?.answer?.zxid = 1 << 32 | 9
        let order = RollingOrder.ordered([1, 2, 3, 4, 5], in: observed, engine: .bundled, at: Self.now).map(\.member)
        #expect(order == [5, 3, 2, 4, 1])
    }
}
