import EnsembleBase

/// Multi-step operations: what all of them share.
extension ReconcilerStateMachine {
    mutating func advanceOperation(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        guard termination == nil else { return }
        if intents.operation == nil { rollOutdated(at: now, into: &actions) }
        guard let operation = intents.operation else { return }
        if clock.phaseSince == nil { clock.phaseSince = now }
        switch operation.kind {
        case .rolling(let rolling): advance(rolling, of: operation, at: now, into: &actions)
        case .stopMember(let id, let accept): advanceStop(of: id, acceptOutage: accept, operation, at: now, into: &actions)
        case .coldBackup(let cold): advance(cold, of: operation, at: now, into: &actions)
        case .restore(let restore): advance(restore, of: operation, at: now, into: &actions)
        }
    }

    /// Members that run with other settings than the manifest has now (a reload, or a daemon that was started with a
    /// changed manifest) are restarted one at a time, by the same plan and gates as for a person.
    private mutating func rollOutdated(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        let outdated = policy.members.filter { isOutdated($0) }
        guard !outdated.isEmpty, intents.reseed == nil, observed.hasQuorum(at: now) else { return }
        let why = "the manifest changed their settings"
        // It would be the one operation that is at work, and wait.
        guard intents.pausedSince == nil else { return hold("restart of members with changed settings", .paused) }
        guard policy.voters.count > 2 else {
            // S4 can never be met here, and no person has accepted the outage.
            let remedy = "this ensemble stops serving while a member restarts: ensemblectl restart --rolling --accept-outage"
            return hold("restart of members with changed settings", .needsPerson(remedy))
        }
        roll(outdated, why, acceptOutage: false, id: "roll-" + newIdentity().prefix(12), at: now, into: &actions)
    }

    /// Whether the member's process was started with other settings than the manifest declares now.
    package func isOutdated(_ id: MemberID) -> Bool {
        guard supervisor(id)?.state == .running,
            let own = running.first(where: { $0.id == id })?.fingerprint,
            let wanted = fingerprints.first(where: { $0.member == id })?.fingerprint
        else { return false }
        return own != wanted
    }

    mutating func begin(_ operation: Operation, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        actions.append(.note(Note(.information, .operationStarted, "\(operation.title) begins")))
        enter(operation.kind, of: operation, at: now, into: &actions)
    }

    /// S9: the new phase is written down, then its actions follow.
    mutating func enter(
        _ kind: Operation.Kind, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        intents.operation = Operation(id: operation.id, kind: kind)
        clock.phaseSince = now
        clock.operationEffect = nil
        clock.barrier = nil
        clock.barrierEffect = nil
        clock.retryAt = nil
        saveIntents(into: &actions)
        // What the phase keeps down or lets up.
        driveMembers(at: now, into: &actions)
        advanceOperation(at: now, into: &actions)
    }

    mutating func end(
        _ operation: Operation, failure: String? = nil, backup: String? = nil, result: String = "",
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        intents.operation = nil
        clock.operationEnded()
        saveIntents(into: &actions)
        record(operation.id, operation.title, failure: failure, backup: backup, result: result)
        if let failure {
            actions.append(.note(Note(.error, .operationFailed, "\(operation.title) failed: \(failure)")))
        } else {
            actions.append(.note(Note(.information, .operationFinished, "\(operation.title) is done")))
        }
    }

    /// - Parameter result: a sentence on what came of it.
    mutating func record(
        _ id: String, _ title: String, failure: String? = nil, backup: String? = nil, result: String = ""
    ) {
        outcomes.append(OperationOutcome(id: id, title: title, failure: failure, backup: backup, result: result))
        if outcomes.count > 64 { outcomes.removeFirst(outcomes.count - 64) }
    }

    mutating func finished(
        _ token: EffectToken, _ outcome: EffectOutcome, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        if token == lock.asked { return lockFinished(outcome, at: now) }
        if token == clock.pruneEffect { return pruneFinished(outcome, into: &actions) }
        if token == clock.reseedEffect { return reseedEffectFinished(outcome, at: now, into: &actions) }
        if token == clock.reseedBarrierEffect {
            clock.reseedBarrierEffect = nil
            if case .barrier(let zxid) = outcome { clock.reseedBarrier = (zxid, now) } else { clock.reseedRetryAt = now + policy.retry }
            return
        }
        if token == clock.barrierEffect {
            clock.barrierEffect = nil
            if case .barrier(let zxid) = outcome { clock.barrier = zxid } else { clock.retryAt = now + policy.retry }
            return
        }
        if let work = archiveWork, token == work.effect { return archiveEffectFinished(work, outcome, at: now, into: &actions) }
        guard token == clock.operationEffect, let operation = intents.operation else { return }
        clock.operationEffect = nil
        switch operation.kind {
        case .coldBackup(let cold): effectFinished(cold, outcome, of: operation, at: now, into: &actions)
        case .restore(let restore): effectFinished(restore, outcome, of: operation, at: now, into: &actions)
        case .stopMember, .rolling: break
        }
    }

    /// Whether `id` participates and has everything up to a transaction that was committed after it came back.
    mutating func hasPassedBarrier(
        _ id: MemberID, title: String, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) -> Bool {
        guard observed.participates(id, at: now), let answer = observed.freshAnswer(of: id, at: now) else {
            hold(title, member: id, .memberNotParticipating(id))
            return false
        }
        guard let barrier = clock.barrier else {
            if clock.barrierEffect == nil, clock.retryAt.map({ now >= $0 }) ?? true {
                let token = token()
                clock.barrierEffect = token
                actions.append(.writeBarrier(token))
            }
            hold(title, member: id, .waitingForBarrier(id))
            return false
        }
        guard answer.zxid >= barrier else {
            hold(title, member: id, .memberLags(id, by: barrier - answer.zxid))
            return false
        }
        return true
    }

    // MARK: Stopping one member for a person

    private mutating func advanceStop(
        of id: MemberID, acceptOutage: Bool, _ operation: Operation, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        if !ledger.stoppedByPerson.contains(id) {
            // S4, S5
            if let reason = objection(toDisrupting: id, acceptOutage: acceptOutage, at: now, into: &actions) {
                return hold(operation.title, member: id, reason)
            }
            ledger.stoppedByPerson.append(id)
            ledger.stoppedByPerson.sort()
            saveLedger(into: &actions)
            driveMembers(at: now, into: &actions)
        }
        guard supervisor(id)?.state.mayHaveProcess == false else { return }
        end(operation, into: &actions)
    }
}
