import EnsembleBase

/// One thing that is known of a member, and how: what a person reads who asks why a verdict is what it is.
package struct Testimony: Sendable, Hashable, Codable {
    /// Who says it: `process`, `client port`, `leader`, `disk`, `ledger`, `supervisor`.
    package var source: String
    package var says: String

    package init(_ source: String, _ says: String) {
        self.source = source
        self.says = says
    }
}

extension OperatorMachine {
    /// What the operator believes of a member at this moment.
    package func verdict(on id: MemberID, at now: Instant) -> Verdict {
        observed.verdict(on: id, within: policy.verdictBounds, at: now)
    }

    /// All that the verdict and the trust in its directory rest on.
    package func testimonies(on id: MemberID, at now: Instant) -> [Testimony] {
        guard let member = observed[id] else { return [] }
        return processTestimony(member, at: now) + [hearingTestimony(member, at: now)] + leaderTestimony(on: id, at: now)
            + [diskTestimony(member)] + ledgerTestimony(on: id) + supervisorTestimony(on: id)
    }

    private func processTestimony(_ member: MemberObservation, at now: Instant) -> [Testimony] {
        switch member.process {
        case .unknown: return [Testimony("process", "not known")]
        case .absent: return [Testimony("process", "there is none")]
        case .exited(let cause): return [Testimony("process", cause.description)]
        case .alive(let pid, let sight):
            let state =
                switch sight.state {
                case .runs: "runs"
                case .stopped: "is stopped by a signal" + (member.stoppedSince.map { ", for \(span(now - $0))" } ?? "")
                case .traced: "is traced (ptrace)"
                case .waitsForDevice: "waits for a device"
                }
            let work = "\(span(sight.processorTime)) on processors, \(sight.bytesRead >> 20) MiB read"
            return [Testimony("process", "\(pid) \(state); \(work)")]
        }
    }

    private func hearingTestimony(_ member: MemberObservation, at now: Instant) -> Testimony {
        let hearing =
            switch member.hearing {
            case .nothing: "not asked yet"
            case .answers: "it answers"
            case .silent(let since): "no answer for \(span(now - since))"
            case .turnedAway: "it closes the daemon's connections unanswered"
            case .notAsked(let why, let since): "not asked for \(span(now - since)): \(why)"
            }
        guard let answer = member.answer else { return Testimony("client port", hearing) }
        var parts = ["\(answer.role.rawValue)", "applied \(hex(answer.zxid))"]
        if let durable = answer.durable { parts.append("on its disk \(hex(durable))") }
        if let epoch = answer.acceptedEpoch { parts.append("accepted epoch \(epoch)") }
        parts.append("\(answer.clients) clients")
        return Testimony("client port", "\(hearing); \(span(now - answer.at)) ago: \(parts.joined(separator: ", "))")
    }

    private func leaderTestimony(on id: MemberID, at now: Instant) -> [Testimony] {
        guard let leader = observed.leader(at: now), let answer = observed.freshAnswer(of: leader, at: now) else {
            return [Testimony("leader", "none is known")]
        }
        let counted = answer.syncedFollowers.map { "counts \($0) followers as synced" } ?? "does not say how many follow"
        return [Testimony("leader", "member \(leader) \(counted)")]
    }

    private func diskTestimony(_ member: MemberObservation) -> Testimony {
        switch member.disk {
        case nil: Testimony("disk", "not looked at")
        case .missing: Testimony("disk", "there is no such directory")
        case .empty: Testimony("disk", "empty")
        case .unused: Testimony("disk", "prepared for a first start")
        case .damaged(let what): Testimony("disk", "damaged: \(what)")
        case .unreadable(let why): Testimony("disk", "can't be looked at: \(why)")
        case .holding(let contents):
            Testimony(
                "disk",
                "before its last start: up to \(hex(contents.zxid)), epochs accepted \(contents.acceptedEpoch), current \(contents.currentEpoch)"
                    + (contents.recovering ? ", marked as recovering" : ""))
        }
    }

    private func ledgerTestimony(on id: MemberID) -> [Testimony] {
        guard let entry = ledger[id] else { return [Testimony("ledger", "never launched")] }
        var says = "\(entry.standing.rawValue); has \(hex(entry.zxid)) and has promised epoch \(entry.acceptedEpoch)"
        if let identity = entry.identity { says += "; directory \(identity)" }
        if let mounts = entry.mounts, !mounts.isEmpty { says += "; on \(mounts.joined(separator: ", "))" }
        return [Testimony("ledger", says)]
    }

    private func supervisorTestimony(on id: MemberID) -> [Testimony] {
        guard let supervisor = supervisors.first(where: { $0.id == id }), let exit = supervisor.lastExit else { return [] }
        return [Testimony("last end", exit.description + (supervisor.deaths > 0 ? "; \(supervisor.deaths) deaths unasked for" : ""))]
    }

    private func hex(_ zxid: Int64) -> String { "0x" + String(zxid, radix: 16) }

    private func span(_ time: Duration) -> String {
        let milliseconds = max(time.inMilliseconds, 0)
        return milliseconds < 10_000 ? "\(milliseconds) ms" : "\(milliseconds / 1000) s"
    }
}
