import EnsembleBase
import EnsembleControl

extension StatusResponse {
    /// What `ensemblectl status` prints.
    func text(_ style: Style) -> String {
        var text = headline(style) + memberTable(style)
        for member in members where !member.detail.isEmpty {
            text += "member \(member.id): \(printable(member.detail))\n"
        }
        for hold in held {
            text += hold.text(style, now: observedAt)
        }
        text += backupLine
        for operation in works {
            text += "at work: \(operation.line)\(operation.id.isEmpty ? "" : "  (\(printable(operation.id)))")\n"
        }
        return text + pauseLine
    }

    /// What is at work.
    var works: [OperationStatus] { (operations ?? operation.map { [$0] } ?? []).filter { !$0.state.isFinal } }

    /// Empty when it is not paused.
    var pauseLine: String {
        guard let pausedSince else { return "" }
        return "paused \(agoText(pausedSince, now: observedAt)): nothing voluntary is begun; ensemblectl resume goes on\n"
    }

    private func headline(_ style: Style) -> String {
        let quorumText =
            quorum.holds
            ? style.paint("serving", .good) : style.paint("no quorum", .bad)
        var line = "\(style.paint(printable(cluster), .strong))  \(quorumText)"
        line += "  \(quorum.participating) of \(quorum.voters) voters participate, \(quorum.needed) needed"
        if let epoch = quorum.epoch { line += ", epoch \(epoch)" }
        return line + "  engine \(engine.rawValue), manifest \(generation)\n"
    }

    private func memberTable(_ style: Style) -> String {
        var table = Table([
            .init("ID", .right), .init("ROLE"), .init("STATE"), .init("ZXID", leaves: 4), .init("LAG", .right),
            .init("UP", .right, leaves: 5), .init("CLIENTS", .right, leaves: 6), .init("MEMORY", .right, leaves: 2),
            .init("PID", .right, leaves: 1), .init("RESTARTS", .right, leaves: 3), .init("ADDRESS", leaves: 7), .init("", wraps: true),
        ])
        for member in members {
            table.add([
                .init("\(member.id)"), .init(member.role == .unknown ? "-" : member.role.rawValue, member.role == .leader ? .strong : .plain),
                .init(member.reseed ?? member.state.rawValue, member.state.tone),
                .init(member.zxid?.description ?? "-"), .init(member.lag.map(String.init) ?? "-"),
                .init(member.uptimeMilliseconds.map(spanText) ?? "-"), .init(member.connections.map(String.init) ?? ""),
                .init(member.memory.map(bytesText) ?? ""), .init(member.pid.map(String.init) ?? "-"),
                .init("\(member.restarts)"), .init(member.clientAddress),
                .init(member.upToDate ? "" : "needs a restart", .busy),
            ])
        }
        return table.text(style)
    }

    private var backupLine: String {
        var parts: [String] = []
        if let last = backups.last {
            parts.append("\(backups.count), last \(last.id) \(agoText(last.createdAt, now: observedAt))")
        } else {
            parts.append("none")
        }
        if let verified = backups.lastVerified, verified.id != backups.last?.id || backups.last?.verifiedAt == nil {
            parts.append("last verified \(verified.id)")
        } else if backups.last != nil {
            parts.append(backups.lastVerified == nil ? "none verified" : "verified")
        }
        if let next = backups.nextAt { parts.append("next \(agoText(next, now: observedAt))") }
        if let failure = backups.lastFailure { parts.append("the latest attempt failed: \(failure)") }
        return "backups: \(printable(parts.joined(separator: ", ")))\n"
    }
}

extension Hold {
    /// A sentence of what is so, and keeps it.
    func text(_ style: Style, now: WallTime? = nil) -> String {
        let ago = now.flatMap { now in since.map { " (\(agoText($0, now: now)))" } } ?? ""
        let sentence = printable("\(what): \(missingCondition)\(ago)")
        let lines = style.width.map { wrapped(sentence, to: $0 - 6) } ?? [sentence]
        return style.paint("held", .busy) + "  " + lines.joined(separator: "\n      ") + "\n"
    }
}

extension MemberStatus.State {
    var tone: Style.Tone {
        switch self {
        case .participating: .good
        case .starting, .waiting, .backingOff, .reseeding, .recovering, .stopping, .other: .busy
        case .unresponsive, .gaveUp: .bad
        case .stopped: .faint
        }
    }
}

extension OperationStatus {
    /// One line: what, which step, how far, how fast, how long still. Any numbers will do: they come from elsewhere.
    var line: String {
        var parts = [kind]
        if !step.isEmpty { parts.append(step) }
        let done = done.map { max($0, 0) }
        if let done, let total, total > 0 {
            let share = Double(min(done, total)) / Double(total)
            parts.append("\(Int(share * 100)) %")
            parts.append("\(amount(done)) of \(amount(total))")
        } else if let done {
            parts.append(amount(done))
        }
        if let rate, rate >= 1, rate < 1e15 {
            parts.append("\(amount(Int64(rate)))/s")
            if let done, let total, total > done {
                let seconds = min(Double(total - done) / rate, 1e9)
                parts.append("\(spanText(Int64(seconds * 1000))) left")
            }
        }
        if state == .held, let error { parts.append("held: \(error.missingCondition ?? error.message)") }
        if !message.isEmpty { parts.append(message) }
        return printable(parts.joined(separator: "  "))
    }

    private func amount(_ value: Int64) -> String {
        switch unit {
        case .bytes: bytesText(value)
        case .some(let unit) where unit != .other: "\(value) \(unit.rawValue)"
        default: "\(value)"
        }
    }
}
