import EnsembleBase

/// Rule S4: a voluntary step is taken only if the members that go on participating still hold a quorum. Asked at the
/// moment of the step, never remembered, and the leader is read again each time (`EnsembleObservation.leader`).
///
/// Invariant: a permitted disruption of `member` leaves at least `quorum` voters that were seen participating a moment
/// ago and of which none is `member`. Doubt holds: a voter that can't be told alive from dead may be between the two.
package struct QuorumGate: Sendable {
    package let observed: EnsembleObservation
    package let now: Instant

    package init(_ observed: EnsembleObservation, at now: Instant) {
        self.observed = observed
        self.now = now
    }

    /// Why `member` must not be disrupted now; nil when it may be.
    /// - Parameter acceptOutage: a person has said, for this one step, that the ensemble may stop serving. It is the
    ///   only exception from S4, never the daemon's own idea, and the only way to stop a member of an ensemble of one
    ///   or two voters. It risks availability only: nothing that was acknowledged is lost by an orderly stop (S1).
    package func objection(toDisrupting member: MemberID, acceptOutage: Bool = false) -> HoldReason? {
        guard observed.voters.contains(member) else { return nil }
        if acceptOutage { return nil }
        guard observed.leader(at: now) != nil else { return .noLeader }
        let participants = observed.participants(at: now)
        let certain = observed.certainParticipants(at: now)
        guard certain >= participants.count else {
            return .leaderCountsFewer(counted: certain, seen: participants.count)
        }
        guard participants.count >= observed.quorum else {
            return .noQuorum(participating: participants.count, quorum: observed.quorum)
        }
        // S4: those that stay must be a quorum without `member`, whether or not it participates now.
        let after = participants.count { $0 != member }
        guard after >= observed.quorum else {
            return .quorumWouldBreak(participatingAfter: after, quorum: observed.quorum)
        }
        return nil
    }

    /// Why the voters other than `member` can't be said to hold a quorum; nil when they do. What a reseed asks: the
    /// member itself is lost already.
    package func objection(toRelyingOnOthersThan member: MemberID) -> HoldReason? {
        objection(toDisrupting: member)
    }
}
