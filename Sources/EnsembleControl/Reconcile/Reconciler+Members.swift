import EnsembleBase

/// Keeping members alive.
extension ReconcilerStateMachine {
    mutating func driveMembers(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        for id in policy.members {
            if termination == nil { wantOrNot(id, at: now, into: &actions) }
            judgeSilence(of: id, at: now, into: &actions)
            judgeParticipation(of: id, at: now, into: &actions)
            nameHold(of: id)
        }
    }

    /// Whether an operation, a reseed or a person keeps the member down.
    func isKeptDown(_ id: MemberID) -> Bool {
        if ledger.stoppedByPerson.contains(id) { return true }
        if let reseed = intents.reseed, reseed.member == id, reseed.phase != .joining { return true }
        switch intents.operation?.kind {
        case .rolling(let rolling): return rolling.phase == .stopping(id)
        case .coldBackup(let cold): return cold.member == id && (cold.phase == .stopping || cold.phase == .copying)
        case .restore(let restore): return restore.hasBegun && restore.phase != .starting
        case .stopMember, nil: return false
        }
    }

    private mutating func wantOrNot(
        _ id: MemberID, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard let supervisor = supervisor(id) else { return }
        // Its data is gone: it is fenced, not asked politely (`fence`).
        if let reseed = intents.reseed, reseed.member == id, reseed.phase == .fencing, supervisor.state.mayHaveProcess {
            guard case .askedFor = reseed.reason else { return }
        }
        // The members are stopped in order, the leader last (`stopInOrder`).
        if case .restore(let restore) = intents.operation?.kind, restore.phase == .stopping { return }
        let wanted = !isKeptDown(id)
        if wanted != supervisor.isWanted { signal(id, wanted ? .wanted : .unwanted, at: now, into: &actions) }
    }

    /// The second question of health: a process that is alive and silent beyond its bound is killed. It takes part in
    /// nothing (the leader has dropped it), so S4 has no say; but several members that fall silent together are a
    /// sign that the fault is here, and one kill at a time keeps that mistake small (S10).
    private mutating func judgeSilence(
        of id: MemberID, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard
            let supervisor = supervisor(id), supervisor.state == .running,
            let since = observed[id]?.silentSince, let run = running.first(where: { $0.id == id })
        else { return }
        let bound = run.hasAnswered ? policy.answerTimeout : policy.startTimeout
        guard now - since >= bound else { return }
        guard !supervisors.contains(where: { $0.id != id && $0.state == .killing }) else { return }
        signal(id, .frozen, at: now, into: &actions)
    }

    /// The third question: since when the member participates, and what follows from that for the ledger and the
    /// backoff.
    private mutating func judgeParticipation(
        of id: MemberID, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard let run = running.first(where: { $0.id == id }) else { return }
        guard observed.participates(id, at: now), let answer = observed.freshAnswer(of: id, at: now) else {
            if run.participatesSince != nil { updateRun(id) { $0.participatesSince = nil } }
            return
        }
        guard let since = run.participatesSince else {
            updateRun(id) { $0.participatesSince = now }
            actions.append(
                .note(Note(.information, .memberParticipates, member: id, "participates as \(answer.role.rawValue)")))
            return
        }
        if !run.isProved, now - since >= policy.restart.soak {
            updateRun(id) { $0.isProved = true }
            signal(id, .proved, at: now, into: &actions)
        }
    }

    private mutating func nameHold(of id: MemberID) {
        switch supervisor(id)?.state {
        case .doubtful(let why, _): hold("start of member \(id)", member: id, .dataUnknown(id, why))
        case .gaveUp(let why): hold("restart of member \(id)", member: id, .needsPerson(why))
        case .running where running.contains { $0.id == id && $0.isTurningAway }:
            hold("probe of member \(id)", member: id, .turnedAway(id))
        case .stopped, .inspecting, .launching, .running, .stopping, .killing, .backingOff, .untrusted, nil: break
        }
    }
}
