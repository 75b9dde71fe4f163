import EnsembleSim
import Testing

/// A checker that finds nothing proves nothing. `ensemble-sim sensitivity` prints the whole table; those that are found
/// at once are looked for with every run of the tests.
@Suite struct SensitivityTests {
    @Test(arguments: [
        DeliberateBug.ackBeforeSync, .newLeaderAckedEarly, .currentEpochNotWritten, .acceptedEpochNotWritten,
        .commitWithoutQuorum, .ackReplayed, .watchAfterReply, .watchTwice, .noFastForward, .holeInDiff,
        .proposalsNotResent, .recoveringIgnored, .rolledBackUnmarked, .syncWithoutLeader, .touchesIgnored,
        .epochsNotWritten, .replaySkipsEntry, .damageTakenForTail, .failedSyncIgnored, .proposalAltered, .streamReordered,
        .logReportedEarly, .newLeaderBeforeSync, .logSyncSkipped, .directorySyncSkipped,
        .snapshotLosesNode, .versionIgnored, .ephemeralAfterClose, .sessionForgotten, .staleRead, .replyLost, .watchLost,
    ])
    func deliberateBugsAreFound(bug: DeliberateBug) {
        #expect(Sensitivity.find(bug, limit: 20).seed != nil)
    }

    @Test func everyRuleIsAimedAtBySomeBug() {
        let aimedAt = Set(DeliberateBug.allCases.flatMap(\.aims))
        // S8 is tested by `SafetyRuleTests`; no seed of the simulator shows a restore that does not raise the epoch.
        #expect(Rule.allCases.filter { !aimedAt.contains($0) } == [.epochs])
    }
}
