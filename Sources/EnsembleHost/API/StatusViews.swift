import EnsembleBackup
import EnsembleBase
import EnsembleControl
import KeeperCore

/// The core's state as the API shows it.
struct StatusViews {
    let shell: OperatorShell
    let version: String

    func status(backups: [ArchivedBackup]) -> StatusResponse {
        let (view, now, cluster) = (shell.view, shell.clock.now(), shell.runner.cluster)
        // Read once: a process that ends while this is written must not be there in one line and gone in the next.
        let processes = Dictionary(
            uniqueKeysWithValues: cluster.members.compactMap { member in
                shell.runner.status(of: member.id).map { (member.id, $0) }
            })
        let observed = StatusViews.withoutTheDead(view.machine.observed, processes)
        let leader = observed.leader(at: now)
        let epoch = leader.flatMap { observed.freshAnswer(of: $0, at: now).map { $0.zxid >> 32 } }
        let works = view.machine.works.map { describe($0, view) }
        var status = StatusResponse(
            cluster: cluster.manifest.cluster, engine: cluster.manifest.engine, version: version,
            generation: view.generation, fingerprint: cluster.manifest.fingerprint(on: cluster.layout).description,
            observedAt: shell.clock.wall(), summary: StatusLine.text(view.machine, at: now),
            quorum: QuorumView(
                voters: observed.voters.count, needed: observed.quorum,
                participating: observed.certainParticipants(at: now), leader: leader, epoch: epoch),
            held: held(view), members: cluster.members.map { member($0, view, observed, processes[$0.id], at: now) },
            backups: summary(backups, view), operation: works.first)
        status.operations = works
        status.pausedSince = view.machine.intents.pausedSince
        return status
    }

    /// Nil: there is no such member.
    func details(of id: Int) -> MemberDetails? {
        let (view, now) = (shell.view, shell.clock.now())
        guard let rendered = shell.runner.cluster.member(id) else { return nil }
        let process = shell.runner.status(of: id)
        let observed = StatusViews.withoutTheDead(view.machine.observed, process.map { [id: $0] } ?? [:], only: [id])
        let verdict = view.machine.verdict(on: id, at: now)
        let held = view.holdTimes.filter { $0.held.member == id }.map { hold($0.held, since: $0.since) }
        return MemberDetails(
            member: member(rendered, view, observed, process, at: now), verdict: verdict.kind.rawValue,
            reason: verdict.reason.description, evidence: view.machine.testimonies(on: id, at: now), held: held,
            events: shell.events.latest(of: id, limit: 12), logDirectory: rendered.logDirectory,
            configurationFile: rendered.configurationFile)
    }

    /// What was observed, without the answers of processes that have ended since: the kernel knows of a death before the
    /// core has been told, and nobody is to read that a dead server participates.
    private static func withoutTheDead(
        _ observed: EnsembleObservation, _ processes: [Int: ProcessTable.Status], only asked: [Int]? = nil
    ) -> EnsembleObservation {
        var observed = observed
        for member in observed.members where processes[member.id]?.isAlive != true && asked?.contains(member.id) != false {
            observed[member.id]?.answer = nil
        }
        return observed
    }

    func held(_ view: OperatorShell.View) -> [Hold] {
        var seen: [Hold] = []
        for (held, since) in view.holdTimes where held.reason.isWorthSaying {
            let hold = hold(held, since: since)
            if !seen.contains(where: { $0.what == hold.what }) { seen.append(hold) }
        }
        for it in shell.runner.lanes.hanging {
            seen.append(
                Hold(
                    what: "\(it.lane): \(it.work)",
                    missingCondition: "no answer for \(it.lasting.inMilliseconds / 1000) s: it hangs, its disk or server perhaps"))
        }
        if !view.refusedReload.isEmpty {
            let problems = view.refusedReload.joined(separator: "; ")
            seen.append(Hold(what: "reload of the manifest", missingCondition: "the file can't be applied: \(problems)"))
        }
        return seen
    }

    private func hold(_ held: Held, since: WallTime) -> Hold {
        Hold(
            what: held.what, missingCondition: held.reason.description, since: since,
            gravity: held.reason.gravity == .person ? .person : .waits)
    }

    /// How the operation goes, from its beginning to its end; nil: no such operation is remembered.
    func operation(_ id: String) -> OperationStatus? {
        let view = shell.view
        if let work = view.machine.works.first(where: { $0.id == id }) { return describe(work, view) }
        guard let record = view.machine.history[id], record.ended != nil else { return nil }
        return describe(record)
    }

    /// The latest first, those at work as they stand.
    func operations(_ limit: Int) -> OperationsResponse {
        let view = shell.view
        let works = view.machine.works
        return OperationsResponse(
            operations: view.machine.history.records.suffix(limit).reversed().compactMap { record in
                if record.ended != nil { return describe(record) }
                return works.first { $0.id == record.id }.map { describe($0, view) }
            })
    }

    private func describe(_ record: OperationRecord) -> OperationStatus {
        let error = record.failure.map { ControlError(.failed, $0, remedy: "see ensemblectl events") }
        var status = OperationStatus(
            id: record.id, kind: record.title,
            state: record.failure == nil ? .succeeded : record.isCancelled ? .cancelled : .failed,
            message: record.failure ?? (record.result.isEmpty ? "\(record.title): done" : record.result),
            startedAt: record.began, finishedAt: record.ended, error: error, backup: record.backup)
        status.by = record.by
        return status
    }

    private func describe(_ work: Work, _ view: OperatorShell.View) -> OperationStatus {
        let passing = work.held.flatMap { $0.isWorthSaying ? nil : ": \($0.description)" }
        let error = (passing == nil ? work.held : nil).map {
            ControlError(
                .held, "\(work.title) waits", remedy: "it goes on by itself when the condition holds",
                missingCondition: $0.description)
        }
        var status = OperationStatus(
            id: work.id ?? "", kind: work.title, state: work.isWaiting ? .waiting : error == nil ? .running : .held,
            step: work.step + (passing ?? ""), startedAt: work.id.flatMap { view.machine.history[$0]?.began }, error: error)
        status.by = work.id.flatMap { view.machine.history[$0]?.by }
        if let reading = work.effect.flatMap({ shell.runner.progress[$0] }) {
            (status.done, status.total, status.unit, status.rate) = (reading.done, reading.total, .bytes, reading.rate)
        } else if let members = work.members {
            (status.done, status.total, status.unit) = (members.done, members.total, .members)
        }
        return status
    }

    private func summary(_ backups: [ArchivedBackup], _ view: OperatorShell.View) -> BackupSummary {
        var summary = BackupSummary()
        summary.count = backups.count
        summary.last = backups.last?.summary
        summary.lastVerified = backups.last { $0.verified != nil }?.summary
        summary.nextAt = view.nextBackup
        summary.lastFailure = view.machine.backupFailure ?? view.machine.observed.backups.lastFailure
        summary.damaged = backups.count { $0.summary.damage != nil }
        let now = shell.clock.wall()
        summary.fromTheFuture = backups.count { $0.capturedAt > now }
        if let settings = shell.runner.cluster.manifest.backups {
            let counted = backups.filter { $0.verified != nil || !settings.verify }.map(\.capturedAt).filter { $0 <= now }
            let due = BackupAge.isOverdue(from: settings, newest: counted.max(), since: shell.beganAt)
            summary.overdueSince = due < now ? due : nil
        }
        return summary
    }

    private func member(
        _ rendered: RenderedMember, _ view: OperatorShell.View, _ observed: EnsembleObservation,
        _ process: ProcessTable.Status?, at now: Instant
    ) -> MemberStatus {
        let machine = view.machine
        let id = rendered.id
        let observation = observed[id]
        let answer = observed.freshAnswer(of: id, at: now)
        let supervisor = machine.supervisors.first { $0.id == id }
        let participates = observed.participates(id, at: now)
        let (state, detail) = state(supervisor, machine, id, answers: answer != nil, participates: participates)
        let lag = observed.lag(of: id, at: now)
        var status = MemberStatus(
            id: id, host: rendered.declaration.host, role: role(answer), state: state, detail: detail,
            alive: process?.isAlive == true, answers: answer != nil, participates: participates,
            pid: process?.identity.pid, epoch: answer.map { $0.zxid >> 32 }, zxid: answer.map { HexZxid($0.zxid) },
            lag: lag == .max ? nil : lag, restarts: supervisor?.deaths ?? 0,
            recovering: machine.ledger[id]?.standing == .recovering,
            clientAddress: "\(rendered.declaration.host):\(rendered.declaration.clientPort)",
            connections: answer?.clients, logFile: rendered.outputFile, dataDirectory: rendered.dataDirectory,
            upToDate: !machine.isOutdated(id))
        status.memory = process.flatMap { ProcessTable.memory(of: $0.identity.pid) }
        status.uptimeMilliseconds = machine.launchedAt(id).map { (now - $0).inMilliseconds }
        if machine.intents.reseed?.member == id { status.reseed = machine.intents.reseed?.phase.description }
        status.planned = machine.isOutByPlan(id)
        if observation?.stoppedSince != nil { status.detail = "stopped by a signal" }
        return status
    }

    private func role(_ answer: MemberAnswer?) -> MemberStatus.Role {
        switch answer?.role {
        case .leading: .leader
        case .following: .follower
        case .looking: .looking
        case .standalone: .standalone
        case .observing: .other
        case nil: .unknown
        }
    }

    private func state(
        _ supervisor: MemberSupervisor?, _ machine: OperatorMachine, _ id: Int, answers: Bool, participates: Bool
    ) -> (MemberStatus.State, String) {
        if let reseed = machine.intents.reseed, reseed.member == id {
            return (reseed.phase == .joining ? .recovering : .reseeding, reseed.phase.description)
        }
        switch supervisor?.state {
        case .running:
            if participates { return (.participating, "") }
            if answers { return (.waiting, "it answers, and no quorum takes it in yet") }
            switch machine.observed[id]?.hearing {
            case .silent: return (.unresponsive, "alive, no answer")
            case .notAsked(let why, _): return (.unresponsive, "alive, and could not be asked: \(why)")
            case .nothing, .answers, .turnedAway, nil: return (.starting, "")
            }
        case .inspecting: return (.starting, "its data is being checked")
        case .launching: return (.starting, "")
        case .stopping, .killing: return (.stopping, "")
        case .backingOff: return (.backingOff, supervisor?.lastExit?.description ?? "")
        case .untrusted(let reason): return (.stopped, reason.description)
        case .doubtful(let why, _): return (.stopped, why)
        case .gaveUp(let why): return (.gaveUp, why)
        case .stopped, nil:
            let byPerson = machine.ledger.stoppedByPerson.contains(id)
            return (.stopped, byPerson ? "stopped by a person: ensemblectl start \(id)" : "")
        }
    }
}

extension ControlError {
    init(_ error: BackupError) {
        let code: Code =
            switch error.kind {
            case .busy: .busy
            case .missing: .notFound
            case .refused, .unsupported: .refused
            case .inputOutput, .otherFileSystem, .damaged, .unstable, .cancelled: .failed
            }
        self.init(code, "\(error.file): \(error.problem)", remedy: error.remedy)
    }
}
