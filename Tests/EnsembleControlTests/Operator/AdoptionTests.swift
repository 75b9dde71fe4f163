import EnsembleBase
import EnsembleControl
import Testing

/// Servers that a daemon finds alive when it begins: an earlier daemon's, or a person's.
@Suite struct AdoptionTests {
    /// Members that were found alive without a ledger had no identity for ever (issue 9, B14).
    @Test func whoWasFoundAliveIsKnownByItsDirectoryFromItsNextLaunchOn() {
        var world = OperatorWorld.started(63)
        let identities = (1...3).map { world.server($0).identity }
        world.savedLedger = Ledger(cluster: world.savedLedger.cluster)
        world.savedIntents = Intents()
        world.restartDaemon()
        world.run(for: .seconds(5))
        #expect(world.savedLedger.entries.allSatisfy { $0.identity == nil })
        for id in 1...3 {
            world.kill(id)
            world.run(for: .seconds(10))
        }
        #expect(world.savedLedger.entries.map(\.identity) == identities)
        world.change(2) { $0.identity = "another" }
        world.kill(2)
        world.run(for: .seconds(60))
        #expect(world.quarantined == 1 && world.isWhole)
        #expect(world.violations == [])
    }

    /// It was stopped for its reseed, a person started it, and the next daemon stopped it at once (operated seed 1998).
    @Test func aMemberThatWasStartedInItsReseedIsJudgedAnew() {
        var world = OperatorWorld.started(62)
        world.request("r", .reseed(1))
        while world.savedIntents.reseed?.phase != .quarantining { world.run(for: .milliseconds(10)) }
        #expect(world.quarantined == 0)
        world.terminated = []
        world.change(1) {
            $0.isAlive = true
            $0.participatesAt = .origin
        }
        world.restartDaemon()
        world.run(for: .seconds(60))
        #expect(world.terminated == [1], "asked for anew, with the lock")
        #expect(world.isWhole && world.seeds == 1)
        #expect(world.violations == [])
    }
}
