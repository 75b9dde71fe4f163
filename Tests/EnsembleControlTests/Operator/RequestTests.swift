import EnsembleBase
@testable import EnsembleControl
import Testing

/// What people ask for: refused at once, or followed to its true end.
@Suite struct RequestTests {
    private func outcome(_ id: String, in world: OperatorWorld) -> OperationRecord? {
        world.machine.outcomes.last { $0.id == id }
    }

    // MARK: Captures (S1, S7)

    /// A reseed that a person asks for waits for a backup; a cold backup doesn't wait for that reseed in its turn.
    @Test func anAskedReseedAndAColdBackupDoNotWaitForEachOther() {
        var world = OperatorWorld.started(71)
        world.archive = []
        world.listBackups()
        world.request("r", .reseed(2))
        world.run(for: .seconds(5))
        #expect(world.machine.holds.contains { $0.member == 2 && $0.reason == .noVerifiedBackup })
        world.request("c", .backup(.cold, member: nil))
        world.run(for: .seconds(120))
        #expect(world.seeds == 1)
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// S1: a whole member goes on waiting for one that is lost, and its reseed is not begun again with each step (seed 1953).
    @Test func anAskedReseedWaitsForALostMember() {
        var world = OperatorWorld.started(72, members: 5)
        var policy = world.policy
        policy.reseed.automatic = false
        world.step(.policyChanged(policy, fingerprints: world.fingerprints))
        world.request("x", .stop(1, acceptOutage: false))
        world.run(for: .seconds(5))
        world.loseData(2)
        world.run(for: .seconds(5))
        world.request("r", .reseed(1))
        world.run(for: .seconds(20))
        #expect(world.machine.holds.contains { $0.member == 1 && $0.reason == .memberNotParticipating(2) })
        #expect(world.machine.ledger.reseeds.isEmpty && world.quarantined == 0)
        #expect(world.violations == [])
    }

    /// S4, S5: a restore that replaces a roll and then can't begin leaves a member that is still away (operated seed 2970).
    @Test func whatARestoreHasReplacedIsBackBeforeTheNextOneGoes() throws {
        var world = OperatorWorld.started(75, members: 5)
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        for _ in 0..<100 where world.terminated.isEmpty { world.run(for: .milliseconds(100)) }
        let first = try #require(world.terminated.first)
        world.change(first) { $0.lagsUntil = .distantFuture }
        world.request("three", .reseed(first == 3 ? 4 : 3))
        world.rotten = ["b1"]
        world.request("restore", .restore(world.archive[0].reference))
        world.run(for: .seconds(20))
        #expect(outcome("restore", in: world)?.failure != nil)
        #expect(world.terminated == [first], "it lacks what is committed")
        world.change(first) { $0.lagsUntil = .origin }
        world.run(for: .seconds(30))
        #expect(world.terminated.count > 1)
        #expect(world.violations == [])
    }

    /// A full disk at one member left the cluster down, and trying for ever (issue 9, B10).
    @Test func aRestoreThatNobodyHasRoomForChangesNothing() {
        var world = OperatorWorld.started(76)
        world.lackOfRoom = "/srv/2: 1 MiB free"
        world.request("restore", .restore(world.archive[0].reference))
        world.run(for: .seconds(20))
        #expect(outcome("restore", in: world)?.failure == "nothing was changed: /srv/2: 1 MiB free")
        #expect(world.terminated == [] && world.quarantined == 0 && world.isWhole)
        world.lackOfRoom = nil
        world.request("again", .restore(world.archive[0].reference))
        world.run(for: .seconds(30))
        #expect(outcome("again", in: world)?.failure == nil && world.seeds == 3)
        #expect(world.violations == [])
    }

    /// S4: a step that has waited is judged by what is true now, also of those that had their turn.
    @Test func aRollStandsStillWhereOneThatHadItsTurnIsAway() throws {
        var world = OperatorWorld.started(74, members: 5)
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        for _ in 0..<100 where world.terminated.isEmpty { world.run(for: .milliseconds(100)) }
        let first = try #require(world.terminated.first)
        // The next step has to wait for the lock, whose last proof is old by then.
        let later = world.now + .seconds(40)
        world.change(first) { $0.lagsUntil = later }
        world.isLockTaken = true
        world.run(for: .seconds(60))
        try #require(world.terminated == [first])
        world.change(first) { $0.isFull = true }
        world.run(for: .seconds(6))
        world.isLockTaken = false
        world.run(for: .seconds(10))
        #expect(world.terminated == [first])
        #expect(world.machine.holds.contains { $0.reason == .memberNotParticipating(first) })
        world.change(first) { $0.isFull = false }
        world.run(for: .seconds(120))
        #expect(Set(world.terminated) == [1, 2, 3, 4, 5])
        #expect(outcome("r", in: world)?.failure == nil)
        #expect(world.violations == [])
    }

    /// S4: a whole member whose reseed is put off when it has stopped comes back, and the next one goes only when it has what
    /// was committed since (seed 549).
    @Test func aMemberStoppedInVainIsBackBeforeTheNextOneGoes() throws {
        var world = OperatorWorld.started(73, members: 5)
        world.request("one", .reseed(1))
        world.request("three", .reseed(3))
        for _ in 0..<100 where !world.terminated.contains(1) { world.run(for: .milliseconds(100)) }
        try #require(world.terminated == [1], "\(world.machine.holds)")
        // Two directories can't be seen: too few for the reseed of 1; without one's own it is enough for that of 3.
        world.makeUnreadable(2)
        world.makeUnreadable(3)
        world.change(1) { $0.lagsUntil = .distantFuture }
        world.run(for: .seconds(60))
        #expect(world.server(1).isAlive && world.quarantined == 0)
        #expect(world.terminated == [1], "1 serves again, and has not what was committed")
        world.change(1) { $0.lagsUntil = .origin }
        world.run(for: .seconds(120))
        #expect(world.terminated.contains(3))
        #expect(world.violations == [])
    }

    @Test func aFollowerThatLagsIsNotCopied() {
        var world = OperatorWorld.started(31)
        world.change(1) { $0.lagsUntil = .distantFuture }
        world.request("b", .backup(.live, member: 1))
        world.run(for: .seconds(5))
        #expect(world.machine.works.contains { $0.id == "b" && $0.held != nil }, "it waits, and says for what")
        world.run(for: .seconds(15))
        #expect(world.captured == [])
        #expect(outcome("b", in: world)?.failure?.contains("has not reached") == true)
        #expect(world.violations == [])
    }

    @Test func aBackupIsTakenFromAnotherMemberWhenTheFirstLags() {
        var world = OperatorWorld.started(32)
        for id in [1, 2] { world.change(id) { $0.lagsUntil = .distantFuture } }
        world.request("b", .backup(.live, member: nil))
        world.run(for: .seconds(40))
        #expect(world.captured == [3])
        #expect(outcome("b", in: world)?.failure == nil)
        #expect(outcome("b", in: world)?.result.contains("verified") == true)
        #expect(world.violations == [])
    }

    @Test func aColdBackupWaitsForItsMemberToHaveWhatIsCommitted() {
        var world = OperatorWorld.started(33)
        let later = world.now + .seconds(8)
        world.change(1) { $0.lagsUntil = later }
        world.request("c", .backup(.cold, member: 1))
        world.run(for: .seconds(6))
        #expect(world.terminated == [] && world.captured == [])
        world.run(for: .seconds(20))
        #expect(world.captured == [1])
        #expect(outcome("c", in: world)?.backup == "b2")
        #expect(world.violations == [])
    }

    /// It would wait for the reseed, and the reseed for a backup.
    @Test func aColdBackupDoesNotWaitForAMemberWhoseDataIsLost() {
        var world = OperatorWorld.started(33)
        world.archive = []
        world.listBackups()
        world.request("c", .backup(.cold, member: 1))
        for _ in 0..<2000 where world.captured != [1] { world.run(for: .milliseconds(10)) }
        world.loseData(1)
        world.run(for: .seconds(60))
        #expect(world.isWhole)
        #expect(outcome("c", in: world) != nil)
        #expect(world.violations == [])
    }

    /// A roll that can't go on, for days perhaps, doesn't end the backups.
    @Test func aScheduledBackupIsTakenWhileARollStandsStill() {
        var world = OperatorWorld.started(36)
        world.isLockTaken = true
        world.request("r", .restart(1, acceptOutage: false))
        world.run(for: .seconds(2))
        #expect(world.machine.intents.operation?.id == "r")
        world.step(.backupDue)
        world.run(for: .seconds(5))
        #expect(world.captured.count == 1)
        #expect(world.violations == [])
    }

    /// What went wrong with the latest backup is there to be seen until one succeeds.
    @Test func aFailedBackupIsRememberedUntilOneSucceeds() {
        var world = OperatorWorld.started(37)
        world.verificationFails = true
        world.step(.backupDue)
        world.run(for: .seconds(5))
        #expect(world.machine.backupFailure != nil)
        world.verificationFails = false
        world.step(.backupDue)
        world.run(for: .seconds(5))
        #expect(world.machine.backupFailure == nil)
    }

    @Test func aVerificationIsAnOperation() {
        var world = OperatorWorld.started(34)
        world.request("v", .verify(backup: "b1"))
        #expect(world.machine.works.contains { $0.id == "v" })
        world.run(for: .seconds(2))
        #expect(outcome("v", in: world)?.result == "backup b1: verified")
    }

    // MARK: True ends

    @Test func aReseedEndsWhenTheMemberParticipatesAlsoOverTheDaemonsEnd() {
        var world = OperatorWorld.started(35)
        world.request("s", .reseed(2))
        #expect(outcome("s", in: world) == nil)
        world.restartDaemon()
        world.run(for: .seconds(2))
        #expect(world.machine.works.contains { $0.id == "s" })
        world.run(for: .seconds(60))
        #expect(outcome("s", in: world)?.failure == nil)
        #expect(outcome("s", in: world)?.result.contains("participates again") == true)
        #expect(world.quarantined == 1 && world.isWhole)
        #expect(world.violations == [])
    }

    @Test func aStartEndsWhenTheMemberParticipates() {
        var world = OperatorWorld.started(36)
        world.request("x", .stop(1, acceptOutage: false))
        world.run(for: .seconds(5))
        #expect(outcome("x", in: world)?.failure == nil && !world.server(1).isAlive)
        world.request("y", .start(1))
        #expect(outcome("y", in: world) == nil)
        world.run(for: .seconds(10))
        #expect(outcome("y", in: world)?.result == "member 1 participates")
    }

    @Test func thePlanIsWhatIsAtWork() {
        var world = OperatorWorld.started(37)
        #expect(world.machine.planAtWork(at: world.now).steps.isEmpty)
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        world.run(for: .seconds(6))
        let plan = world.machine.planAtWork(at: world.now)
        #expect(plan.steps.map(\.member) == [1, 2, 3])
        #expect(plan.steps.last?.progress == .pending && plan.steps.last?.reason.contains("leads") == true)
        world.run(for: .seconds(40))
        #expect(world.machine.planAtWork(at: world.now).steps.isEmpty)
    }

    // MARK: S4, and a person's word

    @Test func aStepThatBreaksTheQuorumIsRefused() {
        var world = OperatorWorld.started(38)
        world.request("1", .stop(1, acceptOutage: false))
        world.run(for: .seconds(5))
        world.request("2", .stop(2, acceptOutage: false))
        guard case .refused(let error) = world.answers.last else {
            Issue.record("the second of three was taken")
            return
        }
        #expect(error.code == .held && error.remedy.contains("--accept-outage"))
        world.run(for: .seconds(5))
        #expect(world.server(2).isAlive)
        #expect(world.violations == [])
        // The explicit word is for this request alone.
        world.request("3", .stop(2, acceptOutage: true))
        world.run(for: .seconds(5))
        #expect(!world.server(2).isAlive && world.server(3).isAlive)
    }

    @Test(arguments: [1, 2]) func smallEnsemblesNeedTheWord(members: Int) {
        var world = OperatorWorld.started(39, members: members)
        let requests: [OperatorRequest] = [
            .stop(1, acceptOutage: false), .restart(1, acceptOutage: false),
            .restartRolling(reason: "test", acceptOutage: false), .backup(.cold, member: nil),
        ]
        for request in requests {
            world.request("n", request)
            guard case .refused(let error) = world.answers.last else {
                Issue.record("\(request) was taken")
                return
            }
            #expect(error.code == .refused)
        }
        world.run(for: .seconds(5))
        #expect(world.terminated == [])
        world.request("y", .restartRolling(reason: "test", acceptOutage: true))
        world.run(for: .seconds(30))
        #expect(Set(world.terminated) == Set(1...members))
        #expect(world.isWhole)
    }

    // MARK: Manifests

    @Test func changedSettingsRollThroughTheMembersTheLeaderLast() {
        var world = OperatorWorld.started(40)
        var changed = Fingerprint()
        changed.combine("other settings")
        world.step(.policyChanged(world.policy, fingerprints: (1...3).map { MemberFingerprint(member: $0, fingerprint: changed) }))
        world.run(for: .seconds(40))
        #expect(world.terminated == [1, 2, 3])
        #expect(world.isWhole && !world.machine.isOutdated(1))
        #expect(world.violations == [])
    }

    /// What its launch wrote before the reload is what it runs with.
    @Test func whoWasBeingLaunchedDuringAReloadIsOutdated() {
        var world = OperatorWorld.started(43)
        world.kill(1)
        while world.machine.supervisors[0].state != .launching { world.run(for: .milliseconds(100)) }
        var changed = Fingerprint()
        changed.combine("other settings")
        world.step(.policyChanged(world.policy, fingerprints: (1...3).map { MemberFingerprint(member: $0, fingerprint: changed) }))
        world.run(for: .seconds(60))
        #expect(world.terminated.sorted() == [1, 2, 3])
        #expect(world.isWhole && !world.machine.isOutdated(1))
    }

    /// A disk that hangs has a name, and so has a process that it keeps from ending.
    @Test func whatHangsIsNamed() {
        var world = OperatorWorld.started(44)
        func reasons() -> [HoldReason] { world.machine.holds.map(\.reason) }
        world.kill(2)
        for _ in 0..<70 {
            world.run(for: .milliseconds(100))
            world.due.removeAll { if case .dataInspected(2, _) = $0.event { true } else { false } }
        }
        #expect(reasons().contains(.filesSilent(2)))
        world.step(.dataInspected(2, .unreadable("it was cut off")))
        world.run(for: .seconds(20))
        #expect(!reasons().contains(.filesSilent(2)) && world.isWhole)
    }

    @Test func changedSettingsOfASmallEnsembleWaitForAPerson() {
        var world = OperatorWorld.started(41, members: 1)
        var changed = Fingerprint()
        changed.combine("other settings")
        world.step(.policyChanged(world.policy, fingerprints: [MemberFingerprint(member: 1, fingerprint: changed)]))
        world.run(for: .seconds(10))
        #expect(world.terminated == [])
        #expect(world.machine.holds.contains { $0.reason.description.contains("--accept-outage") })
    }

    // MARK: Restore (S8)

    /// Every member's accepted epoch is above all that was ever seen, also by a daemon or a member that is gone.
    @Test func aRestoreGoesAboveEveryEpochEverSeen() {
        var world = OperatorWorld.started(42)
        world.zxid = 7 << 32
        world.run(for: .seconds(3))
        #expect(world.machine.ledger.highestEpoch == 7)
        world.savedLedger.highestEpoch = 40
        world.restartDaemon()
        let backup = BackupReference(id: "b1", endZxid: 1 << 32, acceptedEpoch: 1, takenAt: WallTime(milliseconds: 0))
        world.request("s", .restore(backup))
        world.run(for: .seconds(30))
        #expect(world.restoredEpochs == [41, 41, 41])
        #expect(world.machine.ledger.entries.allSatisfy { $0.acceptedEpoch >= 41 })
        #expect(outcome("s", in: world)?.result.contains("serves again") == true)
        let next = world.machine.ledger.highestEpoch
        world.request("t", .restore(backup))
        world.run(for: .seconds(30))
        #expect(world.restoredEpochs.suffix(3).allSatisfy { $0 > next })
    }

    // MARK: Reseeds

    @Test func theReseedBudgetOutlivesTheDaemon() {
        var world = OperatorWorld.started(43, reseedsPerHour: 1)
        world.loseData(2)
        world.run(for: .seconds(40))
        #expect(world.isWhole && world.seeds == 1)
        world.restartDaemon()
        world.run(for: .seconds(5))
        world.loseData(2)
        world.run(for: .seconds(30))
        #expect(world.seeds == 1)
        #expect(world.machine.holds.contains { $0.reason == .budgetSpent(2, count: 1, isOfOneMember: true) })
        world.run(for: .seconds(3600))
        #expect(world.isWhole && world.seeds == 2)
        #expect(world.violations == [])
    }

    /// What holds the daemon back holds no person back: the status names a verb, and the verb did nothing (issue 9, B8).
    @Test func aPersonsReseedOfALostMemberIsCarriedOut() {
        var world = OperatorWorld.started(49)
        var policy = world.policy
        policy.reseed.automatic = false
        world.step(.policyChanged(policy, fingerprints: world.fingerprints))
        world.loseData(2)
        world.run(for: .seconds(40))
        #expect(world.seeds == 0)
        world.request("r", .reseed(2))
        world.run(for: .seconds(40))
        #expect(world.isWhole && world.seeds == 1)
        #expect(world.machine.outcomes.contains { $0.id == "r" && $0.failure == nil })
        #expect(world.violations == [])
    }

    @Test func aPersonsReseedNeedsNoBudget() {
        var world = OperatorWorld.started(50, reseedsPerHour: 1)
        world.loseData(2)
        world.run(for: .seconds(40))
        world.loseData(2)
        world.run(for: .seconds(40))
        #expect(world.seeds == 1)
        world.request("r", .reseed(2))
        world.run(for: .seconds(40))
        #expect(world.isWhole && world.seeds == 2)
        #expect(world.violations == [])
    }

    /// Three seeds were refused, the disk was mended, and the daemon said for ever that it needs a person.
    @Test func aPersonTakesUpAReseedThatWasGivenUp() {
        var world = OperatorWorld.started(51)
        world.loseData(2)
        func hasGivenUp() -> Bool { world.machine.holds.contains { $0.reason.description.contains("ensemblectl reseed 2 tries again") } }
        for _ in 0..<1500 where !hasGivenUp() {
            world.run(for: .milliseconds(100))
            guard world.server(2).isAlive else { continue }
            world.bury(2)
            world.step(.exited(2, .damagedData("offset 77")))
        }
        #expect(hasGivenUp() && world.savedIntents.reseed?.attempt == 3)
        world.request("r", .reseed(2))
        world.run(for: .seconds(60))
        #expect(world.isWhole)
        #expect(world.machine.outcomes.contains { $0.id == "r" && $0.failure == nil })
        #expect(world.violations == [])
    }

    /// The lowest lost member blocked the others: with its budget spent nobody else was brought back (issue 9, B12).
    @Test func whoMayNotBeReseededBlocksNobody() {
        var world = OperatorWorld.started(46, members: 5, reseedsPerHour: 1)
        world.loseData(2)
        world.run(for: .seconds(40))
        #expect(world.isWhole && world.seeds == 1)
        world.loseData(2)
        world.run(for: .seconds(10))
        world.loseData(4)
        world.run(for: .seconds(60))
        #expect(world.participants.contains(4) && world.seeds == 2)
        #expect(world.machine.holds.contains { $0.reason == .budgetSpent(2, count: 1, isOfOneMember: true) })
        #expect(world.violations == [])
    }

    /// Found by the simulator: the reseed of one waited for the roll, the roll for its own member, and that one's reseed for
    /// nobody's turn.
    @Test(arguments: [1, 5]) func aMemberThatIsLostInItsRollIsBroughtBackFirst(other: Int) {
        var world = OperatorWorld.started(47, members: 5)
        world.request("r", .restart(3, acceptOutage: false))
        while world.savedIntents.operation?.disrupted == nil { world.run(for: .milliseconds(100)) }
        world.loseData(other)
        world.loseData(3)
        world.makeUnreadable(3)
        world.run(for: .seconds(5))
        world.change(3) { $0.unreadableSince = nil }
        world.run(for: .seconds(120))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// Found by the simulator: a daemon died when it had written in its ledger that a whole, stopped member was to be reseeded,
    /// and nothing else. With another one lost, a majority counted as lost, and nobody could be brought back.
    @Test(arguments: 1...5) func aReseedThatTouchedNothingHasLostNothing(actions: Int) {
        var world = OperatorWorld.started(48)
        world.request("s", .stop(1, acceptOutage: false))
        world.run(for: .seconds(5))
        world.actionsUntilCrash = actions
        world.request("r", .reseed(1))
        while world.daemons == 1, world.quarantined == 0 { world.run(for: .milliseconds(100)) }
        world.actionsUntilCrash = nil
        guard world.quarantined == 0 else { return }
        world.loseData(3)
        world.run(for: .seconds(10))
        #expect(world.quarantined == 0)
        world.request("t", .start(1))
        world.run(for: .seconds(120))
        #expect(world.participants.count == 3)
        #expect(world.violations == [])
    }

    /// S2: a quick look before an ordinary launch; everything is replayed before a directory is given up.
    @Test func aDirectoryThatContradictsTheLedgerIsLookedAtClosely() {
        var world = OperatorWorld.started(44)
        world.inspections = []
        world.kill(1)
        world.run(for: .seconds(10))
        #expect(world.inspections == [.seals])
        world.kill(1)
        world.change(1) { $0.zxid = 3 }
        world.run(for: .seconds(60))
        #expect(world.inspections.contains(.replay))
        #expect(world.isWhole && world.quarantined == 1)
        #expect(world.violations == [])
    }

    /// A member that dies with a transaction applied which its own disk did not have yet has lost nothing: a quorum has it.
    @Test func whatWasAppliedBeforeItWasLoggedIsNoLoss() {
        var world = OperatorWorld.started(45)
        for id in 1...3 {
            // It was asked before, and has applied more since.
            world.run(for: .seconds(1))
            while (world.now.nanoseconds / 100_000_000) % 3 == 0 { world.run(for: .milliseconds(100)) }
            world.probe()
            world.change(id) { $0.zxid -= 1 }
            world.kill(id)
            world.run(for: .seconds(30))
        }
        #expect(world.isWhole && world.quarantined == 0)
        #expect(world.violations == [])
    }

    // MARK: What is answered before it begins (issue 9, B28)

    @Test func aRestoreWhosePersonIsGoneIsNotBegun() {
        var world = OperatorWorld.started(61)
        world.isAskerGone = true
        world.request("s", .restore(world.archive[0].reference))
        #expect(world.machine.works.contains { $0.id == "s" && $0.isWaiting })
        world.run(for: .seconds(10))
        #expect(outcome("s", in: world)?.failure == "nothing was changed: whoever asked was gone before the answer")
        #expect(world.seeds == 0 && world.terminated == [] && world.isWhole)
        // The way is free for the next one.
        world.isAskerGone = false
        world.request("again", .restore(world.archive[0].reference))
        world.run(for: .seconds(120))
        #expect(outcome("again", in: world)?.failure == nil && world.seeds == 3)
        #expect(world.violations == [])
    }

    @Test func aRestoreWhoseAnswerIsLateIsNotBegun() {
        var world = OperatorWorld.started(62)
        world.isAskerGone = true
        world.machine.unheardRestore = OperatorMachine.UnheardRestore(id: "s", backup: world.archive[0].reference, since: world.now)
        world.request("t", .restore(world.archive[0].reference))
        #expect(world.answers.last != .accepted, "one waits for its answer")
        world.run(for: .seconds(11))
        world.step(.requestAnswered(id: "s", isDelivered: true))
        #expect(world.machine.intents == Intents() && outcome("s", in: world)?.failure == "nothing was changed: its answer took too long")
    }

    @Test func aRestoreIsCancelledBeforeItsAnswerIsOut() {
        var world = OperatorWorld.started(64)
        world.request("s", .restore(world.archive[0].reference))
        world.request("c", .cancel("s"))
        world.run(for: .seconds(10))
        #expect(outcome("s", in: world)?.isCancelled == true && outcome("c", in: world)?.failure == nil)
        #expect(world.seeds == 0 && world.terminated == [] && world.violations == [])
    }

    @Test func aRestoreIsJudgedAnewWhenItsAnswerIsOut() {
        var world = OperatorWorld.started(63)
        world.isAskerGone = true
        world.request("s", .restore(world.archive[0].reference))
        world.request("p", .pause)
        world.step(.requestAnswered(id: "s", isDelivered: true))
        #expect(world.machine.intents.operation == nil && outcome("s", in: world)?.failure?.contains("the daemon is paused") == true)
    }
}
