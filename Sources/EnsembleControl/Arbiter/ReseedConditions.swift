import EnsembleBase

/// What must be true before a member's reseed may begin. Everything that is missing holds it, and is named (S10).
extension OperatorMachine {
    mutating func objection(
        toReseeding candidate: ReseedCandidate, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        let id = candidate.member
        if candidate.operation == nil, !policy.reseed.automatic {
            return .needsPerson("the manifest forbids automatic reseeds; ensemblectl reseed \(id) begins one")
        }
        // S10: what one member has forgotten a quorum of the others knows; with a majority gone nobody can tell what was
        // acknowledged, and only a person may decide to do without it. Said before all that would pass by itself.
        if let lost = lostMajority { return .majorityLost(lost) }
        // S5: one member at a time is out of service because of us.
        if let operation = intents.operation, let other = operation.disrupted, other != id {
            return .operationRunning(operation.title)
        }
        // S4: a live member may be the one that holds the quorum; a lost one must not be needed for it.
        if let reason = QuorumGate(observed, at: now).objection(toRelyingOnOthersThan: id) { return reason }
        guard observed.backups.isListed else { return .archiveUnknown }
        // S7: only a verified backup. Also where the seed will be empty: while a member is brought back, one more
        // loss would leave the archive as the only copy.
        guard seedBackup != nil || hasNeverServed(id) else { return .noVerifiedBackup }
        if candidate.isWhole {
            if intents.pausedSince != nil { return .paused }
            // S1: it may have what was acknowledged, and the lost one comes first (`Reseed.quarantine` asks again).
            if let other = policy.voters.first(where: { $0 != id && isLost($0) }) { return .memberNotParticipating(other) }
            if let reason = objection(toLosing: id, seenSince: now - policy.answerTimeout) { return reason }
            if let reason = objectionOfReturn(besides: id, at: now, into: &actions) { return reason }
        }
        // It holds back the daemon, not a person.
        if candidate.operation == nil, let spent = spentBudget(id, at: now) { return spent }
        return objectionOfLock(at: now, into: &actions)
    }

    /// S1: what a whole member has is given up only while a quorum of the others has been seen with their directories.
    func objection(toLosing id: MemberID, seenSince since: Instant) -> HoldReason? {
        let others = policy.voters.filter { $0 != id }
        let unseen = others.filter { other in
            !running.contains { $0.id == other && $0.seenAt.map { $0 >= since } ?? false }
        }
        return others.count - unseen.count >= observed.quorum ? nil : .directoriesNotSeen(unseen)
    }

    /// Of a new cluster, and nobody saw it serve: it has lost nothing that the others would need, nor can there be a
    /// backup yet.
    private func hasNeverServed(_ id: MemberID) -> Bool {
        guard observed.backups.count == 0, let entry = ledger[id] else { return false }
        return entry.zxid == 0 && entry.acceptedEpoch == 0
    }

    /// The voters without data of their own, when those that have some are fewer than a quorum.
    private var lostMajority: [MemberID]? {
        let lost = policy.voters.filter { id in
            if ledger[id]?.standing == .recovering { return true }
            guard case .untrusted = supervisor(id)?.state else { return false }
            return true
        }
        return policy.voters.count - lost.count < observed.quorum ? lost : nil
    }

    private mutating func spentBudget(_ id: MemberID, at now: Instant) -> HoldReason? {
        // A record from the future (the wall clock was set back) counts as of now: doubt saves the budget.
        let wall = wallTime(now)
        ledger.reseeds.removeAll { wall - $0.at >= .seconds(86_400) }
        let own = ledger.reseeds.count { $0.member == id && wall - $0.at < .seconds(3600) }
        guard own < policy.reseed.perMemberPerHour else { return .budgetSpent(id, count: own, isOfOneMember: true) }
        guard ledger.reseeds.count < policy.reseed.perDay else {
            return .budgetSpent(id, count: ledger.reseeds.count, isOfOneMember: false)
        }
        return nil
    }
}
