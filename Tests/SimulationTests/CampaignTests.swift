import EnsembleSim
import Testing

@Suite struct CampaignTests {
    @Test(arguments: UInt64(1)...4) func seedsAreClean(seed: UInt64) {
        var plan = Plan(seed: seed)
        plan.faultTime = min(plan.faultTime, 10_000)
        let result = Campaign.run(plan)
        #expect(result.violation == nil, "ensemble-sim run --seed \(seed)")
        #expect(result.operations > 0)
    }

    @Test func theSameSeedIsTheSameRun() {
        var plan = Plan(seed: 3)
        plan.faultTime = 10_000
        let (first, second) = (Campaign.run(plan), Campaign.run(plan))
        #expect(first.fingerprint == second.fingerprint && first.steps == second.steps)
    }

    /// Whether values travel as they are or as bytes makes no difference to anyone.
    @Test func bytesChangeNothing() {
        var plan = Plan(seed: 4)
        plan.faultTime = 5_000
        plan.usesBytes = false
        let values = Campaign.run(plan)
        plan.usesBytes = true
        #expect(Campaign.run(plan).fingerprint == values.fingerprint)
    }

    @Test func shrinkingKeepsTheRuleAndDropsWhatIsNotNeeded() {
        let plan = Plan(seed: 1, bug: .ackBeforeSync)
        let small = Shrinking.shrink(plan, breaking: .quorum)
        #expect(small.violation?.rule == .quorum)
        #expect(small.plan.atlas == .none && small.plan.clients == 1 && small.plan.faultTime < plan.faultTime)
    }
}
