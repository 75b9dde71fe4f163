import EnsembleBase

/// Which members need a reseed, and what is known of the one that is being brought back.
extension OperatorMachine {
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

    /// Whether only a reseed brings it back.
    func isLost(_ id: MemberID) -> Bool {
        if case .untrusted = supervisor(id)?.state { return true }
        return intents.reseed?.member == id || running.contains { $0.id == id && $0.vanished != nil }
    }

    /// Begins the first that nothing stands in the way of.
    mutating func beginReseed(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard termination == nil, intents.reseed == nil, intents.operation?.workflow.claim != .cluster else { return }
        for candidate in candidatesForReseed {
            guard let reason = objection(toReseeding: candidate, at: now, into: &actions) else {
                return begin(candidate, at: now, into: &actions)
            }
            // S10: it waits, says for what, and goes on by itself. So may another that needs what this one may not have: the
            // one that an operation has taken out, or one whose budget is not spent.
            hold(.reseed(of: candidate.member), member: candidate.member, reason)
        }
        // S4: whoever was stopped in vain is back, or is not, also when nothing asks.
        _ = objectionOfReturn(at: now, into: &actions)
    }

    private mutating func begin(
        _ candidate: ReseedCandidate, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        let why = candidate.reason.description
        actions.append(.note(Note(.warning, .reseedStarted, member: candidate.member, "reseed begins: \(why)")))
        ledger.reseeds.append(ReseedRecord(member: candidate.member, at: wallTime(now)))
        intents.reseedsAskedFor.removeAll { $0.member == candidate.member }
        // The ledger goes first: whenever the daemon dies from here on, this member is started only to abstain (S2). One that
        // a person wants reseeded is whole until its directory is moved (`Reseed.quarantine`).
        var entry =
            ledger[candidate.member]
            ?? LedgerEntry(id: candidate.member, standing: .recovering, zxid: 0, acceptedEpoch: 0, identity: nil)
        if !candidate.isWhole { entry.standing = .recovering }
        ledger.set(entry)
        saveLedger(into: &actions)
        let reseed = Reseed(
            member: candidate.member, reason: candidate.reason, phase: .fencing,
            backup: policy.engine == .bundled ? seedBackup?.id : nil, attempt: 1, operation: candidate.operation)
        intents.reseed = reseed
        (waits[Seat.reseed.rawValue], joiner) = (Waits(), JoinerWatch())
        _ = settle(.moved, of: reseed, in: .reseed, at: now, into: &actions)
    }

    /// S7, S8: the newest backup that is verified, and that no restore has undone.
    var seedBackup: BackupReference? { observed.backups.verified.last { ledger.isOfThisHistory($0) } }

    func wallTime(_ now: Instant) -> WallTime { origin + (now - .origin) }

    // MARK: A reseed that comes to nothing

    /// The person who asked for it is answered by the next one.
    mutating func askAgain(for reseed: Reseed) {
        guard let operation = reseed.operation else { return }
        intents.reseedsAskedFor.insert(AskedReseed(member: reseed.member, operation: operation), at: 0)
    }

    /// Nothing of the member's data was touched: it is a voter as before.
    ///
    /// The ledger first: a voter with an intent is judged anew before it is touched, and one that recovers without an intent
    /// would count as lost. The intents are written by the caller.
    mutating func leaveWhole(_ id: MemberID, into actions: inout ActionBuffer<OperatorAction>) {
        setStanding(of: id, .voter, into: &actions)
        awaitReturn(of: id)
    }

    /// Every member gets new data: what was to be done for one of them has no object any more.
    mutating func abandonReseeds(_ why: String, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        let working = intents.reseed.flatMap { reseed in reseed.operation.map { AskedReseed(member: reseed.member, operation: $0) } }
        for asked in (working.map { [$0] } ?? []) + intents.reseedsAskedFor {
            record(asked.operation, HoldSubject.reseed(of: asked.member).text, Ending(failure: why), at: now, into: &actions)
        }
        clear(.reseed)
        intents.reseedsAskedFor = []
    }

    // MARK: The one that comes back

    /// S2: a member that was launched to join may have synced, and promised, before anyone saw it: with its directory
    /// empty again those promises are forgotten like the earlier ones, and are waited out by another round. A launch of
    /// the bundled server leaves files at once; Apache's leaves none until it has synced.
    func isLostAgain(_ id: MemberID) -> Bool {
        guard let reseed = intents.reseed, reseed.member == id, reseed.phase == .joining, !joiner.isToBeLaunched else {
            return false
        }
        guard running.first(where: { $0.id == id })?.condition?.isBlank == true else { return false }
        return policy.engine == .bundled || joiner.hasServed
    }

    /// It has been seeded as often as makes sense without a person.
    func isRefused(_ reseed: Reseed) -> Bool {
        guard reseed.phase == .joining, reseed.attempt >= 3 else { return false }
        if case .untrusted = supervisor(reseed.member)?.state { return true }
        return false
    }

    /// S2: it serves, so it has synced, and it votes and acknowledges from here on: what it says of its log is asked of its
    /// directory, also before its reseed is over.
    mutating func enterAsVoter(
        _ id: MemberID, _ answer: MemberAnswer, into actions: inout ActionBuffer<OperatorAction>
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
}
