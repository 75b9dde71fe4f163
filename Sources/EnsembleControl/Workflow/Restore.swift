import EnsembleBase

/// The whole cluster back to a backup, in place. A person asked for it by the cluster's name: what is younger than the
/// backup is lost to clients, and kept in quarantine (S6).
package struct Restore: Workflow {
    package static let kind = "restore"

    package enum Phase: Sendable, Hashable, Codable {
        /// The backup is being read back while everyone serves: what has rotted since it was verified costs nobody anything.
        /// → checkingRoom, or the end
        case verifying
        /// The members' disks are asked whether they can take it, while everyone serves. → stopping, or the end
        case checkingRoom
        /// → quarantining
        case stopping
        /// → seeding
        case quarantining(remaining: [MemberID])
        /// → starting
        case seeding(remaining: [MemberID])
        /// → done, once a quorum participates
        case starting

        package var description: String {
            switch self {
            case .verifying: "reading the backup back and replaying it"
            case .checkingRoom: "asking the members' disks whether they can take it"
            case .stopping: "stopping the members, the leader last"
            case .quarantining: "moving what the members have to quarantine"
            case .seeding: "writing the backup into the members' directories"
            case .starting: "starting the members"
            }
        }
    }

    package var backup: BackupReference
    package var phase: Phase
    /// Above every epoch ever seen (S8): a lower bound while the members are being stopped, then chosen for good.
    package var acceptedEpoch: Int64

    package init(backup: BackupReference, phase: Phase = .verifying, acceptedEpoch: Int64) {
        self.backup = backup
        self.phase = phase
        self.acceptedEpoch = acceptedEpoch
    }

    package var title: String { "restore of backup \(backup.id)" }
    package var step: String { phase.description }
    /// Whether the members are, or may be, out of service for it.
    package var hasBegun: Bool { phase != .verifying && phase != .checkingRoom }
    package var claim: Claim { hasBegun ? .cluster : .nothing }
    package func keepsDown(_ id: MemberID) -> Bool { hasBegun && phase != .starting }
    package var stopsInOrder: Bool { phase == .stopping }
    package var backupInUse: String? { phase == .starting ? nil : backup.id }
    package var keepsLiveBackupsOut: Bool { true }

    package mutating func advance(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        let failure = waits.failure.map(HoldReason.effectFailed)
        switch phase {
        case .verifying:
            // S7: a proof is as old as the last reading.
            waits.begin(in: &machine, at: now, into: &actions) { .verify(backup: backup.id, $0) }
            return .waits(failure)
        case .checkingRoom:
            waits.begin(in: &machine, at: now, into: &actions) { .checkRoom(backup: backup.id, $0) }
            return .waits(failure)
        case .stopping: return stop(in: &machine, at: now, into: &actions)
        case .quarantining(let remaining):
            guard let id = remaining.first else { return move(to: .seeding(remaining: machine.policy.members)) }
            waits.begin(in: &machine, at: now, into: &actions) {
                .quarantine(id, reason: "replaced by a restore of backup \(backup.id)", $0)
            }
            return .waits(failure)
        case .seeding(let remaining):
            guard let id = remaining.first else { return move(to: .starting) }
            waits.begin(in: &machine, at: now, into: &actions) {
                .seed(id, .restored(backup: backup.id, acceptedEpoch: acceptedEpoch), $0)
            }
            return .waits(failure)
        case .starting:
            guard machine.observed.hasQuorum(at: now) else {
                let count = machine.observed.certainParticipants(at: now)
                return .waits(.noQuorum(participating: count, quorum: machine.observed.quorum))
            }
            return .ended(Ending(backup: backup.id, result: "the cluster serves again, restored to \(hex(backup.endZxid))"))
        }
    }

    private mutating func move(to next: Phase) -> WorkflowStep {
        phase = next
        return .moved
    }

    private mutating func stop(
        in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        machine.stopInOrder(at: now, into: &actions)
        // S3: no process may exist while its files are replaced.
        guard machine.supervisors.allSatisfy({ !$0.state.mayHaveProcess }) else { return .waits(nil) }
        // An effect that was begun for a reseed still writes where the restore will.
        if let reseed = machine.intents.reseed, machine.waits[Seat.reseed.rawValue].effect != nil {
            return .waits(.reseedRunning(reseed.member), member: reseed.member)
        }
        if let unseen = lookAtDisks(in: &machine, into: &actions) {
            return .waits(.dataUnknown(unseen, "it is being looked at"), member: unseen)
        }
        machine.abandonReseeds("a restore of the whole cluster replaced it", at: now, into: &actions)
        acceptedEpoch = max(acceptedEpoch, machine.epochAboveAll(backup))
        machine.ledger.highestEpoch = acceptedEpoch
        machine.saveLedger(into: &actions)
        return move(to: .quarantining(remaining: machine.policy.members))
    }

    /// S8: epochs that were promised since a server's start are on its disk only. Gives a member that was not looked at
    /// since its server died; nil when there is none.
    private func lookAtDisks(
        in machine: inout OperatorMachine, into actions: inout ActionBuffer<OperatorAction>
    ) -> MemberID? {
        let unseen = machine.running.filter { $0.condition == nil }
        for run in unseen where !run.isBeingLookedAt {
            machine.updateRun(run.id) { $0.isBeingLookedAt = true }
            machine.inspect(run.id, .seals, into: &actions)
        }
        return unseen.first?.id
    }

    package mutating func effectEnded(
        _ outcome: EffectOutcome, _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        switch (phase, outcome) {
        // S9: the daemon that ends cuts the reading short, which says nothing of the backup: the next one reads again.
        case (.verifying, .failed) where machine.termination != nil, (.checkingRoom, .failed) where machine.termination != nil:
            return .waits(nil)
        case (.verifying, .failed(let why)), (.checkingRoom, .failed(let why)):
            return .ended(Ending(failure: "nothing was changed: \(why)"))
        case (.verifying, _): phase = .checkingRoom
        case (.checkingRoom, _): phase = .stopping
        case (_, .failed(let why)):
            waits.failed(why, tryAgainAt: now + machine.policy.retry)
            return .waits(nil)
        case (.quarantining(let remaining), _): phase = .quarantining(remaining: Array(remaining.dropFirst()))
        case (.seeding(let remaining), .seeded(let contents)):
            guard let id = remaining.first else { return .waits(nil) }
            // All members get the same history and none has voted on top of it: voters in good standing.
            machine.ledger.set(
                LedgerEntry(
                    id: id, standing: .voter, zxid: contents.zxid, acceptedEpoch: acceptedEpoch, identity: contents.identity))
            machine.ledger.restored(to: backup.endZxid, epoch: acceptedEpoch)
            machine.saveLedger(into: &actions)
            machine.signal(id, .reseeded, at: now, into: &actions)
            phase = .seeding(remaining: Array(remaining.dropFirst()))
        case (.seeding, _), (.stopping, _), (.starting, _): return .waits(nil)
        }
        waits.succeeded()
        return .moved
    }

    package mutating func cancel(_ waits: Waits, in machine: OperatorMachine) -> Cancellation {
        switch phase {
        // Nothing was changed: the members start again from what they have.
        case .verifying, .checkingRoom, .stopping: .atOnce(returning: nil, came: "nothing was changed")
        // S8: some members have the backup, others what was.
        case .quarantining, .seeding:
            .impossible("the data of the members is being replaced, and the cluster is whole again only behind that")
        // It only waits for what the members do by themselves.
        case .starting: .atOnce(returning: nil, came: "the data is the backup's")
        }
    }

    /// One that goes on is not replaced, nor one that is trying again: two effects would write into one directory.
    package func yieldsToRestore(_ waits: Waits) -> Bool { waits.failure != nil && waits.effect == nil }

    package func plan(in machine: OperatorMachine, at now: Instant) -> [PlanStep] {
        let phases: [Phase] = [
            .verifying, .checkingRoom, .stopping, .quarantining(remaining: []), .seeding(remaining: []), .starting,
        ]
        return PlanStep.sequence(
            phases.map { ($0.description, $0.description == phase.description) }, member: nil, reason: title)
    }
}

extension OperatorMachine {
    /// S8: above every epoch that was ever seen, on disk, in the ledger or in the backup. The next leader's epoch is
    /// one more, so that neither clients nor old members see zxids go backwards (reference/operators.md, E6). Asked
    /// again when all servers are dead and their disks were looked at: until then they may elect.
    func epochAboveAll(_ backup: BackupReference) -> Int64 {
        let onDisk = running.compactMap { run -> Int64? in
            guard case .holding(let contents) = run.condition else { return nil }
            return max(contents.acceptedEpoch, contents.currentEpoch, contents.zxid >> 32)
        }
        let seen = observed.members.compactMap { $0.answer.map { $0.zxid >> 32 } }
        let known = onDisk + seen + [ledger.highestEpoch, backup.acceptedEpoch, backup.endZxid >> 32]
        return (known.max() ?? 0) + 1
    }

    /// In place of whatever operation is at work, which a restore is the way out of.
    mutating func beginRestore(
        of backup: BackupReference, id: String, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        var restore = Restore(backup: backup, acceptedEpoch: epochAboveAll(backup))
        if let former = intents.operation {
            // What another one has begun isn't left half done while this backup is read.
            if former.workflow.claim == .cluster { restore.phase = .stopping }
            let ending = Ending(failure: "a restore of backup \(backup.id) replaced it")
            record(former.id, former.title, ending, at: now, into: &actions)
            // Perhaps this backup can't be read, and nothing is restored (operated seed 2970).
            if let disrupted = former.disrupted { awaitReturn(of: disrupted) }
        }
        begin(Operation(id: id, restore), at: now, into: &actions)
    }
}
