import EnsembleBase

/// What a member keeps for its clients: nothing, once they have gone and their sessions have ended.
package struct KeptForClients: Hashable, Sendable {
    package var connections = 0
    /// Sessions that have a connection here.
    package var connectedSessions = 0
    package var watches = 0
    /// Leader: sessions of which it is known through which member they talk.
    package var owners = 0
    /// Leader: sessions that have a time to expire at.
    package var deadlines = 0
    /// Answers that are due: syncs here or at the leader, proposals that are not committed.
    package var unanswered = 0

    package init() {}
}

extension KeeperMachine {
    package var keptForClients: KeptForClients {
        var kept = KeptForClients()
        kept.connections = clients.count
        kept.connectedSessions = connectionBySession.count
        kept.watches = watches.watchCount
        if role == .leading {
            kept.owners = owners.count
            kept.deadlines = expiry.count
        }
        kept.unanswered = unansweredSyncs.count + (leader?.pendingSyncs.count ?? 0) + history.outstanding.count
        return kept
    }
}
