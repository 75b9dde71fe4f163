import EnsembleBase

/// What the daemon is in the middle of, as written down before each step (S9). The next daemon takes it up from here:
/// every phase below is safe to begin again.
package struct Intents: Sendable, Hashable, Codable {
    package var reseed: Reseed?
    package var operation: Operation?
    /// Reseeds that people asked for and that have not begun, in the order of asking.
    package var reseedsAskedFor: [AskedReseed] = []
    /// S4: a whole member that was stopped for a step that was then given up. It starts again, and nobody else is taken out of
    /// service before it has passed a barrier, as behind a step that was made. Nil in files of before this was known.
    package var returning: MemberID?
    /// Since when a person wants nothing voluntary done; nil: it is done.
    package var pausedSince: WallTime?

    package init(reseed: Reseed? = nil, operation: Operation? = nil) {
        self.reseed = reseed
        self.operation = operation
    }

    /// S6: the backup that data is still to be made from, whatever newer ones there are: retention must wait.
    package var backupInUse: String? {
        if case .restore(let restore) = operation?.kind {
            switch restore.phase {
            case .verifying, .checkingRoom, .stopping, .quarantining, .seeding: return restore.backup.id
            case .starting: return nil
            }
        }
        switch reseed?.phase {
        case .fencing, .quarantining, .seeding: return reseed?.backup
        case .waiting, .joining, nil: return nil
        }
    }
}

/// A person's word that a member is to be reseeded, kept until its turn comes.
package struct AskedReseed: Sendable, Hashable, Codable {
    package var member: MemberID
    /// The operation that ends when the member participates again.
    package var operation: String

    package init(member: MemberID, operation: String) {
        self.member = member
        self.operation = operation
    }
}

/// One member's way back.
package struct Reseed: Sendable, Hashable, Codable {
    package enum Phase: Sendable, Hashable, Codable {
        /// The old process is being proved dead (S3). → quarantining
        case fencing
        /// Its remains are being moved aside (S6). → seeding
        case quarantining
        /// → waiting
        case seeding
        /// Lost epoch promises are being waited out (S2). → joining
        case waiting
        /// Started; not yet seen participating past the barrier. → done, or quarantining when the seed is refused
        case joining

        package var description: String {
            switch self {
            case .fencing: "proving that the old process is dead"
            case .quarantining: "moving its remains to quarantine"
            case .seeding: "seeding its data directory"
            case .waiting: "waiting for lost promises to expire"
            case .joining: "waiting for it to sync with the leader"
            }
        }
    }

    package var member: MemberID
    package var reason: UntrustedReason
    package var phase: Phase
    /// The backup that it is seeded from; nil: it starts empty and syncs everything from the leader.
    package var backup: String?
    /// Seeds that were tried, this one included.
    package var attempt: Int
    /// The operation of the person who asked; nil: the daemon began it by itself.
    package var operation: String?

    package init(
        member: MemberID, reason: UntrustedReason, phase: Phase, backup: String?, attempt: Int, operation: String? = nil
    ) {
        self.operation = operation
        self.member = member
        self.reason = reason
        self.phase = phase
        self.backup = backup
        self.attempt = attempt
    }
}

/// A multi-step action of the whole cluster. At most one is at work.
package struct Operation: Sendable, Hashable, Codable {
    package enum Kind: Sendable, Hashable, Codable {
        case rolling(RollingRestart)
        /// `acceptOutage`: a person accepts that the ensemble stops serving (S4).
        case stopMember(MemberID, acceptOutage: Bool)
        case coldBackup(ColdBackup)
        case restore(Restore)
    }

    /// Given by the hands; unique over the daemon's restarts.
    package var id: String
    package var kind: Kind

    package init(id: String, kind: Kind) {
        self.id = id
        self.kind = kind
    }

    package var title: String {
        switch kind {
        case .rolling(let rolling):
            rolling.members.count == 1 ? "restart of member \(rolling.members[0])" : "rolling restart"
        case .stopMember(let id, _): "stop of member \(id)"
        case .coldBackup: "cold backup"
        case .restore(let restore): "restore of backup \(restore.backup.id)"
        }
    }

    /// The member that is out of service because of this operation, if one is.
    package var disrupted: MemberID? {
        switch kind {
        case .rolling(let rolling): rolling.phase.member
        case .stopMember: nil
        case .coldBackup(let cold): cold.phase == .choosing ? nil : cold.member
        case .restore: nil
        }
    }
}

package struct RollingRestart: Sendable, Hashable, Codable {
    package enum Phase: Sendable, Hashable, Codable {
        /// → stopping, done
        case choosing
        /// The daemon died when this member was to stop, and it lives: whether SIGTERM has reached it is not known. Asked anew
        /// for it alone. → stopping, or joining when it ends by itself
        case reconsidering(MemberID)
        /// → joining
        case stopping(MemberID)
        /// → soaking
        case joining(MemberID)
        /// → choosing; joining when it drops out
        case soaking(MemberID)

        package var member: MemberID? {
            switch self {
            case .choosing, .reconsidering: nil
            case .stopping(let id), .joining(let id), .soaking(let id): id
            }
        }
    }

    package var members: [MemberID]
    package var remaining: [MemberID]
    package var reason: String
    package var phase: Phase = .choosing
    /// A person accepts that the ensemble stops serving meanwhile (S4).
    package var acceptOutage: Bool
    /// The daemon's own idea of a member that takes part and can't be reached; nil in files of before this was known.
    package var ofCutOff: Bool?

    package init(members: [MemberID], reason: String, acceptOutage: Bool, ofCutOff: Bool = false) {
        self.ofCutOff = ofCutOff
        self.members = members
        remaining = members
        self.reason = reason
        self.acceptOutage = acceptOutage
    }
}

package struct ColdBackup: Sendable, Hashable, Codable {
    package enum Phase: Sendable, Hashable, Codable {
        /// → stopping
        case choosing
        /// → copying
        case stopping
        /// → joining. Begun again after a crash it is given up: the copy has no manifest, so it doesn't exist.
        case copying
        /// → done
        case joining
    }

    /// Asked for by a person, or chosen.
    package var member: MemberID?
    package var phase: Phase = .choosing
    /// A transaction that was committed and that the member had before it stopped: the copy ends exactly there.
    package var upTo: Int64 = 0
    package var taken: BackupReference?
    package var failure: String?
    /// A person wants it no more: it ends when the copy does. Nil in files of before this was known.
    package var isCancelled: Bool?

    package init(member: MemberID?) { self.member = member }
}

package struct Restore: Sendable, Hashable, Codable {
    package enum Phase: Sendable, Hashable, Codable {
        /// The backup is being read back while everyone serves: what has rotted since it was verified costs nobody anything.
        /// → checkingRoom, or the end
        case verifying
        /// The members' disks are asked whether they can take it, while everyone serves. → stopping, or the end
        case checkingRoom
        /// → quarantining
        case stopping
        /// → seeding
        case quarantining(remaining: [MemberID])
        /// → starting
        case seeding(remaining: [MemberID])
        /// → done, once a quorum participates
        case starting
    }

    package var backup: BackupReference
    package var phase: Phase
    /// Above every epoch ever seen (S8): a lower bound while the members are being stopped, then chosen for good.
    package var acceptedEpoch: Int64

    package init(backup: BackupReference, phase: Phase = .verifying, acceptedEpoch: Int64) {
        self.backup = backup
        self.phase = phase
        self.acceptedEpoch = acceptedEpoch
    }

    /// Whether the members are, or may be, out of service for it.
    package var hasBegun: Bool { phase != .verifying && phase != .checkingRoom }
}
