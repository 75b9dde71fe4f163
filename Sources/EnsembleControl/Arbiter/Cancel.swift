import EnsembleBase

/// Ending what a person no longer wants, as far as its phase allows (`Workflow.cancel`).
extension OperatorMachine {
    /// - Returns: why it is not cancelled; nil when it has ended, or will behind what it is doing.
    mutating func cancel(_ id: String, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) -> ControlError? {
        for seat in Seat.allCases where operationID(in: seat) == id { return cancelWork(in: seat, at: now, into: &actions) }
        if let asked = intents.reseedsAskedFor.first(where: { $0.operation == id }) {
            intents.reseedsAskedFor.removeAll { $0.operation == id }
            saveIntents(into: &actions)
            let (title, ending) = (HoldSubject.reseed(of: asked.member).text, Ending(result: "it had not begun", isCancelled: true))
            record(id, title, ending, at: now, into: &actions)
            say(ending, of: title, into: &actions)
            return nil
        }
        if let asked = unheardRestore, asked.id == id {
            unheardRestore = nil
            let (title, ending) = ("restore of backup \(asked.backup.id)", Ending(result: "it had not begun", isCancelled: true))
            record(id, title, ending, at: now, into: &actions)
            say(ending, of: title, into: &actions)
            return nil
        }
        if let asked = startsAskedFor.first(where: { $0.operation == id }) {
            return ControlError(
                .refused, "member \(asked.member) is started by now", remedy: "ensemblectl stop \(asked.member) stops it again")
        }
        if let outcome = outcomes.last(where: { $0.id == id }) {
            return ControlError(.refused, "\(outcome.title) has ended", remedy: "there is nothing to cancel any more")
        }
        return ControlError(.notFound, "no operation \(id) is at work", remedy: "ensemblectl status shows what is")
    }

    private mutating func cancelWork(in seat: Seat, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) -> ControlError? {
        guard var workflow = workflow(in: seat) else { return nil }
        switch workflow.cancel(waits[seat.rawValue], in: self) {
        case .atOnce(let member, let came):
            if let member { awaitReturn(of: member) }
            conclude(workflow, Ending(result: came, isCancelled: true), in: seat, at: now, into: &actions)
            return nil
        case .afterwards:
            set(workflow, in: seat)
            saveIntents(into: &actions)
            return nil
        case .impossible(let why):
            return ControlError(
                .refused, "\(workflow.title) can't be cancelled now: \(why)", remedy: "ensemblectl status shows how it goes")
        }
    }
}
