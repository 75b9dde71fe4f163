import EnsembleSim
import Testing

/// The real operator and real servers in one world: S1 to S11, by what is true there.
@Suite struct OperatorTests {
    @Test(arguments: UInt64(1)...2) func operatedSeedsAreClean(seed: UInt64) {
        var plan = Plan.operated(seed: seed)
        plan.faultTime = 20_000
        let result = Campaign.run(plan)
        #expect(result.violation == nil, "ensemble-sim run --operated --seed \(seed)")
        #expect(result.operations > 0)
    }

    @Test func theSameSeedIsTheSameRun() {
        var plan = Plan.operated(seed: 3)
        plan.faultTime = 10_000
        let (first, second) = (Campaign.run(plan), Campaign.run(plan))
        #expect(first.fingerprint == second.fingerprint && first.steps == second.steps)
    }

    /// What shows in a roll alone, when everyone is well.
    @Test(arguments: [DeliberateBug.leaderMistaken, .rollForgotten]) func rollsAreJudged(bug: DeliberateBug) {
        #expect(Sensitivity.find(bug, only: .rolls, limit: 6).seed != nil)
    }

    /// A swarm draws an operator for a share of its seeds; a plan that does not ask for one is what it always was.
    @Test func seedsKeepTheirMeaning() {
        #expect(!Plan(seed: 3).isOperated && Plan.drawn(seed: 3).isOperated)
        #expect(Plan.drawn(seed: 4) == Plan(seed: 4).widened())
        #expect(!Plan(seed: 4).asksMore && Plan(seed: 4).atlas.isDisjoint(with: .wider))
    }
}
