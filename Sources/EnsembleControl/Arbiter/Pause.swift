import EnsembleBase

/// Holding back all that is voluntary.
extension OperatorMachine {
    /// What nobody needs now is not begun while a person says so: repairs go on, and so does what stops no member.
    mutating func pause(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard intents.pausedSince == nil else { return }
        intents.pausedSince = wallTime(now)
        saveIntents(into: &actions)
        actions.append(.note(Note(.information, .paused, "a person has paused all that is voluntary; ensemblectl resume goes on with it")))
    }

    mutating func resume(into actions: inout ActionBuffer<OperatorAction>) {
        guard intents.pausedSince != nil else { return }
        intents.pausedSince = nil
        saveIntents(into: &actions)
        actions.append(.note(Note(.information, .resumed, "what is voluntary goes on")))
    }

    /// Rather than kept waiting for a word that may not come.
    func refusalByPause(of request: OperatorRequest) -> ControlError? {
        guard intents.pausedSince != nil else { return nil }
        switch request {
        case .stop, .restart, .restartRolling, .backup(.cold, _), .restore: break
        case .reseed(let id) where !isLost(id): break
        case .start, .reseed, .backup, .verify, .cancel, .pause, .resume: return nil
        }
        return ControlError(
            .held, "the daemon is paused, and this takes a member out of service that serves", remedy: "ensemblectl resume, and ask again",
            missingCondition: HoldReason.paused.description)
    }
}
