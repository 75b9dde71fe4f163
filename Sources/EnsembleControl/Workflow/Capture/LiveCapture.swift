import EnsembleBase

/// A backup of a running member and its verification, or a verification alone. It takes no member out of service, so that it
/// needs neither the gate nor the lock.
package struct LiveCapture: Workflow {
    package static let kind = "liveBackup"

    package enum Phase: Sendable, Hashable, Codable {
        /// A transaction is being committed. → reaching
        case committing
        /// The member has not shown the committed transaction yet. → copying; committing, when the epoch changed
        case reaching(barrier: Int64)
        /// → verifying; committing, from another member
        case copying(upTo: Int64)
        /// → done
        case verifying
    }

    package let title: String
    /// The source; nil for a verification alone.
    package var member: MemberID?
    /// A person named the source: no other is taken.
    package var isChosen = false
    /// Sources that were given up.
    package var tried: [MemberID] = []
    package var phase: Phase
    /// The backup that is being verified.
    package var backup: BackupReference?

    package init(of member: MemberID, isChosen: Bool) {
        title = "backup"
        (self.member, self.isChosen) = (member, isChosen)
        phase = .committing
    }

    /// - Parameter source: the member that it was just taken of; nil: a person asked.
    package init(verifying backup: BackupReference, from source: MemberID? = nil) {
        title = "verification of backup \(backup.id)"
        (self.backup, member) = (backup, source)
        phase = .verifying
    }

    package var step: String {
        switch phase {
        case .committing: "committing a transaction to end at"
        case .reaching(let barrier): "waiting until member \(member ?? 0) has \(hex(barrier))"
        case .copying: "copying the files of member \(member ?? 0)"
        case .verifying: "reading it back and replaying it"
        }
    }

    package mutating func advance(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        guard machine.termination == nil else { return .ended(Ending(failure: "the daemon is stopping", saying: .nothing)) }
        switch (phase, member) {
        case (.committing, _): waits.begin(in: &machine, at: now, into: &actions) { .writeBarrier($0) }
        case (.copying(let barrier), let member?):
            waits.begin(in: &machine, at: now, into: &actions) { .capture(member, .live, upTo: barrier, $0) }
        case (.verifying, _):
            waits.begin(in: &machine, at: now, into: &actions) { .verify(backup: backup?.id ?? "", $0) }
        case (.reaching(let barrier), let member?):
            return reach(barrier, member, waits, in: &machine, at: now, into: &actions)
        case (.reaching, nil), (.copying, nil): return .ended(Ending(failure: "it has no source"))
        }
        return .waits(nil)
    }

    /// S1, S7: a backup's end is a transaction that is both committed and there. Committed: a quorum has accepted the
    /// barrier, so what its leader's epoch holds before it is committed too, and what a member's log holds behind it
    /// (which may never be) is cut off by the copy. There: a member that lags has not received all of that, and its
    /// files would make a backup that verifies and yet lacks acknowledged writes; so the copy begins only when the
    /// member's own answer shows the barrier, in the barrier's epoch, and fails if its log then ends before it. With
    /// another epoch the entries between may be of a history that lost: then another barrier is committed.
    private mutating func reach(
        _ barrier: Int64, _ member: MemberID, _ waits: Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        let answer = machine.observed.participates(member, at: now) ? machine.observed.freshAnswer(of: member, at: now) : nil
        if let answer {
            if answer.zxid >> 32 > barrier >> 32 { return move(to: .committing) }
            if answer.zxid >> 32 == barrier >> 32, answer.zxid >= barrier { return move(to: .copying(upTo: barrier)) }
        }
        if let since = waits.since, now - since >= machine.policy.captureWait {
            let why = "member \(member) has not reached \(hex(barrier)) in \(machine.policy.captureWait)"
            return giveUpSource(why, in: &machine, at: now, into: &actions)
        }
        return .waits(answer.map { .memberLags(member, by: max(1, barrier - $0.zxid)) } ?? .memberNotParticipating(member), member: member)
    }

    private mutating func move(to next: Phase) -> WorkflowStep {
        phase = next
        return .moved
    }

    package mutating func effectEnded(
        _ outcome: EffectOutcome, _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        switch (phase, outcome) {
        case (.committing, .barrier(let zxid)): return move(to: .reaching(barrier: zxid))
        // An election takes its moment, a planned one as well: no backup is lost to that.
        case (.committing, .failed(let why)) where waits.since.map { now - $0 < machine.policy.captureWait } ?? false:
            waits.failed(why, tryAgainAt: now + machine.policy.retry)
            return .waits(nil)
        case (.copying, .captured(let reference)):
            backup = reference
            // S7: it counts once it was read back.
            return machine.policy.verifiesBackups ? move(to: .verifying) : finish(in: &machine, into: &actions)
        case (.copying, .failed(let why)): return giveUpSource(why, in: &machine, at: now, into: &actions)
        case (.verifying, .done): return finish(in: &machine, into: &actions)
        case (_, .failed(let why)): return fail(why, in: &machine)
        case (_, _): return fail("it ended without a result", in: &machine)
        }
    }

    /// Another member may do better, unless a person wants this one.
    private mutating func giveUpSource(
        _ why: String, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        tried += member.map { [$0] } ?? []
        guard !isChosen, let next = machine.sourceForCapture(besides: tried, at: now) else { return fail(why, in: &machine) }
        actions.append(.note(Note(.warning, .backupFailed, member: member, "\(why); it is taken from member \(next) instead")))
        member = next
        return move(to: .committing)
    }

    private func fail(_ why: String, in machine: inout OperatorMachine) -> WorkflowStep {
        machine.backupFailure = "\(title): \(why)"
        let note = Note(.error, .backupFailed, member: member, "\(title): \(why)")
        return .ended(Ending(failure: why, backup: backup?.id, saying: .note(note)))
    }

    private func finish(
        in machine: inout OperatorMachine, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        let standing = phase == .verifying ? "verified" : "not verified, as the manifest wants it"
        let id = backup?.id ?? ""
        if member != nil {
            machine.backupFailure = nil
            machine.prune(into: &actions)
        }
        let size = backup.flatMap(\.size).map { "\(byteText($0)), " } ?? ""
        let note = Note(.information, .backupTaken, member: member, "backup \(id) is \(standing)")
        return .ended(Ending(backup: id, result: "backup \(id): " + size + standing, saying: .note(note)))
    }

    package mutating func cancel(_ waits: Waits, in machine: OperatorMachine) -> Cancellation {
        switch phase {
        case .committing, .reaching: .atOnce(returning: nil, came: "nothing was copied")
        case .copying, .verifying: .impossible("\(step): it takes nobody out of service, and ends by itself")
        }
    }

    package func plan(in machine: OperatorMachine, at now: Instant) -> [PlanStep] {
        [PlanStep(member: member, action: title, reason: step, progress: .running)]
    }
}
