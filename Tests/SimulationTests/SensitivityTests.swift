import EnsembleSim
import Testing

/// A checker that finds nothing proves nothing. `ensemble-sim sensitivity` prints the whole table, and a stage of
/// scripts/test runs it in a release build; a few that are found at once are looked for here.
@Suite struct SensitivityTests {
    @Test(arguments: [DeliberateBug.ackBeforeSync, .commitWithoutQuorum, .epochsNotWritten, .watchTwice, .logSyncSkipped])
    func deliberateBugsAreFound(bug: DeliberateBug) {
        #expect(Sensitivity.find(bug, limit: 20).seed != nil)
    }

    @Test func everyRuleIsAimedAtBySomeBug() {
        let aimedAt = Set(DeliberateBug.allCases.flatMap(\.aims))
        // S8 is tested by `SafetyRuleTests`; no seed of the simulator shows a restore that does not raise the epoch.
        #expect(Rule.allCases.filter { !aimedAt.contains($0) } == [.epochs])
    }
}
