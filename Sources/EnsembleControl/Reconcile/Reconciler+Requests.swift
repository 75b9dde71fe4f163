import EnsembleBase

/// What a person asks for. A request is refused at once or written down as an operation; what is missing for it then
/// holds it, and is named.
extension ReconcilerStateMachine {
    mutating func answer(
        _ request: OperatorRequest, id: String, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        if let error = refusal(of: request) ?? refusalByPause(of: request) ?? refusalByQuorum(of: request, at: now) {
            return actions.append(.answer(request: id, .refused(error)))
        }
        switch request {
        case .start(let member):
            ledger.stoppedByPerson.removeAll { $0 == member }
            saveLedger(into: &actions)
            signal(member, .revived, at: now, into: &actions)
            startsAskedFor.append(AskedStart(member: member, operation: id))
        case .stop(let member, let accept):
            begin(Operation(id: id, kind: .stopMember(member, acceptOutage: accept)), at: now, into: &actions)
        case .restart(let member, let accept):
            roll([member], "asked for by a person", acceptOutage: accept, id: id, at: now, into: &actions)
        case .restartRolling(let reason, let accept):
            roll(policy.members, reason, acceptOutage: accept, id: id, at: now, into: &actions)
        case .reseed(let member):
            // S9: kept over the daemon's end, like every operation.
            if var reseed = intents.reseed, reseed.member == member {
                // Given up by the daemon (`isRefused`), and taken up again.
                (reseed.attempt, reseed.operation) = (0, id)
                intents.reseed = reseed
            } else {
                intents.reseedsAskedFor.append(AskedReseed(member: member, operation: id))
            }
            saveIntents(into: &actions)
        case .backup(.cold, let member):
            begin(Operation(id: id, kind: .coldBackup(ColdBackup(member: member))), at: now, into: &actions)
        case .backup(.live, let member):
            if let reason = beginCapture(of: member, operation: id, at: now, into: &actions) {
                let error = ControlError(
                    .held, "no backup can be taken now: \(reason.description)",
                    remedy: "ask again when the ensemble serves", missingCondition: reason.description)
                return actions.append(.answer(request: id, .refused(error)))
            }
        case .verify(let backup):
            beginVerification(of: backup, operation: id, at: now, into: &actions)
        case .restore(let backup):
            var restore = Restore(backup: backup, acceptedEpoch: epochAboveAll(backup))
            // What another one has begun isn't left half done while this backup is read.
            if case .restore(let former) = intents.operation?.kind, former.hasBegun { restore.phase = .stopping }
            if let former = intents.operation {
                record(former.id, former.title, failure: "a restore of backup \(backup.id) replaced it")
                // Perhaps this backup can't be read, and nothing is restored (operated seed 2970).
                if let disrupted = former.disrupted { awaitReturn(of: disrupted) }
            }
            clock.failure = nil
            begin(Operation(id: id, kind: .restore(restore)), at: now, into: &actions)
        case .cancel(let operation):
            if let error = cancel(operation, at: now, into: &actions) {
                return actions.append(.answer(request: id, .refused(error)))
            }
        case .pause: pause(at: now, into: &actions)
        case .resume: resume(into: &actions)
        }
        actions.append(.answer(request: id, .accepted))
    }

    /// Members that a changed manifest concerns, restarted one at a time.
    package mutating func roll(
        _ members: [MemberID], _ reason: String, acceptOutage: Bool, ofCutOff: Bool = false, id: String, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        let wanted = members.filter { !ledger.stoppedByPerson.contains($0) }
        let rolling = RollingRestart(members: wanted, reason: reason, acceptOutage: acceptOutage, ofCutOff: ofCutOff)
        begin(Operation(id: id, kind: .rolling(rolling)), at: now, into: &actions)
    }

    private func refusal(of request: OperatorRequest) -> ControlError? {
        guard termination == nil else {
            return ControlError(.notReady, "the daemon is stopping", remedy: "ask the next daemon")
        }
        guard isAwake else {
            return ControlError(.notReady, "the daemon is looking for its members", remedy: "ask again in a moment")
        }
        switch request {
        case .start(let member), .stop(let member, _), .restart(let member, _), .reseed(let member),
            .backup(_, member: .some(let member)):
            guard policy.members.contains(member) else {
                return ControlError(
                    .notFound, "the cluster has no member \(member)",
                    remedy: "its members are \(policy.members.map { "\($0)" }.joined(separator: ", "))")
            }
        case .restartRolling, .backup(_, member: nil), .verify, .restore, .cancel, .pause, .resume: break
        }
        switch request {
        case .start, .cancel, .pause, .resume: return nil
        case .reseed(let member):
            let isAsked = intents.reseedsAskedFor.contains { $0.member == member }
            let isAtWork = intents.reseed.map { $0.member == member && !isRefused($0) } ?? false
            return isAsked || isAtWork ? busy("a reseed of member \(member)") : nil
        case .backup(.live, _), .verify: return archiveWork.map { busy("a \($0.title)") }
        case .restore:
            // S6: retention may be about to remove the very backup. It is over in a moment.
            guard clock.pruneEffect == nil else { return busy("the removal of old backups") }
            // A restore is the way out when an operation can't go on, also when that is a restore of a backup that
            // turns out to be unusable. One that goes on is not replaced, nor one that is trying again: two effects
            // would write into one directory.
            guard case .restore = intents.operation?.kind else { return nil }
            return clock.failure == nil || clock.operationEffect != nil ? busy("a restore") : nil
        case .stop, .restart, .restartRolling, .backup(.cold, _):
            return intents.operation.map { busy($0.title) }
        }
    }

    /// S4: a step that a person asks for is voluntary as well, and one that would break the quorum is refused at once
    /// rather than kept waiting, so that the person may say that an outage is meant. The word is given with the request
    /// and counts for it alone.
    private func refusalByQuorum(of request: OperatorRequest, at now: Instant) -> ControlError? {
        let members: [MemberID]
        let unbreakable = policy.voters.count > 2
        switch request {
        case .stop(let id, acceptOutage: false), .restart(let id, acceptOutage: false):
            // A member without a process has nothing to disrupt.
            guard supervisor(id)?.state.mayHaveProcess == true else { return nil }
            members = [id]
        case .restartRolling(_, acceptOutage: false):
            // With more voters it waits for its moment, as every plan does.
            members = unbreakable ? [] : policy.members
        case .backup(.cold, _):
            guard !unbreakable else { return nil }
            return ControlError(
                .refused, "a cold backup stops a member, and this ensemble of \(policy.voters.count) can't go on without it",
                remedy: "take a live one: ensemblectl backup create --mode live")
        case .start, .stop, .restart, .restartRolling, .reseed, .backup, .verify, .restore, .cancel, .pause, .resume: return nil
        }
        let gate = QuorumGate(observed, at: now)
        guard let reason = members.lazy.compactMap({ gate.objection(toDisrupting: $0) }).first else { return nil }
        let remedy = "accept that clients are not served meanwhile by --accept-outage"
        return unbreakable
            ? ControlError(
                .held, "the ensemble would not go on serving without that member",
                remedy: "ask again when the condition holds, or \(remedy)", missingCondition: reason.description)
            : ControlError(
                .refused, "an ensemble of \(policy.voters.count) voters can't go on without any of them", remedy: remedy)
    }

    private func busy(_ what: String) -> ControlError {
        ControlError(.busy, "\(what) is under way", remedy: "wait for it, or cancel it: ensemblectl status shows what it does")
    }
}
