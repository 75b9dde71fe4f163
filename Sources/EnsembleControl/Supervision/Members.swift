import EnsembleBase

/// Keeping members alive.
extension OperatorMachine {
    mutating func driveMembers(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        for id in policy.members {
            if termination == nil { wantOrNot(id, at: now, into: &actions) }
            judgeHealth(of: id, at: now, into: &actions)
            judgeParticipation(of: id, at: now, into: &actions)
            nameHold(of: id, at: now)
        }
    }

    /// Whether an operation, a reseed or a person keeps the member down.
    func isKeptDown(_ id: MemberID) -> Bool {
        if ledger.stoppedByPerson.contains(id) { return true }
        return Seat.allCases.contains { workflow(in: $0)?.keepsDown(id) ?? false }
    }

    private mutating func wantOrNot(
        _ id: MemberID, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard let supervisor = supervisor(id) else { return }
        // Its data is gone: it is fenced, not asked politely (`fence`).
        if let reseed = intents.reseed, reseed.fencesAlone(id), supervisor.state.mayHaveProcess { return }
        // The leader last (`stopInOrder`).
        if intents.operation?.workflow.stopsInOrder == true { return }
        let wanted = !isKeptDown(id)
        if wanted != supervisor.isWanted { signal(id, wanted ? .wanted : .unwanted, at: now, into: &actions) }
    }

    /// The second question of health: what the evidence amounts to (`Verdict`), and what follows.
    ///
    /// S11: the kernel's word suffices to end a process. For silence one is ended at a time: the next when the last has
    /// come back, or is given up by name.
    private mutating func judgeHealth(
        of id: MemberID, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard supervisor(id)?.state == .running else { return }
        let verdict = observed.verdict(on: id, within: policy.verdictBounds, at: now)
        switch (verdict.kind, verdict.reason) {
        case (.frozen, .stoppedBySignal):
            signal(id, .frozen(verdict.reason), at: now, into: &actions)
        case (.frozen, _):
            if let other = memberStillMissed(besides: id, at: now) {
                return hold(.restart(of: id), member: id, .anotherEndedFirst(other))
            }
            endedForSilence = (id, now)
            signal(id, .frozen(verdict.reason), at: now, into: &actions)
        case (.cutOff, let reason): restartCutOff(id, reason, at: now, into: &actions)
        case (.unknown, .perhapsCounted), (.unknown, .perhapsQuorum), (.unknown, .allSilent), (.unknown, .couldNotAsk), (.unknown, .traced):
            hold(.judgement(of: id), member: id, .verdictOpen(id, verdict.reason))
        case (.alive, .turnsAway): hold(.probe(of: id), member: id, .turnedAway(id))
        case (.alive, _), (.dead, _), (.unknown, _): break
        }
    }

    /// The member that was ended last for its silence, while it is neither back nor given up.
    private func memberStillMissed(besides id: MemberID, at now: Instant) -> MemberID? {
        guard let ended = endedForSilence, ended.member != id, policy.members.contains(ended.member) else { return nil }
        if now - ended.at < policy.answerTimeout { return ended.member }
        switch supervisor(ended.member)?.state {
        case .gaveUp, .untrusted, .stopped, nil: return nil
        case .inspecting, .launching, .running, .stopping, .killing, .backingOff, .doubtful:
            return observed.participates(ended.member, at: now) ? nil : ended.member
        }
    }

    /// It takes part, and clients can't reach it: it is restarted as one that a person wants restarted (S4, S5). Once: a
    /// server that has never answered since its start isn't helped by another.
    private mutating func restartCutOff(
        _ id: MemberID, _ reason: Verdict.Reason, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard observed[id]?.hasAnswered == true else {
            return hold(
                .judgement(of: id), member: id,
                .needsPerson("\(reason.description): look for what keeps connections from its client port, a firewall perhaps"))
        }
        guard intents.operation == nil, intents.pausedSince == nil, !isKeptDown(id) else {
            return hold(.judgement(of: id), member: id, .verdictOpen(id, reason))
        }
        let name = "restart-" + String(newIdentity().prefix(12))
        roll([id], reason.description, acceptOutage: false, ofCutOff: true, id: name, at: now, into: &actions)
    }

    /// The third question: since when the member participates, and what follows from that for the ledger and the
    /// backoff.
    private mutating func judgeParticipation(
        of id: MemberID, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
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

    private mutating func nameHold(of id: MemberID, at now: Instant) {
        guard let supervisor = supervisor(id), let run = running.first(where: { $0.id == id }) else { return }
        let bound = Duration.seconds(5)
        switch supervisor.state {
        case .doubtful(let why, _): hold(.start(of: id), member: id, .dataUnknown(id, why))
        case .gaveUp(let why): hold(.restart(of: id), member: id, .needsPerson(why))
        case .inspecting where run.depth == .replay: break  // All of its data is read, which takes as long as it takes.
        // It is looked at again and again, and is held all the while.
        case .inspecting where run.doubt != nil:
            hold(.start(of: id), member: id, .dataUnknown(id, run.doubt ?? ""))
        case .inspecting, .launching:
            guard let asked = run.askedOfFilesAt, now - asked >= bound else { return }
            hold(.start(of: id), member: id, .filesSilent(id))
        case .killing(let since, _):
            if now - since >= bound { hold(.end(of: id), member: id, .cannotBeKilled(id)) }
        case .stopped, .running, .stopping, .backingOff, .untrusted: break
        }
    }
}
