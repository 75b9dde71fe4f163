import EnsembleBase

/// The textbook's cold backup: a follower is stopped, its files are copied, and it is started again.
extension ReconcilerStateMachine {
    mutating func advance(
        _ cold: ColdBackup, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        switch cold.phase {
        case .choosing:
            if let id = cold.member, isLost(id) {
                var next = cold
                next.failure = "the data of member \(id) is lost"
                return finish(next, of: operation, at: now, into: &actions)
            }
            let leader = observed.leader(at: now).map { [$0] } ?? []
            guard let id = cold.member ?? sourceForCapture(besides: leader, at: now) else {
                return hold(operation.title, .noSource)
            }
            // S1, S7: the copy ends at a committed transaction that the member has, as a live one does; what it
            // writes until it stops is left out.
            guard hasPassedBarrier(id, title: operation.title, at: now, into: &actions), let barrier = clock.barrier else {
                return
            }
            // S4, S5: the textbook's cold backup stops a member, so it asks as a restart does.
            if let reason = objection(toDisrupting: id, at: now, into: &actions) {
                return hold(operation.title, member: id, reason)
            }
            var next = cold
            next.member = id
            next.upTo = barrier
            next.phase = .stopping
            enter(.coldBackup(next), of: operation, at: now, into: &actions)
        case .stopping:
            guard let id = cold.member, supervisor(id)?.state.mayHaveProcess == false else { return }
            var next = cold
            next.phase = .copying
            enter(.coldBackup(next), of: operation, at: now, into: &actions)
            let token = token()
            clock.operationEffect = token
            actions.append(.capture(id, .cold, upTo: cold.upTo, token))
        case .copying:
            // S9: a daemon that takes over in this phase has no effect under way: the copy is given up.
            guard clock.operationEffect == nil, clock.phaseSince.map({ now - $0 >= policy.retry }) ?? false else { return }
            var next = cold
            next.phase = .joining
            next.failure = "the daemon ended while the files were copied"
            enter(.coldBackup(next), of: operation, at: now, into: &actions)
        case .joining where cold.isCancelled == true:
            if let id = cold.member { awaitReturn(of: id) }
            intents.operation = nil
            clock.operationEnded()
            saveIntents(into: &actions)
            let copy = cold.taken.map { "backup \($0.id) was taken, and nobody has verified it" }
            recordCancelled(operation.id, operation.title, copy ?? "nothing was copied", into: &actions)
        case .joining:
            // A member whose data is lost comes back by a reseed, which may need this very backup.
            guard let id = cold.member,
                isLost(id) || hasPassedBarrier(id, title: operation.title, at: now, into: &actions)
            else { return }
            // S7: its verification follows at once; a backup that nobody verifies is never used.
            if let work = archiveWork { return hold(operation.title, .operationRunning(work.title)) }
            finish(cold, of: operation, at: now, into: &actions)
        }
    }

    mutating func effectFinished(
        _ cold: ColdBackup, _ outcome: EffectOutcome, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard cold.phase == .copying else { return }
        var next = cold
        next.phase = .joining
        switch outcome {
        case .captured(let reference): next.taken = reference
        case .failed(let why): next.failure = why
        case .done, .barrier, .seeded: next.failure = "the copy was not made"
        }
        enter(.coldBackup(next), of: operation, at: now, into: &actions)
    }

    private mutating func finish(
        _ cold: ColdBackup, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        end(operation, failure: cold.failure, backup: cold.taken?.id, into: &actions)
        if let failure = cold.failure { backupFailed("\(operation.title): \(failure)", member: cold.member, into: &actions) }
        guard policy.verifiesBackups, let taken = cold.taken, let member = cold.member else { return }
        let token = token()
        archiveWork = ArchiveWork(
            title: "verification of backup \(taken.id)", member: member, since: now, phase: .verifying(token), backup: taken)
        actions.append(.verify(backup: taken.id, token))
    }
}
