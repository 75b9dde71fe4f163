import EnsembleBase

/// Bringing back a member whose data is lost or untrusted. Order is safety: conditions (`objection(toReseeding:)`), fence (S3),
/// quarantine (S6), seed (S2, S7), promises (S2), start, participation past a barrier, ledger.
package struct Reseed: Workflow {
    package static let kind = "reseed"

    package enum Phase: Sendable, Hashable, Codable {
        /// The old process is being proved dead (S3). → quarantining
        case fencing
        /// Its remains are being moved aside (S6). → seeding
        case quarantining
        /// → waiting
        case seeding
        /// Lost epoch promises are being waited out (S2). → joining
        case waiting
        /// Started; not yet seen participating past the barrier. → done, or quarantining when the seed is refused
        case joining

        package var description: String {
            switch self {
            case .fencing: "proving that the old process is dead"
            case .quarantining: "moving its remains to quarantine"
            case .seeding: "seeding its data directory"
            case .waiting: "waiting for lost promises to expire"
            case .joining: "waiting for it to sync with the leader"
            }
        }
    }

    package var member: MemberID
    package var reason: UntrustedReason
    package var phase: Phase
    /// The backup that it is seeded from; nil: it starts empty and syncs everything from the leader.
    package var backup: String?
    /// Seeds that were tried, this one included.
    package var attempt: Int
    /// The operation of the person who asked; nil: the daemon began it by itself.
    package var operation: String?

    package init(
        member: MemberID, reason: UntrustedReason, phase: Phase, backup: String?, attempt: Int, operation: String? = nil
    ) {
        self.operation = operation
        self.member = member
        self.reason = reason
        self.phase = phase
        self.backup = backup
        self.attempt = attempt
    }

    package var title: String { "reseed of member \(member)" }
    package var step: String { phase.description }
    package var claim: Claim { .member(member) }
    package func keepsDown(_ id: MemberID) -> Bool { id == member && phase != .joining }
    package var backupInUse: String? { [.fencing, .quarantining, .seeding].contains(phase) ? backup : nil }

    /// It has its data until its directory is moved: only a person's word puts it into quarantine.
    package var isOfWholeMember: Bool { if case .askedFor = reason { true } else { false } }

    /// Its data is gone: its process is fenced, not asked politely.
    func fencesAlone(_ id: MemberID) -> Bool { id == member && phase == .fencing && !isOfWholeMember }

    package mutating func advance(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        // A restore gives all members new data.
        guard machine.termination == nil, machine.intents.operation?.workflow.claim != .cluster else { return .waits(nil) }
        switch phase {
        case .fencing: return fence(in: &machine, at: now, into: &actions)
        case .quarantining: return quarantine(&waits, in: &machine, at: now, into: &actions)
        case .seeding:
            waits.begin(in: &machine, at: now, into: &actions) { .seed(member, backup.map(Seed.recovering) ?? .empty, $0) }
            return .waits(waits.failure.map(HoldReason.effectFailed), member: member)
        case .waiting: return waitOutPromises(&waits, in: &machine, at: now, into: &actions)
        case .joining: return join(&waits, in: &machine, at: now, into: &actions)
        }
    }

    private mutating func fence(
        in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        guard let supervisor = machine.supervisor(member) else { return .waits(nil) }
        // S3: while a process may exist, nothing of its data is touched.
        if supervisor.state.mayHaveProcess {
            switch (isOfWholeMember, supervisor.state) {
            // A whole member that a person wants reseeded is stopped like any other, and at once: what allows it (S4, S5) is
            // true now.
            case (true, _): if supervisor.isWanted { machine.signal(member, .unwanted, at: now, into: &actions) }
            case (false, .killing): break
            case (false, _): machine.signal(member, .fenced, at: now, into: &actions)
            }
            return .waits(.processNotProvedDead(member), member: member)
        }
        machine.signal(member, .unwanted, at: now, into: &actions)
        machine.updateRun(member) { $0.vanished = nil }
        phase = .quarantining
        return .moved
    }

    private mutating func quarantine(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        // S3, again for a daemon that takes over in this phase.
        if machine.supervisor(member)?.state.mayHaveProcess == true { return fence(in: &machine, at: now, into: &actions) }
        // S1: what a person wants brought back is whole. When another member is lost in the meantime, it may be what was
        // acknowledged that would go.
        if isOfWholeMember, waits.effect == nil {
            if machine.policy.voters.contains(where: { $0 != member && machine.isLost($0) }) {
                return postpone(in: &machine, into: &actions)
            }
            // A server serves on for a while without its directory, so what was seen before doesn't count.
            let since = waits.since ?? now
            if let reason = machine.objection(toLosing: member, seenSince: since) {
                // Nor is a whole member kept down for others that serve no longer.
                if now - since >= machine.policy.answerTimeout { return postpone(in: &machine, into: &actions) }
                return .waits(reason, member: member)
            }
        }
        if waits.mayBegin(at: now) {
            // S2: what may be moved from here on votes no more, whenever the daemon dies.
            machine.setStanding(of: member, .recovering, into: &actions)
            waits.begin(in: &machine, at: now, into: &actions) { .quarantine(member, reason: reason.description, $0) }
        }
        return .waits(waits.failure.map(HoldReason.effectFailed), member: member)
    }

    private func postpone(in machine: inout OperatorMachine, into actions: inout ActionBuffer<OperatorAction>) -> WorkflowStep {
        machine.askAgain(for: self)
        machine.leaveWhole(member, into: &actions)
        return .ended(Ending(isSilent: true))
    }

    private mutating func join(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        if case .untrusted(let reason) = machine.supervisor(member)?.state {
            // The directory that was being brought back is lost as well: another loss, with its own conditions and of the same
            // budget.
            let isLostAgain = reason == .missing || reason == .emptyButWasNot
            guard isLostAgain || !machine.isRefused(self) else {
                let text = "three seeds were refused, perhaps by its disk: \(reason.description); ensemblectl reseed \(member) tries again"
                return .waits(.needsPerson(text), member: member)
            }
            // S2: a daemon that died had entered it as a voter, and it was lost again before the intent was gone.
            machine.setStanding(of: member, .recovering, into: &actions)
            if isLostAgain {
                machine.askAgain(for: self)
                return .ended(Ending(isSilent: true))
            }
            // The seed was refused (damaged, or cut by the leader beyond its snapshot): the second try starts empty.
            (phase, self.reason, backup) = (.fencing, reason, nil)
            attempt += 1
            return .moved
        }
        if let reason = waits.objection(toReturnOf: member, in: &machine, at: now, into: &actions) {
            return .waits(reason, member: member)
        }
        let how = "participates again, reseeded " + (backup.map { "from backup \($0)" } ?? "from the leader alone")
        let note = Note(.information, .reseedFinished, member: member, how)
        return .ended(Ending(backup: backup, result: "member \(member) \(how)", saying: .note(note)))
    }

    package func entered(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        machine.joiner = JoinerWatch(isToBeLaunched: phase == .joining, seedFailures: machine.joiner.seedFailures)
        actions.append(.note(Note(.information, .reseedPhase, member: member, phase.description)))
        if phase == .joining { machine.signal(member, .reseeded, at: now, into: &actions) }
    }

    package mutating func effectEnded(
        _ outcome: EffectOutcome, _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        switch (phase, outcome) {
        case (_, .failed(let why)):
            waits.failed(why, tryAgainAt: now + machine.policy.retry)
            return phase == .seeding ? seedOtherwise(why, in: &machine, into: &actions) : .waits(nil)
        case (.quarantining, _): phase = .seeding
        case (.seeding, .seeded(let contents)):
            machine.joiner.seedFailures = 0
            if var entry = machine.ledger[member] {
                entry.identity = contents.identity
                machine.ledger.set(entry)
                machine.saveLedger(into: &actions)
            }
            phase = .waiting
        case (.seeding, _), (.fencing, _), (.waiting, _), (.joining, _): return .waits(nil)
        }
        waits.succeeded()
        return .moved
    }

    /// A backup that can't be used (its object is damaged, the archive has lost it or is gone for long) is no reason to
    /// try it for ever: a newer one may do. After three failures none is needed: an empty directory abstains as a
    /// seeded one does (S2), and the leader sends it everything.
    private mutating func seedOtherwise(
        _ why: String, in machine: inout OperatorMachine, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        guard let former = backup else { return .waits(nil) }
        machine.joiner.seedFailures += 1
        if machine.joiner.seedFailures >= 3 {
            backup = nil
            let text = "it starts empty, because backup \(former) can't be used: \(why)"
            actions.append(.note(Note(.warning, .reseedPhase, member: member, text)))
        } else if let newest = machine.seedBackup?.id {
            backup = newest
        }
        return backup == former ? .waits(nil) : .changed
    }

    package mutating func cancel(_ waits: Waits, in machine: OperatorMachine) -> Cancellation {
        guard isOfWholeMember else { return .impossible("member \(member) has lost its data, and comes back only by this") }
        let isUntouched = waits.effect == nil && machine.ledger[member]?.standing == .voter
        return isUntouched && (phase == .fencing || phase == .quarantining)
            ? .atOnce(returning: member, came: "nothing of its data was touched")
            : .impossible("what member \(member) had is in quarantine by now, and it comes back only by this")
    }

    package func plan(in machine: OperatorMachine, at now: Instant) -> [PlanStep] {
        PlanStep.sequence(
            [Phase.fencing, .quarantining, .seeding, .waiting, .joining].map { ($0.description, $0 == phase) }, member: member,
            reason: reason.description)
    }
}

/// What is watched of the member that a reseed brings back: not written down.
struct JoinerWatch: Sendable {
    /// It has waited out its promises under this daemon and was not launched since.
    var isToBeLaunched = false
    /// It was seen serving since it joined.
    var hasServed = false
    /// Other voters that were seen to count on nothing that it may have promised.
    var withoutPromises: [MemberID] = []
    /// How often the seed has failed in a row.
    var seedFailures = 0
}
