import EnsembleBase

/// Which workflow may take its next step: nobody else asks for the lock, the quorum, the budget or a person's pause.
extension OperatorMachine {
    /// Why no member may be taken out of service for an operation now; nil when `member` may be.
    mutating func objection(
        toDisrupting member: MemberID, acceptOutage: Bool = false, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        guard termination == nil else { return .stopping }
        if intents.pausedSince != nil { return .paused }
        // S5: a lost member being brought back is a disruption already.
        if let reseed = intents.reseed { return .reseedRunning(reseed.member) }
        // One that a person wants reseeded is whole until then, and may wait for the very backup that `member` is to give.
        for lost in candidatesForReseed where lost.member != member {
            if case .askedFor = lost.reason {} else { return .memberNotParticipating(lost.member) }
        }
        if let reason = QuorumGate(observed, at: now).objection(toDisrupting: member, acceptOutage: acceptOutage) {
            return reason
        }
        // The barrier and the lock need a quorum, which the person has given up.
        if acceptOutage { return nil }
        if let reason = objectionOfReturn(besides: member, at: now, into: &actions) { return reason }
        return objectionOfLock(at: now, into: &actions)
    }

    /// S4: the step that took it out of service is given up, and it comes back by itself. The intents are written by the caller.
    mutating func awaitReturn(of id: MemberID) {
        intents.returning = id
        // What was asked for before says nothing of it.
        returnBarrier = Barrier()
    }

    /// S4: nil when the member that was stopped in vain is back and has what was committed, or is beyond coming back by itself.
    mutating func objectionOfReturn(
        besides member: MemberID? = nil, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        guard let id = intents.returning, id != member else { return nil }
        if isComing(id) {
            // What is about to end serves for a moment longer, and is asked nothing (seed 3409 of `asksToStop`).
            guard supervisor(id)?.state == .running, !isPerhapsEnding(id, at: now) else { return .memberNotParticipating(id) }
            var barrier = returnBarrier
            let reason = barrier.objection(toCounting: id, in: &self, at: now, into: &actions)
            returnBarrier = barrier
            if let reason { return reason }
        }
        intents.returning = nil
        saveIntents(into: &actions)
        return nil
    }

    /// An earlier daemon's signal may have reached it.
    private func isPerhapsEnding(_ id: MemberID, at now: Instant) -> Bool {
        running.contains { $0.id == id && $0.isAdopted && $0.launchedAt.map { now - $0 < policy.stopTimeout } ?? true }
    }

    /// Whether it is out of service by somebody's wish, or comes back from that.
    package func isOutByPlan(_ id: MemberID) -> Bool {
        if isKeptDown(id) || intents.returning == id { return true }
        switch intents.operation?.workflow.claim {
        case .member(let disrupted): return disrupted == id
        case .cluster: return true
        case .nothing, nil: return false
        }
    }

    private func isComing(_ id: MemberID) -> Bool {
        guard policy.members.contains(id), !isLost(id), !ledger.stoppedByPerson.contains(id) else { return false }
        if case .gaveUp = supervisor(id)?.state { return false }
        return true
    }
}
