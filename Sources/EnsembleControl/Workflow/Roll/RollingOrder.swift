import EnsembleBase

/// In which order members are restarted: those that don't participate first (restarting them costs nothing and may
/// cure them), then the followers, lagging before healthy, so that the ones best able to carry the ensemble stay
/// longest; the leader last, so that there is one election at most.
package enum RollingOrder {
    package struct Choice: Sendable, Hashable {
        package var member: MemberID
        package var isLeader: Bool
        package var reason: String
    }

    /// The next of `remaining`; nil when it is empty. The leader is read from `observed` here, at each choice.
    package static func next(
        of remaining: [MemberID], in observed: EnsembleObservation, engine: Engine, at now: Instant
    ) -> Choice? {
        ordered(remaining, in: observed, engine: engine, at: now).first
    }

    /// What happens to clients when the leader is restarted, said as it is.
    private static func reasonOfLeader(_ engine: Engine) -> String {
        switch engine {
        case .bundled:
            "it leads, and goes last so that the ensemble elects once: on SIGTERM it takes no more writes, lets those under way commit and steps down, and the others elect at once"
        case .apache:
            "it leads, and goes last so that the ensemble elects once: Apache's server hands nothing over, so that writes wait for the election"
        }
    }

    package static func ordered(
        _ remaining: [MemberID], in observed: EnsembleObservation, engine: Engine, at now: Instant
    ) -> [Choice] {
        let leader = observed.leader(at: now)
        let ranked = remaining.map { id -> (rank: Int, lag: Int64, choice: Choice) in
            if id == leader {
                return (3, 0, Choice(member: id, isLeader: true, reason: reasonOfLeader(engine)))
            }
            guard observed.participates(id, at: now) else {
                let reason = "it does not participate, so its restart costs nothing"
                return (0, 0, Choice(member: id, isLeader: false, reason: reason))
            }
            let lag = observed.lag(of: id, at: now) ?? 0
            let reason = lag > 0 ? "a follower that lags goes before the healthy ones" : "a follower goes before the leader"
            return (observed.voters.contains(id) ? 2 : 1, lag, Choice(member: id, isLeader: false, reason: reason))
        }
        return ranked.sorted { a, b in
            if a.rank != b.rank { return a.rank < b.rank }
            if a.lag != b.lag { return a.lag > b.lag }
            return a.choice.member < b.choice.member
        }.map(\.choice)
    }
}
