import EnsembleBase

/// The plan that is at work, for `ensemblectl plan`: what was done, what is being done, what comes next and why.
extension OperatorMachine {
    /// Without steps when nothing is under way.
    package func planAtWork(at now: Instant) -> Plan {
        let asked = intents.reseedsAskedFor.map { asked in
            let subject = HoldSubject.reseed(of: asked.member)
            return PlanStep(member: asked.member, action: subject.text, reason: "asked for by a person", heldBack: reason(subject))
        }
        let steps = plan(in: .reseed, at: now) + plan(in: .operation, at: now) + asked + plan(in: .archive, at: now)
        return Plan(title: works.first?.title ?? "", steps: steps)
    }

    private func plan(in seat: Seat, at now: Instant) -> [PlanStep] {
        guard let workflow = workflow(in: seat) else { return [] }
        var steps = workflow.plan(in: self, at: now)
        // What holds the next step holds all behind it.
        if let next = steps.firstIndex(where: { $0.progress != .done }) {
            steps[next].heldBack = reason(subject(of: workflow, in: seat))
        }
        return steps
    }
}

extension PlanStep {
    /// Phases in their order: those before the running one are done.
    static func sequence(
        _ phases: [(action: String, isRunning: Bool)], member: MemberID?, reason: String
    ) -> [PlanStep] {
        let running = phases.firstIndex { $0.isRunning } ?? phases.count
        return phases.enumerated().map { index, phase in
            let progress: PlanStep.Progress = index < running ? .done : index == running ? .running : .pending
            return PlanStep(member: member, action: phase.action, reason: reason, progress: progress)
        }
    }
}
