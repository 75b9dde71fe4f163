import EnsembleBase

/// What a person asks for. A request is refused at once or written down as an operation; what is missing for it then
/// holds it, and is named.
extension OperatorMachine {
    mutating func answer(
        _ request: OperatorRequest, id: String, by user: UInt32?, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        if let error = refusal(of: request) ?? refusalByPause(of: request) ?? refusalByQuorum(of: request, at: now) {
            return actions.append(.answer(request: id, .refused(error)))
        }
        let title = title(of: request)
        history.began(id, title, by: user, at: wallTime(now))
        if let error = carryOut(request, id: id, at: now, into: &actions) {
            history.forget(id)
            return actions.append(.answer(request: id, .refused(error)))
        }
        switch request {
        case .cancel, .pause, .resume: history.ended(id, title, Ending(), at: wallTime(now))
        case .start, .stop, .restart, .restartRolling, .reseed, .backup, .verify, .restore: break
        }
        // Whoever is told that it is accepted finds it, whatever becomes of this daemon.
        actions.append(.saveHistory(history))
        actions.append(.answer(request: id, .accepted))
    }

    private func title(of request: OperatorRequest) -> String {
        switch request {
        case .start(let id): "start of member \(id)"
        case .stop(let id, _): "stop of member \(id)"
        case .restart(let id, _): "restart of member \(id)"
        case .reseed(let id): HoldSubject.reseed(of: id).text
        case .restartRolling: "rolling restart"
        case .backup(.live, _): "backup"
        case .backup(.cold, _): "cold backup"
        case .verify(let backup): "verification of backup \(backup)"
        case .restore(let backup): "restore of backup \(backup.id)"
        case .cancel(let id): "cancellation of \(history[id]?.title ?? id)"
        case .pause: "pause"
        case .resume: "end of the pause"
        }
    }

    /// - Returns: why it is refused after all.
    private mutating func carryOut(
        _ request: OperatorRequest, id: String, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> ControlError? {
        switch request {
        case .start(let member):
            ledger.stoppedByPerson.removeAll { $0 == member }
            saveLedger(into: &actions)
            signal(member, .revived, at: now, into: &actions)
            startsAskedFor.append(AskedStart(member: member, operation: id))
        case .stop(let member, let accept):
            begin(Operation(id: id, StopMember(member: member, acceptOutage: accept)), at: now, into: &actions)
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
            begin(Operation(id: id, ColdCapture(member: member)), at: now, into: &actions)
        case .backup(.live, let member):
            if let reason = beginCapture(of: member, operation: id, at: now, into: &actions) {
                return ControlError(
                    .held, "no backup can be taken now: \(reason.description)",
                    remedy: "ask again when the ensemble serves", missingCondition: reason.description)
            }
        case .verify(let backup):
            let named = BackupReference(id: backup, endZxid: 0, acceptedEpoch: 0, takenAt: WallTime(milliseconds: 0))
            beginVerification(of: named, operation: id)
        case .restore(let backup): unheardRestore = UnheardRestore(id: id, backup: backup, since: now)
        case .cancel(let operation):
            return cancel(operation, at: now, into: &actions)
        case .pause: pause(at: now, into: &actions)
        case .resume: resume(into: &actions)
        }
        return nil
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
            guard unheardRestore == nil else { return busy("a restore") }
            // S6: retention may be about to remove the very backup. It is over in a moment.
            guard pruning == nil else { return busy("the removal of old backups") }
            // A restore is the way out when an operation can't go on, also when that is a restore of a backup that
            // turns out to be unusable.
            let own = waits[Seat.operation.rawValue]
            return intents.operation.flatMap { $0.workflow.yieldsToRestore(own) ? nil : busy("a restore") }
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

    // MARK: What is answered before it begins

    /// A restore throws away what was written since its backup. Whoever asked for it, and gave up before he was answered, may
    /// have gone another way since (issue 9, B28): it begins when the answer is on its way, or not at all. Nothing of it is
    /// written down as a step before, so that no later daemon begins it either.
    struct UnheardRestore: Sendable {
        /// An answer takes a moment; what took longer was lost on its way here.
        static let patience: Duration = .seconds(10)

        var id: String
        var backup: BackupReference
        var since: Instant
    }

    mutating func answerEnded(
        _ id: String, isDelivered: Bool, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard let asked = unheardRestore, asked.id == id else { return }
        unheardRestore = nil
        let request = OperatorRequest.restore(asked.backup)
        guard isDelivered else { return giveUp(asked, "whoever asked was gone before the answer", at: now, into: &actions) }
        // What stood against it a moment ago may be another thing now.
        if let error = refusal(of: request) ?? refusalByPause(of: request) {
            return giveUp(asked, error.message, at: now, into: &actions)
        }
        beginRestore(of: asked.backup, id: id, at: now, into: &actions)
    }

    /// Asked at the beginning of each step: a word that comes later finds nothing.
    mutating func giveUpUnheardRestore(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard let asked = unheardRestore, now - asked.since >= UnheardRestore.patience else { return }
        unheardRestore = nil
        giveUp(asked, "its answer took too long", at: now, into: &actions)
    }

    private mutating func giveUp(
        _ asked: UnheardRestore, _ why: String, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        let title = title(of: .restore(asked.backup))
        let ending = Ending(failure: "nothing was changed: \(why)")
        record(asked.id, title, ending, at: now, into: &actions)
        say(ending, of: title, into: &actions)
    }
}
