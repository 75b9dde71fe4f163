import EnsembleBackup
import EnsembleBase
import EnsembleControl
import Glibc
import NIOConcurrencyHelpers

/// Turns the reconciler: events in, actions out to the hands, one at a time and in order. Probes, timers, the API and
/// effects run beside it and come back as events. A turn waits for nothing: actions stand in an outbox, in which what must
/// be durable first (S9) keeps back what comes behind it, while the core hears and judges on.
package final class OperatorShell: Sendable {
    /// What the API shows: a copy of the core after its last step.
    package struct View: Sendable {
        package var machine: OperatorMachine
        package var steppedAt: Instant
        package var nextBackup: WallTime?
        package var generation: UInt64 = 1
        /// Why the last manifest that was read is not in force; empty when it is.
        package var refusedReload: [String] = []
        package var holdTimes: [(held: Held, since: WallTime)] = []
    }

    package let runner: EffectRunner
    package let events: EventLog
    package let journal: Journal
    package let notifier: Notifier
    package let clock: HostClock
    package let beganAt: WallTime
    private let stream: AsyncStream<OperatorEvent>
    private let input: AsyncStream<OperatorEvent>.Continuation
    private let viewBox: NIOLockedValueBox<View>
    private let answers = NIOLockedValueBox<[String: CheckedContinuation<RequestAnswer, Never>]>([:])
    private let requestNumber = NIOLockedValueBox<UInt64>(0)
    /// Given out and not used, with the moment of each.
    private let tickets = NIOLockedValueBox<[String: Instant]>([:])
    private let steps = NIOLockedValueBox<UInt64>(0)
    private let isReady = NIOLockedValueBox(false)
    package let manifestFile: String
    /// The manifest in force, as it was read.
    let textInForce: NIOLockedValueBox<[UInt8]>
    let isApplying = NIOLockedValueBox(false)
    /// Gives the control socket to those who may use it.
    let accessHook = NIOLockedValueBox<(@Sendable (OperatorAccess) throws -> Void)?>(nil)

    /// - Parameters:
    ///   - manifestFile: where the manifest's file is, which may say something else than what is in force.
    ///   - textInForce: what `desired` was made from.
    package init(
        state: StateDirectory, desired: DesiredCluster, manifestFile: String, textInForce: [UInt8], ledger: Ledger,
        archivePlace: ArchivePlace?, intents: Intents, history: History
    ) {
        self.manifestFile = manifestFile
        self.textInForce = NIOLockedValueBox(textInForce)
        let clock = HostClock()
        self.clock = clock
        beganAt = clock.wall()
        let (stream, input) = AsyncStream.makeStream(of: OperatorEvent.self)
        self.stream = stream
        self.input = input
        runner = EffectRunner(
            state: state, desired: desired, ledger: ledger, archivePlace: archivePlace, clock: clock, emit: { input.yield($0) })
        events = EventLog(file: state.path + "/events.jsonl")
        journal = Journal(cluster: desired.manifest.cluster)
        notifier = Notifier()
        let machine = OperatorMachine(
            policy: OperatorPolicy(desired.manifest), fingerprints: desired.fingerprints, ledger: ledger,
            intents: intents, history: history, seed: UInt64.random(in: .min ... .max), origin: clock.wall() + (.origin - clock.now()))
        viewBox = NIOLockedValueBox(View(machine: machine, steppedAt: clock.now()))
    }

    package var view: View { viewBox.withLockedValue { $0 } }
    /// Whether READY was said.
    package var hasServed: Bool { isReady.withLockedValue { $0 } }
    package var stepCount: UInt64 { steps.withLockedValue { $0 } }
    package func send(_ event: OperatorEvent) { input.yield(event) }

    /// Hands a request to the core and waits for its answer, which comes within a step.
    ///
    /// - Parameters:
    ///   - user: the user id of who asks.
    ///   - id: what it is known by from now on; nil: a new one.
    package func ask(_ request: OperatorRequest, by user: UInt32?, id: String? = nil) async -> (id: String, answer: RequestAnswer) {
        let id = id ?? newRequestID()
        let answer = await withCheckedContinuation { continuation in
            answers.withLockedValue { $0[id] = continuation }
            send(.requested(id: id, request, by: user))
        }
        return (id, answer)
    }

    private func newRequestID() -> String {
        let number = requestNumber.withLockedValue { number in
            number += 1
            return number
        }
        return "op-\(clock.wall().milliseconds)-\(number)"
    }

    /// How long a ticket is good for: a person's `restore` uses it at once.
    private static let ticketLife: Duration = .seconds(10)

    /// Whoever asks for what can't be taken back shows that he was heard a moment ago (issue 9, B28).
    package func issueTicket() -> (ticket: String, life: Duration) {
        let (id, now) = (newRequestID() + "-" + RandomName.hex(words: 1), clock.now())
        tickets.withLockedValue { tickets in
            tickets = tickets.filter { now - $0.value <= Self.ticketLife }
            // Few are ever asked for; whoever asks for many loses them.
            if tickets.count >= 64 { tickets = [:] }
            tickets[id] = now
        }
        return (id, Self.ticketLife)
    }

    /// - Returns: whether it was given out a moment ago, and not used.
    package func redeem(_ ticket: String) -> Bool {
        let now = clock.now()
        return tickets.withLockedValue { $0.removeValue(forKey: ticket) }.map { now - $0 <= Self.ticketLife } ?? false
    }

    /// Runs until the core says that the daemon may end.
    /// - Throws: when the daemon's own state can't be made durable.
    package func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            // Effects outlive the step that began them; the group outlives the effects.
            let (work, queue) = AsyncStream.makeStream(of: (@Sendable () async -> Void).self)
            let background: EffectRunner.Background = { queue.yield($0) }
            group.addTask {
                await withDiscardingTaskGroup { effects in
                    for await body in work { effects.addTask { await body() } }
                    effects.cancelAll()
                }
            }
            group.addTask { await self.listBackups() }
            await begin(background)
            for id in view.machine.policy.members { group.addTask { await self.probe(id) } }
            group.addTask { await self.tick() }
            group.addTask { await self.scheduleBackups() }
            group.addTask { await self.report() }
            group.addTask { await self.keepCredential() }
            let (actions, outbox) = AsyncStream.makeStream(of: OperatorAction.self)
            group.addTask { await self.turn(into: outbox) }
            // Whoever waits for what hangs is let go, also when the daemon's own state can't be written.
            defer { runner.end() }
            try await carryOut(actions, background)
            let left = answers.withLockedValue { waiting in
                defer { waiting = [:] }
                return waiting
            }
            for continuation in left.values {
                let error = ControlError(.notReady, "the daemon is stopping", remedy: "ask the next daemon")
                continuation.resume(returning: .refused(error))
            }
            queue.finish()
            group.cancelAll()
        }
    }

    private func begin(_ background: EffectRunner.Background) async {
        let found = (try? await runner.lanes.state.run("the search for running servers") { self.runner.findRunningServers() }) ?? []
        let fingerprints = runner.cluster.fingerprints
        for (id, record, isCurrent) in found {
            var fingerprint = isCurrent ? fingerprints.first { $0.member == id }?.fingerprint : nil
            if !isCurrent, !record.fingerprint.isEmpty {
                // It runs with other settings than the manifest has now: a value that equals none of ours says so.
                fingerprint = Fingerprint()
                fingerprint?.combine(record.fingerprint)
            }
            send(.adopted(id, pid: record.process.pid, fingerprint: fingerprint))
            runner.adopt(id, record, background)
        }
        // A moment, so that a new cluster, which must know its archive first (S10), needs no second look; not longer,
        // because an archive that hangs must not keep members down.
        let start = clock.now()
        while !runner.hasListed, clock.now() - start < .seconds(2) { try? await Task.sleep(for: .milliseconds(5)) }
        send(.timePassed)
    }

    /// What the archive holds is looked at again and again: other hands work on it, and one that could not be read at
    /// first is waited for (S10).
    private func listBackups() async {
        while !Task.isCancelled {
            await runner.refreshBackups()
            try? await Task.sleep(for: view.machine.observed.backups.isListed ? .seconds(60) : .seconds(5))
        }
    }

    private func turn(into outbox: AsyncStream<OperatorAction>.Continuation) async {
        var machine = view.machine
        var buffer = ActionBuffer<OperatorAction>()
        for await event in stream {
            machine.step(event, at: clock.now(), into: &buffer)
            publish(machine)
            for action in buffer.drain() { outbox.yield(action) }
        }
    }

    /// - Throws: when the daemon's own state can't be made durable.
    private func carryOut(_ actions: AsyncStream<OperatorAction>, _ background: @escaping EffectRunner.Background) async throws {
        for await action in actions {
            switch action {
            case .note(let note): log(note)
            case .answer(let request, let answer):
                answers.withLockedValue { $0.removeValue(forKey: request) }?.resume(returning: answer)
            case .finish: return runner.end()
            case .inspectData, .prepare, .launch, .terminate, .kill, .saveLedger, .saveIntents, .saveHistory, .quarantine, .seed,
                .acquireLock, .releaseLock, .writeBarrier, .capture, .verify, .checkRoom, .prune:
                try await runner.perform(action, background: background)
            }
        }
    }

    private func publish(_ machine: OperatorMachine) {
        steps.withLockedValue { $0 += 1 }
        let (now, wall) = (clock.now(), clock.wall())
        let changes = viewBox.withLockedValue { view -> [Note] in
            let notes = holdChanges(from: view.holdTimes, to: machine.holds)
            view.holdTimes = machine.holds.map { held in
                (held, view.holdTimes.first { $0.held.subject == held.subject }?.since ?? wall)
            }
            view.machine = machine
            view.steppedAt = now
            return notes
        }
        for note in changes { log(note) }
    }

    /// S10: what begins to be held is said once, and so is its end.
    private func holdChanges(
        from old: [(held: Held, since: WallTime)], to new: [Held]
    ) -> [Note] {
        var notes: [Note] = []
        for held in new where !old.contains(where: { $0.held == held }) && held.reason.isWorthSaying {
            notes.append(Note(.warning, .held, member: held.member, "\(held.what) waits: \(held.reason.description)"))
        }
        for (held, _) in old where held.reason.isWorthSaying && !new.contains(where: { $0.subject == held.subject }) {
            notes.append(Note(.information, .released, member: held.member, "\(held.what) waits no longer"))
        }
        return notes
    }

    package func log(_ note: Note) {
        journal.write(note)
        let event = events.append(note, at: clock.wall())
        runner.lanes.state.post("writing an event") { [events] in events.write(event) }
    }

    // MARK: What runs beside

    private func probe(_ id: Int) async {
        var looks = 0
        while !Task.isCancelled {
            guard let member = runner.cluster.member(id) else { return }
            if let status = runner.status(of: id), status.isAlive {
                send(.processSeen(id, ProcessTable.sight(of: status)))
                let clock = clock
                let address = runner.clientAddress(of: id) ?? member.clientAddress
                let outcome = status.isStopped
                    ? .silent
                    : await MemberProbe.ask(address, engine: member.engine, timeout: .seconds(2), now: { clock.now() })
                switch outcome {
                case .answered(let answer):
                    send(.answered(id, answer))
                    looks += 1
                    if looks.isMultiple(of: 4) { lookAtFiles(of: member, serves: answer.role.serves) }
                case .turnedAway: send(.turnedAway(id))
                case .notAsked(let why): send(.notAsked(id, why))
                // What ended meanwhile was not silent.
                case .silent: if runner.status(of: id)?.isAlive == true { send(.unanswered(id)) }
                }
            }
            try? await Task.sleep(for: .milliseconds(300))
        }
    }

    /// A server without a quorum prints as well, and for days. Beside the probe, which goes on when the disk hangs.
    private func lookAtFiles(of member: RenderedMember, serves: Bool) {
        let expected = view.machine.ledger[member.id]?.identity
        let lane = runner.lanes.member(member.id)
        guard lane.occupation == nil else { return }
        let begin = clock.now()
        lane.post("a glance at its files") { [self] in
            OutputFile(path: member.outputFile).rotateIfLarge()
            let found = serves ? DataProbe.glance(at: member, expected: expected) : .untold
            guard runner.status(of: member.id)?.isAlive == true else { return }
            switch found {
            case .there:
                let mounts = MountTable.points(of: [member.dataDirectory, member.logDirectory])
                send(.dataSeen(member.id, at: begin, mounts: mounts))
            case .vanished(let reason):
                // S10
                if (try? runner.requireMounted(member)) != nil { send(.dataVanished(member.id, reason)) }
            case .untold: break
            }
        }
    }

    private func tick() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(200))
            send(.timePassed)
        }
    }

    private func scheduleBackups() async {
        var calendar: BackupCalendar?
        while !Task.isCancelled {
            let (backups, now) = (runner.cluster.manifest.backups, clock.wall())
            if calendar?.schedule != backups?.schedule { calendar = backups.map { BackupCalendar($0.schedule, now: now) } }
            // One that is not verified, though the manifest wants it to be, makes up for nothing.
            let counted = runner.backups.filter { $0.verified != nil || backups?.verify == false }
            let newest = counted.map(\.capturedAt).filter { $0 <= now }.max()
            let machine = view.machine
            let canCatchUp = machine.observed.hasQuorum(at: clock.now()) && machine.obstacleToScheduledBackup == nil
            if calendar?.isDue(newest: newest, canCatchUp: canCatchUp, now: now) == true { send(.backupDue) }
            let next = calendar?.next
            viewBox.withLockedValue { $0.nextBackup = next }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }

    /// S5: the lock's nodes are the daemon's before any client has the idea to make them, and its credential lies with each
    /// member's data.
    private func keepCredential() async {
        var said: String?
        var isPrepared = false
        while !Task.isCancelled {
            if hasServed, !isPrepared {
                do {
                    try await runner.link.prepare()
                    isPrepared = true
                } catch {
                    if let error = error as? HostError, error.description != said {
                        log(Note(.warning, .held, "the lock for rolls, reseeds and restores: \(error)"))
                        said = error.description
                    }
                }
            }
            if isPrepared { await runner.spreadCredential() }
            try? await Task.sleep(for: isPrepared ? .seconds(60) : .seconds(2))
        }
    }

    /// READY once the ensemble serves, STATUS when it changes, WATCHDOG only for steps that were taken.
    private func report() async {
        var reported: UInt64 = 0
        var status = ""
        while !Task.isCancelled {
            let count = stepCount
            if count != reported { notifier.progress() }
            reported = count
            let line = StatusLine.text(view.machine, at: clock.now())
            if line != status { notifier.status(line) }
            status = line
            let wasReady = isReady.withLockedValue { $0 }
            if !wasReady {
                if view.machine.observed.hasQuorum(at: clock.now()) {
                    isReady.withLockedValue { $0 = true }
                    notifier.ready(line)
                } else {
                    // Start may wait out epoch promises or read large data; what it waits for is in the status.
                    notifier.extendTimeout(by: .seconds(30))
                }
            } else if view.machine.termination != nil {
                notifier.extendTimeout(by: .seconds(30))
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
    }

    // MARK: Reload

    /// S10: what is refused is said until a manifest is taken: in the status, and once as an event each.
    package func note(refusedReload problems: [String]) {
        viewBox.withLockedValue { $0.refusedReload = problems }
        for problem in problems { log(Note(.error, .manifestChanged, "not applied, the former manifest stays in force: \(problem)")) }
    }

    /// Of what may be changed while the cluster lives. Returns when the core judges by it.
    func changeCluster(to new: Manifest) async {
        let old = runner.cluster
        let desired = DesiredCluster(
            manifest: new, layout: old.layout, clusterIdentity: old.backups.clusterIdentity, version: old.backups.version)
        runner.change(to: desired)
        viewBox.withLockedValue { $0.generation += 1 }
        if old.backups.archivePath != desired.backups.archivePath { Task { await runner.refreshBackups() } }
        send(.policyChanged(OperatorPolicy(new), fingerprints: desired.fingerprints))
        while view.machine.fingerprints != desired.fingerprints, !Task.isCancelled { try? await Task.sleep(for: .milliseconds(5)) }
    }
}
