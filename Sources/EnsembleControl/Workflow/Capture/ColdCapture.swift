import EnsembleBase

/// The textbook's cold backup: a follower is stopped, its files are copied, and it is started again.
package struct ColdCapture: Workflow {
    package static let kind = "coldBackup"

    package enum Phase: Sendable, Hashable, Codable {
        /// → stopping
        case choosing
        /// → copying
        case stopping
        /// → joining. Begun again after a crash it is given up: the copy has no manifest, so it doesn't exist.
        case copying
        /// → done
        case joining
    }

    /// Asked for by a person, or chosen.
    package var member: MemberID?
    package var phase: Phase = .choosing
    /// A transaction that was committed and that the member had before it stopped: the copy ends exactly there.
    package var upTo: Int64 = 0
    package var taken: BackupReference?
    package var failure: String?
    /// A person wants it no more: it ends when the copy does. Nil in files of before this was known.
    package var isCancelled: Bool?

    package init(member: MemberID?) { self.member = member }

    package var title: String { "cold backup" }
    package var step: String { description(phase) }
    package var claim: Claim { phase == .choosing ? .nothing : member.map(Claim.member) ?? .nothing }
    package func keepsDown(_ id: MemberID) -> Bool { id == member && (phase == .stopping || phase == .copying) }
    /// It may wait for a reseed, and the reseed for a backup.
    package var keepsLiveBackupsOut: Bool { phase != .choosing }

    private func description(_ phase: Phase) -> String {
        let source = member.map { "member \($0)" } ?? "a follower"
        return switch phase {
        case .choosing: "choosing a member and the moment"
        case .stopping: "stopping \(source)"
        case .copying: "copying the files of \(source)"
        case .joining: "waiting until \(source) participates again"
        }
    }

    package mutating func advance(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        switch phase {
        case .choosing: return choose(&waits, in: &machine, at: now, into: &actions)
        case .stopping:
            guard let id = member, machine.supervisor(id)?.state.mayHaveProcess == false else { return .waits(nil) }
            phase = .copying
            return .moved
        case .copying:
            // S9: a daemon that takes over in this phase has no effect under way: the copy is given up.
            guard waits.effect == nil, waits.since.map({ now - $0 >= machine.policy.retry }) ?? false else { return .waits(nil) }
            failure = "the daemon ended while the files were copied"
            phase = .joining
            return .moved
        case .joining where isCancelled == true:
            if let id = member { machine.awaitReturn(of: id) }
            let copy = taken.map { "backup \($0.id) was taken, and nobody has verified it" }
            return .ended(Ending(result: copy ?? "nothing was copied", isCancelled: true))
        case .joining:
            guard let id = member else { return .ended(Ending(failure: failure)) }
            // A member whose data is lost comes back by a reseed, which may need this very backup.
            if !machine.isLost(id), let reason = waits.objection(toReturnOf: id, in: &machine, at: now, into: &actions) {
                return .waits(reason, member: id)
            }
            // S7: its verification follows at once; a backup that nobody verifies is never used.
            if let work = machine.archiveWork { return .waits(.operationRunning(work.title)) }
            return finish(in: &machine, into: &actions)
        }
    }

    private mutating func choose(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        if let id = member, machine.isLost(id) {
            failure = "the data of member \(id) is lost"
            return finish(in: &machine, into: &actions)
        }
        let leader = machine.observed.leader(at: now).map { [$0] } ?? []
        guard let id = member ?? machine.sourceForCapture(besides: leader, at: now) else { return .waits(.noSource) }
        // S1, S7: the copy ends at a committed transaction that the member has, as a live one does; what it
        // writes until it stops is left out.
        if let reason = waits.barrier.objection(toCounting: id, in: &machine, at: now, into: &actions) {
            return .waits(reason, member: id)
        }
        guard let barrier = waits.barrier.committed else { return .waits(.waitingForBarrier(id), member: id) }
        // S4, S5: the textbook's cold backup stops a member, so it asks as a restart does.
        if let reason = machine.objection(toDisrupting: id, at: now, into: &actions) { return .waits(reason, member: id) }
        member = id
        upTo = barrier.zxid
        phase = .stopping
        return .moved
    }

    /// The copy is begun by the daemon that stopped the member, and by no other (`advance`).
    package func entered(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard phase == .copying, let member else { return }
        waits.begin(in: &machine, at: now, into: &actions) { .capture(member, .cold, upTo: upTo, $0) }
    }

    package mutating func effectEnded(
        _ outcome: EffectOutcome, _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        guard phase == .copying else { return .waits(nil) }
        switch outcome {
        case .captured(let reference): taken = reference
        case .failed(let why): failure = why
        case .done, .barrier, .seeded: failure = "the copy was not made"
        }
        phase = .joining
        return .moved
    }

    private func finish(
        in machine: inout OperatorMachine, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        if let failure { machine.backupFailed("\(title): \(failure)", member: member, into: &actions) }
        if machine.policy.verifiesBackups, let taken { machine.beginVerification(of: taken, from: member) }
        return .ended(Ending(failure: failure, backup: taken?.id))
    }

    package mutating func foundAlive(_ id: MemberID) {
        if keepsDown(id) { phase = .choosing }
    }

    package mutating func cancel(_ waits: Waits, in machine: OperatorMachine) -> Cancellation {
        switch phase {
        case .choosing: return .atOnce(returning: nil, came: "")
        case .stopping: return .atOnce(returning: member, came: "")
        // S3: its files are in use. What was copied is a backup that nobody has verified.
        case .copying, .joining:
            isCancelled = true
            return .afterwards
        }
    }

    package func plan(in machine: OperatorMachine, at now: Instant) -> [PlanStep] {
        PlanStep.sequence(
            [Phase.choosing, .stopping, .copying, .joining].map { (description($0), $0 == phase) }, member: member, reason: title)
    }
}
