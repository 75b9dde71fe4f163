import EnsembleBase

/// The rolling restart. Invariant: never is a participating member taken out while an earlier one has not rejoined;
/// when one doesn't come back the roll stands still and says so, for as long as it takes (S10).
extension ReconcilerStateMachine {
    mutating func advance(
        _ rolling: RollingRestart, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        switch rolling.phase {
        case .choosing: choose(rolling, of: operation, at: now, into: &actions)
        case .reconsidering(let id): reconsider(rolling, id, of: operation, at: now, into: &actions)
        case .stopping(let id):
            guard supervisor(id)?.state.mayHaveProcess == false else { return }
            enter(rolling, .joining(id), of: operation, at: now, into: &actions)
        case .joining(let id):
            guard hasPassedBarrier(id, title: operation.title, at: now, into: &actions) else { return }
            enter(rolling, .soaking(id), of: operation, at: now, into: &actions)
        case .soaking(let id): soak(rolling, id, of: operation, at: now, into: &actions)
        }
    }

    private mutating func enter(
        _ rolling: RollingRestart, _ phase: RollingRestart.Phase, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        var next = rolling
        next.phase = phase
        enter(.rolling(next), of: operation, at: now, into: &actions)
    }

    private mutating func choose(
        _ rolling: RollingRestart, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        // The leader is read here, before each step: it may have changed with the last one.
        guard let choice = RollingOrder.next(of: rolling.remaining, in: observed, engine: policy.engine, at: now) else {
            return end(operation, into: &actions)
        }
        let id = choice.member
        // S11: what was concluded from its silence is no reason when it is heard, however long this has waited for its turn.
        if rolling.ofCutOff == true {
            let verdict = observed.verdict(on: id, within: policy.verdictBounds, at: now)
            switch verdict.kind {
            case .cutOff: break
            case .unknown: return hold(operation.title, member: id, .verdictOpen(id, verdict.reason))
            case .alive, .frozen, .dead: return end(operation, result: "not restarted: \(verdict.reason.description)", into: &actions)
            }
        }
        // S4, S5
        if let reason = objection(toStep: id, of: rolling, at: now, into: &actions) {
            return hold(operation.title, member: id, reason)
        }
        actions.append(.note(Note(.information, .operationStep, member: id, "restarted now: \(choice.reason)")))
        enter(rolling, .stopping(id), of: operation, at: now, into: &actions)
    }

    /// S4, S5: for this member and no other, since it may be about to end.
    private mutating func reconsider(
        _ rolling: RollingRestart, _ id: MemberID, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        let isOver = running.contains { $0.id == id && !$0.isAdopted }
        if isOver || supervisor(id)?.state.mayHaveProcess == false {
            return enter(rolling, .joining(id), of: operation, at: now, into: &actions)
        }
        if let reason = objection(toStep: id, of: rolling, at: now, into: &actions) {
            return hold(operation.title, member: id, reason)
        }
        enter(rolling, .stopping(id), of: operation, at: now, into: &actions)
    }

    /// A step may have waited for long, and for another daemon: what was whole then, one that had its turn, may have dropped
    /// out since (operated seed 2083). Perhaps for what it was restarted with.
    private mutating func objection(
        toStep id: MemberID, of rolling: RollingRestart, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) -> HoldReason? {
        let isDone = { (done: MemberID) in rolling.members.contains(done) && !rolling.remaining.contains(done) && done != id }
        if let away = policy.members.first(where: {
            isDone($0) && !ledger.stoppedByPerson.contains($0) && !observed.participates($0, at: now)
        }) { return .memberNotParticipating(away) }
        return objection(toDisrupting: id, acceptOutage: rolling.acceptOutage, at: now, into: &actions)
    }

    private mutating func soak(
        _ rolling: RollingRestart, _ id: MemberID, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard observed.participates(id, at: now) else {
            return enter(rolling, .joining(id), of: operation, at: now, into: &actions)
        }
        guard let since = clock.phaseSince, now - since >= policy.restart.soak else {
            return hold(operation.title, member: id, .soaking(id))
        }
        var next = rolling
        next.remaining.removeAll { $0 == id }
        enter(next, .choosing, of: operation, at: now, into: &actions)
    }

    /// What a rolling restart would do now, for `--dry-run`.
    package func planOfRollingRestart(
        _ members: [MemberID], reason: String, acceptOutage: Bool = false, at now: Instant
    ) -> Plan {
        let order = RollingOrder.ordered(members, in: observed, engine: policy.engine, at: now)
        let gate = QuorumGate(observed, at: now)
        var steps: [PlanStep] = []
        for (index, choice) in order.enumerated() {
            // Later steps are judged when their turn comes; what holds the first holds them all.
            var held = index == 0 ? gate.objection(toDisrupting: choice.member, acceptOutage: acceptOutage) : nil
            if index == 0, let reseed = intents.reseed { held = .reseedRunning(reseed.member) }
            if index == 0, let operation = intents.operation { held = .operationRunning(operation.title) }
            steps.append(
                PlanStep(
                    member: choice.member, action: "restart member \(choice.member)", reason: choice.reason,
                    heldBack: held))
            steps.append(
                PlanStep(
                    member: choice.member, action: "wait until member \(choice.member) participates without lag",
                    reason: "the next member may go only when this one is whole (soak \(policy.restart.soak))"))
        }
        return Plan(title: "rolling restart: \(reason)", steps: steps)
    }
}
