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

        package init(_ body: [UInt8], _ status: Int, allow: String? = nil) {
            self.body = body
            self.status = status
            self.allow = allow
        }
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
            let (status, body) = try await respond(route, body, user)
            return Answer(body, status)
        } catch let error as ControlError {
            let allowed = error.code == .wrongMethod ? ControlRoute.methods(of: target).joined(separator: ", ") : nil
            return Answer(encode(error), error.httpStatus, allow: allowed)
        } catch let error as BackupError {
            let failure = ControlError(BackupViews.code(of: error), "\(error.file): \(error.problem)", remedy: error.remedy)
            return Answer(encode(failure), failure.httpStatus)
        } catch {
            let failure = ControlError(.failed, "\(error)", remedy: "see the daemon's journal")
            return Answer(encode(failure), failure.httpStatus)
        }
    }

    private func respond(_ route: ControlRoute, _ body: [UInt8], _ user: UInt32?) async throws -> (Int, [UInt8]) {
        switch route {
        case .status: return (200, encode(status()))
        case .events(let after, let limit): return (200, encode(shell.events.after(after, limit: limit)))
        case .plan: return (200, encode(response(shell.view.machine.planAtWork(at: shell.clock.now()))))
        case .backups: return (200, encode(try await backups()))
        case .operation(let id): return (200, encode(try operation(id)))
        case .operations(let limit): return (200, encode(StatusViews(shell: shell, version: version).operations(limit)))
        case .cancel(let id):
            _ = try await accepted(.cancel(id), user)
            return (202, encode(AcceptedResponse(operation: id)))
        case .pause: return try await status(behind: .pause, user)
        case .resume: return try await status(behind: .resume, user)
        case .member(let id, let verb): return try await accepted(request(id, verb, body), user)
        case .restartRolling:
            let wanted = try decode(RestartRollingRequest.self, body)
            let accept = wanted.acceptOutage ?? false
            if wanted.dryRun { return (200, encode(response(dryRun(acceptOutage: accept)))) }
            return try await accepted(.restartRolling(reason: "asked for by a person", acceptOutage: accept), user)
        case .createBackup:
            let wanted = try decode(CreateBackupRequest.self, body)
            let mode = wanted.mode ?? shell.runner.cluster.manifest.backups?.mode ?? .live
            return try await accepted(.backup(mode, member: wanted.member), user)
        case .verifyBackup(let id): return try await verify(id, user)
        case .pruneBackups: return (200, encode(try await prune(decode(PruneBackupsRequest.self, body))))
        case .restore: return try await restore(decode(RestoreRequest.self, body), user)
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

    private func accepted(_ request: OperatorRequest, _ user: UInt32?) async throws -> (Int, [UInt8]) {
        let (id, answer) = await shell.ask(request, by: user)
        switch answer {
        case .accepted: return (202, encode(AcceptedResponse(operation: id)))
        case .refused(let error): throw error
        }
    }

    private func status(behind request: OperatorRequest, _ user: UInt32?) async throws -> (Int, [UInt8]) {
        _ = try await accepted(request, user)
        return (200, encode(status()))
    }

    private func restore(_ wanted: RestoreRequest, _ user: UInt32?) async throws -> (Int, [UInt8]) {
        let cluster = shell.runner.cluster
        guard wanted.confirm == cluster.manifest.cluster else {
            throw ControlError(
                .badRequest, "a restore replaces the data of the whole cluster and was not confirmed",
                remedy: "confirm it by the cluster's name, \(cluster.manifest.cluster)")
        }
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
        return try await accepted(.restore(reference), user)
    }

    // MARK: Backups

    /// An archive that hangs is said to, before the one who asks gives up.
    private func listed() async throws -> [ArchivedBackup] {
        let backups = shell.runner.cluster.backups
        return try await answering { try await shell.runner.lanes.catalog.run("a listing", within: .seconds(10)) { try backups.list() } }
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
            archive: cluster.backups.archivePath, backups: found.reversed().compactMap { BackupViews.describe($0) })
    }

    private func verify(_ id: String, _ user: UInt32?) async throws -> (Int, [UInt8]) {
        guard try await listed().contains(where: { $0.id.description == id }) else {
            throw ControlError(.notFound, "there is no backup \(id)", remedy: "see ensemblectl backup list")
        }
        return try await accepted(.verify(backup: id), user)
    }

    private func prune(_ wanted: PruneBackupsRequest) async throws -> PruneBackupsResponse {
        let (backups, now, inUse) = (shell.runner.cluster.backups, shell.clock.wall(), shell.view.machine.intents.backupInUse)
        let found = try await answering {
            try await shell.runner.lanes.archive.run("pruning", within: .seconds(20)) {
                try backups.prune(keeping: inUse, now: now, dryRun: wanted.dryRun)
            }
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
