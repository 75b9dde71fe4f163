import EnsembleBase
import EnsembleControl
import KeeperCore

/// S2 to S11 from outside of the operator: what it does, judged at that moment by what is true in the world.
struct OperatorChecker: Sendable {
    private struct Member: Sendable {
        /// When its process was last seen serving, and since when it had without a break.
        var servedAt: Instant?
        var servingSince = Instant.origin
        var isServing = false
        /// When it last ended with a history of its own.
        var couldVoteUntil: Instant?
        /// When its process ended last, and when the latest was launched.
        var endedAt: Instant?
        var launchedAt: Instant?
        /// When the latest barrier was asked for that it has served past.
        var passedBarrierOf: Instant?
        /// When it began to stand still, the last time, and when it went on.
        var stillSince: Instant?
        var stillUntil: Instant?
        /// When it was killed for its silence, and has not served since.
        var silencedAt: Instant?
        /// What was found when its directory was last looked at: nothing, because it could not be read.
        var isDoubtful = false
        /// Taken out of service by the operator, and not yet back.
        var isDisrupted = false
        /// It was asked to stop.
        var isStopping = false
        /// It was taken out of service, and no barrier has shown since that it is whole.
        var owesBarrier = false
        /// The operation that it was a step of: what another one has replaced owes nothing any more.
        var operation: String?
        /// That operation was cancelled: whoever comes next owes it.
        var isOwedByAll = false
        /// When it served again, and the first barrier asked for since then that was committed.
        var returnedAt: Instant?
        var barrier: Zxid?
    }

    private var members: [Member]
    /// The operator's barriers that have committed, and when each was asked for.
    private var barriers: [(zxid: Zxid, askedAt: Instant)] = []

    /// The members that the latest operation has taken out of service so far.
    private var steps: (operation: String, members: [Int])?
    /// The reseed that a person asked for last, and how often it has stopped its member.
    private var stoppedFor: (operation: String, count: Int)?

    init(count: Int) { members = Array(repeating: Member(), count: count) }

    // MARK: Processes

    /// - Parameter applied: what its tree shows.
    mutating func observe(_ member: Int, isServing: Bool, applied: Zxid, at now: Instant) {
        if isServing, !members[member].isServing { members[member].servingSince = now }
        members[member].isServing = isServing
        guard isServing else { return }
        members[member].servedAt = now
        members[member].silencedAt = nil
        passes(member, applied)
        guard !members[member].isStopping else { return }
        members[member].isDisrupted = false
        if members[member].owesBarrier, members[member].returnedAt == nil { members[member].returnedAt = now }
    }

    private mutating func passes(_ member: Int, _ applied: Zxid) {
        if let barrier = barriers.last(where: { $0.zxid <= applied }) { members[member].passedBarrierOf = barrier.askedAt }
    }

    /// What is interrupted for less than the time between two looks is one time for whoever looks.
    mutating func stoodStill(_ member: Int, at now: Instant) {
        let wentOn = members[member].stillUntil
        members[member].stillUntil = nil
        if let wentOn, now - wentOn < .milliseconds(400), members[member].stillSince != nil { return }
        members[member].stillSince = now
    }

    mutating func goesOn(_ member: Int, at now: Instant) { members[member].stillUntil = now }

    /// - Parameter couldVote: whether its directory was one that promises and votes count from.
    mutating func ended(_ member: Int, couldVote: Bool, at now: Instant) {
        // A fault has taken it: what is owed for the step is no longer the step's.
        if !members[member].isStopping { settlesBarrier(member) }
        members[member].isStopping = false
        members[member].isServing = false
        (members[member].stillSince, members[member].stillUntil) = (nil, nil)
        members[member].endedAt = now
        if couldVote { members[member].couldVoteUntil = now }
    }

    mutating func inspected(_ member: Int, unreadable: Bool) { members[member].isDoubtful = unreadable }

    /// S3, S10.
    func launches(_ member: Int, isAlive: Bool, _ verdict: inout Verdict) {
        if isAlive { verdict.fail(.fence, "S3: a second server of \(member + 1) is launched") }
        if members[member].isDoubtful { verdict.fail(.doubt, "S10: \(member + 1) is launched from a directory that can't be read") }
    }

    /// S2: a server whose directory has forgotten something abstains, and comes when nobody counts on what it has promised: when
    /// all that may have been candidates then have ended since, or serve past a barrier that was asked for since; or after a time
    /// that no candidacy outlasts.
    ///
    /// - Parameters:
    ///   - isAlive: of each member.
    ///   - applied: what each member's tree shows.
    mutating func starts(
        _ member: Int, disk: SimDisk, hasForgotten: Bool, promises: Duration, isAlive: [Bool], applied: [Zxid], at now: Instant, _ verdict: inout Verdict
    ) {
        members[member].launchedAt = now
        guard hasForgotten else { return }
        if !disk.marked, !disk.isBlank || disk.initialize {
            verdict.fail(.amnesia, "S2: \(member + 1) has lost its history and is launched as a voter")
        }
        guard let end = members[member].couldVoteUntil, now - end < promises else { return }
        for other in members.indices where other != member && isAlive[other] {
            // It may have had the barrier before the operator knew of it, and nothing since (operated seed 1378).
            if members[other].isServing { passes(other, applied[other]) }
            let it = members[other]
            // What began later has been promised nothing by it (operated seed 9876).
            if it.launchedAt.map({ $0 >= end }) ?? false { continue }
            if it.endedAt.map({ $0 >= end }) ?? false || it.passedBarrierOf.map({ $0 >= end }) ?? false { continue }
            verdict.fail(
                .amnesia,
                "S2: \(member + 1) is launched \((now - end).inMilliseconds) ms after it could last promise an epoch, and \(other + 1) may count on that")
        }
    }

    // MARK: Harm

    /// What is true of a process that is to be killed.
    struct Victim: Sendable {
        var isServing: Bool
        /// Its directory is there, and the one that it was started from.
        var hasDirectory: Bool
        /// When there was last something that kept its answers from the operator.
        var lastUnheard: Instant?
    }

    /// S11: a process that serves is not killed. Exempt are those that were asked to stop, which was judged then; those that
    /// have stood still for as long as the kernel's word takes; and those without a directory, while nobody needs them.
    ///
    /// - Parameter patience: how old the operator's knowledge may be by design.
    mutating func kills(
        _ member: Int, _ victim: Victim, bounds: VerdictBounds, patience: Duration, at now: Instant, _ verdict: inout Verdict
    ) {
        let it = members[member]
        guard !it.isStopping else { return }
        let slack = Duration.milliseconds(600)
        if let since = it.stillSince, now - (it.stillUntil ?? now) <= slack, (it.stillUntil ?? now) - since >= bounds.stopped - slack { return }
        guard victim.hasDirectory else { return judgeFence(of: member, patience: patience, at: now, &verdict) }
        if victim.isServing, victim.lastUnheard.map({ now - $0 > .milliseconds(2_500) }) ?? true {
            verdict.fail(.harm, "S11: \(member + 1) is killed, serves, and can be heard")
        }
        // Whoever has served for longer than knowledge may be old, until a moment ago, was counted then.
        if let served = it.servedAt, now - served <= .seconds(1), served - it.servingSince >= patience {
            verdict.fail(
                .harm, "S11: \(member + 1) is killed for its silence, and has served its peers for \((served - it.servingSince).inMilliseconds) ms")
        }
        if let other = members.indices.first(where: { $0 != member && members[$0].silencedAt.map { now - $0 < bounds.silence } ?? false }) {
            verdict.fail(.harm, "S11: \(member + 1) is killed for its silence, and so was \(other + 1) a moment ago")
        }
        members[member].silencedAt = now
    }

    /// S2 demands the end of one whose directory is gone; it may be the one that the quorum stands on.
    private func judgeFence(of member: Int, patience: Duration, at now: Instant, _ verdict: inout Verdict) {
        guard members[member].isServing else { return }
        let staying = othersServing(than: member, within: patience, at: now)
        if staying * 2 <= members.count {
            verdict.fail(.harm, "S11: \(member + 1) is killed for its lost directory, serves, and only \(staying) others have of late")
        }
    }

    private func othersServing(than member: Int, within patience: Duration, at now: Instant) -> Int {
        members.indices.count { other in other != member && (members[other].servedAt.map { now - $0 <= patience } ?? false) }
    }

    /// S11: a member that nobody asked to have restarted is so because clients can't reach it, which is true.
    ///
    /// - Parameters:
    ///   - unheard: when last its answers were kept from the operator.
    ///   - silence: how long that must last.
    func restartsUnasked(
        _ member: Int, unheard: (since: Instant, until: Instant)?, silence: Duration, at now: Instant, _ verdict: inout Verdict
    ) {
        // It was asked last a moment before.
        guard let unheard, now - unheard.since >= silence - .milliseconds(600) else {
            return verdict.fail(.harm, "S11: \(member + 1) is restarted as one that can't be reached, and has been heard")
        }
        if now - unheard.until > .seconds(3) {
            verdict.fail(.harm, "S11: \(member + 1) is restarted as one that can't be reached, and is heard again")
        }
    }

    mutating func asksToStop(_ member: Int) { members[member].isStopping = true }

    // MARK: Disruptions

    /// A write of the operator's own was committed, which it asked for at `askedAt`.
    mutating func barrierCommitted(_ zxid: Zxid, askedAt: Instant) {
        barriers.append((zxid, askedAt))
        if barriers.count > 16 { barriers.removeFirst() }
        for member in members.indices where members[member].barrier == nil {
            guard let returned = members[member].returnedAt, returned <= askedAt else { continue }
            members[member].barrier = zxid
        }
    }

    private mutating func settlesBarrier(_ member: Int) {
        members[member].isOwedByAll = false
        members[member].owesBarrier = false
        members[member].returnedAt = nil
        members[member].barrier = nil
    }

    /// S4: that a member serves again says nothing of what it lacks. The next one goes only when it has a write that was
    /// asked for after its return, so that it follows a leader that a quorum accepts, and has what was committed before.
    private func judgeReturn(
        of other: Int, before member: Int, of operation: String?, has applied: Zxid, _ verdict: inout Verdict
    ) {
        guard members[other].owesBarrier, members[other].returnedAt != nil,
            members[other].operation == operation || members[other].isOwedByAll
        else { return }
        guard let barrier = members[other].barrier else {
            return verdict.fail(
                .disruption, "S4: \(member + 1) is taken out of service, and no barrier was committed since \(other + 1) came back")
        }
        if applied < barrier {
            verdict.fail(
                .disruption, "S4: \(member + 1) is taken out of service, and \(other + 1) has not reached the barrier \(barrier)")
        }
    }

    /// S4: the steps before this one, of the same operation, are whole: they serve, and the world knows it of late.
    private mutating func judgeStepsBefore(
        _ member: Int, of operation: String?, excused: [Int], patience: Duration, at now: Instant, _ verdict: inout Verdict
    ) {
        if steps?.operation != operation { steps = operation.map { ($0, []) } }
        for step in steps?.members ?? [] where step != member && !excused.contains(step) {
            if let served = members[step].servedAt, now - served <= patience { continue }
            verdict.fail(.disruption, "S4: \(member + 1) is taken out of service, and \(step + 1), whose turn was before, does not serve")
        }
        steps?.members.append(member)
    }

    /// S4, S5: a step that nobody needs.
    ///
    /// - Parameters:
    ///   - operation: what it is a step of; nil: a reseed.
    ///   - excused: members that a person has stopped.
    ///   - patience: how old the operator's knowledge may be by design.
    ///   - applied: what each member's tree shows.
    mutating func disrupts(
        _ member: Int, of operation: String?, holdsLock: Bool, excused: [Int], patience: Duration, applied: [Zxid],
        at now: Instant, _ verdict: inout Verdict
    ) {
        for other in members.indices where other != member {
            judgeReturn(of: other, before: member, of: operation, has: applied[other], &verdict)
        }
        judgeStepsBefore(member, of: operation, excused: excused, patience: patience, at: now, &verdict)
        if !holdsLock { verdict.fail(.disruption, "S5: \(member + 1) is taken out of service without the ensemble's lock") }
        if let other = members.indices.first(where: { $0 != member && members[$0].isDisrupted }) {
            verdict.fail(.disruption, "S5: \(member + 1) is taken out of service while \(other + 1) is")
        }
        let staying = othersServing(than: member, within: patience, at: now)
        if staying * 2 <= members.count {
            verdict.fail(.disruption, "S4: \(member + 1) is taken out of service, and only \(staying) others have served of late")
        }
        members[member].isDisrupted = true
        settlesBarrier(member)
        members[member].owesBarrier = true
        members[member].operation = operation
    }

    /// S4: what was taken out of service for it comes back as behind a step that was made.
    mutating func isCancelled(_ operation: String) {
        for member in members.indices where members[member].owesBarrier && members[member].operation == operation {
            members[member].isOwedByAll = true
        }
    }

    /// S4: a person's reseed stops a member that is whole when all that it needs is there; what came in between may send it
    /// back now and then, and not each time.
    mutating func stopsForReseed(_ member: Int, _ operation: String, _ verdict: inout Verdict) {
        if stoppedFor?.operation != operation { stoppedFor = (operation, 0) }
        stoppedFor!.count += 1
        guard stoppedFor!.count > 4 else { return }
        verdict.fail(.disruption, "S4: \(member + 1) is taken out of service for its reseed for the fifth time, and put back each time")
    }

    /// A fault, a person or the end of everything took its place.
    mutating func isNoLongerDisrupted(_ member: Int) {
        members[member].isDisrupted = false
        settlesBarrier(member)
    }

    // MARK: Directories

    /// S3, S10.
    func touches(_ member: Int, _ what: String, isAlive: Bool, isAsked: Bool, _ verdict: inout Verdict) {
        if isAlive { verdict.fail(.fence, "S3: the directory of \(member + 1) is \(what) under its server") }
        if members[member].isDoubtful, !isAsked { verdict.fail(.doubt, "S10: the directory of \(member + 1) is \(what), and can't be read") }
    }

    /// S6.
    func quarantined(_ member: Int, _ old: SimDisk, in quarantine: [SimDisk], _ verdict: inout Verdict) {
        let isKept = quarantine.last.map { $0.end == old.end && $0.identity == old.identity && $0.isBlank == old.isBlank }
        if isKept != true { verdict.fail(.quarantine, "S6: what \(member + 1) had is gone, and not in quarantine") }
    }

    /// S6.
    func fills(_ member: Int, _ old: SimDisk, _ verdict: inout Verdict) {
        if !old.isBlank { verdict.fail(.quarantine, "S6: the directory of \(member + 1) is overwritten") }
    }

    // MARK: Backups

    /// S7: it holds what was committed up to its end, and nothing else.
    func uses(_ backup: SimBackup, tree: DataTree?, _ history: CommittedHistory, _ verdict: inout Verdict) {
        let id = backup.reference.id
        guard let tree else { return verdict.fail(.verifiedBackups, "S7: backup \(id) is used, and is damaged") }
        guard let digest = history.digest(at: backup.end) else {
            return verdict.fail(.verifiedBackups, "S7: backup \(id) ends at \(backup.end), which was never committed")
        }
        if tree.digest != digest {
            verdict.fail(.verifiedBackups, "S7: backup \(id) has another tree at \(backup.end) than was committed")
        }
    }

    /// S6.
    func pruned(from before: SimArchive, to after: SimArchive, _ verdict: inout Verdict) {
        if let newest = before.newestVerified, after.backup(newest.reference.id) == nil {
            verdict.fail(.quarantine, "S6: pruning removed \(newest.reference.id), the newest verified backup")
        }
        for backup in after.backups where after.objects[backup.base] == nil && before.objects[backup.base] != nil {
            verdict.fail(.quarantine, "S6: pruning removed an object that \(backup.reference.id) needs")
        }
    }
}
