import EnsembleBase

/// When backups are begun, from which member, and what follows from them.
extension OperatorMachine {
    /// What is at work at the archive.
    struct ArchiveWork: Sendable {
        /// The operation of the person who asked; nil: nobody did.
        var id: String?
        var workflow: any Workflow

        var title: String { workflow.title }
    }

    mutating func backupDue(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard termination == nil else { return }
        if let other = obstacleToScheduledBackup {
            return backupFailed("the scheduled backup was left out: a \(other) is under way", .warning, into: &actions)
        }
        switch policy.backupMode {
        case .live:
            _ = beginCapture(of: nil, operation: nil, at: now, into: &actions)
        case .cold:
            guard intents.pausedSince == nil else {
                return backupFailed("the scheduled backup was left out: \(HoldReason.paused.description)", .warning, into: &actions)
            }
            begin(Operation(id: "backup-" + String(newIdentity().prefix(12)), ColdCapture(member: nil)), at: now, into: &actions)
        }
    }

    /// A live one stops nobody, so that a roll which stands still for days doesn't end the backups as well.
    package var obstacleToScheduledBackup: String? {
        if let work = archiveWork { return work.title }
        guard let operation = intents.operation else { return nil }
        return policy.backupMode == .cold || operation.workflow.keepsLiveBackupsOut ? operation.title : nil
    }

    /// Returns why it can't begin; nil when it did.
    mutating func beginCapture(
        of asked: MemberID?, operation: String?, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> HoldReason? {
        guard let source = asked ?? sourceForCapture(at: now), observed.participates(source, at: now) else {
            let reason = asked.map(HoldReason.memberNotParticipating) ?? .noSource
            backupFailed("no backup was taken: \(reason.description)", .warning, into: &actions)
            return reason
        }
        archiveWork = ArchiveWork(id: operation, workflow: LiveCapture(of: source, isChosen: asked != nil))
        return nil
    }

    mutating func beginVerification(of backup: BackupReference, from source: MemberID? = nil, operation: String? = nil) {
        archiveWork = ArchiveWork(id: operation, workflow: LiveCapture(verifying: backup, from: source))
    }

    /// The member without lag; a follower when there is one, because the leader has enough to do, unless the manifest
    /// says that any will do.
    func sourceForCapture(besides tried: [MemberID] = [], at now: Instant) -> MemberID? {
        let candidates = observed.participants(at: now).filter { intents.reseed?.member != $0 && !tried.contains($0) }
        let leader = observed.leader(at: now)
        return candidates.min { a, b in
            let (leads, other) = (a == leader, b == leader)
            if policy.backupSource == .follower, leads != other { return !leads }
            let (lag, otherLag) = (observed.lag(of: a, at: now) ?? .max, observed.lag(of: b, at: now) ?? .max)
            return lag != otherLag ? lag < otherLag : a < b
        }
    }

    mutating func prune(into actions: inout ActionBuffer<OperatorAction>) {
        // S6: the next backup prunes as well.
        guard intents.backupInUse == nil else { return }
        let token = token()
        pruning = token
        actions.append(.prune(token))
    }

    mutating func pruneFinished(_ outcome: EffectOutcome, into actions: inout ActionBuffer<OperatorAction>) {
        pruning = nil
        guard case .failed(let why) = outcome else { return }
        backupFailed("nothing was pruned: \(why)", into: &actions)
    }

    /// Kept for the status until a backup succeeds: an archive that quietly stopped growing is found when it is needed.
    mutating func backupFailed(
        _ what: String, member: MemberID? = nil, _ severity: EventRecord.Severity = .error,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        backupFailure = what
        actions.append(.note(Note(severity, .backupFailed, member: member, what)))
    }
}

/// `512 B`, `12 KiB`.
func byteText(_ bytes: Int64) -> String {
    var value = max(bytes, 0)
    for unit in ["B", "KiB", "MiB"] {
        if value < 10 * 1024 { return "\(value) \(unit)" }
        value = (value + 512) / 1024
    }
    return "\(value) GiB"
}
