import EnsembleBase
import EnsembleControl
import Testing

@Suite struct OperatorWorldTests {
    @Test func aNewClusterBootstraps() {
        let world = OperatorWorld.started(1)
        #expect(world.isWhole)
        #expect(world.machine.ledger.entries.allSatisfy { $0.standing == .voter })
        #expect(world.violations == [])
    }

    @Test(arguments: 1...20) func aLostDirectoryIsReseeded(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.loseData(2)
        world.run(for: .seconds(40))
        #expect(world.isWhole)
        #expect(world.quarantined >= 1)
        #expect(world.violations == [])
    }

    /// S3: the server that still runs on the lost directory is proved dead before its place is touched.
    @Test(arguments: 1...10) func aDirectoryLostUnderALiveServerIsFencedFirst(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.loseDataUnderLiveServer(2)
        world.run(for: .seconds(40))
        #expect(world.isWhole)
        #expect(world.quarantined >= 1)
        #expect(world.violations == [])
    }

    /// S2: it may have promised another epoch between its two losses, seen by nobody.
    @Test(arguments: 1...10) func aDirectoryLostAgainWhileItsMemberJoinsIsWaitedForAgain(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.namesItself = false
        world.loseData(2)
        for _ in 0..<2000 where world.savedIntents.reseed?.phase != .joining || !world.server(2).isAlive {
            world.run(for: .milliseconds(20))
        }
        world.loseData(2)
        let lostAt = world.now
        for _ in 0..<2000 where !world.server(2).isAlive { world.run(for: .milliseconds(20)) }
        #expect(world.now - lostAt >= world.policy.promiseLifetime)
        world.run(for: .seconds(20))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// S2: in an ensemble that serves, nobody is left to count on a lost promise as soon as all others are past a barrier.
    @Test(arguments: 1...10) func lostPromisesAreNotWaitedOutWhereNobodyCountsOnThem(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.loseData(2)
        let lostAt = world.now
        for _ in 0..<2000 where !world.server(2).isAlive { world.run(for: .milliseconds(20)) }
        #expect(world.now - lostAt < world.policy.promiseLifetime)
        world.run(for: .seconds(20))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// S2: what one of the others says from before the barrier, or says as somebody else, shows nothing.
    @Test(arguments: ["old", "another's", "behind", "looking", "nameless"]) func anAnswerThatShowsNothingIsWaitedFor(how: String) {
        var world = OperatorWorld.started(7)
        world.loseData(2)
        for _ in 0..<2000 where world.savedIntents.reseed?.phase != .waiting { world.run(for: .milliseconds(20)) }
        let since = world.now
        // Nobody is dead, and 3 is heard in this way only.
        world.misleads = { answer in
            guard answer.server == 3 else { return answer }
            var answer = answer
            switch how {
            case "old": answer.at = since - .milliseconds(1)
            case "another's": answer.server = 1
            case "behind": answer.zxid = 1 << 32
            case "looking": (answer.role, answer.zxid) = (.looking, 0)
            default: answer.server = nil
            }
            return answer
        }
        for _ in 0..<2000 where !world.server(2).isAlive { world.run(for: .milliseconds(20)) }
        #expect(world.now - since >= world.policy.promiseLifetime)
        #expect(world.violations == [])
    }

    @Test func twoLostDirectoriesOfThreeAreLeftToAPerson() {
        var world = OperatorWorld.started(4)
        world.loseData(1)
        world.loseData(2)
        world.run(for: .seconds(30))
        #expect(world.quarantined == 0)
        #expect(world.machine.holds.contains { $0.reason == .majorityLost([1, 2]) })
        #expect(world.violations == [])
    }

    @Test func aFrozenMemberIsKilledAndComesBack() {
        var world = OperatorWorld.started(5)
        world.change(2) { $0.isFrozen = true }
        world.run(for: .seconds(15))
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    /// S10: silent before the daemon stood still, well since: the silence that nobody heard is no reason.
    @Test func aDaemonThatStoodStillListensAnewBeforeItKills() {
        var world = OperatorWorld.started(5)
        world.step(.unanswered(2))
        world.now = world.now + .seconds(20)
        world.step(.timePassed)
        #expect(world.machine.supervisors.allSatisfy { $0.state == .running })
        world.run(for: .seconds(5))
        #expect(world.isWhole)
        #expect(world.machine.supervisors.allSatisfy { $0.deaths == 0 })
        #expect(world.violations == [])
    }

    @Test func aMemberThatIsOnlyFullIsNotKilled() {
        var world = OperatorWorld.started(8)
        world.change(2) { $0.isFull = true }
        world.run(for: .seconds(30))
        #expect(world.machine.supervisors.allSatisfy { $0.deaths == 0 })
        #expect(world.machine.holds.contains { $0.reason == .turnedAway(2) })
        world.change(2) { $0.isFull = false }
        world.run(for: .seconds(2))
        #expect(world.isWhole)
        #expect(world.machine.holds.isEmpty)
    }

    @Test func aQuorumlessServerIsLeftAlone() {
        var world = OperatorWorld.started(6)
        world.change(1) { $0.hasData = true }
        world.loseData(2)
        world.loseData(3)
        world.run(for: .seconds(60))
        #expect(world.server(1).isAlive)
        #expect(!world.terminated.contains(1))
    }

    @Test(arguments: 1...20) func aRollTakesTheLeaderLastAndSurvivesTheDaemon(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed))
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        world.run(for: .seconds(seed % 7 + 1))
        world.restartDaemon()
        world.run(for: .seconds(60))
        #expect(world.isWhole)
        #expect(Set(world.terminated) == [1, 2, 3])
        #expect(world.terminated.last == 3, "the highest id leads in this world")
        #expect(world.violations == [])
    }

    @Test func aColdBackupStopsOneFollower() {
        var world = OperatorWorld.started(8)
        world.request("c", .backup(.cold, member: nil))
        world.run(for: .seconds(20))
        #expect(world.terminated.count == 1 && world.terminated != [3])
        #expect(world.isWhole)
        #expect(world.violations == [])
    }

    @Test func terminationStopsTheLeaderLastAndRestoreReplacesEverything() {
        var world = OperatorWorld.started(9)
        let backup = BackupReference(id: "b1", endZxid: 1 << 32, acceptedEpoch: 1, takenAt: WallTime(milliseconds: 0))
        world.request("s", .restore(backup))
        world.run(for: .seconds(30))
        #expect(world.quarantined == 3 && world.seeds == 3)
        #expect(world.machine.ledger.highestEpoch >= 2)
        #expect(world.terminated.last == 3)
    }

    /// S2 to S10 in generated worlds: faults strike one member at a time, the archive, the lock and directories are out
    /// of reach for a while, the daemon is killed at random between two actions, people ask for things; afterwards the
    /// ensemble is whole again and no rule was broken on the way.
    @Test(arguments: 1...80) func generatedWorldsKeepTheRules(seed: Int) {
        var world = OperatorWorld.started(UInt64(seed) &* 7919, members: seed.isMultiple(of: 3) ? 5 : 3)
        for number in 0..<14 {
            disturb(&world, "request-\(number)")
            world.run(for: .milliseconds(Int64.random(in: 500...15_000, using: &world.random)))
        }
        world.heal()
        world.request("resume", .resume)
        world.run(for: .seconds(180))
        #expect(world.violations == [])
        #expect(world.isWhole, "\(world.machine.holds) \(world.machine.intents)")
    }

    private func disturb(_ world: inout OperatorWorld, _ request: String) {
        let id = Int.random(in: 1...world.servers.count, using: &world.random)
        let strikes = Bool.random(using: &world.random)
        switch Int.random(in: 0..<18, using: &world.random) {
        case 0: world.lastFault = world.now; world.kill(id)
        case 1: if world.server(id).isAlive { world.lastFault = world.now; world.change(id) { $0.isFrozen = true } }
        case 2: if world.isWhole { world.lastFault = world.now; world.loseData(id) }
        case 3: world.restartDaemon()
        case 4: world.actionsUntilCrash = Int.random(in: 0...20, using: &world.random)
        case 5: world.request(request, .restartRolling(reason: "test", acceptOutage: false))
        case 6: world.request(request, .backup(.cold, member: nil))
        case 7: world.request(request, .reseed(id))
        case 8: world.step(.backupDue)
        case 9: world.isArchiveReadable = strikes; world.listBackups()
        case 10: world.isLockTaken = strikes
        case 11: if strikes { world.makeUnreadable(id) } else { world.heal() }
        case 12: world.verificationFails = strikes
        case 13: world.request(request, strikes ? .pause : .resume)
        case 14, 15, 16: if let work = world.machine.works.randomElement(using: &world.random)?.id { world.request(request, .cancel(work)) }
        default:
            if let backup = world.archive.last(where: { $0.isVerified }), world.isArchiveReadable {
                world.lastFault = world.now
                world.request(request, .restore(backup.reference))
            }
        }
    }
}
