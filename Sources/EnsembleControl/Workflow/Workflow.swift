import EnsembleBase

/// One multi-step action: what is written down of it, what it has for itself, what it does next, and what cancelling means in
/// each of its phases.
///
/// A new kind is a file in this folder and a line in `Operation.kinds`; nothing else lists the kinds. A workflow is a value
/// that knows of no other: it asks the arbiter (`OperatorMachine.objection(…)`) before a step, and `OperatorMachine.drive`
/// alone steps it, writes it down and takes it away.
package protocol Workflow: Sendable, Hashable, Codable {
    /// The word under which it is written down; never changed.
    static var kind: String { get }
    /// What it is, for people: "rolling restart".
    var title: String { get }
    /// What it does at this moment, for people.
    var step: String { get }
    /// Members done, of all; nil where members don't count.
    var progress: (done: Int64, total: Int64)? { get }
    /// What it has for itself in this phase.
    var claim: Claim { get }
    /// Whether it keeps this member down in this phase.
    func keepsDown(_ id: MemberID) -> Bool
    /// Members are stopped by itself, in an order of its own.
    var stopsInOrder: Bool { get }
    /// S6: the backup that it is still to make data from, whatever newer ones there are.
    var backupInUse: String? { get }
    /// Whether a scheduled live backup has to wait for its end.
    var keepsLiveBackupsOut: Bool { get }

    /// Takes its next step, if it may be taken now.
    ///
    /// - Parameter waits: what it waits for in this phase.
    mutating func advance(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep
    /// The effect that it began has ended.
    mutating func effectEnded(
        _ outcome: EffectOutcome, _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep
    /// It has come to this phase, and that is written down (S9).
    func entered(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>)
    /// A new daemon has found this member alive: what allowed the former one to stop it was true then.
    mutating func foundAlive(_ id: MemberID)
    /// Ends what a person no longer wants, as far as its phase allows.
    mutating func cancel(_ waits: Waits, in machine: OperatorMachine) -> Cancellation
    /// Whether a person's restore may take its place.
    func yieldsToRestore(_ waits: Waits) -> Bool
    /// Its steps: done, being done, to come. What holds it back is added by the machine.
    func plan(in machine: OperatorMachine, at now: Instant) -> [PlanStep]
}

extension Workflow {
    package var progress: (done: Int64, total: Int64)? { nil }
    package var claim: Claim { .nothing }
    package func keepsDown(_ id: MemberID) -> Bool { false }
    package var stopsInOrder: Bool { false }
    package var backupInUse: String? { nil }
    package var keepsLiveBackupsOut: Bool { false }
    package func entered(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {}
    package mutating func foundAlive(_ id: MemberID) {}
    package func yieldsToRestore(_ waits: Waits) -> Bool { true }
    package mutating func effectEnded(
        _ outcome: EffectOutcome, _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep { .waits(nil) }
}

/// What a workflow has for itself while it is in its phase.
package enum Claim: Sendable, Hashable {
    case nothing
    /// S5: this member is out of service because of it.
    case member(MemberID)
    /// All members, and whatever is done to one of them.
    case cluster
}

/// What came of one step of a workflow.
package enum WorkflowStep {
    /// Nothing can be done now. What it waits for is named, unless that is only the end of what it has begun (S10).
    case waits(HoldReason?, member: MemberID? = nil)
    /// What is written down of it has changed, and it waits as before.
    case changed
    /// It has come to another phase.
    case moved
    case ended(Ending)
}

/// How a workflow ended, as whoever asked for it is told.
package struct Ending {
    package var failure: String?
    package var backup: String?
    /// A sentence on what came of it; empty when the title says it all.
    package var result = ""
    /// A person wanted it no more. What came of it before is `result`.
    package var isCancelled = false
    /// It has not ended for whoever asked: it will be begun anew.
    package var isSilent = false
    package var saying = Saying.standard

    var textOfCancelled: String { "cancelled by a person" + (result.isEmpty ? "" : ": \(result)") }

    /// What the journal says of it.
    package enum Saying {
        /// "… is done", "… failed".
        case standard
        case note(Note)
        case nothing
    }
}

/// The places in which workflows are at work side by side, in the order in which they are stepped: repairs first (a lost
/// member is worth more than a restart).
package enum Seat: Int, Sendable, Hashable, CaseIterable {
    case reseed
    case operation
    /// What takes no member out of service. It is not written down: a daemon that dies in the middle leaves no backup rather
    /// than half of one.
    case archive
}

extension OperatorMachine {
    func workflow(in seat: Seat) -> (any Workflow)? {
        switch seat {
        case .reseed: intents.reseed
        case .operation: intents.operation?.workflow
        case .archive: archiveWork?.workflow
        }
    }

    /// The operation of the person who asked for it; nil: nobody did.
    func operationID(in seat: Seat) -> String? {
        switch seat {
        case .reseed: intents.reseed?.operation
        case .operation: intents.operation?.id
        case .archive: archiveWork?.id
        }
    }

    mutating func set(_ workflow: any Workflow, in seat: Seat) {
        switch seat {
        case .reseed: intents.reseed = workflow as? Reseed
        case .operation: intents.operation?.workflow = workflow
        case .archive: archiveWork?.workflow = workflow
        }
    }

    mutating func clear(_ seat: Seat) {
        switch seat {
        case .reseed: intents.reseed = nil
        case .operation: intents.operation = nil
        case .archive: archiveWork = nil
        }
        waits[seat.rawValue] = Waits()
    }

    /// Steps what is at work in this place, on and on while it moves.
    mutating func drive(_ seat: Seat, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        // A bound, so that no fault of a workflow's keeps the daemon from all else.
        for _ in 0..<64 {
            guard var workflow = workflow(in: seat) else { return }
            var own = waits[seat.rawValue]
            if own.since == nil { own.since = now }
            let step = workflow.advance(&own, in: &self, at: now, into: &actions)
            waits[seat.rawValue] = own
            guard settle(step, of: workflow, in: seat, at: now, into: &actions) else { return }
        }
    }

    /// S9: what has become of a workflow is written down before anything follows from it.
    ///
    /// - Returns: whether it may have more to do at once.
    mutating func settle(
        _ step: WorkflowStep, of workflow: any Workflow, in seat: Seat, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> Bool {
        switch step {
        case .waits(let reason, let member):
            if let reason { hold(subject(of: workflow, in: seat), member: member, reason) }
            return false
        case .changed:
            set(workflow, in: seat)
            write(seat, into: &actions)
            return false
        case .moved:
            set(workflow, in: seat)
            write(seat, into: &actions)
            var own = waits[seat.rawValue]
            own.enterPhase(at: now)
            workflow.entered(&own, in: &self, at: now, into: &actions)
            waits[seat.rawValue] = own
            // What the phase keeps down or lets up: what allowed it is true now, and may not be at the next event (S4).
            driveMembers(at: now, into: &actions)
            return true
        case .ended(let ending):
            conclude(workflow, ending, in: seat, at: now, into: &actions)
            return false
        }
    }

    private mutating func write(_ seat: Seat, into actions: inout ActionBuffer<OperatorAction>) {
        if seat != .archive { saveIntents(into: &actions) }
    }

    mutating func conclude(
        _ workflow: any Workflow, _ ending: Ending, in seat: Seat, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        // First, so that whoever asked is not told by the next daemon that it came to nothing.
        if !ending.isSilent, let id = operationID(in: seat) { record(id, workflow.title, ending, at: now, into: &actions) }
        clear(seat)
        write(seat, into: &actions)
        if !ending.isSilent { say(ending, of: workflow.title, into: &actions) }
    }

    func say(_ ending: Ending, of title: String, into actions: inout ActionBuffer<OperatorAction>) {
        if ending.isCancelled {
            return actions.append(.note(Note(.information, .operationCancelled, "\(title) is \(ending.textOfCancelled)")))
        }
        switch (ending.saying, ending.failure) {
        case (.note(let note), _): actions.append(.note(note))
        case (.standard, let why?): actions.append(.note(Note(.error, .operationFailed, "\(title) failed: \(why)")))
        case (.standard, nil): actions.append(.note(Note(.information, .operationFinished, "\(title) is done")))
        case (.nothing, _): break
        }
    }

    /// What began it is answered exactly once, and goes to whoever waits for it; one that nobody waits for any more is late.
    mutating func effectFinished(
        _ token: EffectToken, _ outcome: EffectOutcome, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        if token == lock.asked { return lockFinished(outcome, at: now) }
        if token == pruning { return pruneFinished(outcome, into: &actions) }
        if returnBarrier.takes(token, outcome, at: now, retry: policy.retry) { return }
        for seat in Seat.allCases {
            if waits[seat.rawValue].barrier.takes(token, outcome, at: now, retry: policy.retry) { return }
            guard waits[seat.rawValue].effect == token, var workflow = workflow(in: seat) else { continue }
            waits[seat.rawValue].effect = nil
            var own = waits[seat.rawValue]
            let step = workflow.effectEnded(outcome, &own, in: &self, at: now, into: &actions)
            waits[seat.rawValue] = own
            _ = settle(step, of: workflow, in: seat, at: now, into: &actions)
            return
        }
    }
}
