import EnsembleBase

/// What a member can say about itself: for four-letter words, probes and tests.
package struct KeeperStatus: Hashable, Sendable {
    package enum Role: String, Hashable, Sendable {
        /// Reading the disk, or waiting for it.
        case starting
        case looking
        case following
        case leading
        case standalone
    }

    package var role: Role
    /// Whether clients are served.
    package var serving: Bool
    package var leader: ServerID?
    package var acceptedEpoch: Int64
    package var currentEpoch: Int64
    package var lastProcessed: Zxid
    package var lastLogged: Zxid
    package var lastCommitted: Zxid
    /// Up to here this member's own disk has it.
    package var lastSynced: Zxid
    package var recovering: Bool
    /// Leaders: learners connected, and voters synced (without itself).
    package var learners: Int
    package var syncedFollowers: Int
    package var pendingSyncs: Int
    /// Proposed or logged, not committed.
    package var outstandingProposals: Int
    package var connections: Int
    package var electionRound: Int64
}
