import EnsembleBase

/// The operator's judgement: what is declared and what was observed go in as events, what is to be done comes out.
///
/// Order of a step: the event is taken in, then everything that may have become possible is advanced, repairs first
/// (a lost member is worth more than a restart). Nothing here reads a clock, a file or a socket.
///
/// Invariants, each tested by generated worlds (`OperatorWorldTests`):
/// - at most one member is out of service because of the daemon (S5);
/// - the members that stay when one is taken out are a quorum at that moment (S4);
/// - a member whose data isn't trusted is launched only as `recovering` (S2), after a fence (S3) and a quarantine (S6);
/// - only verified backups are used, and none is pruned that is in use (S6, S7);
/// - no epoch comes twice, whatever is restored (S8);
/// - the daemon may die between any two actions (S9), and what it doesn't know it doesn't touch (S10).
package struct OperatorMachine: Sendable {
    package internal(set) var policy: OperatorPolicy
    package internal(set) var fingerprints: [MemberFingerprint]
    package internal(set) var observed: EnsembleObservation
    package internal(set) var ledger: Ledger
    package internal(set) var supervisors: [MemberSupervisor]
    package internal(set) var intents: Intents
    /// What waits, and for what; renewed by each step (S10).
    package internal(set) var holds: [Held] = []
    package internal(set) var history: History
    package internal(set) var termination: Termination?
    /// Why the latest backup was not taken, not verified or left out; nil after one that was.
    package internal(set) var backupFailure: String?

    var running: [MemberRun]
    var lock = DisruptionLock()
    var archiveWork: ArchiveWork?
    /// What the workflows wait for, by `Seat`.
    var waits = Seat.allCases.map { _ in Waits() }
    var joiner = JoinerWatch()
    /// Of the member that comes back from a step that was given up (`Intents.returning`).
    var returnBarrier = Barrier()
    /// Old backups are being removed.
    var pruning: EffectToken?
    var startsAskedFor: [AskedStart] = []
    /// A restore that was accepted, and whose person has not been answered yet.
    var unheardRestore: UnheardRestore?
    /// The member whose process was ended last for its silence.
    var endedForSilence: (member: MemberID, at: Instant)?
    /// The wall clock at the origin of `Instant`: what the ledger dates by outlives the monotonic clock.
    let origin: WallTime
    var tokens: EffectToken = 0
    var savedLedgerAt: Instant?
    /// What answers have raised in the ledger since it was written.
    var isLedgerAhead = false
    /// False until the first `timePassed`: which servers of an earlier daemon live is not known before (S3, S10).
    var isAwake = false
    var steppedAt: Instant?
    var isFinished = false
    var random: SeededRandom

    /// What is known of a member's present process beside its supervisor's state.
    struct MemberRun: Sendable {
        var id: MemberID
        var launchedAt: Instant?
        /// Its present process is an earlier daemon's.
        var isAdopted = false
        var fingerprint: Fingerprint?
        var participatesSince: Instant?
        var isProved = false
        /// Its launch, that is under way, is the member's first.
        var isFirst = false
        /// Found since its last server died; nil: not looked at since.
        var condition: DataDirectoryCondition?
        /// A restore waits for `condition`.
        var isBeingLookedAt = false
        /// Why nothing could be told of its directory, while that is so.
        var doubt: String?
        /// When a look at its directory, or its launch, was asked for last: both may hang with its disk.
        var askedOfFilesAt: Instant?
        /// How closely `condition` was looked for.
        var depth: InspectionDepth = .seals
        var vanished: UntrustedReason?
        /// When the last look at its directory began that found it whole.
        var seenAt: Instant?
    }

    /// A person's `start`, until the member participates.
    struct AskedStart: Sendable {
        var member: MemberID
        var operation: String
    }

    package struct Termination: Sendable {
        package var leaveMembers: Bool
    }

    package init(
        policy: OperatorPolicy, fingerprints: [MemberFingerprint], ledger: Ledger, intents: Intents,
        history: History = History(), seed: UInt64, origin: WallTime = WallTime(milliseconds: 0)
    ) {
        self.origin = origin
        self.policy = policy
        self.fingerprints = fingerprints
        self.ledger = ledger
        self.intents = intents
        self.history = history
        observed = EnsembleObservation(members: policy.members, voters: policy.voters, freshness: policy.freshness)
        var random = SeededRandom(seed: seed)
        supervisors = policy.members.map {
            MemberSupervisor(id: $0, policy: policy.restart, stopTimeout: policy.stopTimeout, seed: random.next())
        }
        running = policy.members.map { MemberRun(id: $0) }
        self.random = random
    }

    /// The name of a new data directory.
    mutating func newIdentity() -> String {
        let (high, low) = (random.next(), random.next())
        return [high, low].map { number in
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    package mutating func step(
        _ event: OperatorEvent, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard !isFinished else { return }
        if case .timePassed = event, !isAwake {
            isAwake = true
            concludeInterrupted(at: now, into: &actions)
        }
        giveUpUnheardRestore(at: now, into: &actions)
        // A daemon that stood still has seen nobody be silent meanwhile: it listens anew before it judges (S10).
        if let steppedAt, now - steppedAt >= .seconds(2) { observed.listenAnew(at: now) }
        steppedAt = now
        absorb(event, at: now, into: &actions)
        saveWhatRose(at: now, into: &actions)
        observed.weighSilence(at: now)
        // S3, S10: a member that was not adopted yet looks as if it had no process.
        guard isAwake else { return }
        holds = []
        driveMembers(at: now, into: &actions)
        beginReseed(at: now, into: &actions)
        drive(.reseed, at: now, into: &actions)
        if termination == nil {
            beginRollOfOutdated(at: now, into: &actions)
            drive(.operation, at: now, into: &actions)
        }
        drive(.archive, at: now, into: &actions)
        concludeStarts(at: now, into: &actions)
        advanceTermination(at: now, into: &actions)
        releaseIdleLock(into: &actions)
    }

    /// The latest moment at which `timePassed` must be delivered. Freshness of answers decays by itself, so that the
    /// machine is never left alone for longer than a second.
    package func deadline(at now: Instant) -> Instant {
        supervisors.compactMap(\.deadline).reduce(now + .seconds(1), min)
    }

    /// S9: it is written down, and takes its first step when this event has been taken in.
    mutating func begin(_ operation: Operation, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        actions.append(.note(Note(.information, .operationStarted, "\(operation.title) begins")))
        intents.operation = operation
        waits[Seat.operation.rawValue] = Waits()
        saveIntents(into: &actions)
        guard history[operation.id] == nil else { return }
        history.began(operation.id, operation.title, by: nil, at: wallTime(now))
        actions.append(.saveHistory(history))
    }

    // MARK: Shared by the extensions

    func supervisor(_ id: MemberID) -> MemberSupervisor? { supervisors.first { $0.id == id } }

    mutating func token() -> EffectToken {
        tokens += 1
        return tokens
    }

    mutating func signal(
        _ id: MemberID, _ event: MemberSupervisor.Event, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard let index = supervisors.firstIndex(where: { $0.id == id }) else { return }
        var own = ActionBuffer<MemberSupervisor.Action>()
        supervisors[index].step(event, at: now, into: &own)
        for action in own.drain() {
            switch action {
            case .inspect:
                updateRun(id) { $0.askedOfFilesAt = now }
                inspect(id, depthBeforeLaunch(of: id), into: &actions)
            case .launch:
                updateRun(id) { $0.askedOfFilesAt = now }
                launch(id, into: &actions)
            case .terminate: actions.append(.terminate(id))
            case .kill: actions.append(.kill(id))
            case .note(let note): actions.append(.note(note))
            }
        }
    }

    mutating func inspect(
        _ id: MemberID, _ depth: InspectionDepth, into actions: inout ActionBuffer<OperatorAction>
    ) {
        updateRun(id) { $0.depth = depth }
        actions.append(.inspectData(id, depth))
    }

    /// S2 asks before a launch whether this is the directory that voted, and whether it still knows what was
    /// acknowledged: identity, epochs and the last transaction tell, and cost one log file. Whether every byte between
    /// is whole the server itself finds out before it takes part in anything: it replays all of it, and ends with
    /// "damaged" where it is not. So the costly look is for where something speaks against the directory (the last
    /// server's words; `judge`, when the quick look contradicts the ledger) and for one that no ledger vouches for.
    private func depthBeforeLaunch(of id: MemberID) -> InspectionDepth {
        if case .damagedData = supervisor(id)?.lastExit { return .replay }
        return ledger[id] == nil ? .replay : .seals
    }

    mutating func updateRun(_ id: MemberID, _ change: (inout MemberRun) -> Void) {
        guard let index = running.firstIndex(where: { $0.id == id }) else { return }
        change(&running[index])
    }

    mutating func saveLedger(into actions: inout ActionBuffer<OperatorAction>) {
        isLedgerAhead = false
        actions.append(.saveLedger(ledger))
    }

    /// S9: every change of phase is written down before the actions of the phase, which follow it in the buffer.
    mutating func saveIntents(into actions: inout ActionBuffer<OperatorAction>) {
        actions.append(.saveIntents(intents))
    }

    private mutating func launch(_ id: MemberID, into actions: inout ActionBuffer<OperatorAction>) {
        let mode: LaunchMode
        switch ledger[id]?.standing {
        case .bootstrapping:
            mode = .bootstrap
            // S2: from its first moment on it may vote, so that an empty directory is a loss.
            setStanding(of: id, .voter, into: &actions)
        case .recovering: mode = .recovering
        case .voter, nil: mode = .existing
        }
        updateRun(id) { $0.isFirst = mode == .bootstrap }
        // S2: what was judged is what is served from, also if the directory is another one by then.
        var floor: DataFloor?
        let condition = running.first { $0.id == id }?.condition
        // S2: a launch into an empty directory makes another one of it. What was lost may come back, as a late mount, with the
        // seed's mark still on it, when this one has promised something (seed 789).
        if mode == .recovering, var entry = ledger[id], condition?.isBlank == true {
            entry.identity = newIdentity()
            ledger.set(entry)
            saveLedger(into: &actions)
        }
        if case .holding(let contents) = condition {
            // S2: of a member that was found alive without a ledger nobody had looked whose directory it has.
            if var entry = ledger[id], entry.identity == nil {
                entry.identity = contents.identity ?? newIdentity()
                ledger.set(entry)
                saveLedger(into: &actions)
            }
            floor = DataFloor(
                zxid: contents.zxid, acceptedEpoch: contents.acceptedEpoch,
                currentEpoch: policy.voters.count > 1 ? contents.currentEpoch : 0, isMarked: contents.recovering)
        }
        actions.append(.launch(id, mode, identity: ledger[id]?.identity, floor: floor))
    }

    mutating func setStanding(
        of id: MemberID, _ standing: LedgerEntry.Standing, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard var entry = ledger[id], entry.standing != standing else { return }
        entry.standing = standing
        ledger.set(entry)
        saveLedger(into: &actions)
    }
}
