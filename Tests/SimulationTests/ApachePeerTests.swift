import EnsembleSim
import Testing

/// A peer that errs as Apache's does, and members that begin with Apache's directories.
@Suite struct ApachePeerTests {
    private static func plan(_ seed: UInt64) -> Plan {
        var plan = Plan(seed: seed)
        (plan.servers, plan.faultTime, plan.faultPause, plan.atlas) = (3, 6_000, 1_000, [.crashes, .resets])
        return plan
    }

    /// Wrong announcements are noted, and nobody leaves for them.
    @Test func wrongAnnouncementsHarmNobody() {
        var plan = Self.plan(2)
        plan.apachePeer = 3
        let result = Campaign.run(plan)
        #expect(result.violation == nil)
        #expect(result.trace.contains { $0.contains("digestWronglyAnnounced") })
        #expect(!result.trace.contains { $0.contains("doubted") })
    }

    @Test func whatWasCommittedBeforeTheRunIsThereAtItsEnd() {
        var plan = Self.plan(5)
        plan.wasApaches = true
        let result = Campaign.run(plan)
        #expect(result.violation == nil)
        #expect(result.trace.contains { $0.contains("was Apache's: whole") } || result.trace.count >= 400)
    }
}
