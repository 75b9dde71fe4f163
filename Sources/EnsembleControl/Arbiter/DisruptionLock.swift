import EnsembleBase

/// S5: the ensemble's lock for disruptions, as far as the core knows of it.
struct DisruptionLock: Sendable {
    var asked: EffectToken?
    var askedAt: Instant?
    /// When the last question was asked that a quorum has answered.
    var provedAt: Instant?
    var mayBeHeld = false
    var failure: String?
    var retryAt: Instant?
}

extension OperatorMachine {
    /// S5: nil when the lock was proved to be held a moment ago; else it is asked for.
    mutating func objectionOfLock(
        at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        if let proved = lock.provedAt, now - proved <= policy.lockProof { return nil }
        if lock.asked == nil, lock.retryAt.map({ now >= $0 }) ?? true {
            let token = token()
            lock.asked = token
            lock.askedAt = now
            lock.mayBeHeld = true
            actions.append(.acquireLock(token))
        }
        return .lockNotHeld(lock.failure)
    }

    mutating func lockFinished(_ outcome: EffectOutcome, at now: Instant) {
        lock.asked = nil
        switch outcome {
        case .failed(let why):
            lock.provedAt = nil
            lock.failure = why
            lock.retryAt = now + policy.retry
        case .done, .barrier, .seeded, .captured:
            // Not when the answer came: a daemon that stood still in between reads it when the lock is long gone.
            lock.provedAt = lock.askedAt
            lock.failure = nil
            lock.retryAt = nil
        }
    }

    /// The lock is given back when nothing needs it: a person's command or another tool may.
    mutating func releaseIdleLock(into actions: inout ActionBuffer<OperatorAction>) {
        guard intents.operation == nil, intents.reseed == nil, candidatesForReseed.isEmpty else { return }
        guard lock.mayBeHeld, lock.asked == nil else { return }
        lock = DisruptionLock()
        actions.append(.releaseLock)
    }
}
