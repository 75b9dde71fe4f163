import EnsembleBase

/// What a workflow waits for in its present phase: not written down, begun anew by the next daemon.
package struct Waits: Sendable {
    /// Since when it is in this phase, under this daemon.
    var since: Instant?
    /// What it has begun and not heard of.
    var effect: EffectToken?
    /// Asked for in this phase.
    var barrier = Barrier()
    /// When a failed effect is tried again.
    private var retryAt: Instant?
    /// Why the latest effect failed, until one succeeds.
    private(set) var failure: String?

    /// What was asked for before says nothing of the new phase.
    mutating func enterPhase(at now: Instant) {
        since = now
        effect = nil
        barrier = Barrier()
        retryAt = nil
    }

    mutating func failed(_ why: String, tryAgainAt retry: Instant) {
        failure = why
        retryAt = retry
    }

    mutating func succeeded() { failure = nil }

    /// As `Barrier.objection`, of a member that this phase waits for: what was started a moment ago takes its time.
    mutating func objection(
        toReturnOf id: MemberID, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        guard let reason = barrier.objection(toCounting: id, in: &machine, at: now, into: &actions) else { return nil }
        return since.map { now - $0 < machine.policy.verdictBounds.start } ?? true ? .comesBack(id) : reason
    }

    /// Whether the phase's effect is to be begun now.
    func mayBegin(at now: Instant) -> Bool { effect == nil && (retryAt.map { now >= $0 } ?? true) }

    /// Begins the phase's effect, unless it is at work or has failed a moment ago.
    mutating func begin(
        in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>,
        _ action: (EffectToken) -> OperatorAction
    ) {
        guard mayBegin(at: now) else { return }
        let token = machine.token()
        effect = token
        actions.append(action(token))
    }
}

/// A transaction that a quorum commits, asked for once: whoever shows it has all that was acknowledged before.
struct Barrier: Sendable {
    private var effect: EffectToken?
    private var retryAt: Instant?
    /// Its zxid, and when it was known to have committed.
    private(set) var committed: (zxid: Int64, at: Instant)?

    mutating func request(
        in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard committed == nil, effect == nil, retryAt.map({ now >= $0 }) ?? true else { return }
        let token = machine.token()
        effect = token
        actions.append(.writeBarrier(token))
    }

    /// - Returns: whether it was this one's.
    mutating func takes(_ token: EffectToken, _ outcome: EffectOutcome, at now: Instant, retry: Duration) -> Bool {
        guard token == effect else { return false }
        effect = nil
        if case .barrier(let zxid) = outcome { committed = (zxid, now) } else { retryAt = now + retry }
        return true
    }

    /// Why `id` can't be said to take part with all that was committed before; nil when it can.
    mutating func objection(
        toCounting id: MemberID, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        guard machine.observed.participates(id, at: now), let answer = machine.observed.freshAnswer(of: id, at: now) else {
            return .memberNotParticipating(id)
        }
        guard let committed else {
            request(in: &machine, at: now, into: &actions)
            return .waitingForBarrier(id)
        }
        return answer.zxid >= committed.zxid ? nil : .memberLags(id, by: committed.zxid - answer.zxid)
    }
}
