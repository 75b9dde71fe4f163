import EnsembleBase
import EnsembleControl
import Testing

/// S9: the daemon is killed before each of the actions that an errand takes, one run per action; the next one finishes
/// the errand or undoes it, and what was promised to a person is kept.
@Suite struct CrashedOperatorTests {
    enum Errand: String, CaseIterable, CustomTestStringConvertible {
        case bootstrap, lostDirectory, lostUnderLiveServer, reseed, roll, cold, stop, restore

        var testDescription: String { rawValue }
    }

    /// The world before the errand's first action.
    private func world(_ errand: Errand) -> OperatorWorld {
        errand == .bootstrap ? OperatorWorld(seed: 50) : .started(50)
    }

    private func begin(_ errand: Errand, in world: inout OperatorWorld) {
        switch errand {
        case .bootstrap: break
        case .lostDirectory: world.loseData(2)
        case .lostUnderLiveServer: world.loseDataUnderLiveServer(2)
        case .reseed: world.request("e", .reseed(2))
        case .roll: world.request("e", .restartRolling(reason: "test", acceptOutage: false))
        case .cold: world.request("e", .backup(.cold, member: 1))
        case .stop: world.request("e", .stop(1, acceptOutage: false))
        case .restore:
            world.request("e", .restore(OperatorWorld.Backup(id: "b1", isVerified: true).reference))
        }
    }

    /// How many actions the errand takes when nothing disturbs it.
    private func actions(_ errand: Errand) -> Int {
        var world = world(errand)
        let before = world.actionCount
        begin(errand, in: &world)
        runToEnd(errand, &world)
        #expect(isDone(errand, world), "\(world.machine.holds)")
        return world.actionCount - before
    }

    /// At most a minute; the first seconds in any case, because a loss must be noticed first.
    private func runToEnd(_ errand: Errand, _ world: inout OperatorWorld) {
        world.run(for: .seconds(6))
        for _ in 0..<27 where !isDone(errand, world) { world.run(for: .seconds(2)) }
    }

    private func isDone(_ errand: Errand, _ world: OperatorWorld) -> Bool {
        guard world.savedLedger.entries.allSatisfy({ $0.standing == .voter }) else { return false }
        guard errand == .stop else { return world.isWhole }
        return world.machine.intents == Intents() && world.server(1).isAlive == !world.savedLedger.stoppedByPerson.contains(1)
            && world.participants.contains(2) && world.participants.contains(3)
    }

    @Test(arguments: Errand.allCases) func theNextDaemonFinishesOrUndoesIt(errand: Errand) {
        let count = actions(errand)
        #expect(count > 3)
        for number in 0..<min(count, 120) {
            var world = world(errand)
            world.actionsUntilCrash = number
            begin(errand, in: &world)
            runToEnd(errand, &world)
            #expect(world.daemons == 2, "\(errand) \(number): nobody died")
            #expect(isDone(errand, world), "\(errand), killed before action \(number): \(world.machine.holds) \(world.machine.intents)")
            #expect(world.violations == [], "\(errand), killed before action \(number)")
            if world.answers.contains(.accepted) { checkPromise(errand, world, number) }
        }
    }

    /// What was accepted has come to pass, whoever was killed, and whoever asked is told of its end.
    private func checkPromise(_ errand: Errand, _ world: OperatorWorld, _ number: Int) {
        #expect(world.savedHistory["e"]?.ended != nil, "killed before action \(number)")
        switch errand {
        case .roll: #expect(Set(world.terminated) == [1, 2, 3], "killed before action \(number)")
        case .stop: #expect(!world.server(1).isAlive, "killed before action \(number)")
        case .reseed, .lostDirectory, .lostUnderLiveServer: #expect(world.seeds > 0, "killed before action \(number)")
        // Its daemon died before the answer was on its way: it is not begun, and said to have failed (issue 9, B28).
        case .restore where world.savedHistory["e"]?.failure != nil: #expect(world.restoredEpochs.isEmpty, "killed before action \(number)")
        case .restore:
            #expect(Set(world.restoredEpochs).count == 1 && world.restoredEpochs.count >= 3, "killed before action \(number)")
        case .cold:
            // A copy that was cut short is given up, and said to be.
            let end = world.machine.outcomes.last { $0.id == "e" }
            #expect(end?.backup != nil || end?.failure != nil || world.captured.isEmpty == false, "killed before action \(number)")
        case .bootstrap: break
        }
    }
}
