/// How soon the checkers see each deliberate bug: a checker that finds nothing proves nothing.
package struct Sensitivity: Sendable {
    package struct Finding: Sendable {
        package var bug: DeliberateBug
        /// The only rule that counted; nil for all.
        package var only: Rule?
        /// nil if no seed within the bound showed it.
        package var seed: UInt64?
        package var steps: Int
        package var violation: Violation?

        package var line: String {
            let names = HistoricalBug.all.filter { $0.planted == bug }.map(\.name)
            let title = bug.rawValue + (names.isEmpty ? "" : " (\(names.joined(separator: ", ")))")
            guard let seed, let violation else { return "\(title): not found" }
            return "\(title): seed \(seed), \(steps) steps, \(violation)"
        }
    }

    /// The first seed that shows the bug.
    ///
    /// - Parameters:
    ///   - outsideOnly: whether clients and final trees alone must notice.
    ///   - only: the one rule that counts; nil for all.
    ///   - limit: how many seeds are tried, from `firstSeed` on.
    package static func find(
        _ bug: DeliberateBug, outsideOnly: Bool = false, only: Rule? = nil, limit: UInt64
    ) -> Finding {
        var steps = 0
        let first = bug.firstSeed
        for seed in first...(first + max(limit, 1) - 1) {
            var plan = Plan.showing(bug, seed: seed)
            plan.outsideOnly = outsideOnly
            plan.only = only
            bug.provoke(&plan)
            let result = Campaign.run(plan)
            steps += result.steps
            if let violation = result.violation {
                return Finding(bug: bug, only: only, seed: seed, steps: steps, violation: violation)
            }
        }
        return Finding(bug: bug, only: only, seed: nil, steps: steps, violation: nil)
    }
}

extension DeliberateBug {
    /// Where the search begins. What takes a meeting that comes about once in some hundreds of seeds begins where one is known,
    /// so that a proof takes minutes; with the world changed, another may have to be looked for.
    var firstSeed: UInt64 {
        switch self {
        // Two pairs that serve in two epochs, while the fifth is brought back.
        case .promisesByServingAlone: 650
        default: 1
        }
    }

    /// The rules that must find it, each by itself: together the bugs show of every rule that it finds something.
    package var aims: [Rule] {
        switch self {
        case .ackBeforeSync: [.quorum, .durability]
        case .logSyncSkipped: [.quorum, .durability, .files]
        case .logReportedEarly, .newLeaderBeforeSync, .directorySyncSkipped: [.quorum]
        case .epochSyncSkipped, .snapshotSyncSkipped: [.files]
        case .recoveringIgnored, .rolledBackUnmarked, .promisesNotWaitedOut, .acceptedEpochNotWritten, .damageTakenForTail:
            [.amnesia]
        case .installEpochFirst, .newLeaderAckedEarly, .currentEpochNotWritten, .commitWithoutQuorum, .failedSyncIgnored: [.quorum]
        case .epochsNotWritten: [.leadership]
        // Since a log that can't be cut is replaced, its member tells before it comes to harm.
        case .truncateAcrossEpochs: [.protocolOrder]
        case .streamReordered, .proposalsNotResent, .ackReplayed: [.protocolOrder]
        case .truncateInMemoryOnly: [.digest]
        case .noFastForward: [.agreement]
        case .proposalAltered: [.integrity, .agreement, .digest]
        case .holeInDiff: [.agreement]
        case .replaySkipsEntry, .snapshotBeforeLog: [.digest]
        case .upToDateLost: [.convergence]
        case .snapshotLosesNode: [.soundness]
        case .versionIgnored: [.linearizableWrites]
        case .ephemeralAfterClose: [.ephemerals]
        case .touchesIgnored: [.expiry]
        case .touchesLost, .sessionForgotten: [.sessions]
        case .staleRead: [.reads]
        case .replyLost, .clientZxidIgnored: [.sessionOrder]
        case .watchAfterReply, .watchTwice, .watchLost: [.watches]
        case .syncWithoutLeader: [.syncFreshness]
        case .writesOvertaken: [.requestOrder]
        case .checkIgnored, .rightsIgnored, .multiCutShort: [.outcomes]
        case .answerOfAnother: [.answers]
        case .childMisnamed, .valueAltered: [.reads]
        case .endedSessionResumed: [.sessions]
        case .departuresUnnoticed: [.leftovers]
        case .watchNotRemoved: [.watches]
        case .epochBeforeLog: [.quorum]
        case .commitUnknownBeforeUpToDate: [.protocolOrder]
        case .commitsBehindUpToDate: [.digest]
        case .proposalAckedFirst: [.convergence]
        case .checkProposed: [.outcomes]
        case .treeLosesRights: [.reads]
        case .truncatedEffectsStay: [.digest]
        case .wholeLogRead: [.memory]
        case .sessionsJudgedBeforeReading: [.sessions]
        case .windowHasHole: [.digest]
        case .wrongAnnouncementFatal: [.soundness]
        case .replayUncounted: [.replay]
        case .cutFrameForgotten: [.convergence]
        case .partialWriteRepeated: [.soundness]
        case .replyTwice: [.sessionOrder]
        case .readingNeverResumed: [.convergence]
        case .connectionOutlivesSession: [.sessions]
        case .adoptionMissed, .fenceSkipped: [.fence]
        case .seedUnmarked, .promiseWaitSkipped, .promisesByServingAlone, .floorIgnored, .ledgerNotSaved, .ledgerBehind: [.amnesia]
        case .lockNotTaken, .twoDisruptions, .barrierNotWritten: [.disruption]
        case .quarantineDeletes, .retentionDropsBase: [.quarantine]
        case .unverifiedBackupUsed: [.verifiedBackups]
        case .doubtTakenForLoss: [.doubt]
        case .silenceSuffices, .notAskedIsSilent: [.harm]
        case .probesFlatter: [.convergence]
        case .leaderMistaken, .rollForgotten, .intentsNotSaved: [.rolls]
        // What it was made to break (S8) no seed has shown yet: it is found by what else follows.
        case .restoreWithoutEpoch: []
        }
    }

    /// Switches on the faults without which the bug does nothing, and keeps the run short.
    package func provoke(_ plan: inout Plan) {
        plan.usesBytes = false
        if isOperators { return provokeOperator(&plan) }
        plan.faultPause = 1_000
        plan.moment = nil
        switch self {
        case .recoveringIgnored: plan.atlas.formUnion([.lostDisks, .crashes, .partitions])
        case .promisesNotWaitedOut:
            plan.moment = .promises
            plan.atlas = [.lostDisks, .isolatedLeaders, .freezes]
        case .rolledBackUnmarked: plan.atlas.formUnion([.rolledBackDisks, .crashes, .partitions])
        case .damageTakenForTail: plan.atlas.formUnion([.bitRot, .crashes])
        case .failedSyncIgnored: plan.atlas.formUnion([.failedSyncs, .crashes])
        case .installEpochFirst:
            // While an epoch is being established: later its number alone elects nobody.
            plan.servers = 3
            plan.windowCount = 10
            plan.moment = .installs
            plan.atlas = [.crashes, .massCrashes, .slowDisks]
        case .truncateAcrossEpochs, .snapshotLosesNode:
            plan.windowCount = 10
            plan.atlas.formUnion([.crashes, .freezes, .isolatedLeaders, .resets])
        case .truncateInMemoryOnly:
            plan.lulls = true
            plan.windowCount = 5_000
            plan.moment = .proposes
            plan.atlas = [.crashes, .isolatedLeaders, .freezes]
        case .epochsNotWritten:
            plan.lulls = true
            plan.atlas = [.crashes, .massCrashes]
        case .snapshotSyncSkipped:
            plan.snapCount = 100
            plan.atlas = [.crashes, .massCrashes]
        case .snapshotBeforeLog:
            plan.snapCount = 100
            plan.moment = .namesSnapshot
            plan.atlas = [.crashes, .slowDisks]
        case .ackBeforeSync, .newLeaderAckedEarly, .currentEpochNotWritten, .acceptedEpochNotWritten, .noFastForward,
            .logReportedEarly, .newLeaderBeforeSync, .logSyncSkipped, .epochSyncSkipped, .directorySyncSkipped,
            .replaySkipsEntry, .upToDateLost:
            plan.atlas.formUnion([.crashes, .massCrashes, .slowDisks])
        case .commitWithoutQuorum: plan.atlas.formUnion([.isolatedLeaders, .crashes])
        case .holeInDiff, .proposalsNotResent, .ackReplayed: plan.atlas.formUnion([.crashes, .resets])
        case .clientZxidIgnored:
            (plan.turnsPerMove, plan.luresClients) = (20, true)
            plan.atlas = [.isolatedLeaders, .resets, .slowLinks, .slowProcesses]
        case .sessionForgotten: plan.turnsPerMove = 60
        case .wholeLogRead:
            plan.asksMore = true
            plan.payload = 50_000
            plan.snapCount = 20_000
            plan.atlas = [.crashes]
        case .checkIgnored, .rightsIgnored, .multiCutShort, .watchNotRemoved: plan.asksMore = true
        case .endedSessionResumed, .departuresUnnoticed:
            plan.clientsMisbehave = true
            plan.turnsPerMove = 60
        case .epochBeforeLog: plan.atlas.formUnion([.crashes, .slowDisks])
        case .commitUnknownBeforeUpToDate, .commitsBehindUpToDate, .proposalAckedFirst:
            plan.servers = 3
            // Our leader sends nothing in between that is not whole by itself.
            plan.apachePeer = 3
            plan.atlas.formUnion([.crashes, .resets])
        case .checkProposed: plan.asksMore = true
        case .treeLosesRights:
            plan.servers = 3
            plan.asksMore = true
            plan.windowCount = 10
            plan.atlas = [.crashes, .resets, .lostDisks]
        case .truncatedEffectsStay:
            plan.lulls = true
            plan.windowCount = 5_000
            plan.moment = .proposes
            plan.atlas = [.crashes, .isolatedLeaders, .freezes]
        case .sessionsJudgedBeforeReading:
            plan.servers = 1
            plan.atlas = [.freezes]
        case .windowHasHole:
            plan.servers = 5
            plan.wasApaches = true
            plan.windowCount = 5_000
            plan.atlas.formUnion([.crashes, .massCrashes])
        case .wrongAnnouncementFatal: plan.wasApaches = true
        case .replayUncounted:
            plan.snapCount = 100
            plan.atlas.formUnion([.crashes, .massCrashes])
        case .connectionOutlivesSession: plan.turnsPerMove = 60
        default: break
        }
    }

    private func provokeOperator(_ plan: inout Plan) {
        plan.faultTime = 40_000
        plan.operatorFaults.insert(.people)
        switch self {
        case .fenceSkipped: plan.operatorFaults.insert(.stoppedServers)
        case .adoptionMissed, .intentsNotSaved: plan.operatorFaults.insert(.crashes)
        case .ledgerNotSaved:
            plan.operatorFaults.insert(.crashes)
            plan.atlas.formUnion([.rolledBackDisks, .lostDisks])
        case .ledgerBehind: plan.atlas.formUnion([.rolledBackDisks, .crashes])
        case .promisesByServingAlone:
            // Some serve on for a while, and nothing reaches them.
            (plan.servers, plan.faultPause) = (5, 800)
            plan.atlas = [.lostDisks, .partitions, .oneWayCuts, .isolatedLeaders, .slowLinks, .slowProcesses]
            plan.luresClients = true
        case .seedUnmarked, .promiseWaitSkipped:
            plan.atlas.formUnion([.lostDisks, .crashes, .partitions])
        case .probesFlatter: plan.atlas.formUnion([.partitions, .freezes])
        case .unverifiedBackupUsed:
            plan.operatorFaults.insert(.damagedBackups)
            plan.atlas.insert(.lostDisks)
        case .doubtTakenForLoss: plan.operatorFaults.insert(.unreadableDirectories)
        case .silenceSuffices: plan.operatorFaults.formUnion([.deafServers, .operatorCuts])
        case .notAskedIsSilent: plan.operatorFaults.insert(.lostNames)
        case .leaderMistaken, .rollForgotten:
            // They show in peace.
            plan.faultTime = 5_000
        case .floorIgnored:
            plan.operatorFaults.formUnion([.lateLosses, .people])
            plan.atlas.insert(.crashes)
        default: plan.atlas.insert(.lostDisks)
        }
    }
}
