import EnsembleBase

/// Bringing back a member whose data is lost or untrusted. Order is safety: conditions, fence (S3), quarantine (S6),
/// seed (S2, S7), promises (S2), start, participation past a barrier, ledger.
extension ReconcilerStateMachine {
    struct ReseedCandidate {
        var member: MemberID
        var reason: UntrustedReason
        /// The operation of the person who asked for it, of a lost member as well as of a whole one.
        var operation: String?

        /// It has its data: only a person's word puts it into quarantine.
        var isWhole: Bool { if case .askedFor = reason { true } else { false } }
    }

    /// The members that need a reseed, each once: their data isn't trusted, or vanished under a live server, or a person
    /// asked.
    var candidatesForReseed: [ReseedCandidate] {
        var candidates: [ReseedCandidate] = []
        func add(_ id: MemberID, _ reason: UntrustedReason) {
            if candidates.contains(where: { $0.member == id }) { return }
            let asked = intents.reseedsAskedFor.first { $0.member == id }
            candidates.append(ReseedCandidate(member: id, reason: reason, operation: asked?.operation))
        }
        for id in policy.members {
            if case .untrusted(let reason) = supervisor(id)?.state { add(id, reason) }
        }
        for run in running {
            if let reason = run.vanished { add(run.id, reason) }
        }
        for asked in intents.reseedsAskedFor { add(asked.member, .askedFor("a person")) }
        return candidates
    }

    mutating func advanceReseed(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        guard termination == nil else { return }
        if case .restore(let restore) = intents.operation?.kind, restore.hasBegun { return }
        if intents.reseed == nil { beginReseed(at: now, into: &actions) }
        guard let reseed = intents.reseed else {
            _ = objectionOfReturn(at: now, into: &actions)
            return
        }
        switch reseed.phase {
        case .fencing: fence(reseed, at: now, into: &actions)
        case .quarantining: quarantine(reseed, at: now, into: &actions)
        case .seeding: seed(reseed, at: now, into: &actions)
        case .waiting: waitOutPromises(reseed, at: now, into: &actions)
        case .joining: awaitJoining(reseed, at: now, into: &actions)
        }
    }

    private mutating func beginReseed(at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>) {
        for candidate in candidatesForReseed {
            guard let reason = objection(toReseeding: candidate, at: now, into: &actions) else {
                return begin(candidate, at: now, into: &actions)
            }
            // S10: it waits, says for what, and goes on by itself. So may another that needs what this one may not have: the
            // one that an operation has taken out, or one whose budget is not spent.
            hold("reseed of member \(candidate.member)", member: candidate.member, reason)
        }
    }

    private mutating func begin(
        _ candidate: ReseedCandidate, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        let why = candidate.reason.description
        actions.append(.note(Note(.warning, .reseedStarted, member: candidate.member, "reseed begins: \(why)")))
        ledger.reseeds.append(ReseedRecord(member: candidate.member, at: wallTime(now)))
        intents.reseedsAskedFor.removeAll { $0.member == candidate.member }
        // The ledger goes first: whenever the daemon dies from here on, this member is started only to abstain (S2). One that
        // a person wants reseeded is whole until its directory is moved (`quarantine`).
        var entry =
            ledger[candidate.member]
            ?? LedgerEntry(id: candidate.member, standing: .recovering, zxid: 0, acceptedEpoch: 0, identity: nil)
        if !candidate.isWhole { entry.standing = .recovering }
        ledger.set(entry)
        saveLedger(into: &actions)
        let backup = policy.engine == .bundled ? seedBackup?.id : nil
        enter(
            Reseed(
                member: candidate.member, reason: candidate.reason, phase: .fencing, backup: backup, attempt: 1,
                operation: candidate.operation),
            at: now, into: &actions)
    }

    /// S7, S8: the newest backup that is verified, and that no restore has undone.
    private var seedBackup: BackupReference? { observed.backups.verified.last { ledger.isOfThisHistory($0) } }

    private mutating func objection(
        toReseeding candidate: ReseedCandidate, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) -> HoldReason? {
        let id = candidate.member
        if candidate.operation == nil, !policy.reseed.automatic {
            return .needsPerson("the manifest forbids automatic reseeds; ensemblectl reseed \(id) begins one")
        }
        // S10: what one member has forgotten a quorum of the others knows; with a majority gone nobody can tell what was
        // acknowledged, and only a person may decide to do without it. Said before all that would pass by itself.
        if let lost = lostMajority { return .majorityLost(lost) }
        // S5: one member at a time is out of service because of us.
        if let operation = intents.operation, let other = operation.disrupted, other != id {
            return .operationRunning(operation.title)
        }
        // S4: a live member may be the one that holds the quorum; a lost one must not be needed for it.
        if let reason = QuorumGate(observed, at: now).objection(toRelyingOnOthersThan: id) { return reason }
        guard observed.backups.isListed else { return .archiveUnknown }
        // S7: only a verified backup. Also where the seed will be empty: while a member is brought back, one more
        // loss would leave the archive as the only copy.
        guard seedBackup != nil || hasNeverServed(id) else { return .noVerifiedBackup }
        if candidate.isWhole {
            if intents.pausedSince != nil { return .paused }
            // S1: it may have what was acknowledged, and the lost one comes first (`quarantine` asks again).
            if let other = policy.voters.first(where: { $0 != id && isLost($0) }) { return .memberNotParticipating(other) }
            if let reason = objection(toLosing: id, seenSince: now - policy.answerTimeout) { return reason }
            if let reason = objectionOfReturn(besides: id, at: now, into: &actions) { return reason }
        }
        // It holds back the daemon, not a person.
        if candidate.operation == nil, let spent = spentBudget(id, at: now) { return spent }
        return objectionOfLock(at: now, into: &actions)
    }

    /// S1: what a whole member has is given up only while a quorum of the others has been seen with their directories.
    private func objection(toLosing id: MemberID, seenSince since: Instant) -> HoldReason? {
        let others = policy.voters.filter { $0 != id }
        let unseen = others.filter { other in
            !running.contains { $0.id == other && $0.seenAt.map { $0 >= since } ?? false }
        }
        return others.count - unseen.count >= observed.quorum ? nil : .directoriesNotSeen(unseen)
    }

    /// Whether only a reseed brings it back.
    func isLost(_ id: MemberID) -> Bool {
        if case .untrusted = supervisor(id)?.state { return true }
        return intents.reseed?.member == id || running.contains { $0.id == id && $0.vanished != nil }
    }

    /// Of a new cluster, and nobody saw it serve: it has lost nothing that the others would need, nor can there be a
    /// backup yet.
    private func hasNeverServed(_ id: MemberID) -> Bool {
        guard observed.backups.count == 0, let entry = ledger[id] else { return false }
        return entry.zxid == 0 && entry.acceptedEpoch == 0
    }

    /// The voters without data of their own, when those that have some are fewer than a quorum.
    private var lostMajority: [MemberID]? {
        let lost = policy.voters.filter { id in
            if ledger[id]?.standing == .recovering { return true }
            guard case .untrusted = supervisor(id)?.state else { return false }
            return true
        }
        return policy.voters.count - lost.count < observed.quorum ? lost : nil
    }

    private mutating func spentBudget(_ id: MemberID, at now: Instant) -> HoldReason? {
        // A record from the future (the wall clock was set back) counts as of now: doubt saves the budget.
        let wall = wallTime(now)
        ledger.reseeds.removeAll { wall - $0.at >= .seconds(86_400) }
        let own = ledger.reseeds.count { $0.member == id && wall - $0.at < .seconds(3600) }
        guard own < policy.reseed.perMemberPerHour else { return .budgetSpent(id, count: own, isOfOneMember: true) }
        guard ledger.reseeds.count < policy.reseed.perDay else {
            return .budgetSpent(id, count: ledger.reseeds.count, isOfOneMember: false)
        }
        return nil
    }

    private func wallTime(_ now: Instant) -> WallTime { origin + (now - .origin) }

    /// S9: the phase is written down, then its actions follow.
    mutating func enter(
        _ reseed: Reseed, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        intents.reseed = reseed
        clock.reseedSince = now
        clock.reseedEffect = nil
        clock.reseedBarrier = nil
        clock.reseedBarrierEffect = nil
        clock.reseedRetryAt = nil
        clock.seenWithoutPromises = []
        clock.joinsFirst = reseed.phase == .joining
        clock.joinerServed = false
        saveIntents(into: &actions)
        actions.append(.note(Note(.information, .reseedPhase, member: reseed.member, reseed.phase.description)))
        advanceReseed(at: now, into: &actions)
    }

    private mutating func fence(
        _ reseed: Reseed, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard let supervisor = supervisor(reseed.member) else { return }
        // S3: while a process may exist, nothing of its data is touched.
        if supervisor.state.mayHaveProcess {
            switch (reseed.reason, supervisor.state) {
            // A whole member that a person wants reseeded is stopped like any other, and at once: what allows it (S4, S5) is
            // true now.
            case (.askedFor, _): if supervisor.isWanted { signal(reseed.member, .unwanted, at: now, into: &actions) }
            case (_, .killing): break
            case (_, _): signal(reseed.member, .fenced, at: now, into: &actions)
            }
            return hold(title(reseed), member: reseed.member, .processNotProvedDead(reseed.member))
        }
        signal(reseed.member, .unwanted, at: now, into: &actions)
        updateRun(reseed.member) { $0.vanished = nil }
        var next = reseed
        next.phase = .quarantining
        enter(next, at: now, into: &actions)
    }

    /// Its reseed waits for the conditions anew.
    mutating func postpone(_ reseed: Reseed, into actions: inout ActionBuffer<ReconcilerAction>) {
        if let operation = reseed.operation {
            intents.reseedsAskedFor.insert(AskedReseed(member: reseed.member, operation: operation), at: 0)
        }
        giveUp(reseed, into: &actions)
    }

    /// Nothing of the member's data was touched: it is a voter as before.
    mutating func giveUp(_ reseed: Reseed, into actions: inout ActionBuffer<ReconcilerAction>) {
        // The ledger first: a voter with an intent is judged anew before it is touched, and one that recovers without an
        // intent would count as lost.
        setStanding(of: reseed.member, .voter, into: &actions)
        intents.reseed = nil
        awaitReturn(of: reseed.member)
        saveIntents(into: &actions)
    }

    private mutating func quarantine(
        _ reseed: Reseed, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        // S3, again for a daemon that takes over in this phase.
        if supervisor(reseed.member)?.state.mayHaveProcess == true { return fence(reseed, at: now, into: &actions) }
        // S1: what a person wants brought back is whole. When another member is lost in the meantime, it may be what was
        // acknowledged that would go.
        if case .askedFor = reseed.reason, clock.reseedEffect == nil {
            if policy.voters.contains(where: { $0 != reseed.member && isLost($0) }) {
                return postpone(reseed, into: &actions)
            }
            // A server serves on for a while without its directory, so what was seen before doesn't count.
            let since = clock.reseedSince ?? now
            clock.reseedSince = since
            if let reason = objection(toLosing: reseed.member, seenSince: since) {
                // Nor is a whole member kept down for others that serve no longer.
                if now - since >= policy.answerTimeout { return postpone(reseed, into: &actions) }
                return hold(title(reseed), member: reseed.member, reason)
            }
        }
        guard startEffect(at: now) else { return }
        // S2: what may be moved from here on votes no more, whenever the daemon dies.
        setStanding(of: reseed.member, .recovering, into: &actions)
        let token = token()
        clock.reseedEffect = token
        actions.append(.quarantine(reseed.member, reason: reseed.reason.description, token))
    }

    private mutating func seed(
        _ reseed: Reseed, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard startEffect(at: now) else { return }
        let token = token()
        clock.reseedEffect = token
        actions.append(.seed(reseed.member, reseed.backup.map(Seed.recovering) ?? .empty, token))
    }

    private mutating func startEffect(at now: Instant) -> Bool {
        if let failure = clock.failure, let member = intents.reseed?.member {
            hold("reseed of member \(member)", member: member, .effectFailed(failure))
        }
        return clock.reseedEffect == nil && (clock.reseedRetryAt.map { now >= $0 } ?? true)
    }

    /// S2: a member that was launched to join may have synced, and promised, before anyone saw it: with its directory
    /// empty again those promises are forgotten like the earlier ones, and are waited out by another round. A launch of
    /// the bundled server leaves files at once; Apache's leaves none until it has synced.
    func isLostAgain(_ id: MemberID) -> Bool {
        guard let reseed = intents.reseed, reseed.member == id, reseed.phase == .joining, !clock.joinsFirst else {
            return false
        }
        guard running.first(where: { $0.id == id })?.condition?.isBlank == true else { return false }
        return policy.engine == .bundled || clock.joinerServed
    }

    private mutating func awaitJoining(
        _ reseed: Reseed, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        let id = reseed.member
        if case .untrusted(let reason) = supervisor(id)?.state {
            if reason == .missing || reason == .emptyButWasNot { return beginAgain(reseed, at: now, into: &actions) }
            // The seed was refused (damaged, or cut by the leader beyond its snapshot): the second try starts empty.
            var next = reseed
            next.phase = .fencing
            next.reason = reason
            next.backup = nil
            next.attempt += 1
            guard !isRefused(reseed) else {
                return hold(
                    title(reseed), member: id,
                    .needsPerson("three seeds were refused, perhaps by its disk: \(reason.description); ensemblectl reseed \(id) tries again"))
            }
            // S2: a daemon that died had entered it as a voter, and it was lost again before the intent was gone.
            setStanding(of: id, .recovering, into: &actions)
            return enter(next, at: now, into: &actions)
        }
        if let reason = objectionOfReseedBarrier(to: id, at: now, into: &actions) { return hold(title(reseed), member: id, reason) }
        finishReseed(reseed, into: &actions)
    }

    /// S2: it serves, so it has synced, and it votes and acknowledges from here on: what it says of its log is asked of its
    /// directory, also before its reseed is over.
    mutating func enterAsVoter(
        _ id: MemberID, _ answer: MemberAnswer, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard var entry = ledger[id], entry.standing == .recovering else { return }
        entry.standing = .voter
        // What it has applied it may not have logged yet; what it once acknowledged, the leader had.
        entry.zxid = min(entry.zxid, answer.zxid)
        entry.acceptedEpoch = answer.zxid >> 32
        entry.servedEpoch = policy.voters.count > 1 ? entry.acceptedEpoch : nil
        ledger.set(entry)
        saveLedger(into: &actions)
    }

    /// It has been seeded as often as makes sense without a person.
    func isRefused(_ reseed: Reseed) -> Bool {
        guard reseed.phase == .joining, reseed.attempt >= 3 else { return false }
        if case .untrusted = supervisor(reseed.member)?.state { return true }
        return false
    }

    /// The directory that was being brought back is lost as well: another loss, with its own conditions and of the same
    /// budget.
    private mutating func beginAgain(
        _ reseed: Reseed, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        // S2: a daemon that died had entered it as a voter, and it was lost again before the intent was gone.
        setStanding(of: reseed.member, .recovering, into: &actions)
        intents.reseed = nil
        if let operation = reseed.operation {
            intents.reseedsAskedFor.append(AskedReseed(member: reseed.member, operation: operation))
        }
        saveIntents(into: &actions)
        beginReseed(at: now, into: &actions)
    }

    private mutating func finishReseed(_ reseed: Reseed, into actions: inout ActionBuffer<ReconcilerAction>) {
        intents.reseed = nil
        clock.failure = nil
        saveIntents(into: &actions)
        let how = reseed.backup.map { "from backup \($0)" } ?? "from the leader alone"
        if let operation = reseed.operation {
            let result = "member \(reseed.member) participates again, reseeded \(how)"
            record(operation, title(reseed), backup: reseed.backup, result: result)
        }
        actions.append(
            .note(Note(.information, .reseedFinished, member: reseed.member, "participates again, reseeded \(how)")))
    }

    mutating func reseedEffectFinished(
        _ outcome: EffectOutcome, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        clock.reseedEffect = nil
        guard var reseed = intents.reseed else { return }
        switch (reseed.phase, outcome) {
        case (let phase, .failed(let why)):
            clock.failure = why
            clock.reseedRetryAt = now + policy.retry
            if phase == .seeding { seedOtherwise(&reseed, why, into: &actions) }
        case (.quarantining, _):
            clock.failure = nil
            reseed.phase = .seeding
            enter(reseed, at: now, into: &actions)
        case (.seeding, .seeded(let contents)):
            clock.failure = nil
            clock.seedFailures = 0
            if var entry = ledger[reseed.member] {
                entry.identity = contents.identity
                ledger.set(entry)
                saveLedger(into: &actions)
            }
            reseed.phase = .waiting
            enter(reseed, at: now, into: &actions)
        case (.seeding, _), (.fencing, _), (.waiting, _), (.joining, _):
            break
        }
    }

    /// A backup that can't be used (its object is damaged, the archive has lost it or is gone for long) is no reason to
    /// try it for ever: a newer one may do. After three failures none is needed: an empty directory abstains as a
    /// seeded one does (S2), and the leader sends it everything.
    private mutating func seedOtherwise(
        _ reseed: inout Reseed, _ why: String, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        guard let backup = reseed.backup else { return }
        clock.seedFailures += 1
        if clock.seedFailures >= 3 {
            reseed.backup = nil
            let text = "it starts empty, because backup \(backup) can't be used: \(why)"
            actions.append(.note(Note(.warning, .reseedPhase, member: reseed.member, text)))
        } else if let newest = seedBackup?.id {
            reseed.backup = newest
        }
        guard reseed.backup != backup else { return }
        intents.reseed = reseed
        saveIntents(into: &actions)
    }

    func title(_ reseed: Reseed) -> String { "reseed of member \(reseed.member)" }
}
