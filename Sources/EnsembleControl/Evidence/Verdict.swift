import EnsembleBase

/// What the evidence on one member amounts to, with its reason: a pure function of what is known.
///
/// S11: a verdict that lets the operator end a process (`frozen`) rests on the kernel's word, which suffices alone, or on
/// silence. From silence nothing is concluded
/// - while this side could not ask;
/// - while the leader counts the member, or may: its count is a number without names; or has of late, since an election is
///   a moment in which nobody is counted, whoever serves before and after it;
/// - while it may itself be the leader that others follow;
/// - when every living member of several falls silent: then the fault is likely here.
package struct Verdict: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, Codable {
        /// It answers, or shows in another way that it works.
        case alive
        /// A process that does nothing any more.
        case frozen
        /// It takes part in commits, and clients can't reach it.
        case cutOff
        case dead
        /// The evidence says neither.
        case unknown
    }

    package enum Reason: Sendable, Hashable, Codable {
        case exited(ExitCause)
        case noProcess
        case notSeen
        case answered
        case turnsAway
        case stoppedBySignal(for: Duration)
        case traced
        case notAskedYet
        case couldNotAsk(String)
        case answeredLongAgo
        case silent(for: Duration)
        case starting(for: Duration)
        case allSilent
        case othersNotHeardLately
        case counted
        case leadsOthers
        /// The leader counts so many that are silent here; which ones it doesn't say.
        case perhapsCounted(Int, of: [MemberID])
        /// As many are silent as a quorum takes, and nobody who is heard has a leader.
        case perhapsQuorum(of: [MemberID])
        case silentAndNotCounted(for: Duration)
        /// For less than the time that silence must last.
        case notCountedYet

        package var description: String {
            switch self {
            case .exited(let cause): cause.description
            case .noProcess: "there is no process"
            case .notSeen: "its process is on another host, or was not looked for yet"
            case .answered: "it answers"
            case .turnsAway: "it closes the daemon's connections unanswered, which only a living server does"
            case .stoppedBySignal(let time): "the kernel says that it is stopped by a signal, for \(seconds(time)), and nobody traces it"
            case .traced: "somebody traces it (ptrace)"
            case .notAskedYet: "it was not asked yet"
            case .couldNotAsk(let why): "it could not be asked: \(why)"
            case .answeredLongAgo: "its last answer is old"
            case .silent(let time): "no answer for \(seconds(time))"
            case .starting(let time): "it was started \(seconds(time)) ago and has not answered yet"
            case .allSilent: "no member answers: the fault may be on this side"
            case .othersNotHeardLately: "it is silent, and what the others said of it is old"
            case .counted: "the leader counts it, and it does not answer on its client port"
            case .leadsOthers: "others follow a leader, which can be no other, and it does not answer on its client port"
            case .perhapsCounted(let count, let ids):
                "the leader counts \(count) of the silent members \(ids.map { "\($0)" }.joined(separator: ", ")), and does not say which"
            case .perhapsQuorum(let ids):
                "members \(ids.map { "\($0)" }.joined(separator: ", ")) are silent here, and may be a quorum that serves: those who look for a leader may not hear them either"
            case .silentAndNotCounted(let time): "no answer for \(seconds(time)), and no leader counts it"
            case .notCountedYet: "it is silent, and a leader has counted it until a moment ago, or may have"
            }
        }

        private func seconds(_ time: Duration) -> String { "\(time.inMilliseconds / 1000) s" }
    }

    package var kind: Kind
    package var reason: Reason

    package init(_ kind: Kind, _ reason: Reason) {
        self.kind = kind
        self.reason = reason
    }
}

/// How long what must last before it means something.
package struct VerdictBounds: Sendable, Hashable {
    /// A process that the kernel says is stopped.
    package var stopped: Duration
    /// The silence of a server that has answered before: by then its leader has dropped it.
    package var silence: Duration
    /// The silence of one that has not, and that is not seen at work.
    package var start: Duration

    package init(stopped: Duration, silence: Duration, start: Duration) {
        self.stopped = stopped
        self.silence = silence
        self.start = start
    }
}

extension EnsembleObservation {
    package func verdict(on id: MemberID, within bounds: VerdictBounds, at now: Instant) -> Verdict {
        guard let member = self[id] else { return Verdict(.unknown, .notSeen) }
        switch member.process {
        case .unknown: return Verdict(.unknown, .notSeen)
        case .absent: return Verdict(.dead, .noProcess)
        case .exited(let cause): return Verdict(.dead, .exited(cause))
        case .alive(_, let sight):
            switch sight.state {
            case .traced: return Verdict(.unknown, .traced)
            case .stopped:
                let time = member.stoppedSince.map { now - $0 } ?? .zero
                return Verdict(time >= bounds.stopped ? .frozen : .unknown, .stoppedBySignal(for: time))
            case .runs, .waitsForDevice: return verdict(byHearing: member, within: bounds, at: now)
            }
        }
    }

    private func verdict(byHearing member: MemberObservation, within bounds: VerdictBounds, at now: Instant) -> Verdict {
        switch member.hearing {
        case .nothing: return Verdict(.unknown, .notAskedYet)
        case .turnedAway: return Verdict(.alive, .turnsAway)
        case .notAsked(let why, _): return Verdict(.unknown, .couldNotAsk(why))
        case .answers:
            return freshAnswer(of: member.id, at: now) == nil ? Verdict(.unknown, .answeredLongAgo) : Verdict(.alive, .answered)
        case .silent(let since):
            if member.hasAnswered {
                guard now - since >= bounds.silence else { return Verdict(.unknown, .silent(for: now - since)) }
            } else {
                guard now - max(since, member.labour.seenAt ?? since) >= bounds.start else {
                    return Verdict(.unknown, .starting(for: now - since))
                }
            }
            if let open = verdictOfOthers(onSilent: member.id, at: now) { return open }
            guard let uncounted = member.uncountedSince, now - uncounted >= bounds.silence else {
                return Verdict(.unknown, .notCountedYet)
            }
            return Verdict(.frozen, .silentAndNotCounted(for: now - since))
        }
    }

    /// S11: what the others' words come to for one that is silent; nil: nobody counts it.
    func verdictOfOthers(onSilent id: MemberID, at now: Instant) -> Verdict? {
        let living = members.filter { if case .alive = $0.process { true } else { false } }
        if living.count > 1, !living.contains(where: \.isHeard) { return Verdict(.unknown, .allSilent) }
        guard voters.contains(id) else { return nil }
        // Its own last word is none of theirs.
        let following = voters.filter { $0 != id && freshAnswer(of: $0, at: now)?.role == .following }
        // Voters of which it can't be said that they are dead or heard.
        let silent = voters.filter { other in
            guard let member = self[other] else { return false }
            switch member.process {
            case .absent, .exited: return false
            case .unknown, .alive: return freshAnswer(of: other, at: now) == nil
            }
        }
        let counted: Int
        if let leader = leader(at: now), leader != id, let synced = freshAnswer(of: leader, at: now)?.syncedFollowers {
            counted = synced - following.count
            if counted > 0, silent.count <= counted { return Verdict(.cutOff, .counted) }
        } else {
            // Those who follow have a leader, and it is none that is heard.
            counted = following.isEmpty ? 0 : 1
            if counted > 0, silent == [id] { return Verdict(.cutOff, .leadsOthers) }
            // Nobody says now that there is no leader: one may count it.
            let isToldOfNone = living.contains { freshAnswer(of: $0.id, at: now)?.role == .looking }
            if counted == 0, living.count > 1, !isToldOfNone { return Verdict(.unknown, .othersNotHeardLately) }
            // Who looks for a leader speaks for those that it hears; a quorum of the silent may have one (operated seed 338).
            if counted == 0, silent != [id], silent.count >= quorum { return Verdict(.unknown, .perhapsQuorum(of: silent)) }
        }
        return counted <= 0 ? nil : Verdict(.unknown, .perhapsCounted(counted, of: silent))
    }
}
