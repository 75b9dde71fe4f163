import EnsembleBase
import EnsembleControl

/// Each action against the rules, by what is true in the world, on the daemon's disk and in the archive, and not by
/// what the machine believes.
extension OperatorWorld {
    mutating func judge(_ action: OperatorAction) {
        switch action {
        case .launch(let id, let mode, _, let floor): judgeLaunch(id, mode, floor)
        case .terminate(let id): judgeTermination(id)
        case .kill(let id):
            if !server(id).isFrozen, server(id).hasData, participants.contains(id) { violate("killed member \(id), which participates") }
        case .quarantine(let id, let reason, _): judgeQuarantine(id, reason)
        case .seed(let id, let seed, _): judgeSeed(id, seed)
        case .saveIntents(let intents):
            judgeBeginning(of: intents)
            judgePause(intents)
        case .capture(let id, let mode, let upTo, _): judgeCapture(id, mode, upTo)
        case .prune:
            // S6: what is about to be used is not deleted, whatever newer backup there is.
            if let used = backupInUse, archive.last(where: { $0.isVerified })?.id != used {
                violate("pruned while backup \(used) is to be used (S6)")
            }
        case .answer(let id, .accepted): judgeAcceptance(of: id)
        case .inspectData, .prepare, .saveLedger, .saveHistory, .acquireLock, .releaseLock, .writeBarrier, .verify, .checkRoom, .answer,
            .note, .finish: break
        }
    }

    private mutating func violate(_ what: String) { violations.append("\(now): \(what)") }

    /// From the disk's word, phase by phase: not by the machine's own idea of it.
    private var backupInUse: String? {
        if let restore = savedIntents.operation?.workflow as? Restore, restore.phase != .starting { return restore.backup.id }
        guard let reseed = savedIntents.reseed, [.fencing, .quarantining, .seeding].contains(reseed.phase) else { return nil }
        return reseed.backup
    }

    /// One that may have touched the members.
    private var savedRestore: Restore? {
        if let restore = savedIntents.operation?.workflow as? Restore, restore.hasBegun { restore } else { nil }
    }

    private func isUnreadable(_ id: Int) -> Bool {
        // What struck since the last look is not the machine's doing.
        server(id).unreadableSince.map { now - $0 > .seconds(3) } ?? false
    }

    private mutating func judgeLaunch(_ id: Int, _ mode: LaunchMode, _ floor: DataFloor?) {
        let server = server(id)
        if server.isAlive { violate("a second server of member \(id)") }
        // S2: it refuses what the daemon has not seen.
        if let floor, !server.isAbove(floor) { return }
        if !server.hasData, mode == .existing { violate("member \(id) launched as a voter without data (S2)") }
        if mode == .bootstrap, !server.hasData, server.prepared == nil { violate("member \(id) bootstrapped where nothing was prepared (S2)") }
        if mode == .bootstrap, zxid > 1 << 32, !server.hasData, servers.contains(where: { $0.id != id && $0.hasData && $0.zxid > 1 << 32 }) {
            violate("member \(id) bootstrapped beside members with history (S2)")
        }
        if server.recovering, mode != .recovering { violate("member \(id) left recovering by force (S2)") }
        // S2: the promises that it forgot are waited out, or nobody counts on them any more.
        if server.recovering, let fenced = fencedAt[id], now - fenced < policy.promiseLifetime {
            for other in servers where other.id != id && countedOnNothingAt[id]?[other.id].map({ $0 >= fenced }) != true {
                violate("member \(id) started \(now - fenced) after its fence, and \(other.id) may count on a promise of it (S2)")
            }
        }
        // S9: the next daemon knows how this member was started, and what it promised.
        switch (mode, savedLedger[id]?.standing) {
        // S2: it may vote from its first moment on, and an empty directory is then a loss.
        case (.bootstrap, .voter), (.recovering, .recovering), (.existing, .voter): break
        case (_, let standing): violate("member \(id) launched as \(mode), the disk says \(standing.map(\.rawValue) ?? "nothing") (S9)")
        }
        // S10
        if isUnreadable(id) { violate("member \(id) launched on a directory that can't be read (S10)") }
        if mode == .bootstrap, !toldOfArchive.isListed || toldOfArchive.count > 0, !server.hasData, zxid == 1 << 32 {
            violate("member \(id) bootstrapped, and the archive is not known to be empty (S10)")
        }
        if mode == .existing, let entry = savedLedger[id], max(server.acceptedEpoch, server.zxid >> 32) < entry.acceptedEpoch {
            violate("member \(id) came back below epoch \(entry.acceptedEpoch) (S8)")
        }
    }

    /// S4 and S5, S9 and S10.
    private mutating func judgeTermination(_ id: Int) {
        guard machine.termination == nil else { return }
        if !isWrittenDown(termination: id) { violate("stopped member \(id) for no reason on the disk (S9)") }
        guard savedRestore == nil, server(id).isAlive, !participants.isEmpty else { return }
        // A fault that struck within the last probe is not the machine's doing.
        if now - lastFault > .seconds(4) {
            let staying = participants.filter { $0 != id }
            if staying.count < quorum { violate("stopped member \(id), leaving \(staying) of \(quorum) needed (S4)") }
            let known = staying.filter { now - server($0).servedAt <= policy.freshness }
            if known.count < quorum { violate("stopped member \(id), and only \(known) are known to serve (S10)") }
        }
        if !lockIsHeld { violate("stopped member \(id) without the lock (S5)") }
    }

    private func isWrittenDown(termination id: Int) -> Bool {
        if let reseed = savedIntents.reseed, reseed.member == id, reseed.phase == .fencing { return true }
        if savedLedger.stoppedByPerson.contains(id) { return true }
        switch savedIntents.operation?.workflow {
        case let roll as Roll: return roll.phase == .stopping(id)
        case let cold as ColdCapture: return cold.member == id && cold.phase == .stopping
        case let restore as Restore: return restore.phase == .stopping
        default: return false
        }
    }

    /// S4: nothing voluntary is begun while a person says so.
    private mutating func judgePause(_ intents: Intents) {
        guard savedIntents.pausedSince != nil, intents.pausedSince != nil else { return }
        if let disrupted = intents.operation?.disrupted, savedIntents.operation?.disrupted != disrupted {
            violate("member \(disrupted) is taken out of service in a pause")
        }
        if let reseed = intents.reseed, savedIntents.reseed == nil, case .askedFor = reseed.reason {
            violate("a whole member \(reseed.member) is reseeded in a pause")
        }
    }

    private mutating func judgeQuarantine(_ id: Int, _ reason: String) {
        // S3
        if server(id).isAlive { violate("quarantined under the living server \(id)") }
        if due.contains(where: { if case .seeded(id, _, _) = $0.change { true } else { false } }) {
            violate("quarantined member \(id) while a seed is being written there (S6)")
        }
        // S6
        if reason.isEmpty { violate("member \(id)'s data was moved aside without a reason (S6)") }
        // S9
        if let restore = savedRestore {
            guard case .quarantining(let remaining) = restore.phase, remaining.first == id else {
                return violate("quarantined member \(id), the disk says \(restore.phase) (S9)")
            }
            return
        }
        guard let reseed = savedIntents.reseed, reseed.member == id, reseed.phase == .quarantining else {
            return violate("quarantined member \(id) for no reason on the disk (S9)")
        }
        if case .askedFor = reseed.reason { return }
        if isUnreadable(id) { violate("quarantined member \(id), of which nothing is known (S10)") }
    }

    private mutating func judgeSeed(_ id: Int, _ seed: Seed) {
        let server = server(id)
        // S3
        if server.isAlive { violate("seeded under the living server \(id)") }
        // S6: an effect that was asked for is not one that is done. What a dead daemon's seed left is no server's data.
        let isPending = due.contains { if case .quarantined(id) = $0.change { true } else { false } }
        if isPending { violate("seeded member \(id) while its data is still being moved to quarantine (S6)") }
        if server.hasData, !server.isFreshSeed { violate("seeded over data of \(id) that was not quarantined (S6)") }
        // S7
        if let backup = seed.backup, archive.first(where: { $0.id == backup })?.isVerified == false {
            violate("seeded member \(id) from backup \(backup), which is not verified (S7)")
        }
        // S6: nothing else deletes, so it was deleted while it was in use.
        if let backup = seed.backup, !archive.contains(where: { $0.id == backup }) {
            violate("backup \(backup) is gone when member \(id) needs it (S6)")
        }
        // S9, S2
        if let restore = savedRestore {
            guard case .seeding(let remaining) = restore.phase, remaining.first == id,
                seed == .restored(backup: restore.backup.id, acceptedEpoch: restore.acceptedEpoch)
            else { return violate("seeded member \(id) by \(seed), the disk says \(restore.phase) (S9)") }
            return
        }
        guard let reseed = savedIntents.reseed, reseed.member == id, reseed.phase == .seeding, reseed.backup == seed.backup else {
            return violate("seeded member \(id) for no reason on the disk (S9)")
        }
        if savedLedger[id]?.standing != .recovering { violate("seeded member \(id), which the ledger lets vote (S2)") }
    }

    /// A reseed that appears on the disk: whether it may begin.
    private mutating func judgeBeginning(of intents: Intents) {
        guard let reseed = intents.reseed, savedIntents.reseed == nil else { return }
        if !toldOfArchive.isListed { violate("a reseed of member \(reseed.member) began, and the archive is unknown (S10)") }
        // A member of a new cluster that nobody saw serve has nothing to lose, and there is no backup yet.
        let hasNeverServed = savedLedger[reseed.member]?.zxid == 0 && archive.isEmpty && reseed.backup == nil
        guard hasNeverServed || archive.contains(where: { $0.id == reseed.backup && $0.isVerified }) else {
            return violate("a reseed of member \(reseed.member) began without a verified backup (S7)")
        }
        if !lockIsHeld { violate("a reseed of member \(reseed.member) began without the lock (S5)") }
        if case .askedFor = reseed.reason { return }
        if isUnreadable(reseed.member) { violate("a reseed of member \(reseed.member) began, of which nothing is known (S10)") }
    }

    /// S1, S7
    private mutating func judgeCapture(_ id: Int, _ mode: CaptureMode, _ upTo: Int64) {
        // What struck since its last answer the copy itself finds out.
        if server(id).zxid < upTo, now - lastFault > .seconds(1) { violate("member \(id) was copied before it had \(upTo)") }
        if zxid < upTo { violate("copied up to \(upTo), which nobody has committed") }
        guard mode == .cold else { return }
        if server(id).isAlive { violate("cold copy of a running member \(id)") }
        guard let cold = savedIntents.operation?.workflow as? ColdCapture, cold.phase == .copying, cold.member == id else {
            return violate("a cold copy of member \(id) that the disk knows nothing of (S9)")
        }
    }

    /// S9: what a person was told that it will be done is on the disk before the telling.
    private mutating func judgeAcceptance(of id: String) {
        if savedHistory[id] == nil { violate("\(id) was accepted, and the next daemon would not know of it") }
        switch requests[id] {
        // It begins when its answer is on its way (issue 9, B28).
        case .restore: break
        case .stop, .restart, .restartRolling, .backup(.cold, _):
            let isDone = machine.outcomes.contains { $0.id == id }
            if savedIntents.operation?.id != id, !isDone { violate("\(id) was accepted and is not on the disk (S9)") }
        case .reseed:
            let isKept = savedIntents.reseedsAskedFor.contains { $0.operation == id } || savedIntents.reseed?.operation == id
            if !isKept { violate("\(id) was accepted and is not on the disk (S9)") }
        case .cancel(let operation):
            let isOver = machine.outcomes.contains { $0.id == operation && $0.isCancelled }
            if let cold = savedIntents.operation?.workflow as? ColdCapture, cold.isCancelled == true { break }
            if !isOver || savedIntents.operation?.id == operation { violate("\(operation) is said to be cancelled (S9)") }
        case .pause: if savedIntents.pausedSince == nil { violate("\(id) was accepted and is not on the disk (S9)") }
        case .resume: if savedIntents.pausedSince != nil { violate("\(id) was accepted and is not on the disk (S9)") }
        case .start, .verify, .backup(.live, _), nil: break
        }
    }
}
