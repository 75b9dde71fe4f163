import EnsembleBase

/// The rolling restart. Invariant: never is a participating member taken out while an earlier one has not rejoined;
/// when one doesn't come back the roll stands still and says so, for as long as it takes (S10).
package struct Roll: Workflow {
    package static let kind = "rolling"

    package enum Phase: Sendable, Hashable, Codable {
        /// → stopping, done
        case choosing
        /// The daemon died when this member was to stop, and it lives: whether SIGTERM has reached it is not known. Asked anew
        /// for it alone. → stopping, or joining when it ends by itself
        case reconsidering(MemberID)
        /// → joining
        case stopping(MemberID)
        /// → soaking
        case joining(MemberID)
        /// → choosing; joining when it drops out
        case soaking(MemberID)

        package var member: MemberID? {
            switch self {
            case .choosing, .reconsidering: nil
            case .stopping(let id), .joining(let id), .soaking(let id): id
            }
        }

        package var description: String {
            switch self {
            case .choosing: "choosing the next member"
            case .reconsidering(let id): "deciding anew on member \(id)"
            case .stopping(let id): "stopping member \(id)"
            case .joining(let id): "waiting until member \(id) participates without lag"
            case .soaking(let id): "watching member \(id) for a while"
            }
        }
    }

    package var members: [MemberID]
    package var remaining: [MemberID]
    package var reason: String
    package var phase: Phase = .choosing
    /// A person accepts that the ensemble stops serving meanwhile (S4).
    package var acceptOutage: Bool
    /// The daemon's own idea of a member that takes part and can't be reached; nil in files of before this was known.
    package var ofCutOff: Bool?

    package init(members: [MemberID], reason: String, acceptOutage: Bool, ofCutOff: Bool = false) {
        self.ofCutOff = ofCutOff
        self.members = members
        remaining = members
        self.reason = reason
        self.acceptOutage = acceptOutage
    }

    package var title: String { members.count == 1 ? "restart of member \(members[0])" : "rolling restart" }
    package var step: String { phase.description }
    package var progress: (done: Int64, total: Int64)? { (Int64(members.count - remaining.count), Int64(members.count)) }
    package var claim: Claim { phase.member.map(Claim.member) ?? .nothing }
    package func keepsDown(_ id: MemberID) -> Bool { phase == .stopping(id) }

    package mutating func advance(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        switch phase {
        case .choosing: return choose(in: &machine, at: now, into: &actions)
        case .reconsidering(let id): return reconsider(id, in: &machine, at: now, into: &actions)
        case .stopping(let id):
            guard machine.supervisor(id)?.state.mayHaveProcess == false else { return .waits(nil) }
            return move(to: .joining(id))
        case .joining(let id):
            if let reason = waits.objection(toReturnOf: id, in: &machine, at: now, into: &actions) {
                return .waits(reason, member: id)
            }
            return move(to: .soaking(id))
        case .soaking(let id):
            guard machine.observed.participates(id, at: now) else { return move(to: .joining(id)) }
            guard let since = waits.since, now - since >= machine.policy.restart.soak else {
                return .waits(.soaking(id), member: id)
            }
            remaining.removeAll { $0 == id }
            return move(to: .choosing)
        }
    }

    private mutating func move(to next: Phase) -> WorkflowStep {
        phase = next
        return .moved
    }

    private mutating func choose(
        in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        // The leader is read here, before each step: it may have changed with the last one.
        guard let choice = RollingOrder.next(of: remaining, in: machine.observed, engine: machine.policy.engine, at: now) else {
            return .ended(Ending())
        }
        let id = choice.member
        // S11: what was concluded from its silence is no reason when it is heard, however long this has waited for its turn.
        if ofCutOff == true {
            let verdict = machine.observed.verdict(on: id, within: machine.policy.verdictBounds, at: now)
            switch verdict.kind {
            case .cutOff: break
            case .unknown: return .waits(.verdictOpen(id, verdict.reason), member: id)
            case .alive, .frozen, .dead: return .ended(Ending(result: "not restarted: \(verdict.reason.description)"))
            }
        }
        // S4, S5
        if let reason = objection(toStep: id, in: &machine, at: now, into: &actions) { return .waits(reason, member: id) }
        actions.append(.note(Note(.information, .operationStep, member: id, "restarted now: \(choice.reason)")))
        return move(to: .stopping(id))
    }

    /// S4, S5: for this member and no other, since it may be about to end.
    private mutating func reconsider(
        _ id: MemberID, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        let isOver = machine.running.contains { $0.id == id && !$0.isAdopted }
        if isOver || machine.supervisor(id)?.state.mayHaveProcess == false { return move(to: .joining(id)) }
        if let reason = objection(toStep: id, in: &machine, at: now, into: &actions) { return .waits(reason, member: id) }
        return move(to: .stopping(id))
    }

    /// A step may have waited for long, and for another daemon: what was whole then, one that had its turn, may have dropped
    /// out since (operated seed 2083). Perhaps for what it was restarted with.
    private func objection(
        toStep id: MemberID, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        let isDone = { (done: MemberID) in members.contains(done) && !remaining.contains(done) && done != id }
        if let away = machine.policy.members.first(where: {
            isDone($0) && !machine.ledger.stoppedByPerson.contains($0) && !machine.observed.participates($0, at: now)
        }) { return .memberNotParticipating(away) }
        return machine.objection(toDisrupting: id, acceptOutage: acceptOutage, at: now, into: &actions)
    }

    package mutating func foundAlive(_ id: MemberID) {
        if phase == .stopping(id) { phase = .reconsidering(id) }
    }

    /// A member that was asked to stop starts again, as it would have; nobody behind it is taken.
    package mutating func cancel(_ waits: Waits, in machine: OperatorMachine) -> Cancellation {
        let outdated = remaining.filter { machine.isOutdated($0) }
        // `beginRollOfOutdated`
        guard outdated.isEmpty || machine.intents.pausedSince != nil else {
            return .impossible(
                "\(list(outdated)) have other settings than the manifest, so it would begin again; ensemblectl pause holds it")
        }
        let done = members.filter { !remaining.contains($0) }
        return .atOnce(returning: phase.member, came: done.isEmpty ? "" : "restarted before: \(list(done))")
    }

    private func list(_ members: [MemberID]) -> String {
        (members.count == 1 ? "member " : "members ") + members.map { "\($0)" }.joined(separator: ", ")
    }

    package func plan(in machine: OperatorMachine, at now: Instant) -> [PlanStep] {
        let current = phase.member
        var steps = members.filter { !remaining.contains($0) }.map {
            PlanStep(member: $0, action: "restart member \($0)", reason: reason, progress: .done)
        }
        if let current {
            steps.append(
                PlanStep(member: current, action: "restart member \(current)", reason: phase.description, progress: .running))
        }
        let next = RollingOrder.ordered(
            remaining.filter { $0 != current }, in: machine.observed, engine: machine.policy.engine, at: now)
        return steps + next.map { PlanStep(member: $0.member, action: "restart member \($0.member)", reason: $0.reason) }
    }
}

extension OperatorMachine {
    /// Members that are restarted one at a time: for a person, for a changed manifest, or one that can't be reached.
    package mutating func roll(
        _ members: [MemberID], _ reason: String, acceptOutage: Bool, ofCutOff: Bool = false, id: String, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        let wanted = members.filter { !ledger.stoppedByPerson.contains($0) }
        begin(Operation(id: id, Roll(members: wanted, reason: reason, acceptOutage: acceptOutage, ofCutOff: ofCutOff)), at: now, into: &actions)
    }

    /// Members that run with other settings than the manifest has now (a reload, or a daemon that was started with a
    /// changed manifest) are restarted one at a time, by the same plan and gates as for a person.
    mutating func beginRollOfOutdated(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard intents.operation == nil, termination == nil else { return }
        let outdated = policy.members.filter { isOutdated($0) }
        guard !outdated.isEmpty, intents.reseed == nil, observed.hasQuorum(at: now) else { return }
        // It would be the one operation that is at work, and wait.
        guard intents.pausedSince == nil else { return hold(.restartOfOutdated, .paused) }
        guard policy.voters.count > 2 else {
            // S4 can never be met here, and no person has accepted the outage.
            let remedy = "this ensemble stops serving while a member restarts: ensemblectl restart --rolling --accept-outage"
            return hold(.restartOfOutdated, .needsPerson(remedy))
        }
        let id = "roll-" + String(newIdentity().prefix(12))
        roll(outdated, "the manifest changed their settings", acceptOutage: false, id: id, at: now, into: &actions)
    }

    /// Whether the member's process was started with other settings than the manifest declares now.
    package func isOutdated(_ id: MemberID) -> Bool {
        guard supervisor(id)?.state == .running,
            let own = running.first(where: { $0.id == id })?.fingerprint,
            let wanted = fingerprints.first(where: { $0.member == id })?.fingerprint
        else { return false }
        return own != wanted
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
