import EnsembleBackup
import EnsembleBase
import EnsembleControl
import FoundationEssentials

/// What the control API answers, apart from HTTP: reads are taken from the shell's view, changes are asked of the core.
package struct ControlService: Sendable {
    package let shell: OperatorShell
    package let version: String

    package init(shell: OperatorShell, version: String) {
        self.shell = shell
        self.version = version
    }

    package struct Answer: Sendable {
        package var body: [UInt8]
        package var status: Int
        /// With status 405: the methods that the path takes (RFC 9110, 15.5.6).
        package var allow: String?
        /// The operation that the core wants to know of whether this reached whoever asked.
        package var operation: String?

        package init(_ body: [UInt8], _ status: Int, allow: String? = nil, operation: String? = nil) {
            self.body = body
            self.status = status
            self.allow = allow
            self.operation = operation
        }
    }

    /// Whether an answer has been handed to the kernel for whoever asked, or the connection was gone.
    package func answered(_ answer: Answer, isDelivered: Bool) {
        if let id = answer.operation { shell.send(.requestAnswered(id: id, isDelivered: isDelivered)) }
    }

    /// - Parameters:
    ///   - user: the user id of the caller.
    ///   - mayChange: whether the caller has the right to change anything; asked where it matters.
    package func respond(
        method: String, target: String, body: [UInt8], by user: UInt32?, mayChange: @Sendable () async throws -> Bool
    ) async -> Answer {
        do {
            let route = try ControlRoute.match(method: method, target: target)
            if route.changes, !(try await answering(mayChange)) {
                throw ControlError(
                    .denied, "this user may read and not change",
                    remedy: "run as root or as the daemon's user, or join the group that owns the socket")
            }
            return try await respond(route, body, user)
        } catch let error as ControlError {
            let allowed = error.code == .wrongMethod ? ControlRoute.methods(of: target).joined(separator: ", ") : nil
            return Answer(encode(error), error.httpStatus, allow: allowed)
        } catch let error as BackupError {
            return failed(ControlError(error))
        } catch let error as HostError {
            return failed(ControlError(.failed, "\(error.subject): \(error.problem)", remedy: error.remedy))
        } catch let error as ManifestError {
            return failed(ControlError(.failed, "\(error)", remedy: "correct the file; the manifest in force stays"))
        } catch {
            return failed(ControlError(.failed, "\(error)", remedy: "see the daemon's journal"))
        }
    }

    private func failed(_ error: ControlError) -> Answer { Answer(encode(error), error.httpStatus) }

    private func respond(_ route: ControlRoute, _ body: [UInt8], _ user: UInt32?) async throws -> Answer {
        switch route {
        case .status: return Answer(encode(status()), 200)
        case .events(let after, let limit): return Answer(encode(shell.events.after(after, limit: limit)), 200)
        case .plan: return Answer(encode(response(shell.view.machine.planAtWork(at: shell.clock.now()))), 200)
        case .diff: return Answer(encode(response(try await answering { try await shell.wish() })), 200)
        case .apply: return Answer(encode(try await apply(decode(ApplyRequest.self, body), user)), 200)
        case .backups: return Answer(encode(try await backups()), 200)
        case .backup(let id): return Answer(encode(try await details(of: id)), 200)
        case .operation(let id): return Answer(encode(try operation(id)), 200)
        case .operations(let limit): return Answer(encode(StatusViews(shell: shell, version: version).operations(limit)), 200)
        case .cancel(let id):
            _ = try await accepted(.cancel(id), user)
            return Answer(encode(AcceptedResponse(operation: id)), 202)
        case .pause: return try await status(behind: .pause, user)
        case .resume: return try await status(behind: .resume, user)
        case .memberDetails(let id):
            guard let details = StatusViews(shell: shell, version: version).details(of: id) else {
                throw ControlError(.notFound, "there is no member \(id)", remedy: "see ensemblectl status")
            }
            return Answer(encode(details), 200)
        case .member(let id, let verb): return try await accepted(request(id, verb, body), user)
        case .restartRolling:
            let wanted = try decode(RestartRollingRequest.self, body)
            let accept = wanted.acceptOutage ?? false
            if wanted.dryRun { return Answer(encode(response(dryRun(acceptOutage: accept))), 200) }
            return try await accepted(.restartRolling(reason: "asked for by a person", acceptOutage: accept), user)
        case .createBackup:
            let wanted = try decode(CreateBackupRequest.self, body)
            let mode = wanted.mode ?? shell.runner.cluster.manifest.backups?.mode ?? .live
            return try await accepted(.backup(mode, member: wanted.member), user)
        case .verifyBackup(let id): return try await verify(id, user)
        case .pruneBackups: return Answer(encode(try await prune(decode(PruneBackupsRequest.self, body))), 200)
        case .restore: return try await restore(decode(RestoreRequest.self, body), user)
        case .ticket:
            let (ticket, life) = shell.issueTicket()
            return Answer(encode(TicketResponse(ticket: ticket, milliseconds: life.inMilliseconds)), 200)
        }
    }

    private func request(_ id: Int, _ verb: ControlRoute.MemberVerb, _ body: [UInt8]) throws -> OperatorRequest {
        let accept = body.isEmpty ? false : try decode(MemberRequest.self, body).acceptOutage ?? false
        return switch verb {
        case .start: .start(id)
        case .stop: .stop(id, acceptOutage: accept)
        case .restart: .restart(id, acceptOutage: accept)
        case .reseed: .reseed(id)
        }
    }

    /// - Parameter ticket: what it was asked for with, and is known by.
    private func accepted(_ request: OperatorRequest, _ user: UInt32?, ticket: String? = nil) async throws -> Answer {
        let (id, answer) = await shell.ask(request, by: user, id: ticket)
        switch answer {
        case .accepted: return Answer(encode(AcceptedResponse(operation: id)), 202, operation: id)
        case .refused(let error): throw error
        }
    }

    private func status(behind request: OperatorRequest, _ user: UInt32?) async throws -> Answer {
        _ = try await accepted(request, user)
        return Answer(encode(status()), 200)
    }

    private func restore(_ wanted: RestoreRequest, _ user: UInt32?) async throws -> Answer {
        let cluster = shell.runner.cluster
        guard wanted.confirm == cluster.manifest.cluster else {
            throw ControlError(
                .badRequest, "a restore replaces the data of the whole cluster and was not confirmed",
                remedy: "confirm it by the cluster's name, \(cluster.manifest.cluster)")
        }
        guard let ticket = wanted.ticket else {
            throw ControlError(.badRequest, "a restore is asked for with a ticket", remedy: "POST /v1/tickets gives one, good for a moment")
        }
        // Asked again, it is the same request.
        if shell.view.machine.history[ticket] != nil { return Answer(encode(AcceptedResponse(operation: ticket)), 202) }
        let found = try await listed()
        guard let backup = found.first(where: { $0.id.description == wanted.backup }),
            let reference = cluster.backups.reference(backup)
        else {
            throw ControlError(.notFound, "there is no readable backup \(wanted.backup)", remedy: "see ensemblectl backup list")
        }
        // S7
        guard backup.verified != nil else {
            throw ControlError(
                .refused, "backup \(wanted.backup) is not verified", remedy: "verify it first: ensemblectl backup verify")
        }
        guard shell.redeem(ticket) else {
            throw ControlError(
                .refused, "the ticket of this restore is not good any more, and nothing was changed",
                remedy: "the request was on its way for too long: look at `ensemblectl status`, and ask again")
        }
        return try await accepted(.restore(reference), user, ticket: ticket)
    }

    // MARK: Backups

    /// An archive that hangs is said to, before the one who asks gives up.
    private func listed() async throws -> [ArchivedBackup] {
        let runner = shell.runner
        return try await answering {
            try await runner.lanes.catalog.run("a listing", within: .seconds(10)) {
                try runner.worker.run(ListBackups(effects: runner.effects), runner.wanted).backups
            }
        }
    }

    private func answering<Result>(_ body: () async throws -> Result) async throws -> Result {
        do {
            return try await body()
        } catch let failure as HostLane.Failure {
            throw ControlError(.busy, failure.description, remedy: "if it hangs, look at what it needs: a mount, a server of names")
        }
    }

    private func backups() async throws -> BackupsResponse {
        let cluster = shell.runner.cluster
        let found = try await listed()
        return BackupsResponse(
            archive: cluster.backups.archivePath, backups: found.reversed().map(\.summary))
    }

    private func details(of id: String) async throws -> BackupDetails { try await backup(id).details() }

    private func backup(_ id: String) async throws -> ArchivedBackup {
        guard let found = try await listed().first(where: { $0.id.description == id }) else {
            throw ControlError(.notFound, "there is no backup \(id)", remedy: "see ensemblectl backup list")
        }
        return found
    }

    private func verify(_ id: String, _ user: UInt32?) async throws -> Answer {
        _ = try await backup(id)
        return try await accepted(.verify(backup: id), user)
    }

    private func prune(_ wanted: PruneBackupsRequest) async throws -> PruneBackupsResponse {
        let runner = shell.runner
        let job = PruneArchive(
            effects: runner.effects, inUse: shell.view.machine.intents.backupInUse, now: shell.clock.wall(),
            dryRun: wanted.dryRun)
        let found = try await answering {
            try await runner.lanes.archive.run("pruning", within: .seconds(20)) { try runner.worker.run(job, runner.wanted) }
        }
        guard let report = found else {
            throw ControlError(.refused, "the manifest declares no backups, so no retention", remedy: "declare backups")
        }
        await shell.runner.refreshBackups()
        func verdicts(_ kept: Bool) -> [PruneBackupsResponse.Verdict] {
            report.decisions.filter { $0.isKept == kept }.map {
                PruneBackupsResponse.Verdict(id: $0.id.description, reason: "\($0.reason)")
            }
        }
        return PruneBackupsResponse(
            removed: verdicts(false), kept: verdicts(true), freed: report.bytesFreed, dryRun: wanted.dryRun)
    }

    // MARK: Views

    private func status() -> StatusResponse {
        StatusViews(shell: shell, version: version).status(backups: shell.runner.backups)
    }

    private func apply(_ wanted: ApplyRequest, _ user: UInt32?) async throws -> DiffResponse {
        let wish = try await answering { try await shell.apply(wanted.plan, by: user) }
        let applied = response(wish)
        guard applied.refusals.isEmpty else {
            throw ControlError(
                .refused, "not applied, the manifest in force stays: \(applied.refusals.joined(separator: "; "))",
                remedy: "change \(applied.file), and look at ensemblectl diff")
        }
        return applied
    }

    private func response(_ wish: ManifestWish) -> DiffResponse {
        let plan = shell.view.machine.planOfRollingRestart(wish.change.restarts, reason: "changed settings", at: shell.clock.now())
        return DiffResponse(
            file: shell.manifestFile, plan: wish.token, differences: wish.difference.entries,
            refusals: wish.change.refusals.map(\.description), live: wish.change.live, restarts: wish.change.restarts,
            steps: wish.change.restarts.isEmpty ? [] : response(plan).steps)
    }

    private func dryRun(acceptOutage: Bool) -> Plan {
        let machine = shell.view.machine
        return machine.planOfRollingRestart(
            machine.policy.members, reason: "dry run", acceptOutage: acceptOutage, at: shell.clock.now())
    }

    private func response(_ plan: Plan) -> PlanResponse {
        let steps = plan.steps.map {
            PlanResponse.Step(
                action: $0.action, member: $0.member, reason: $0.reason, heldBack: $0.heldBack?.description,
                done: $0.progress == .done, running: $0.progress == .running)
        }
        return PlanResponse(steps: steps, held: StatusViews(shell: shell, version: version).held(shell.view))
    }

    private func operation(_ id: String) throws -> OperationStatus {
        guard let status = StatusViews(shell: shell, version: version).operation(id) else {
            throw ControlError(.notFound, "no operation \(id) is known", remedy: "ensemblectl history shows those that are remembered")
        }
        return status
    }

    func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return Array("{}".utf8) }
        return Array(data)
    }

    private func decode<Value: Decodable>(_ type: Value.Type, _ body: [UInt8]) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: Data(body))
        } catch {
            throw ControlError(.badRequest, "the body can't be read: \(error)", remedy: "send JSON as the API describes it")
        }
    }
}
