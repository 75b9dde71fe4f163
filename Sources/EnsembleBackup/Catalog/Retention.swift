import EnsembleBase
import KeeperCore

/// Which backups of an archive go. Pure; rule S6 lives here.
package enum Retention {
    package struct Candidate: Hashable, Sendable {
        package var id: BackupID
        /// The last transaction that it holds.
        package var end: Zxid
        package var capturedAt: WallTime
        /// S7: its verified record is there and belongs to its manifest.
        package var isVerified: Bool

        package init(id: BackupID, end: Zxid, capturedAt: WallTime, isVerified: Bool) {
            self.id = id
            self.end = end
            self.capturedAt = capturedAt
            self.isVerified = isVerified
        }
    }

    package enum Reason: Hashable, Sendable, Codable, CustomStringConvertible {
        case newestVerified
        case inUse
        case withinKeepLast
        case withinKeepFor
        /// Verification may be under way or have failed; it is what one has of the time since the newest verified.
        case awaitsVerification
        /// Nothing in the archive is proved good, so nothing is given up.
        case nothingIsVerified
        /// The clock was ahead, or went back: its age is not known.
        case fromTheFuture
        case outlived
        case neverVerified

        package var description: String {
            switch self {
            case .newestVerified: "the newest verified backup"
            case .inUse: "a reseed or a restore is made from it"
            case .withinKeepLast: "among the last to keep"
            case .withinKeepFor: "younger than the time to keep"
            case .awaitsVerification: "newer than the newest verified backup"
            case .nothingIsVerified: "no backup is verified, so none is deleted"
            case .fromTheFuture: "captured later than now"
            case .outlived: "older than the policy keeps"
            case .neverVerified: "never verified, and a newer verified backup exists"
            }
        }
    }

    package struct Decision: Hashable, Sendable, Codable {
        package var id: BackupID
        package var isKept: Bool
        package var reason: Reason
    }

    /// One decision for each candidate, newest first. `keepLast` counts verified backups, so that failing captures
    /// cannot push good ones out; of the unverified ones since the newest verified as many are kept again, so that
    /// they cannot fill the disk.
    ///
    /// The newest is the one that holds the latest transaction: epochs only rise, also over a restore (S8), and clocks
    /// don't. A host whose clock was once a year ahead would else have a year's backups pruned as older than those of then.
    package static func decide(
        _ candidates: [Candidate], policy: RetentionPolicy, inUse: BackupID? = nil, now: WallTime
    ) -> [Decision] {
        let newestFirst = candidates.sorted { ($0.end, $0.capturedAt, $0.id) > ($1.end, $1.capturedAt, $1.id) }
        guard let newestVerified = newestFirst.firstIndex(where: \.isVerified) else {
            // S6, S10: without one proved good, each may be the one that matters.
            return newestFirst.map { Decision(id: $0.id, isKept: true, reason: .nothingIsVerified) }
        }
        var verifiedSeen = 0
        return newestFirst.enumerated().map { index, candidate in
            if candidate.isVerified { verifiedSeen += 1 }
            // S6: never the newest verified, whatever the policy says.
            if index == newestVerified { return Decision(id: candidate.id, isKept: true, reason: .newestVerified) }
            // S6: data that it replaces is in quarantine already; without it the member, or the cluster, stays down.
            if candidate.id == inUse { return Decision(id: candidate.id, isKept: true, reason: .inUse) }
            if candidate.isVerified && verifiedSeen <= policy.keepLast {
                return Decision(id: candidate.id, isKept: true, reason: .withinKeepLast)
            }
            if candidate.capturedAt > now { return Decision(id: candidate.id, isKept: true, reason: .fromTheFuture) }
            if let keepFor = policy.keepFor, now - candidate.capturedAt < keepFor {
                return Decision(id: candidate.id, isKept: true, reason: .withinKeepFor)
            }
            if index < newestVerified && index < policy.keepLast {
                return Decision(id: candidate.id, isKept: true, reason: .awaitsVerification)
            }
            return Decision(id: candidate.id, isKept: false, reason: candidate.isVerified ? .outlived : .neverVerified)
        }
    }
}

/// Which objects of an archive go. Pure.
package enum ObjectCollection {
    package struct Candidate: Hashable, Sendable {
        package var hash: ContentHash
        package var writtenAt: WallTime

        package init(hash: ContentHash, writtenAt: WallTime) {
            self.hash = hash
            self.writtenAt = writtenAt
        }
    }

    /// The objects that no manifest names and that are older than `grace`: a younger one may belong to a capture whose
    /// manifest is still to come. `manifests` are all of the archive; a caller that could not read one must not ask
    /// (S10).
    package static func unneeded(
        _ objects: [Candidate], manifests: [BackupManifest], grace: Duration, now: WallTime
    ) -> [ContentHash] {
        // S6: an object that a kept backup needs stays.
        let needed = Set(manifests.flatMap { $0.objects.map(\.storedSHA256) })
        return objects.filter { !needed.contains($0.hash) && now - $0.writtenAt >= grace }.map(\.hash).sorted()
    }
}
