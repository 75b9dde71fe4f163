import EnsembleBase

/// Work at the archive that takes no member out of service, so that it needs neither the gate nor the lock: a capture
/// of a running member and its verification, or a verification that was asked for. At most one is under way; it is not
/// written down, because a daemon that dies in the middle leaves no backup rather than half of one.
struct ArchiveWork: Sendable {
    enum Phase: Sendable, Hashable {
        /// A transaction is being committed. → reaching
        case committing(EffectToken)
        /// The member has not shown the committed transaction yet. → copying; committing, when the epoch changed
        case reaching(barrier: Int64)
        /// → verifying; committing, from another member
        case copying(EffectToken)
        /// → done
        case verifying(EffectToken)
    }

    var operation: String?
    var title: String
    /// The source; nil for a verification alone.
    var member: MemberID?
    /// A person named the source: no other is taken.
    var isChosen = false
    /// Sources that were given up.
    var tried: [MemberID] = []
    /// Since when this source is at work.
    var since: Instant
    var phase: Phase
    /// The backup that is being verified.
    var backup: BackupReference?

    /// The effect that it waits for.
    var effect: EffectToken? {
        switch phase {
        case .committing(let token), .copying(let token), .verifying(let token): token
        case .reaching: nil
        }
    }

    var step: String {
        switch phase {
        case .committing: "committing a transaction to end at"
        case .reaching(let barrier): "waiting until member \(member ?? 0) has \(hex(barrier))"
        case .copying: "copying the files of member \(member ?? 0)"
        case .verifying: "reading it back and replaying it"
        }
    }
}

extension ReconcilerStateMachine {
    mutating func backupDue(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
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
            let cold = Operation.Kind.coldBackup(ColdBackup(member: nil))
            begin(Operation(id: "backup-" + newIdentity().prefix(12), kind: cold), at: now, into: &actions)
        }
    }

    /// A live one stops nobody, so that a roll which stands still for days doesn't end the backups as well.
    package var obstacleToScheduledBackup: String? {
        if let work = archiveWork { return work.title }
        guard let operation = intents.operation else { return nil }
        switch (policy.backupMode, operation.kind) {
        case (.live, .rolling), (.live, .stopMember): return nil
        // It may wait for a reseed, and the reseed for a backup.
        case (.live, .coldBackup(let cold)) where cold.phase == .choosing: return nil
        case (.live, .coldBackup), (.live, .restore), (.cold, _): return operation.title
        }
    }

    /// Returns why it can't begin; nil when it did.
    mutating func beginCapture(
        of asked: MemberID?, operation: String?, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) -> HoldReason? {
        guard let source = asked ?? sourceForCapture(at: now), observed.participates(source, at: now) else {
            let reason = asked.map(HoldReason.memberNotParticipating) ?? .noSource
            backupFailed("no backup was taken: \(reason.description)", .warning, into: &actions)
            return reason
        }
        let token = token()
        archiveWork = ArchiveWork(
            operation: operation, title: "backup", member: source, isChosen: asked != nil, since: now,
            phase: .committing(token))
        actions.append(.writeBarrier(token))
        return nil
    }

    mutating func beginVerification(
        of backup: String, operation: String, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        let token = token()
        archiveWork = ArchiveWork(
            operation: operation, title: "verification of backup \(backup)", since: now, phase: .verifying(token),
            backup: BackupReference(id: backup, endZxid: 0, acceptedEpoch: 0, takenAt: WallTime(milliseconds: 0)))
        actions.append(.verify(backup: backup, token))
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

    /// S1, S7: a backup's end is a transaction that is both committed and there. Committed: a quorum has accepted the
    /// barrier, so what its leader's epoch holds before it is committed too, and what a member's log holds behind it
    /// (which may never be) is cut off by the copy. There: a member that lags has not received all of that, and its
    /// files would make a backup that verifies and yet lacks acknowledged writes; so the copy begins only when the
    /// member's own answer shows the barrier, in the barrier's epoch, and fails if its log then ends before it. With
    /// another epoch the entries between may be of a history that lost: then another barrier is committed.
    mutating func advanceArchiveWork(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        guard termination == nil else { return abandonArchiveWork() }
        guard var work = archiveWork, case .reaching(let barrier) = work.phase, let member = work.member else { return }
        if observed.participates(member, at: now), let answer = observed.freshAnswer(of: member, at: now) {
            if answer.zxid >> 32 > barrier >> 32 {
                return commitAnew(work, into: &actions)
            }
            if answer.zxid >> 32 == barrier >> 32, answer.zxid >= barrier {
                let token = token()
                work.phase = .copying(token)
                archiveWork = work
                return actions.append(.capture(member, .live, upTo: barrier, token))
            }
            hold(work.title, member: member, .memberLags(member, by: max(1, barrier - answer.zxid)))
        } else {
            hold(work.title, member: member, .memberNotParticipating(member))
        }
        guard now - work.since >= policy.captureWait else { return }
        giveUpSource(of: work, "member \(member) has not reached \(hex(barrier)) in \(policy.captureWait)", at: now, into: &actions)
    }

    private mutating func commitAnew(_ work: ArchiveWork, into actions: inout ActionBuffer<ReconcilerAction>) {
        let token = token()
        archiveWork = work
        archiveWork?.phase = .committing(token)
        actions.append(.writeBarrier(token))
    }

    mutating func archiveEffectFinished(
        _ work: ArchiveWork, _ outcome: EffectOutcome, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        var work = work
        switch (work.phase, outcome) {
        case (.committing, .barrier(let zxid)):
            work.phase = .reaching(barrier: zxid)
            archiveWork = work
        case (.copying, .captured(let reference)):
            work.backup = reference
            guard policy.verifiesBackups else { return finishArchiveWork(work, into: &actions) }
            // S7: it counts once it was read back.
            let token = token()
            work.phase = .verifying(token)
            archiveWork = work
            actions.append(.verify(backup: reference.id, token))
        case (.copying, .failed(let why)):
            giveUpSource(of: work, why, at: now, into: &actions)
        case (.verifying, .done):
            finishArchiveWork(work, into: &actions)
        case (_, .failed(let why)):
            failArchiveWork(work, why, into: &actions)
        case (_, _):
            failArchiveWork(work, "it ended without a result", into: &actions)
        }
    }

    /// Another member may do better, unless a person wants this one.
    private mutating func giveUpSource(
        of work: ArchiveWork, _ why: String, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        var work = work
        work.tried += work.member.map { [$0] } ?? []
        guard !work.isChosen, let next = sourceForCapture(besides: work.tried, at: now) else {
            return failArchiveWork(work, why, into: &actions)
        }
        actions.append(
            .note(Note(.warning, .backupFailed, member: work.member, "\(why); it is taken from member \(next) instead")))
        work.member = next
        work.since = now
        commitAnew(work, into: &actions)
    }

    private mutating func failArchiveWork(
        _ work: ArchiveWork, _ why: String, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        archiveWork = nil
        backupFailed("\(work.title): \(why)", member: work.member, into: &actions)
        if let id = work.operation { record(id, work.title, failure: why, backup: work.backup?.id) }
    }

    private mutating func finishArchiveWork(
        _ work: ArchiveWork, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        archiveWork = nil
        let id = work.backup?.id ?? ""
        let standing = if case .verifying = work.phase { "verified" } else { "not verified, as the manifest wants it" }
        actions.append(.note(Note(.information, .backupTaken, member: work.member, "backup \(id) is \(standing)")))
        let result = "backup \(id): " + (work.backup.flatMap(\.size).map { "\(byteText($0)), " } ?? "") + standing
        if let operation = work.operation { record(operation, work.title, backup: id, result: result) }
        guard work.member != nil else { return }
        backupFailure = nil
        // S6: the next backup prunes as well.
        guard intents.backupInUse == nil else { return }
        let token = token()
        clock.pruneEffect = token
        actions.append(.prune(token))
    }

    mutating func pruneFinished(_ outcome: EffectOutcome, into actions: inout ActionBuffer<ReconcilerAction>) {
        clock.pruneEffect = nil
        guard case .failed(let why) = outcome else { return }
        backupFailed("nothing was pruned: \(why)", into: &actions)
    }

    /// Kept for the status until a backup succeeds: an archive that quietly stopped growing is found when it is needed.
    mutating func backupFailed(
        _ what: String, member: MemberID? = nil, _ severity: EventRecord.Severity = .error,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        backupFailure = what
        actions.append(.note(Note(severity, .backupFailed, member: member, what)))
    }

    private mutating func abandonArchiveWork() {
        guard let work = archiveWork else { return }
        archiveWork = nil
        if let id = work.operation { record(id, work.title, failure: "the daemon is stopping") }
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
