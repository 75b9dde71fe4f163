import EnsembleBase

/// What is known of the whole cluster: every member of every host, by rising id.
package struct EnsembleObservation: Sendable, Hashable {
    package private(set) var members: [MemberObservation]
    package var backups = BackupObservation()
    /// Voters, by rising id. Observers of the ensemble are in `members` only.
    package let voters: [MemberID]
    /// How old an answer may be and still count as "now".
    package let freshness: Duration

    package init(members: [MemberID], voters: [MemberID], freshness: Duration) {
        self.members = members.sorted().map { MemberObservation(id: $0) }
        self.voters = voters.sorted()
        self.freshness = freshness
    }

    package subscript(id: MemberID) -> MemberObservation? {
        get { members.first { $0.id == id } }
        set {
            guard let newValue, let index = members.firstIndex(where: { $0.id == id }) else { return }
            members[index] = newValue
        }
    }

    package var quorum: Int { voters.count / 2 + 1 }

    /// Nobody listened up to now: whoever was silent before is silent since now.
    mutating func listenAnew(at now: Instant) {
        for index in members.indices {
            if case .silent = members[index].hearing { members[index].hearing = .silent(since: now) }
            if members[index].stoppedSince != nil { members[index].stoppedSince = now }
            members[index].uncountedSince = nil
        }
    }

    /// Since when nobody counts those that are silent: asked at each step, so that no moment in between is missed.
    mutating func weighSilence(at now: Instant) {
        for index in members.indices {
            guard case .silent = members[index].hearing else {
                if members[index].uncountedSince != nil { members[index].uncountedSince = nil }
                continue
            }
            let isCounted = verdictOfOthers(onSilent: members[index].id, at: now) != nil
            members[index].uncountedSince = isCounted ? nil : members[index].uncountedSince ?? now
        }
    }

    /// The answer of a member, if it is fresh enough to act on.
    package func freshAnswer(of id: MemberID, at now: Instant) -> MemberAnswer? {
        guard let member = self[id], let answer = member.answer, now - answer.at <= freshness else { return nil }
        if case .alive(_, let sight) = member.process, sight.state == .stopped || sight.state == .traced { return nil }
        return answer
    }

    /// Who leads. Nil when nobody does, or when more than one says so: then it isn't known.
    package func leader(at now: Instant) -> MemberID? {
        let leaders = voters.filter {
            let role = freshAnswer(of: $0, at: now)?.role
            return role == .leading || role == .standalone
        }
        return leaders.count == 1 ? leaders[0] : nil
    }

    /// The voters that take part in commits at this moment: a single leader and those that follow it.
    ///
    /// A follower drops to looking after `syncLimit` ticks without its leader, so its own word is at most that old.
    /// The leader counts its synced followers itself; where it counts fewer than claim to follow, the doubt is
    /// resolved against the claim, by the number (`QuorumGate`).
    package func participants(at now: Instant) -> [MemberID] {
        guard let leader = leader(at: now) else { return [] }
        return voters.filter { id in
            id == leader || freshAnswer(of: id, at: now)?.role == .following
        }
    }

    package func participates(_ id: MemberID, at now: Instant) -> Bool {
        if voters.contains(id) { return participants(at: now).contains(id) }
        return freshAnswer(of: id, at: now)?.role == .observing && leader(at: now) != nil
    }

    /// How many participate for certain: what probes saw, and no more than the leader counts.
    package func certainParticipants(at now: Instant) -> Int {
        let seen = participants(at: now).count
        guard let leader = leader(at: now), let synced = freshAnswer(of: leader, at: now)?.syncedFollowers else {
            return seen
        }
        return min(seen, synced + 1)
    }

    package func hasQuorum(at now: Instant) -> Bool { certainParticipants(at: now) >= quorum }

    /// Transactions between the leader and this member; nil when either isn't known. Zxids of different epochs can't
    /// be subtracted: such a lag is `Int64.max`, unless the leader's epoch has no transaction yet.
    package func lag(of id: MemberID, at now: Instant) -> Int64? {
        guard
            let leader = leader(at: now), let ahead = freshAnswer(of: leader, at: now)?.zxid,
            let own = freshAnswer(of: id, at: now)?.zxid
        else { return nil }
        if own >= ahead { return 0 }
        if own >> 32 != ahead >> 32 { return ahead & 0xFFFF_FFFF == 0 ? 0 : .max }
        return ahead - own
    }
}

/// What is known of the archive.
package struct BackupObservation: Sendable, Hashable {
    /// False until the archive has been listed once: an unlisted archive is unknown, not empty (S10).
    package var isListed = false
    /// Backups of any standing that the archive holds for this cluster.
    package var count = 0
    /// Those that were read back, replayed and compared (S7), oldest first.
    package var verified: [BackupReference] = []
    package var lastFailure: String?

    package init() {}
}

/// A backup as the operator's judgement sees it.
package struct BackupReference: Sendable, Hashable, Codable {
    package let id: String
    /// The last transaction it restores to.
    package let endZxid: Int64
    package let acceptedEpoch: Int64
    package let takenAt: WallTime
    /// Bytes in the archive; nil: not known.
    package let size: Int64?

    package init(id: String, endZxid: Int64, acceptedEpoch: Int64, takenAt: WallTime, size: Int64? = nil) {
        self.size = size
        self.id = id
        self.endZxid = endZxid
        self.acceptedEpoch = acceptedEpoch
        self.takenAt = takenAt
    }
}
