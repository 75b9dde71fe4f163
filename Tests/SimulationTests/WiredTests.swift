import EnsembleSim
import Testing

/// Whole servers: shell, connections, frames and storage, over cables that cut anywhere.
@Suite struct WiredTests {
    private static func plan(_ seed: UInt64) -> Plan {
        var plan = Plan.wired(seed: seed)
        plan.faultTime = min(plan.faultTime, 4_000)
        plan.faultPause = 1_000
        return plan
    }

    @Test(arguments: UInt64(1)...3) func seedsAreClean(seed: UInt64) {
        let result = Campaign.run(WiredTests.plan(seed))
        #expect(result.violation == nil, "ensemble-sim run --wired --seed \(seed)")
        #expect(result.operations > 0)
    }

    @Test func theSameSeedIsTheSameRun() {
        let (first, second) = (Campaign.run(WiredTests.plan(4)), Campaign.run(WiredTests.plan(4)))
        #expect(first.fingerprint == second.fingerprint && first.steps == second.steps)
    }
}
