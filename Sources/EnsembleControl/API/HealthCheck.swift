import EnsembleBase

/// One thing that a monitor cares about, judged. The levels are those of the plugins of Nagios and its successors.
package struct HealthCheck: Sendable, Hashable, Codable {
    package enum Level: Int, Sendable, Hashable, Comparable, Codable {
        case ok = 0
        case warning = 1
        case critical = 2

        package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

        package var word: String {
            switch self {
            case .ok: "OK"
            case .warning: "WARNING"
            case .critical: "CRITICAL"
            }
        }
    }

    /// A word for programs.
    package var name: String
    package var level: Level
    package var text: String

    package init(_ name: String, _ level: Level, _ text: String) {
        self.name = name
        self.level = level
        self.text = text
    }
}

extension StatusResponse {
    /// What lasts for less than this is no news: an election, a restart.
    private static let patience: Duration = .seconds(30)

    /// Planned, degraded and held are three things: a member that is out of service by somebody's wish alarms nobody.
    package var checks: [HealthCheck] { [quorumCheck, membersCheck, holdsCheck, backupsCheck, settingsCheck, pauseCheck] }

    private var missing: [MemberStatus] { members.filter { !$0.participates && $0.planned != true } }

    private var quorumCheck: HealthCheck {
        let text = "\(quorum.participating) of \(quorum.voters) voters participate, \(quorum.needed) needed"
        guard quorum.holds else { return HealthCheck("quorum", .critical, "no quorum: " + text) }
        let isLast = quorum.voters > quorum.needed && quorum.participating == quorum.needed
        return isLast && !missing.isEmpty
            ? HealthCheck("quorum", .warning, "one more loss ends service: " + text) : HealthCheck("quorum", .ok, "serving: " + text)
    }

    private var membersCheck: HealthCheck {
        let out = missing
        let planned = members.filter { !$0.participates && $0.planned == true }.map { "member \($0.id) is out by a planned step" }
        guard !out.isEmpty else {
            return HealthCheck("members", .ok, planned.isEmpty ? "all participate" : planned.joined(separator: ", "))
        }
        let texts = out.map { "member \($0.id): \($0.reseed ?? $0.state.rawValue)" + ($0.detail.isEmpty ? "" : " (\($0.detail))") }
        return HealthCheck(
            "members", out.contains { $0.state == .gaveUp } ? .critical : .warning, (texts + planned).joined(separator: ", "))
    }

    private var holdsCheck: HealthCheck {
        let lasting = held.filter { hold in
            hold.gravity == .person || hold.since.map { observedAt - $0 >= Self.patience } ?? true
        }
        guard let first = lasting.first else { return HealthCheck("held", .ok, "nothing waits for a condition") }
        let isForPerson = lasting.contains { $0.gravity == .person }
        let worst = lasting.first { $0.gravity == .person } ?? first
        let more = lasting.count > 1 ? ", and \(lasting.count - 1) more" : ""
        return HealthCheck("held", isForPerson ? .critical : .warning, "\(worst.what): \(worst.missingCondition)\(more)")
    }

    private var backupsCheck: HealthCheck {
        guard backups.nextAt != nil || backups.count > 0 else { return HealthCheck("backups", .ok, "the manifest declares none") }
        let newest = backups.lastVerified.map { "the newest verified one is \($0.id) of \($0.createdAt)" } ?? "there is no verified one"
        if let since = backups.overdueSince {
            let why = backups.lastFailure.map { "; \($0)" } ?? ""
            return HealthCheck("backups", .critical, "overdue since \(since): \(newest)\(why)")
        }
        var problems: [String] = []
        if let failure = backups.lastFailure { problems.append(failure) }
        if let damaged = backups.damaged, damaged > 0 { problems.append("\(damaged) damaged (ensemblectl backup list)") }
        if let ahead = backups.fromTheFuture, ahead > 0 { problems.append("\(ahead) from the future: look at the clocks") }
        return problems.isEmpty
            ? HealthCheck("backups", .ok, "\(backups.count), \(newest)")
            : HealthCheck("backups", .warning, problems.joined(separator: "; ") + "; " + newest)
    }

    private var settingsCheck: HealthCheck {
        let outdated = members.filter { !$0.upToDate }.map { "\($0.id)" }
        // A roll that is at work, or held, brings them there.
        guard !outdated.isEmpty, (operations ?? []).allSatisfy({ $0.state.isFinal }) else {
            return HealthCheck("settings", .ok, "the members run what the manifest in force says")
        }
        return HealthCheck("settings", .warning, "members \(outdated.joined(separator: ", ")) run with other settings than the manifest has")
    }

    private var pauseCheck: HealthCheck {
        guard let pausedSince else { return HealthCheck("pause", .ok, "not paused") }
        return HealthCheck("pause", .warning, "paused since \(pausedSince): nothing voluntary is begun")
    }
}
