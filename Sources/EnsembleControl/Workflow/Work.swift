import EnsembleBase

/// One thing that is under way or waits, as people follow it by its id.
package struct Work: Sendable {
    /// Nil: the daemon began it by itself and nobody asks for it.
    package var id: String?
    package var title: String
    package var step: String
    /// What it waits for.
    package var held: HoldReason?
    /// Members done, of all; nil where members don't count.
    package var members: (done: Int64, total: Int64)?
    /// The effect whose bytes are its progress.
    package var effect: EffectToken?
    /// It is written down and has not begun.
    package var isWaiting = false
}

/// What views ask of the core.
extension OperatorMachine {
    package func launchedAt(_ id: MemberID) -> Instant? { running.first { $0.id == id }?.launchedAt }

    /// All that is at work: the operation first, then repairs, then what disrupts nobody.
    package var works: [Work] {
        let asked = intents.reseedsAskedFor.map { asked in
            let subject = HoldSubject.reseed(of: asked.member)
            return Work(id: asked.operation, title: subject.text, step: "not begun", held: reason(subject), isWaiting: true)
        }
        let starts = startsAskedFor.map { asked in
            Work(
                id: asked.operation, title: "start of member \(asked.member)", step: "waiting for it",
                held: .memberNotParticipating(asked.member))
        }
        let restore = unheardRestore.map { [Work(id: $0.id, title: "restore of backup \($0.backup.id)", step: "not begun", isWaiting: true)] }
        return work(in: .operation) + (restore ?? []) + work(in: .reseed) + asked + starts + work(in: .archive)
    }

    private func work(in seat: Seat) -> [Work] {
        guard let workflow = workflow(in: seat) else { return [] }
        return [
            Work(
                id: operationID(in: seat), title: workflow.title, step: workflow.step,
                held: reason(subject(of: workflow, in: seat)), members: workflow.progress, effect: waits[seat.rawValue].effect)
        ]
    }

    // MARK: Starts that people asked for

    /// A start ends when the member participates, or when the daemon has given it up.
    mutating func concludeStarts(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        let waiting = startsAskedFor
        startsAskedFor = []
        for asked in waiting {
            let title = "start of member \(asked.member)"
            if observed.participates(asked.member, at: now) {
                record(asked.operation, title, Ending(result: "member \(asked.member) participates"), at: now, into: &actions)
            } else if let failure = lastingObstacle(to: asked.member) {
                record(asked.operation, title, Ending(failure: failure), at: now, into: &actions)
            } else {
                startsAskedFor.append(asked)
            }
        }
    }

    private func lastingObstacle(to id: MemberID) -> String? {
        if termination != nil { return "the daemon is stopping" }
        if ledger.stoppedByPerson.contains(id) { return "it was asked to stop again" }
        if case .gaveUp(let why) = supervisor(id)?.state { return why }
        return nil
    }
}
