/// One thing that can be asked of the control API. The daemon matches what arrives against these, and `ensemblectl`
/// makes its requests from them, so that a path is spelled in one place.
///
/// Answers: `status` → `StatusResponse`, `events` → `EventsResponse`, `plan` and a dry `restartRolling` →
/// `PlanResponse`, `diff` and `apply` → `DiffResponse`, `backups` → `BackupsResponse`, `backup` → `BackupDetails`, `memberDetails` → `MemberDetails`, `operation` → `OperationStatus`, `operations` → `OperationsResponse`,
/// `pruneBackups` → `PruneBackupsResponse`, `ticket` → `TicketResponse`, `pause` and `resume` → `StatusResponse`; every other change →
/// `AcceptedResponse` with status 202, and the work goes on as an operation. Whatever is not a success carries a
/// `ControlError`. The client reads until the connection closes.
package enum ControlRoute: Hashable, Sendable {
    case status
    /// Events with a sequence number greater than `after`, oldest first, at most `limit` (1 to 1000).
    case events(after: UInt64, limit: Int)
    case plan
    /// What the manifest's file says otherwise than the manifest in force.
    case diff
    /// Body: `ApplyRequest`.
    case apply
    case backups
    case backup(String)
    case operation(String)
    /// The latest, at most `limit` (1 to 1000).
    case operations(limit: Int)
    /// End it, as far as its phase allows.
    case cancel(String)
    /// Begin nothing voluntary, until `resume`.
    case pause
    case resume
    /// A member, what is believed of it, and why.
    case memberDetails(Int)
    case member(Int, MemberVerb)
    /// Body: `RestartRollingRequest`.
    case restartRolling
    /// Body: `CreateBackupRequest`.
    case createBackup
    case verifyBackup(String)
    /// Body: `PruneBackupsRequest`.
    case pruneBackups
    /// Body: `RestoreRequest`.
    case restore
    /// Leave to ask for what can't be taken back, for a moment.
    case ticket

    package enum MemberVerb: String, CaseIterable, Hashable, Sendable {
        case start, stop, restart, reseed
    }

    package static let defaultEventLimit = 200
    package static let maximumEventLimit = 1000

    /// Reads and changes are separate rights: whoever may only read is refused a route for which this is true.
    package var changes: Bool {
        switch self {
        case .status, .events, .plan, .diff, .backups, .backup, .memberDetails, .operation, .operations: false
        case .apply, .cancel, .pause, .resume, .member, .restartRolling, .createBackup, .verifyBackup, .pruneBackups, .restore, .ticket:
            true
        }
    }

    package var method: String { changes ? "POST" : "GET" }

    /// Request target: path and query.
    package var target: String {
        switch self {
        case .status: "/v1/status"
        case .events(let after, let limit): "/v1/events?after=\(after)&limit=\(limit)"
        case .plan: "/v1/plan"
        case .diff: "/v1/diff"
        case .apply: "/v1/apply"
        case .backups, .createBackup: "/v1/backups"
        case .backup(let id): "/v1/backups/\(id)"
        case .operation(let id): "/v1/operations/\(id)"
        case .operations(let limit): "/v1/operations?limit=\(limit)"
        case .cancel(let id): "/v1/operations/\(id)/cancel"
        case .pause: "/v1/pause"
        case .resume: "/v1/resume"
        case .memberDetails(let id): "/v1/members/\(id)"
        case .member(let id, let verb): "/v1/members/\(id)/\(verb.rawValue)"
        case .restartRolling: "/v1/restart-rolling"
        case .verifyBackup(let id): "/v1/backups/\(id)/verify"
        case .pruneBackups: "/v1/backups/prune"
        case .restore: "/v1/restore"
        case .ticket: "/v1/tickets"
        }
    }
}

extension ControlRoute {
    /// The route of a request line, or the error to answer it with.
    package static func match(method: String, target: String) throws(ControlError) -> ControlRoute {
        let halves = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(halves.first ?? "")
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 3, parts[0].isEmpty, parts[1] == "v1" else { throw unknown(path) }
        let candidates = try matches(Array(parts.dropFirst(2)), query: halves.count > 1 ? String(halves[1]) : "")
        if let match = candidates.first(where: { $0.method == method }) { return match }
        guard !candidates.isEmpty else { throw unknown(path) }
        let allowed = candidates.map(\.method).joined(separator: " or ")
        throw ControlError(.wrongMethod, "\(path) does not take \(method)", remedy: "use \(allowed)")
    }

    /// The methods that a path takes; none where there is nothing.
    package static func methods(of target: String) -> [String] {
        ["GET", "POST"].filter { (try? match(method: $0, target: target)) != nil }
    }

    private static func unknown(_ path: String) -> ControlError {
        ControlError(.notFound, "the API has nothing at \(path)", remedy: "every path begins with /v1/, such as /v1/status")
    }

    private static func matches(_ parts: [String], query: String) throws(ControlError) -> [ControlRoute] {
        switch parts.count {
        case 1:
            switch parts[0] {
            case "status": return [.status]
            case "events": return [try events(query)]
            case "operations": return [.operations(limit: try parameters(query, ["limit"]).limit)]
            case "plan": return [.plan]
            case "diff": return [.diff]
            case "apply": return [.apply]
            case "backups": return [.backups, .createBackup]
            case "restart-rolling": return [.restartRolling]
            case "pause": return [.pause]
            case "resume": return [.resume]
            case "restore": return [.restore]
            case "tickets": return [.ticket]
            default: return []
            }
        case 2 where parts[0] == "operations": return [.operation(try identifier(parts[1]))]
        case 2 where parts == ["backups", "prune"]: return [.pruneBackups]
        case 2 where parts[0] == "backups": return [.backup(try identifier(parts[1]))]
        case 3 where parts[0] == "operations" && parts[2] == "cancel": return [.cancel(try identifier(parts[1]))]
        case 3 where parts[0] == "backups" && parts[2] == "verify": return [.verifyBackup(try identifier(parts[1]))]
        case 2 where parts[0] == "members": return [.memberDetails(try memberID(parts[1]))]
        case 3 where parts[0] == "members":
            guard let verb = MemberVerb(rawValue: parts[2]) else { return [] }
            return [.member(try memberID(parts[1]), verb)]
        default: return []
        }
    }

    private static func memberID(_ text: String) throws(ControlError) -> Int {
        guard let id = Int(text), (1...254).contains(id) else {
            throw ControlError(.badRequest, "\"\(text)\" is not a member id", remedy: "ids are whole numbers from 1 to 254")
        }
        return id
    }

    /// Ids come from outside and end up in file names: letters, digits, `-`, `_` and `.` only, no `.` in front, at
    /// most 128. Nothing in that alphabet can leave a directory.
    package static func isIdentifier(_ text: String) -> Bool {
        let bytes = text.utf8
        guard (1...128).contains(bytes.count), bytes.first != UInt8(ascii: ".") else { return false }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }

    private static func identifier(_ text: String) throws(ControlError) -> String {
        guard isIdentifier(text) else {
            throw ControlError(
                .badRequest, "this is not an id: letters, digits, '-', '_' and '.' make one, at most 128",
                remedy: "take the id from a list that the API gave")
        }
        return text
    }

    private static func events(_ query: String) throws(ControlError) -> ControlRoute {
        let (after, limit) = try parameters(query, ["after", "limit"])
        return .events(after: after, limit: limit)
    }

    private static func parameters(_ query: String, _ known: [String]) throws(ControlError) -> (after: UInt64, limit: Int) {
        var after: UInt64 = 0
        var limit = defaultEventLimit
        for pair in query.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1).map(String.init)
            guard let name = halves.first, known.contains(name) else {
                throw badParameter(halves.first ?? "", known.map { "\"\($0)\"" }.joined(separator: " or "))
            }
            switch (halves.first, halves.count > 1 ? halves[1] : "") {
            case ("after", let value):
                guard let number = UInt64(value) else { throw badParameter("after", "a whole number") }
                after = number
            case ("limit", let value):
                guard let number = Int(value), (1...maximumEventLimit).contains(number) else {
                    throw badParameter("limit", "a whole number from 1 to \(maximumEventLimit)")
                }
                limit = number
            default: break
            }
        }
        return (after, limit)
    }

    private static func badParameter(_ name: String, _ wanted: String) -> ControlError {
        ControlError(.badRequest, "the parameter \"\(name)\" is not right", remedy: "it must be \(wanted)")
    }
}
