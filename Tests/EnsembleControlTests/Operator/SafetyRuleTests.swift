import EnsembleBase
import EnsembleControl
import Testing

/// Rules S3, S4, S6, S7, S8 and S10, each in the situation that it was made for.
@Suite struct SafetyRuleTests {
    private func restore(_ id: String = "b1") -> OperatorRequest {
        .restore(OperatorWorld.Backup(id: id, isVerified: true).reference)
    }

    // MARK: S1

    /// A server serves on for a while when its directory is lost: before a whole member is taken away for a person, a
    /// quorum of the others has been seen with theirs. What was seen before the member was stopped is too old.
    @Test func aWholeMemberIsNotTakenAwayUnseen() {
        var world = OperatorWorld.started(11)
        world.request("r", .reseed(3))
        while world.terminated == [] { world.run(for: .milliseconds(20)) }
        world.looksAtDirectories = false
        world.change(2) { $0.hasData = false }
        world.run(for: .seconds(40))
        #expect(world.seeds == 0, "it was taken away, and 1 is the only one left")
        #expect(world.terminated == [3], "and it was stopped once, not again and again")
        #expect(world.server(3).isAlive)
        world.looksAtDirectories = true
        world.run(for: .seconds(120))
        #expect(world.seeds == 2)
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// Of five members three others are seen, and that one is lost is known: the lost one comes first, or one more loss would
    /// be one too many.
    @Test func aWholeMemberIsNotTakenAwayWhileAnotherIsLost() {
        var world = OperatorWorld.started(12, members: 5)
        world.request("r", .reseed(5))
        while world.terminated == [] { world.run(for: .milliseconds(20)) }
        world.change(2) { $0.hasData = false }
        for _ in 0..<6000 where world.quarantined == 0 { world.run(for: .milliseconds(20)) }
        #expect(world.quarantined == 1 && world.savedIntents.reseed?.member == 2)
        world.run(for: .seconds(120))
        #expect(world.seeds == 2 && world.isWhole)
        #expect(world.violations == [])
    }

    // MARK: S6

    /// A newer backup is verified while the older one is about to be restored: retention may then remove the older one.
    @Test(arguments: 1...20) func aBackupIsNotPrunedWhileARestoreNeedsIt(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.step(.backupDue)
        world.run(for: .milliseconds(Int64(seed % 5) * 100))
        world.request("s", restore())
        world.run(for: .seconds(40))
        #expect(world.seededFrom == ["b1", "b1", "b1"])
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// What is being removed at this moment may be the backup that is asked for.
    @Test func aRestoreIsNotBegunWhileBackupsAreRemoved() {
        var world = OperatorWorld.started(5)
        world.step(.backupDue)
        for _ in 0..<2000 where world.pruneCount == 0 { world.run(for: .milliseconds(2)) }
        #expect(world.pruneCount == 1)
        world.request("r", restore())
        #expect(world.savedIntents.operation == nil)
        world.run(for: .seconds(2))
        world.request("s", restore())
        for _ in 0..<500 where world.savedIntents.operation == nil { world.run(for: .milliseconds(1)) }
        #expect(world.savedIntents.operation?.id == "s")
        #expect(world.violations == [])
    }

    @Test(arguments: 1...20) func aBackupIsNotPrunedWhileAReseedNeedsIt(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.step(.backupDue)
        world.run(for: .milliseconds(Int64(seed % 5) * 100))
        world.lastFault = world.now
        world.loseData(1)
        world.run(for: .seconds(40))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// An effect that still writes is waited for: the restore writes in the same place.
    @Test(arguments: 1...20) func aRestoreWaitsForAReseedsSeed(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.seedsTake = .seconds(3)
        world.loseData(2)
        while world.seeds == 0 { world.run(for: .milliseconds(100)) }
        world.change(1) { $0.isAlive = false }
        world.change(3) { $0.isAlive = false }
        world.step(.exited(1, .signalled(9)))
        world.step(.exited(3, .signalled(9)))
        world.request("s", restore())
        world.run(for: .seconds(40))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// The leader has everything that a backup could give.
    @Test func aReseedWhoseOnlyBackupCannotBeReadStartsEmpty() {
        var world = OperatorWorld.started(51)
        world.rotten = ["b1"]
        world.loseData(2)
        world.run(for: .seconds(60))
        #expect(world.seededFrom.last == .some(nil))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    @Test func aReseedWhoseBackupCannotBeReadTakesANewerOne() {
        var world = OperatorWorld.started(51)
        world.rotten = ["b1"]
        world.loseData(2)
        func isHeld() -> Bool { world.machine.holds.contains { $0.reason == .effectFailed("the backup can't be read") } }
        for _ in 0..<200 where !isHeld() { world.run(for: .milliseconds(100)) }
        #expect(isHeld())
        world.archive.append(OperatorWorld.Backup(id: "b9", isVerified: true))
        world.listBackups()
        world.run(for: .seconds(40))
        #expect(world.seededFrom.last == "b9")
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// S7: what was verified once may have rotted since, and the members' own data is moved away for it.
    @Test func aRestoreReadsItsBackupBeforeItStopsAnyone() {
        var world = OperatorWorld.started(60)
        world.rotten = ["b1"]
        world.request("1", restore())
        world.run(for: .seconds(20))
        #expect(world.machine.outcomes.first { $0.id == "1" }?.failure?.contains("nothing was changed") == true)
        #expect(world.terminated == [] && world.quarantined == 0 && world.isWhole)
        #expect(world.violations == [])
    }

    /// S9: SIGTERM cancels the reading, which then fails while the members stop; what was answered as begun is finished.
    @Test func aRestoreWhoseReadingTheDaemonsEndCutShortIsBegunAgain() {
        var world = OperatorWorld.started(61)
        world.verificationFails = true
        world.request("1", restore())
        for _ in 0..<500 where world.machine.intents.operation == nil { world.run(for: .milliseconds(1)) }
        #expect(world.machine.intents.operation?.workflow.step == Restore.Phase.verifying.description)
        world.step(.terminationRequested(leaveMembers: false))
        world.run(for: .seconds(20))
        #expect(Set(world.terminated) == [1, 2, 3] && world.machine.outcomes == [] && world.quarantined == 0)
        world.verificationFails = false
        world.restartDaemon()
        world.run(for: .seconds(60))
        #expect(world.seededFrom == ["b1", "b1", "b1"])
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    @Test func aRestoreThatCannotGoOnMakesWayForAnother() {
        var world = OperatorWorld.started(52)
        world.archive.append(OperatorWorld.Backup(id: "b9", isVerified: true))
        world.listBackups()
        world.request("1", restore("b9"))
        world.request("2", restore("b1"))
        guard case .refused(let error) = world.answers.last else {
            Issue.record("a restore that goes on was replaced")
            return
        }
        #expect(error.code == .busy)
        while world.terminated.isEmpty { world.run(for: .milliseconds(10)) }
        world.rotten = ["b9"]
        world.run(for: .seconds(15))
        for number in 3..<13 where world.answers.last != .accepted {
            world.request("\(number)", restore("b1"))
            let step = world.machine.intents.operation?.workflow.step
            #expect(step != Restore.Phase.verifying.description, "the members have nothing to go on with while it is read")
            world.run(for: .milliseconds(300))
        }
        world.run(for: .seconds(40))
        #expect(world.seededFrom.suffix(3) == ["b1", "b1", "b1"])
        #expect(world.machine.outcomes.first { $0.id == "1" }?.failure?.contains("replaced") == true)
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    // MARK: S7

    @Test func theVerifiedBackupIsUsedAndNotTheNewestOne() {
        var world = OperatorWorld.started(53)
        world.archive.append(OperatorWorld.Backup(id: "b9", isVerified: false, endZxid: world.zxid))
        world.listBackups()
        world.loseData(2)
        world.run(for: .seconds(40))
        #expect(world.seededFrom == ["b1"])
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// Also when the only verification there was has failed.
    @Test(arguments: [[], ["b8", "b9"]]) func withoutAVerifiedBackupTheReseedHoldsAndGoesOnWhenThereIsOne(backups: [String]) {
        var world = OperatorWorld.started(3)
        world.archive = backups.map { OperatorWorld.Backup(id: $0, isVerified: false) }
        world.listBackups()
        world.verificationFails = true
        world.loseData(2)
        world.run(for: .seconds(10))
        world.step(.backupDue)
        world.run(for: .seconds(10))
        #expect(world.captured.count == 1)
        #expect(world.machine.holds.contains { $0.reason == .noVerifiedBackup })
        #expect(HoldReason.noVerifiedBackup.description == "there is no verified backup")
        #expect(world.quarantined == 0 && world.seeds == 0)
        world.verificationFails = false
        world.step(.backupDue)
        world.run(for: .seconds(40))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    // MARK: S8

    /// Each of the places where an epoch may have been seen decides alone when it is the highest.
    @Test(arguments: ["ledger", "answer", "promise", "disk", "backup's epoch", "backup's end"]) func aRestoreGoesAboveWhat(knows: String) {
        var world = OperatorWorld.started(54)
        var backup = OperatorWorld.Backup(id: "b1", isVerified: true)
        switch knows {
        case "ledger":
            world.savedLedger.highestEpoch = 30
            world.restartDaemon()
        case "answer":
            world.step(.answered(2, MemberAnswer(at: world.now, role: .following, zxid: 30 << 32)))
        case "promise":
            // Nothing was written in it, and the next answers don't say it again.
            world.step(.answered(2, MemberAnswer(at: world.now, role: .following, zxid: 1 << 32, acceptedEpoch: 30)))
        case "disk": world.pass(epoch: 30)
        case "backup's epoch": backup.acceptedEpoch = 30
        default: backup.endZxid = 30 << 32
        }
        world.request("s", .restore(backup.reference))
        world.run(for: .seconds(40))
        #expect(world.restoredEpochs == [31, 31, 31])
        #expect(world.machine.ledger.highestEpoch >= 31)
        #expect(world.machine.ledger.entries.allSatisfy { $0.acceptedEpoch >= 31 })
        #expect(world.zxid >> 32 == 32)
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// While the members are being stopped for it, those that are left may elect, with nobody looking.
    @Test(arguments: 1...10) func electionsDuringARestoreCount(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.request("s", restore())
        world.run(for: .milliseconds(300))
        world.pass(epoch: 12)
        world.run(for: .seconds(40))
        #expect(world.restoredEpochs == [13, 13, 13])
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// What a member accepted is asked of it before every start, also after a restore: a directory from before comes
    /// back as nobody's voter.
    @Test func aDirectoryFromBeforeTheRestoreIsNotBelieved() {
        var world = OperatorWorld.started(55)
        let before = world.server(2)
        world.request("s", restore())
        world.run(for: .seconds(40))
        #expect(world.isWhole)
        world.kill(2)
        world.change(2) {
            ($0.zxid, $0.acceptedEpoch) = (before.zxid, before.acceptedEpoch)
        }
        world.run(for: .seconds(60))
        #expect(world.seededFrom.count == 4, "it was reseeded")
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// Before any of them has said a word the ledger demands the raised epoch of each: a daemon that dies now, and a
    /// member whose directory goes back, must not meet as strangers.
    @Test func theLedgerDemandsTheRaisedEpochBeforeAnyMemberStarts() {
        var world = OperatorWorld.started(63)
        world.pass(epoch: 20)
        world.request("s", restore())
        while world.savedIntents.operation?.workflow.step != Restore.Phase.starting.description { world.run(for: .milliseconds(100)) }
        #expect(world.participants == [])
        #expect(world.savedLedger.entries.map(\.acceptedEpoch) == [21, 21, 21])
        #expect(world.savedLedger.highestEpoch == 21)
    }

    /// The ledger's entry of a member that recovers doesn't rise; the epoch it was seen in counts all the same.
    @Test func whatARecoveringMemberSaysOfTheEpochCounts() {
        var ledger = Ledger(cluster: "w")
        for id in 1...3 {
            ledger.set(LedgerEntry(id: id, standing: id == 2 ? .recovering : .voter, zxid: 1 << 32, acceptedEpoch: 1, identity: nil))
        }
        var world = OperatorWorld(seed: 64)
        world.machine = OperatorMachine(
            policy: world.policy, fingerprints: world.fingerprints, ledger: ledger, intents: Intents(), seed: 1)
        world.step(.adopted(2, pid: 2, fingerprint: nil))
        world.step(.answered(2, MemberAnswer(at: world.now, role: .following, zxid: 30 << 32)))
        #expect(world.machine.ledger.highestEpoch == 30)
        #expect(world.machine.ledger[2]?.zxid == 1 << 32)
    }

    /// Found by the simulator: a member whose disk stood still for three seconds was killed, and its directory counted as
    /// lost, since it had applied what the others had logged.
    @Test func whatIsAppliedAndNotDurableIsNotAskedOfADirectory() {
        var ledger = Ledger(cluster: "w")
        for id in 1...3 { ledger.set(LedgerEntry(id: id, standing: .voter, zxid: 1 << 32, acceptedEpoch: 1, identity: nil)) }
        var world = OperatorWorld(seed: 64)
        world.machine = OperatorMachine(
            policy: world.policy, fingerprints: world.fingerprints, ledger: ledger, intents: Intents(), seed: 1)
        world.step(.adopted(2, pid: 2, fingerprint: nil))
        let durable = Int64(1) << 32 + 4
        for applied in Int64(5)...9 {
            let answer = MemberAnswer(at: world.now, role: .following, zxid: Int64(1) << 32 + applied, durable: durable)
            world.step(.answered(2, answer))
        }
        #expect(world.machine.ledger[2]?.zxid == durable)
    }

    /// S2: what rose within a second of the last write was written only when more rose, so that a daemon that died in a quiet
    /// hour left none that knew of a directory that was rolled back.
    @Test func whatRoseLastIsWrittenThoughNothingRisesBehindIt() {
        var ledger = Ledger(cluster: "w")
        for id in 1...3 { ledger.set(LedgerEntry(id: id, standing: .voter, zxid: 1 << 32, acceptedEpoch: 1, identity: nil)) }
        var world = OperatorWorld(seed: 64)
        world.machine = OperatorMachine(
            policy: world.policy, fingerprints: world.fingerprints, ledger: ledger, intents: Intents(), seed: 1)
        world.step(.timePassed)
        world.step(.adopted(2, pid: 2, fingerprint: nil))
        for counter in Int64(1)...3 {
            let zxid = Int64(1) << 32 + counter
            world.now = world.now + .milliseconds(300)
            world.step(.answered(2, MemberAnswer(at: world.now, role: .following, zxid: zxid, durable: zxid)))
        }
        #expect(world.savedLedger[2]?.zxid == Int64(1) << 32 + 1, "an fsync each would be too much")
        world.now = world.now + .seconds(1)
        world.step(.timePassed)
        #expect(world.savedLedger[2]?.zxid == Int64(1) << 32 + 3)
    }

    /// A member that serves before its reseed is over votes and acknowledges: rolled back, its directory is a loss like any.
    @Test func whatAJoiningMemberHasAcknowledgedIsAskedOfItsDirectory() {
        var world = OperatorWorld.started(13)
        world.loseData(2)
        for _ in 0..<600 where world.machine.intents.reseed?.phase != .joining { world.run(for: .milliseconds(100)) }
        for _ in 0..<600 where !world.participants.contains(2) { world.run(for: .milliseconds(100)) }
        // The barrier of its reseed is out of its reach.
        world.change(2) { $0.lagsUntil = .distantFuture }
        world.run(for: .seconds(2))
        #expect(world.machine.intents.reseed?.phase == .joining && world.quarantined == 1)
        world.change(2) {
            $0.zxid -= 3
            $0.lagsUntil = .origin
        }
        world.kill(2)
        world.run(for: .seconds(120))
        #expect(world.quarantined == 2 && world.isWhole)
        #expect(world.violations == [])
    }

    @Test func theLedgersHighestEpochOnlyRises() {
        var ledger = Ledger(cluster: "c")
        ledger.set(LedgerEntry(id: 1, standing: .voter, zxid: 9 << 32, acceptedEpoch: 4, identity: nil))
        #expect(ledger.highestEpoch == 9, "a transaction is an epoch's proof")
        ledger.set(LedgerEntry(id: 2, standing: .voter, zxid: 9 << 32, acceptedEpoch: 12, identity: nil))
        #expect(ledger.highestEpoch == 12)
        ledger.set(LedgerEntry(id: 2, standing: .recovering, zxid: 0, acceptedEpoch: 0, identity: nil))
        #expect(ledger.highestEpoch == 12)
        #expect(ledger.raise(1, epoch: 14, zxid: 14 << 32) && ledger.highestEpoch == 14)
        #expect(ledger[1]?.acceptedEpoch == 14)
        #expect(!ledger.raise(1, epoch: 13, zxid: 13 << 32) && ledger.highestEpoch == 14)
        // One answer shows a promise; what its log has, only the next one.
        #expect(ledger.raise(1, epoch: 15, zxid: nil) && ledger[1]?.acceptedEpoch == 15 && ledger[1]?.zxid == 14 << 32)
    }

    /// S8: a backup from behind a restore's end is of a history that never happened.
    @Test func whatARestoreHasUndoneIsNoHistoryOfTheCluster() {
        func backup(_ end: Int64) -> BackupReference {
            BackupReference(id: "b", endZxid: end, acceptedEpoch: end >> 32, takenAt: WallTime(milliseconds: 0))
        }
        var ledger = Ledger(cluster: "c")
        ledger.restored(to: 2 << 32 | 5, epoch: 4)
        for end: Int64 in [1 << 32, 2 << 32 | 5, 5 << 32, 5 << 32 | 1] { #expect(ledger.isOfThisHistory(backup(end))) }
        for end: Int64 in [2 << 32 | 6, 3 << 32, 4 << 32 | 9] { #expect(!ledger.isOfThisHistory(backup(end))) }
        // To a point behind the first one's end, of the same history.
        ledger.restored(to: 5 << 32 | 7, epoch: 6)
        #expect(!ledger.isOfThisHistory(backup(3 << 32)) && !ledger.isOfThisHistory(backup(5 << 32 | 8)))
        #expect(ledger.isOfThisHistory(backup(5 << 32 | 7)) && ledger.isOfThisHistory(backup(7 << 32)))
        // To what the first one had undone: that is the history again.
        ledger.restored(to: 3 << 32 | 1, epoch: 8)
        for end: Int64 in [2 << 32 | 6, 3 << 32 | 1, 9 << 32] { #expect(ledger.isOfThisHistory(backup(end))) }
        for end: Int64 in [3 << 32 | 2, 5 << 32 | 7, 7 << 32, 8 << 32 | 1] { #expect(!ledger.isOfThisHistory(backup(end))) }
    }

    @Test func aReseedBehindARestoreTakesNoBackupThatItHasUndone() {
        var world = OperatorWorld.started(3)
        world.archive = [
            OperatorWorld.Backup(id: "b1", isVerified: true),
            OperatorWorld.Backup(id: "b2", isVerified: true, endZxid: 1 << 32 | 2),
        ]
        world.listBackups()
        world.request("r", restore("b1"))
        world.run(for: .seconds(20))
        #expect(world.isWhole)
        world.loseData(2)
        for _ in 0..<2000 where world.savedIntents.reseed == nil { world.run(for: .milliseconds(20)) }
        #expect(world.savedIntents.reseed?.backup == "b1")
    }

    // MARK: S3, S4

    /// A daemon that doesn't know yet which servers live doesn't act, whatever it is asked for.
    @Test func nothingBeginsBeforeTheMembersAreFound() {
        var world = OperatorWorld.started(61)
        world.machine = OperatorMachine(
            policy: world.policy, fingerprints: world.fingerprints, ledger: world.savedLedger, intents: Intents(), seed: 1)
        world.request("s", restore())
        guard case .refused(let error) = world.answers.last else {
            Issue.record("a restore began before the members were found")
            return
        }
        #expect(error.code == .notReady)
        for id in 1...3 { world.step(.adopted(id, pid: Int32(id), fingerprint: nil)) }
        world.run(for: .seconds(10))
        #expect(world.isWhole && world.terminated == [])
        #expect(world.violations == [])
    }

    /// A stop that a daemon had written down when it died was safe then.
    @Test(arguments: [OperatorRequest.restart(1, acceptOutage: false), .stop(1, acceptOutage: false), .backup(.cold, member: 1), .reseed(1)])
    func aStopThatWasNotTakenIsJudgedAnew(request: OperatorRequest) {
        var world = OperatorWorld.started(62)
        world.request("r", request)
        // Everything but the signal itself.
        while world.terminated == [] { world.run(for: .milliseconds(100)) }
        world.terminated = []
        world.due = []
        world.kill(2)
        world.change(2) { $0.unreadableSince = .origin }
        world.restartDaemon()
        world.run(for: .seconds(30))
        #expect(world.terminated == [], "the other one is down: without this member there is no quorum")
        #expect(world.violations == [])
        world.heal()
        world.run(for: .seconds(60))
        #expect(world.terminated == [1])
        #expect(world.violations == [])
    }

    // MARK: S10

    @Test func aDirectoryThatCannotBeReadIsNeitherUsedNorReplaced() {
        var world = OperatorWorld.started(56)
        world.makeUnreadable(2)
        world.kill(2)
        world.run(for: .seconds(60))
        #expect(!world.server(2).isAlive && world.quarantined == 0)
        #expect(world.machine.holds.contains { $0.member == 2 && $0.reason == .dataUnknown(2, "Input/output error") })
        world.heal()
        world.run(for: .seconds(20))
        #expect(world.isWhole && world.quarantined == 0)
        #expect(world.violations == [])
    }

    /// Seen to be gone while its server lived, and out of reach since that has died: it may be back.
    @Test func whatVanishedIsLookedAtAgainWhenItsServerHasDied() {
        var world = OperatorWorld.started(58)
        world.isLockTaken = true
        world.change(2) { $0.hasData = false }
        world.run(for: .seconds(10))
        world.makeUnreadable(2)
        world.kill(2)
        world.isLockTaken = false
        world.run(for: .seconds(30))
        #expect(world.quarantined == 0)
        world.heal()
        world.run(for: .seconds(60))
        #expect(world.isWhole && world.quarantined == 1)
        #expect(world.violations == [])
    }

    /// S2: what was judged may be gone when the server starts; its launch says what it must find.
    @Test func whatIsLostBehindTheLookIsNotServedFrom() {
        var world = OperatorWorld.started(59)
        let looks = world.inspections.count
        world.kill(2)
        while world.inspections.count == looks { world.run(for: .milliseconds(1)) }
        world.change(2) { $0.forgetEverything() }
        world.run(for: .seconds(2))
        #expect(!world.server(2).isAlive || world.server(2).mode == .recovering)
        world.run(for: .seconds(60))
        #expect(world.isWhole && world.seeds == 1)
        #expect(world.violations == [])
    }

    /// S2: what a member was launched in when it had nothing is another directory than its seed, which may come back with its
    /// mark when the member has promised something.
    @Test func aLaunchIntoAnEmptyDirectoryMakesAnotherOfIt() {
        var world = OperatorWorld.started(61)
        world.loseData(2)
        while world.savedIntents.reseed?.phase != .waiting { world.run(for: .milliseconds(10)) }
        let seed = world.savedLedger[2]?.identity
        world.change(2) { $0.forgetEverything() }
        while !world.server(2).isAlive { world.run(for: .milliseconds(100)) }
        #expect(world.savedLedger[2]?.identity != seed)
        world.run(for: .seconds(60))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    @Test func anArchiveThatCannotBeReadHoldsTheReseed() {
        var world = OperatorWorld.started(57)
        world.isArchiveReadable = false
        world.listBackups()
        world.loseData(2)
        world.run(for: .seconds(30))
        #expect(world.quarantined == 0)
        #expect(world.machine.holds.contains { $0.reason == .archiveUnknown })
        world.heal()
        world.run(for: .seconds(40))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    @Test func aNewClusterWaitsForAnArchiveThatCannotBeRead() {
        var world = OperatorWorld(seed: 58)
        world.isArchiveReadable = false
        world.listBackups()
        world.run(for: .seconds(20))
        #expect(world.servers.allSatisfy { !$0.isAlive })
        #expect(world.machine.holds.contains { $0.reason.description.contains("/archive: Input/output error") })
        world.heal()
        world.run(for: .seconds(20))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    @Test(arguments: [OperatorRequest.restartRolling(reason: "test", acceptOutage: false), .backup(.cold, member: nil), .reseed(1)])
    func aLockThatAnotherHoldsHoldsEveryDisruption(request: OperatorRequest) {
        var world = OperatorWorld.started(59)
        world.isLockTaken = true
        world.request("r", request)
        world.run(for: .seconds(20))
        #expect(world.terminated == [] && world.quarantined == 0)
        #expect(world.machine.holds.contains { $0.reason == .lockNotHeld("the lock is not to be had") })
        world.heal()
        world.run(for: .seconds(60))
        #expect(world.isWhole && !world.terminated.isEmpty)
        #expect(world.violations == [])
    }

    /// A member that has said nothing of late may be the one that the quorum needs.
    @Test func aMemberOfWhichNothingIsKnownHoldsTheRoll() {
        var world = OperatorWorld.started(60)
        world.change(2) { $0.isFull = true }
        world.run(for: .seconds(5))
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        world.run(for: .seconds(20))
        #expect(world.terminated == [] || world.terminated == [2])
        #expect(world.machine.holds.contains { $0.what == "rolling restart" })
        world.change(2) { $0.isFull = false }
        world.run(for: .seconds(60))
        #expect(world.isWhole && Set(world.terminated) == [1, 2, 3])
        #expect(world.violations == [])
    }

    /// Seen with Apache's server: the leader of an epoch without a write was taken for one that had lost what it acknowledged,
    /// after each stop of the whole ensemble.
    @Test func theBeginningOfAnEpochIsNotInAnyLog() {
        var world = OperatorWorld.started(52)
        let (beginning, first) = (Int64(9) << 32, Int64(9) << 32 + 1)
        func entry() -> LedgerEntry? { world.machine.ledger[1] }
        for _ in 0..<2 { world.step(.answered(1, MemberAnswer(at: world.now, role: .leading, zxid: beginning))) }
        #expect(entry().map { $0.zxid < beginning && $0.acceptedEpoch == 9 } == true)
        for _ in 0..<2 { world.step(.answered(1, MemberAnswer(at: world.now, role: .leading, zxid: first))) }
        #expect(entry().map { $0.zxid } == first)
    }
}
