import EnsembleBase
import EnsembleControl
import Testing

/// What a person no longer wants ends where its phase allows, and leaves everyone whole (issue 9, B11 and B36).
@Suite struct CancelTests {
    private func outcome(_ id: String, in world: OperatorWorld) -> OperationRecord? {
        world.machine.outcomes.last { $0.id == id }
    }

    private func refusal(in world: OperatorWorld) -> String? {
        guard case .refused(let error)? = world.answers.last else { return nil }
        return error.message
    }

    /// Runs until what is on the disk is as wanted.
    private func wait(in world: inout OperatorWorld, for isReached: (Intents) -> Bool) throws {
        for _ in 0..<6_000 where !isReached(world.savedIntents) { world.run(for: .milliseconds(10)) }
        try #require(isReached(world.savedIntents))
    }

    enum RollPhase: CaseIterable { case choosing, stopping, joining, soaking }

    @Test(arguments: RollPhase.allCases) func aRollEndsInAnyPhase(phase: RollPhase) throws {
        var world = OperatorWorld.started(81, members: 5)
        world.isLockTaken = phase == .choosing
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        try wait(in: &world) {
            guard let rolling = $0.operation?.workflow as? Roll else { return false }
            return switch (rolling.phase, phase) {
            case (.choosing, .choosing), (.stopping, .stopping), (.joining, .joining), (.soaking, .soaking): true
            case (_, _): false
            }
        }
        let taken = world.terminated
        world.request("c", .cancel("r"))
        #expect(world.savedIntents.operation == nil)
        #expect(outcome("r", in: world)?.isCancelled == true)
        world.isLockTaken = false
        world.run(for: .seconds(60))
        #expect(world.terminated == taken, "nobody else is taken")
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// S4: whoever was taken for it is back before the next one goes.
    @Test func theNextStepWaitsForWhoIsStillAway() throws {
        var world = OperatorWorld.started(82, members: 5)
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        try wait(in: &world) { $0.operation?.disrupted != nil }
        let first = try #require(world.savedIntents.operation?.disrupted)
        world.change(first) { $0.lagsUntil = .distantFuture }
        world.run(for: .seconds(3))
        world.request("c", .cancel("r"))
        world.request("s", .restart(first == 3 ? 4 : 3, acceptOutage: false))
        world.run(for: .seconds(20))
        #expect(world.terminated == [first], "it lacks what is committed")
        world.change(first) { $0.lagsUntil = .origin }
        world.run(for: .seconds(40))
        #expect(world.terminated.count == 2)
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// S4: it serves for a while after it was asked to stop, and that counts for nothing; nor with the next daemon.
    @Test(arguments: [false, true]) func whoeverIsStillStoppingIsNotBack(daemonDies: Bool) throws {
        for seed in UInt64(1)...8 {
            var world = OperatorWorld.started(820 + seed, members: 5)
            world.request("r", .restartRolling(reason: "test", acceptOutage: false))
            try wait(in: &world) { $0.operation?.disrupted != nil }
            let first = try #require(world.savedIntents.operation?.disrupted)
            // Its disk takes the time.
            for index in world.due.indices where world.due[index].deathOf == first { world.due[index].at = world.now + .seconds(4) }
            world.request("c", .cancel("r"))
            if daemonDies {
                let stops = world.due.filter { $0.deathOf == first }
                world.due.removeAll { $0.deathOf == first }
                world.restartDaemon()
                world.due += stops
            }
            // A daemon that has just begun looks for its members first.
            repeat {
                world.run(for: .milliseconds(100))
                world.request("s", .restart(first == 3 ? 4 : 3, acceptOutage: false))
            } while world.answers.last != .accepted
            for _ in 0..<600 where world.terminated.count < 2 { world.run(for: .milliseconds(100)) }
            #expect(world.terminated.count == 2 && world.participants.contains(first))
            #expect(!world.due.contains { $0.deathOf == first }, "it has ended, and is back")
            #expect(world.violations == [])
        }
    }

    /// The manifest wants it, and what is cancelled would begin again at once.
    @Test func aRollForTheManifestIsPausedFirst() throws {
        var world = OperatorWorld.started(95)
        world.isLockTaken = true
        var changed = Fingerprint()
        changed.combine("changed")
        world.step(.policyChanged(world.policy, fingerprints: (1...3).map { MemberFingerprint(member: $0, fingerprint: changed) }))
        try wait(in: &world) { $0.operation != nil }
        let id = try #require(world.savedIntents.operation?.id)
        world.request("c", .cancel(id))
        #expect(refusal(in: world)?.contains("ensemblectl pause holds it") == true)
        world.request("p", .pause)
        world.request("c", .cancel(id))
        world.isLockTaken = false
        world.run(for: .seconds(20))
        #expect(world.terminated == [] && world.savedIntents.operation == nil)
        world.request("q", .resume)
        world.run(for: .seconds(60))
        #expect(world.terminated.count == 3 && world.isWhole)
        #expect(world.violations == [])
    }

    /// S9: it is not taken up by the next daemon.
    @Test func theNextDaemonKnowsOfIt() throws {
        var world = OperatorWorld.started(83)
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        try wait(in: &world) { $0.operation?.disrupted != nil }
        world.request("c", .cancel("r"))
        let taken = world.terminated
        world.restartDaemon()
        world.run(for: .seconds(60))
        #expect(world.terminated == taken && world.isWhole)
        #expect(world.violations == [])
    }

    @Test(arguments: [ColdCapture.Phase.choosing, .stopping, .copying, .joining], [false, true])
    func aColdBackupEndsInAnyPhase(phase: ColdCapture.Phase, daemonDies: Bool) throws {
        var world = OperatorWorld.started(84)
        world.isLockTaken = phase == .choosing
        world.request("b", .backup(.cold, member: 1))
        try wait(in: &world) { ($0.operation?.workflow as? ColdCapture)?.phase == phase }
        world.request("c", .cancel("b"))
        if daemonDies { world.restartDaemon() }
        world.isLockTaken = false
        world.run(for: .seconds(60))
        #expect(daemonDies || outcome("b", in: world)?.isCancelled == true)
        #expect(world.terminated.count <= 1 && world.isWhole)
        #expect(world.violations == [])
    }

    @Test func aRestoreEndsWhileNothingWasChanged() throws {
        for phase in [Restore.Phase.verifying, .checkingRoom, .stopping] {
            var world = OperatorWorld.started(85)
            world.request("s", .restore(world.archive[0].reference))
            try wait(in: &world) { ($0.operation?.workflow as? Restore)?.phase == phase }
            world.request("c", .cancel("s"))
            world.run(for: .seconds(60))
            #expect(outcome("s", in: world)?.failure == "cancelled by a person: nothing was changed")
            #expect(world.quarantined == 0 && world.seeds == 0 && world.isWhole)
            #expect(world.violations == [])
        }
    }

    /// S8: half of the members would have the backup, and half what was.
    @Test func aRestoreThatHasBegunGoesOn() throws {
        var world = OperatorWorld.started(86)
        world.request("s", .restore(world.archive[0].reference))
        try wait(in: &world) { if let restore = $0.operation?.workflow as? Restore, case .seeding = restore.phase { true } else { false } }
        world.request("c", .cancel("s"))
        #expect(refusal(in: world)?.hasPrefix("restore of backup b1 can't be cancelled now") == true)
        world.run(for: .seconds(60))
        #expect(outcome("s", in: world)?.failure == nil && world.seeds == 3)
    }

    @Test func aReseedEndsWhileTheMemberIsWhole() throws {
        for phase in [Reseed.Phase.fencing, .quarantining] {
            var world = OperatorWorld.started(87)
            world.request("r", .reseed(1))
            try wait(in: &world) { $0.reseed?.phase == .fencing }
            // Nothing is moved before the others' directories were seen.
            if phase == .quarantining { world.makeUnreadable(2) }
            try wait(in: &world) { $0.reseed?.phase == phase }
            world.request("c", .cancel("r"))
            world.heal()
            world.run(for: .seconds(60))
            #expect(outcome("r", in: world)?.isCancelled == true)
            #expect(world.quarantined == 0 && world.isWhole)
            #expect(world.violations == [])
        }
    }

    @Test func whatIsGoneIsBroughtBackAllTheSame() throws {
        var world = OperatorWorld.started(88)
        world.request("r", .reseed(1))
        try wait(in: &world) { $0.reseed?.phase == .seeding }
        world.request("c", .cancel("r"))
        #expect(refusal(in: world)?.contains("in quarantine by now") == true)
        world.run(for: .seconds(60))
        #expect(outcome("r", in: world)?.failure == nil && world.isWhole && world.seeds == 1)
        #expect(world.violations == [])
    }

    @Test func whatHasNotBegunOrHasEnded() throws {
        var world = OperatorWorld.started(89)
        world.isLockTaken = true
        world.request("r", .reseed(1))
        world.run(for: .seconds(2))
        world.request("c", .cancel("r"))
        #expect(world.savedIntents.reseedsAskedFor == [] && outcome("r", in: world)?.isCancelled == true)
        world.request("c", .cancel("r"))
        #expect(refusal(in: world) == "reseed of member 1 has ended")
        world.request("c", .cancel("nobody"))
        #expect(refusal(in: world) == "no operation nobody is at work")
        world.request("s", .stop(2, acceptOutage: false))
        world.run(for: .seconds(2))
        world.request("c", .cancel("s"))
        #expect(outcome("s", in: world)?.failure == "cancelled by a person: it serves on")
        world.isLockTaken = false
        world.run(for: .seconds(20))
        #expect(world.terminated == [] && world.isWhole)
        #expect(world.violations == [])
    }

    @Test func aBackupEndsWhileItWaits() throws {
        var world = OperatorWorld.started(90)
        world.change(1) { $0.lagsUntil = .distantFuture }
        world.request("b", .backup(.live, member: 1))
        world.run(for: .seconds(2))
        world.request("c", .cancel("b"))
        #expect(outcome("b", in: world)?.failure == "cancelled by a person: nothing was copied")
        world.change(1) { $0.lagsUntil = .origin }
        world.run(for: .seconds(20))
        #expect(world.captured == [] && world.isWhole)
    }

    // MARK: Pause

    /// S4: between two members, over the daemon's end, and until a person says so.
    @Test func aRollStandsStillInAPause() throws {
        var world = OperatorWorld.started(91, members: 5)
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        try wait(in: &world) { $0.operation?.disrupted != nil }
        world.request("p", .pause)
        world.run(for: .seconds(20))
        #expect(world.terminated.count == 1 && world.participants.count == 5, "the step that had begun is finished")
        world.restartDaemon()
        world.run(for: .seconds(20))
        #expect(world.terminated.count == 1)
        #expect(world.machine.holds.contains { $0.reason == .paused })
        world.request("q", .resume)
        world.run(for: .seconds(60))
        #expect(world.terminated.count == 5 && world.isWhole)
        #expect(world.violations == [])
    }

    @Test func repairsGoOnInAPause() {
        var world = OperatorWorld.started(92)
        world.request("p", .pause)
        world.kill(1)
        world.run(for: .seconds(10))
        #expect(world.participants.count == 3)
        world.loseData(2)
        world.run(for: .seconds(60))
        #expect(world.participants.count == 3 && world.seeds == 1)
        #expect(world.violations == [])
    }

    @Test(arguments: [
        OperatorRequest.stop(1, acceptOutage: true), .restart(1, acceptOutage: false), .restartRolling(reason: "x", acceptOutage: true),
        .backup(.cold, member: nil), .reseed(1), .restore(OperatorWorld.Backup(id: "b1", isVerified: true).reference),
    ])
    func nothingVoluntaryIsBegunInAPause(request: OperatorRequest) {
        var world = OperatorWorld.started(93)
        world.request("p", .pause)
        world.request("r", request)
        #expect(refusal(in: world) == "the daemon is paused, and this takes a member out of service that serves")
        world.run(for: .seconds(20))
        #expect(world.terminated == [])
        world.request("q", .resume)
        world.request("r2", request)
        #expect(world.answers.last == .accepted)
    }

    /// What was asked for before waits, whatever it is.
    @Test(arguments: [
        OperatorRequest.stop(1, acceptOutage: true), .restart(1, acceptOutage: false), .backup(.cold, member: nil), .reseed(1),
    ])
    func whatWaitsIsNotBegunInAPause(request: OperatorRequest) {
        var world = OperatorWorld.started(94)
        world.isLockTaken = true
        if case .stop = request { world.request("s", .restart(2, acceptOutage: false)) } else { world.request("r", request) }
        world.run(for: .seconds(2))
        world.request("p", .pause)
        world.isLockTaken = false
        world.run(for: .seconds(20))
        #expect(world.terminated == [])
        world.request("q", .resume)
        world.run(for: .seconds(60))
        #expect(world.terminated.count == 1 && world.isWhole)
        #expect(world.violations == [])
    }
}
