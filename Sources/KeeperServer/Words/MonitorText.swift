import EnsembleBase
import KeeperCore

/// `mntr`: `zk_<key>\t<value>` lines. The keys are Apache's where Apache has one (reference/zookeeper.md, 1.7), and only
/// those that are measured here; exporters take what they find.
extension ServerView {
    /// While the server isn't serving, Apache's sentence comes first, as scrapers expect, and then what the operator
    /// needs to know about a member in any state.
    var monitorText: String {
        guard status.serving else { return ServerView.notServing + lines(operatorItems) }
        return lines(commonItems + roleItems + operatorItems)
    }

    private func lines(_ items: [(key: String, value: String)]) -> String {
        items.map { "zk_\($0.key)\t\($0.value)\n" }.joined()
    }

    private var commonItems: [(key: String, value: String)] {
        let latency = statistics.latency
        return [
            ("version", ServerVersion.full),
            ("server_state", mode),
            ("peer_state", peerState),
            ("avg_latency", latency.averageText),
            ("max_latency", "\(latency.maxMilliseconds)"),
            ("min_latency", "\(latency.minMilliseconds)"),
            ("packets_received", "\(statistics.packetsReceived)"),
            ("packets_sent", "\(statistics.packetsSent)"),
            ("num_alive_connections", "\(clients.count)"),
            ("outstanding_requests", "\(clients.outstandingRequests)"),
            ("uptime", "\(uptime.inMilliseconds)"),
            ("znode_count", "\(shownNodeCount)"),
            ("watch_count", "\(watches.watchCount)"),
            ("ephemerals_count", "\(tree.ephemeralCount)"),
            ("approximate_data_size", "\(tree.approximateDataSize)"),
            ("global_sessions", "\(tree.sessionCount)"),
            ("local_sessions", "0"),
            ("open_file_descriptor_count", "\(descriptors.open)"),
            ("max_file_descriptor_count", "\(descriptors.limit)"),
            ("auth_failed_count", "\(statistics.failedAuthentications)"),
            ("last_client_response_size", "\(statistics.replySizes.last)"),
            ("max_client_response_size", "\(statistics.replySizes.most)"),
            ("min_client_response_size", "\(statistics.replySizes.least)"),
            ("quorum_size", "\(configuration.members.filter { $0.role == .participant }.count)"),
            ("proposal_count", "\(statistics.proposals)"),
            ("commit_count", "\(statistics.commits)"),
            ("snap_count", "\(statistics.snapshotsSentToLearners)"),
            ("looking_count", "\(statistics.elections)"),
            ("digest_mismatches_count", "\(statistics.digestMismatches)"),
        ] + summary("sync_processor_queue_and_flush_time_ms", statistics.logSync) + summary("snapshottime", statistics.snapshot)
    }

    /// Milliseconds, as Apache's summaries.
    private func summary(_ name: String, _ summary: LatencySummary) -> [(key: String, value: String)] {
        [
            ("avg_\(name)", summary.averageText), ("min_\(name)", "\(summary.minMilliseconds)"),
            ("max_\(name)", "\(summary.maxMilliseconds)"), ("cnt_\(name)", "\(summary.count)"),
            ("sum_\(name)", "\(summary.sumMilliseconds)"),
        ]
    }

    private var peerState: String {
        switch status.role {
        case .starting, .looking: "looking - election"
        case .following: "following - broadcast"
        case .leading: "leading - broadcast"
        case .standalone: "standalone"
        }
    }

    private var roleItems: [(key: String, value: String)] {
        guard status.role == .leading else { return [] }
        return [
            ("learners", "\(status.learners)"),
            ("synced_followers", "\(status.syncedFollowers)"),
            ("synced_observers", "0"),
            ("pending_syncs", "\(status.pendingSyncs)"),
            ("leader_uptime", "\((leaderUptime ?? .zero).inMilliseconds)"),
            ("last_proposal_size", "\(statistics.proposalSizes.last)"),
            ("max_proposal_size", "\(statistics.proposalSizes.most)"),
            ("min_proposal_size", "\(statistics.proposalSizes.least)"),
        ]
    }

    /// This server's own keys. `ensembled` reads them; Apache's server has none of the name.
    private var operatorItems: [(key: String, value: String)] {
        [
            ("ensembled_server_id", "\(configuration.serverID)"),
            ("ensembled_role", status.role.rawValue),
            ("ensembled_serving", status.serving ? "1" : "0"),
            ("ensembled_leader", status.leader.map { "\($0)" } ?? "none"),
            ("ensembled_accepted_epoch", "\(status.acceptedEpoch)"),
            ("ensembled_epoch", "\(status.currentEpoch)"),
            ("ensembled_recovering", status.recovering ? "1" : "0"),
            ("ensembled_last_zxid", "\(status.lastProcessed)"),
            ("ensembled_last_logged_zxid", "\(status.lastLogged)"),
            ("ensembled_last_committed_zxid", "\(status.lastCommitted)"),
            ("ensembled_durable_zxid", "\(min(status.lastSynced, status.lastProcessed))"),
            ("ensembled_outstanding_proposals", "\(status.outstandingProposals)"),
            ("ensembled_election_round", "\(status.electionRound)"),
            ("ensembled_refused_connections", "\(statistics.refusedConnections)"),
            ("ensembled_malformed_frames", "\(statistics.malformedFrames)"),
            ("ensembled_slow_readers_closed", "\(statistics.slowReadersClosed)"),
            ("ensembled_memory_held", "\(clients.turn.budget.held)"),
            ("ensembled_memory_most_held", "\(clients.turn.budget.mostHeld)"),
            ("ensembled_memory_limit", "\(clients.turn.budget.limit)"),
        ]
    }
}
