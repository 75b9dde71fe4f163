import EnsembleBase
import EnsembleControl
import Testing

/// S11 where it is acted on: what was concluded from silence, and what becomes of it.
@Suite struct HarmTests {
    private func follower(of world: OperatorWorld) -> Int {
        world.machine.observed.members.first { $0.answer?.role == .following }!.id
    }

    /// It takes part, and clients can't reach it: a voluntary step.
    @Test func aDeafMemberThatIsCountedIsRestartedOnce() {
        var world = OperatorWorld.started(71)
        let id = follower(of: world)
        world.change(id) { $0.isDeaf = true }
        world.run(for: .seconds(60))
        #expect(world.terminated == [id])
        world.change(id) { $0.isDeaf = false }
        world.run(for: .seconds(20))
        #expect(world.terminated == [id] && world.isWhole)
        #expect(world.violations == [])
    }

    /// Its restart waits for the lock, and meanwhile it is heard: seen in the simulated world, where it was restarted for what
    /// it had been.
    @Test func whoIsHeardAgainIsNotRestarted() {
        var world = OperatorWorld.started(72)
        let id = follower(of: world)
        world.isLockTaken = true
        world.change(id) { $0.isDeaf = true }
        world.run(for: .seconds(20))
        #expect(world.savedIntents.operation != nil)
        world.change(id) { $0.isDeaf = false }
        world.run(for: .seconds(3))
        world.isLockTaken = false
        world.run(for: .seconds(30))
        #expect(world.terminated == [])
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// The daemon that takes over has not asked it yet.
    @Test func theNextDaemonAsksBeforeItRestarts() {
        var world = OperatorWorld.started(73)
        let id = follower(of: world)
        world.isLockTaken = true
        world.change(id) { $0.isDeaf = true }
        world.run(for: .seconds(20))
        world.isLockTaken = false
        world.change(id) { $0.isDeaf = false }
        world.restartDaemon()
        world.run(for: .seconds(30))
        #expect(world.terminated == [])
        #expect(world.isWhole)
        #expect(world.violations == [])
    }
}
