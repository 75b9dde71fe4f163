import EnsembleBase

/// A capture of a running member: disrupts nobody, so that it needs neither the gate nor the lock.
struct LiveCapture: Sendable {
    var operation: String?
    var member: MemberID
    var effect: EffectToken
    var taken: BackupReference?
}

extension ReconcilerStateMachine {
    // MARK: Live

    mutating func backupDue(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        guard termination == nil, capture == nil, intents.operation == nil else { return }
        _ = beginCapture(of: nil, operation: nil, at: now, into: &actions)
    }

    /// Returns why it can't begin; nil when it did.
    mutating func beginCapture(
        of asked: MemberID?, operation: String?, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) -> HoldReason? {
        guard let source = asked ?? sourceForCapture(at: now), observed.participates(source, at: now) else {
            let reason = asked.map(HoldReason.memberNotParticipating) ?? .noSource
            actions.append(.note(Note(.warning, .backupFailed, "no backup was taken: \(reason.description)")))
            return reason
        }
        let token = token()
        capture = LiveCapture(operation: operation, member: source, effect: token)
        actions.append(.capture(source, .live, token))
        return nil
    }

    /// A follower without lag when there is one: the leader has enough to do.
    private func sourceForCapture(at now: Instant) -> MemberID? {
        let candidates = observed.participants(at: now).filter { intents.reseed?.member != $0 }
        let leader = observed.leader(at: now)
        return candidates.min { a, b in
            let (leads, other) = (a == leader, b == leader)
            if leads != other { return !leads }
            let (lag, otherLag) = (observed.lag(of: a, at: now) ?? .max, observed.lag(of: b, at: now) ?? .max)
            return lag != otherLag ? lag < otherLag : a < b
        }
    }

    mutating func captureFinished(
        _ outcome: EffectOutcome, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard var running = capture else { return }
        switch outcome {
        case .captured(let reference):
            // S7: it counts once it was read back.
            running.taken = reference
            running.effect = token()
            capture = running
            actions.append(.verify(backup: reference.id, running.effect))
        case .failed(let why):
            capture = nil
            actions.append(.note(Note(.error, .backupFailed, member: running.member, why)))
            if let id = running.operation { record(id, "backup", failure: why, backup: running.taken?.id) }
        case .done, .barrier, .seeded:
            capture = nil
            let id = running.taken?.id ?? ""
            actions.append(.note(Note(.information, .backupTaken, member: running.member, "backup \(id) is verified")))
            if let operation = running.operation { record(operation, "backup", failure: nil, backup: id) }
            actions.append(.prune)
        }
    }

    mutating func advanceCapture(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        if termination != nil { capture = nil }
    }

    // MARK: Cold

    mutating func advance(
        _ cold: ColdBackup, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        switch cold.phase {
        case .choosing:
            let leader = observed.leader(at: now)
            let followers = observed.participants(at: now).filter { $0 != leader }
            guard let id = cold.member ?? followers.first else { return hold(operation.title, .noSource) }
            // S4, S5: the textbook's cold backup stops a member, so it asks as a restart does.
            if let reason = objection(toDisrupting: id, at: now, into: &actions) {
                return hold(operation.title, member: id, reason)
            }
            var next = cold
            next.member = id
            next.phase = .stopping
            enter(.coldBackup(next), of: operation, at: now, into: &actions)
        case .stopping:
            guard let id = cold.member, supervisor(id)?.state.mayHaveProcess == false else { return }
            var next = cold
            next.phase = .copying
            enter(.coldBackup(next), of: operation, at: now, into: &actions)
            let token = token()
            clock.operationEffect = token
            actions.append(.capture(id, .cold, token))
        case .copying:
            // S9: a daemon that takes over in this phase has no effect under way: the copy is given up.
            guard clock.operationEffect == nil, clock.phaseSince.map({ now - $0 >= policy.retry }) ?? false else { return }
            var next = cold
            next.phase = .joining
            next.failure = "the daemon ended while the files were copied"
            enter(.coldBackup(next), of: operation, at: now, into: &actions)
        case .joining:
            guard let id = cold.member,
                hasPassedBarrier(id, title: operation.title, at: now, into: &actions)
            else { return }
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
        guard let taken = cold.taken, let member = cold.member, capture == nil else { return }
        let token = token()
        capture = LiveCapture(operation: nil, member: member, effect: token, taken: taken)
        actions.append(.verify(backup: taken.id, token))
    }
}
