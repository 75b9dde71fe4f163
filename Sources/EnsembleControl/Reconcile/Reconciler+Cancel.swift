import EnsembleBase

/// Ending what a person no longer wants, as far as its phase allows (`Cancellation`), and holding back all that is voluntary.
extension ReconcilerStateMachine {
    /// - Returns: why it is not cancelled; nil when it has ended, or will behind what it is doing.
    mutating func cancel(_ id: String, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) -> ControlError? {
        if let operation = intents.operation, operation.id == id { return cancel(operation, at: now, into: &actions) }
        if let reseed = intents.reseed, reseed.operation == id { return cancel(reseed, into: &actions) }
        if let asked = intents.reseedsAskedFor.first(where: { $0.operation == id }) {
            intents.reseedsAskedFor.removeAll { $0.operation == id }
            saveIntents(into: &actions)
            recordCancelled(id, "reseed of member \(asked.member)", "it had not begun", into: &actions)
            return nil
        }
        if let asked = startsAskedFor.first(where: { $0.operation == id }) {
            return ControlError(
                .refused, "member \(asked.member) is started by now", remedy: "ensemblectl stop \(asked.member) stops it again")
        }
        if let work = archiveWork, work.operation == id { return cancel(work, into: &actions) }
        if let outcome = outcomes.last(where: { $0.id == id }) {
            return ControlError(.refused, "\(outcome.title) has ended", remedy: "there is nothing to cancel any more")
        }
        return ControlError(.notFound, "no operation \(id) is at work", remedy: "ensemblectl status shows what is")
    }

    private mutating func cancel(
        _ operation: Operation, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) -> ControlError? {
        let (cancellation, came): (Cancellation, String)
        switch operation.kind {
        case .rolling(let rolling):
            let done = rolling.members.filter { !rolling.remaining.contains($0) }
            came = done.isEmpty ? "" : "restarted before: \(list(done))"
            let outdated = rolling.remaining.filter { isOutdated($0) }
            // `rollOutdated`
            cancellation = outdated.isEmpty || intents.pausedSince != nil
                ? rolling.cancellation
                : .impossible("\(list(outdated)) have other settings than the manifest, so it would begin again; ensemblectl pause holds it")
        case .stopMember(let id, _):
            // S4: once it is written down that a person wants it stopped, the way back is a start.
            let isStopped = ledger.stoppedByPerson.contains(id)
            cancellation = isStopped ? .impossible("it is being stopped; ensemblectl start \(id) takes it back") : .atOnce(returning: nil)
            came = "it serves on"
        case .coldBackup(let cold): (cancellation, came) = (cold.cancellation, "")
        case .restore(let restore):
            cancellation = restore.cancellation
            came = restore.phase == .starting ? "the data is the backup's" : "nothing was changed"
        }
        switch (cancellation, operation.kind) {
        case (.atOnce(let member), _):
            if let member { awaitReturn(of: member) }
            intents.operation = nil
            clock.operationEnded()
            saveIntents(into: &actions)
            recordCancelled(operation.id, operation.title, came, into: &actions)
            return nil
        case (.afterwards, .coldBackup(var cold)):
            cold.isCancelled = true
            intents.operation?.kind = .coldBackup(cold)
            saveIntents(into: &actions)
            return nil
        case (.impossible(let why), _): return impossible(operation.title, why)
        case (.afterwards, _): return impossible(operation.title, "it ends by itself in a moment")
        }
    }

    private mutating func cancel(_ reseed: Reseed, into actions: inout ActionBuffer<ReconcilerAction>) -> ControlError? {
        let isUntouched = clock.reseedEffect == nil && ledger[reseed.member]?.standing == .voter
        switch reseed.cancellation(isUntouched: isUntouched) {
        case .atOnce:
            giveUp(reseed, into: &actions)
            if let id = reseed.operation { recordCancelled(id, title(reseed), "nothing of its data was touched", into: &actions) }
            return nil
        case .afterwards: return impossible(title(reseed), "it ends by itself in a moment")
        case .impossible(let why): return impossible(title(reseed), why)
        }
    }

    private mutating func cancel(_ work: ArchiveWork, into actions: inout ActionBuffer<ReconcilerAction>) -> ControlError? {
        switch work.phase {
        case .committing, .reaching:
            archiveWork = nil
            if let id = work.operation { recordCancelled(id, work.title, "nothing was copied", into: &actions) }
            return nil
        case .copying, .verifying:
            return impossible(work.title, "\(work.step): it takes nobody out of service, and ends by itself")
        }
    }

    private func impossible(_ title: String, _ why: String) -> ControlError {
        ControlError(.refused, "\(title) can't be cancelled now: \(why)", remedy: "ensemblectl status shows how it goes")
    }

    private func list(_ members: [MemberID]) -> String {
        (members.count == 1 ? "member " : "members ") + members.map { "\($0)" }.joined(separator: ", ")
    }

    mutating func recordCancelled(
        _ id: String, _ title: String, _ came: String, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        let text = "cancelled by a person" + (came.isEmpty ? "" : ": \(came)")
        record(id, title, failure: text)
        outcomes[outcomes.count - 1].isCancelled = true
        actions.append(.note(Note(.information, .operationCancelled, "\(title) is \(text)")))
    }

    // MARK: Pause

    /// What nobody needs now is not begun while a person says so: repairs go on, and so does what stops no member.
    mutating func pause(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        guard intents.pausedSince == nil else { return }
        intents.pausedSince = origin + (now - .origin)
        saveIntents(into: &actions)
        actions.append(.note(Note(.information, .paused, "a person has paused all that is voluntary; ensemblectl resume goes on with it")))
    }

    mutating func resume(into actions: inout ActionBuffer<ReconcilerAction>) {
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
