import EnsembleSim
import Testing

/// A checker that finds nothing proves nothing. `ensemble-sim sensitivity` prints the whole table; those that are found
/// at once are looked for with every run of the tests.
@Suite struct SensitivityTests {
    @Test(arguments: [
        DeliberateBug.ackBeforeSync, .newLeaderAckedEarly, .currentEpochNotWritten, .acceptedEpochNotWritten,
        .commitWithoutQuorum, .ackReplayed, .watchAfterReply, .watchTwice, .noFastForward, .holeInDiff,
        .proposalsNotResent, .recoveringIgnored, .rolledBackUnmarked, .syncWithoutLeader, .touchesLost,
    ])
    func deliberateBugsAreFound(bug: DeliberateBug) {
        #expect(Sensitivity.find(bug, outsideOnly: false, limit: 20).seed != nil)
    }
}
