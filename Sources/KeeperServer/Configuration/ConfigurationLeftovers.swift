/// Keys that nothing here reads: what is said of them.
extension ConfigurationParser {
    /// What is left has no reader here.
    mutating func reportLeftovers() {
        for key in values.keys.sorted() {
            guard let property = values[key] else { continue }
            if let known = Self.notObeyed.first(where: { key.hasPrefix($0.prefix) }) {
                warn(property.line, "\(key) is not obeyed: \(known.instead)")
            } else if Self.withoutEffect.contains(where: { key.hasPrefix($0) }) {
                warn(property.line, "\(key) has no effect in this server")
            } else {
                warn(property.line, "unknown key \(key); it has no effect")
            }
        }
        values = [:]
    }

    /// What Apache's server would do and this one doesn't, with what is there instead.
    private static let notObeyed: [(prefix: String, instead: String)] = [
        ("znode.container.maxPerMinute", "a sweep deletes a thousand empty containers at most"),
        ("znode.container.maxNeverUsedIntervalMs", "a container that never had a child stays"),
        ("largeRequest", "a request is bounded by jute.maxbuffer, and what is outstanding by globalOutstandingLimit"),
        ("request_throttle", "what is outstanding is bounded by globalOutstandingLimit"),
        ("requestThrottle", "what is outstanding is bounded by globalOutstandingLimit"),
        ("request_stale", "a request is answered as long as its connection is there"),
        ("throttled_op", "what is outstanding is bounded by globalOutstandingLimit"),
        ("connection_throttle", "connections are bounded by maxClientCnxns and maxCnxns"),
        ("connectionThrottle", "connections are bounded by maxClientCnxns and maxCnxns"),
        ("jute.maxbuffer.extrasize", "it is as much as jute.maxbuffer"),
        ("commitLogCount", "ten thousand transactions are kept for peers that come back, within 16 MiB"),
        ("snapshotSizeFactor", "a peer that is behind the transactions in memory gets a snapshot"),
        ("forceSnap", "a peer gets a snapshot only if it needs one"),
        ("leader.maxConcurrent", "peers are synchronised as they come"),
        ("leader.snapPingInterval", "peers are pinged twice a tick, also while they are synchronised"),
        ("leader.maxTimeToWaitForEpoch", "initLimit bounds it"),
        ("closeSessionTxn.enabled", "the end of a session always names the nodes that go with it"),
        ("enableEagerACLCheck", "the leader checks every right"),
        ("quorumCnxnTimeoutMs", "the system's keepalive ends a dead election connection"),
        ("IPAuthenticationProvider.usexforwardedfor", "a client's address is its connection's"),
        ("cnxTimeout", "a peer is dialled for five seconds at most"),
        ("connectToLearnerMasterLimit", "a leader is dialled for two seconds, then elected anew"),
        ("electionPortBindRetry", "a port that is taken ends the server, for its supervisor to start it again"),
        ("fastleader.", "notifications are repeated within this server's own limits"),
        ("digest.enabled", "the tree's digest is always kept"),
    ]

    /// Apache's settings of its JVM, threads, caches and measurements: known, and meaningless here.
    private static let withoutEffect = [
        "admin.", "jvm.pause.", "metricsProvider.", "nio", "netty.", "fsync.", "syncEnabled", "commitProcessor.",
        "maxResponseCacheSize",
        "maxGetChildrenResponseCacheSize", "maxBatchSize", "maxWriteQueuePollTime", "flushDelay",
        "serializeLastProcessedZxid.enabled", "quorum.auth.", "quorum.cnxn.", "multiAddress.", "client.certReload",
        "sslQuorumReloadCertFiles", "tcpKeepAlive", "clientTcpKeepAlive", "leader.nodelay",
        "leader.ackLoggingFrequency", "leader.closeSocketAsync", "follower.", "learner.", "leaderConnectDelayDuringRetryMs",
        "forward_learner_requests", "watchManagerName",
        "watcherClean", "maxInProcessingDeadWatchers", "bitHashCacheSize", "messageTracker.", "pathStats.",
        "intBufferStartingSizeBytes",
        "observer.", "observerMaster.", "enforce.auth.schemes", "ensembleAuthName", "SASLAuthenticationProvider.",
        "X509AuthenticationProvider.", "superUser", "letAnySaslUserDoX", "allowSaslFailedClients", "requireKerberosConfig",
        "security.auth_to_local",
    ]
}
