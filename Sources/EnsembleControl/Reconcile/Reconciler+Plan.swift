import EnsembleBase

/// The plan that is at work, for `ensemblectl plan`: what was done, what is being done, what comes next and why.
extension ReconcilerStateMachine {
    /// Without steps when nothing is under way.
    package func planAtWork(at now: Instant) -> Plan {
        var steps: [PlanStep] = []
        if let reseed = intents.reseed { steps += plan(of: reseed) }
        switch intents.operation?.kind {
        case .rolling(let rolling): steps += plan(of: rolling, at: now)
        case .stopMember(let id, _):
            steps.append(
                PlanStep(
                    member: id, action: "stop member \(id)", reason: "asked for by a person", progress: .running,
                    heldBack: held(intents.operation?.title)))
        case .coldBackup(let cold): steps += plan(of: cold)
        case .restore(let restore): steps += plan(of: restore)
        case nil: break
        }
        for asked in intents.reseedsAskedFor {
            let title = "reseed of member \(asked.member)"
            steps.append(
                PlanStep(member: asked.member, action: title, reason: "asked for by a person", heldBack: held(title)))
        }
        if let work = archiveWork {
            steps.append(
                PlanStep(
                    member: work.member, action: work.title, reason: work.step, progress: .running,
                    heldBack: held(work.title)))
        }
        return Plan(title: works.first?.title ?? "", steps: steps)
    }

    private func held(_ title: String?) -> HoldReason? { holds.first { $0.what == title }?.reason }

    private func plan(of rolling: RollingRestart, at now: Instant) -> [PlanStep] {
        let current = rolling.phase.member
        var steps = rolling.members.filter { !rolling.remaining.contains($0) }.map {
            PlanStep(member: $0, action: "restart member \($0)", reason: rolling.reason, progress: .done)
        }
        if let current {
            steps.append(
                PlanStep(
                    member: current, action: "restart member \(current)", reason: rolling.phase.description,
                    progress: .running, heldBack: held(intents.operation?.title)))
        }
        let next = RollingOrder.ordered(rolling.remaining.filter { $0 != current }, in: observed, engine: policy.engine, at: now)
        for (index, choice) in next.enumerated() {
            let isFirst = index == 0 && current == nil
            steps.append(
                PlanStep(
                    member: choice.member, action: "restart member \(choice.member)", reason: choice.reason,
                    heldBack: isFirst ? held(intents.operation?.title) : nil))
        }
        return steps
    }

    private func plan(of reseed: Reseed) -> [PlanStep] {
        let phases: [Reseed.Phase] = [.fencing, .quarantining, .seeding, .waiting, .joining]
        return sequence(
            phases.map { ("\($0.description)", $0 == reseed.phase) }, member: reseed.member,
            reason: reseed.reason.description, held: held("reseed of member \(reseed.member)"))
    }

    private func plan(of cold: ColdBackup) -> [PlanStep] {
        let phases: [ColdBackup.Phase] = [.choosing, .stopping, .copying, .joining]
        return sequence(
            phases.map { ($0.description(cold.member), $0 == cold.phase) }, member: cold.member, reason: "cold backup",
            held: held(intents.operation?.title))
    }

    private func plan(of restore: Restore) -> [PlanStep] {
        let phases: [Restore.Phase] = [
            .verifying, .stopping, .quarantining(remaining: []), .seeding(remaining: []), .starting,
        ]
        return sequence(
            phases.map { ($0.description, $0.description == restore.phase.description) }, member: nil,
            reason: "restore of backup \(restore.backup.id)", held: held(intents.operation?.title))
    }

    /// Phases in their order: those before the running one are done.
    private func sequence(
        _ phases: [(action: String, isRunning: Bool)], member: MemberID?, reason: String, held: HoldReason?
    ) -> [PlanStep] {
        let running = phases.firstIndex { $0.isRunning } ?? phases.count
        return phases.enumerated().map { index, phase in
            let progress: PlanStep.Progress = index < running ? .done : index == running ? .running : .pending
            return PlanStep(
                member: member, action: phase.action, reason: reason, progress: progress,
                heldBack: index == running ? held : nil)
        }
    }
}
