import EnsembleBase

/// The whole cluster back to a backup, in place. A person asked for it by the cluster's name: what is younger than the
/// backup is lost to clients, and kept in quarantine (S6).
extension ReconcilerStateMachine {
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

    mutating func advance(
        _ restore: Restore, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        var next = restore
        switch restore.phase {
        case .verifying:
            // S7: a proof is as old as the last reading.
            perform(of: operation, at: now, into: &actions) { token in .verify(backup: restore.backup.id, token) }
        case .checkingRoom:
            perform(of: operation, at: now, into: &actions) { token in .checkRoom(backup: restore.backup.id, token) }
        case .stopping:
            stopInOrder(at: now, into: &actions)
            // S3: no process may exist while its files are replaced.
            guard supervisors.allSatisfy({ !$0.state.mayHaveProcess }) else { return }
            // An effect that was begun for a reseed still writes where the restore will.
            if let reseed = intents.reseed, clock.reseedEffect != nil {
                return hold(operation.title, member: reseed.member, .reseedRunning(reseed.member))
            }
            if let unseen = lookAtDisks(into: &actions) {
                return hold(operation.title, member: unseen, .dataUnknown(unseen, "it is being looked at"))
            }
            abandonReseeds()
            next.acceptedEpoch = max(restore.acceptedEpoch, epochAboveAll(restore.backup))
            ledger.highestEpoch = next.acceptedEpoch
            saveLedger(into: &actions)
            next.phase = .quarantining(remaining: policy.members)
            enter(.restore(next), of: operation, at: now, into: &actions)
        case .quarantining(let remaining):
            guard let id = remaining.first else {
                next.phase = .seeding(remaining: policy.members)
                return enter(.restore(next), of: operation, at: now, into: &actions)
            }
            perform(of: operation, at: now, into: &actions) { token in
                .quarantine(id, reason: "replaced by a restore of backup \(restore.backup.id)", token)
            }
        case .seeding(let remaining):
            guard let id = remaining.first else {
                next.phase = .starting
                return enter(.restore(next), of: operation, at: now, into: &actions)
            }
            perform(of: operation, at: now, into: &actions) { token in
                .seed(id, .restored(backup: restore.backup.id, acceptedEpoch: restore.acceptedEpoch), token)
            }
        case .starting:
            guard observed.hasQuorum(at: now) else {
                let count = observed.certainParticipants(at: now)
                return hold(operation.title, .noQuorum(participating: count, quorum: observed.quorum))
            }
            let result = "the cluster serves again, restored to \(hex(restore.backup.endZxid))"
            end(operation, backup: restore.backup.id, result: result, into: &actions)
        }
    }

    /// S8: epochs that were promised since a server's start are on its disk only. Gives a member that was not looked at
    /// since its server died; nil when there is none.
    private mutating func lookAtDisks(into actions: inout ActionBuffer<ReconcilerAction>) -> MemberID? {
        let unseen = running.filter { $0.condition == nil }
        for run in unseen where !run.isBeingLookedAt {
            updateRun(run.id) { $0.isBeingLookedAt = true }
            inspect(run.id, .seals, into: &actions)
        }
        return unseen.first?.id
    }

    /// Every member gets new data: what was to be done for one of them has no object any more.
    private mutating func abandonReseeds() {
        if let reseed = intents.reseed, let operation = reseed.operation {
            record(operation, "reseed of member \(reseed.member)", failure: "a restore of the whole cluster replaced it")
        }
        for asked in intents.reseedsAskedFor {
            record(asked.operation, "reseed of member \(asked.member)", failure: "a restore of the whole cluster replaced it")
        }
        intents.reseed = nil
        intents.reseedsAskedFor = []
    }

    private mutating func perform(
        of operation: Operation, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>,
        _ action: (EffectToken) -> ReconcilerAction
    ) {
        if let failure = clock.failure { hold(operation.title, .effectFailed(failure)) }
        guard clock.operationEffect == nil, clock.retryAt.map({ now >= $0 }) ?? true else { return }
        let token = token()
        clock.operationEffect = token
        actions.append(action(token))
    }

    mutating func effectFinished(
        _ restore: Restore, _ outcome: EffectOutcome, of operation: Operation, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        var next = restore
        switch (restore.phase, outcome) {
        // S9: the daemon that ends cuts the reading short, which says nothing of the backup: the next one reads again.
        case (.verifying, .failed) where termination != nil, (.checkingRoom, .failed) where termination != nil: return
        case (.verifying, .failed(let why)), (.checkingRoom, .failed(let why)):
            return end(operation, failure: "nothing was changed: \(why)", into: &actions)
        case (.verifying, _):
            next.phase = .checkingRoom
        case (.checkingRoom, _):
            next.phase = .stopping
        case (_, .failed(let why)):
            clock.failure = why
            clock.retryAt = now + policy.retry
            return
        case (.quarantining(let remaining), _):
            next.phase = .quarantining(remaining: Array(remaining.dropFirst()))
        case (.seeding(let remaining), .seeded(let contents)):
            guard let id = remaining.first else { return }
            // All members get the same history and none has voted on top of it: voters in good standing.
            ledger.set(
                LedgerEntry(
                    id: id, standing: .voter, zxid: contents.zxid, acceptedEpoch: restore.acceptedEpoch,
                    identity: contents.identity))
            ledger.restored(to: restore.backup.endZxid, epoch: restore.acceptedEpoch)
            saveLedger(into: &actions)
            signal(id, .reseeded, at: now, into: &actions)
            next.phase = .seeding(remaining: Array(remaining.dropFirst()))
        case (.seeding, _), (.stopping, _), (.starting, _):
            return
        }
        clock.failure = nil
        enter(.restore(next), of: operation, at: now, into: &actions)
    }
}
