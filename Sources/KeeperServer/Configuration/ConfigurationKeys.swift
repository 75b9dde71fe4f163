import EnsembleBase
import KeeperCodec

/// The keys beside addresses, directories and times: limits, retention, four-letter words, and what is refused.
extension ConfigurationParser {
    mutating func takeLimits() -> (perAddress: Int, total: Int, frame: Int, outstanding: Int) {
        let perAddress = number("maxClientCnxns", in: 0...1_000_000)?.value ?? 60
        let total = number("maxCnxns", in: 0...1_000_000)?.value ?? 0
        // 0xfffff is Apache's default (reference/zookeeper.md, 1.1).
        let frame = number("jute.maxbuffer", in: 1024...FrameLimit.greatest)?.value ?? 0xfffff
        let outstanding = number("globalOutstandingLimit", in: 1...10_000_000)?.value ?? 1000
        return (perAddress, total, frame, outstanding)
    }

    /// `snapSizeLimitInKb` and `txnLogSizeLimitInKb` in bytes. Nothing above zero is Apache's way to switch a limit off.
    mutating func takeSizeLimits() -> (snapshot: Int, log: Int?) {
        let snapshot = number("snapSizeLimitInKb", in: Int.min...(1 << 40))?.value ?? 4 << 20
        let log = number("txnLogSizeLimitInKb", in: Int.min...(1 << 40))?.value ?? -1
        return (snapshot > 0 ? snapshot << 10 : .max, log > 0 ? log << 10 : nil)
    }

    /// This server's own key, in MiB. Apache's server has none of the kind.
    mutating func takeMemoryBudget() -> Int? { number("ensemble.memoryBudgetMB", in: 16...(1 << 20)).map { $0.value << 20 } }

    /// How long a connection may go without a session.
    mutating func takeSessionlessTimeout() -> Duration? {
        number("nio.sessionlessCnxnTimeout", in: 1...Int(Int32.max)).map { .milliseconds($0.value) }
    }

    mutating func takeKeeping() -> (snapCount: Int, retain: Int, purge: Duration?, preallocation: Int) {
        let snapCount = number("snapCount", in: 2...1_000_000_000)?.value ?? 100_000
        var retain = 3
        if let (value, line) = number("autopurge.snapRetainCount", in: 1...1_000_000) {
            if value < 3 { warn(line, "autopurge.snapRetainCount is raised to 3, the least that is kept") }
            retain = max(value, 3)
        }
        // Hours; 0 is off.
        let hours = number("autopurge.purgeInterval", in: 0...87_600)?.value ?? 0
        // Kilobytes.
        let preallocation = (number("preAllocSize", in: 64...(4 << 20))?.value ?? 65_536) << 10
        return (snapCount, retain, hours == 0 ? nil : .seconds(hours * 3600), preallocation)
    }

    mutating func takeWords() -> AllowedWords {
        guard let property = take("4lw.commands.whitelist") else { return .only(["srvr"]) }
        var words: [String] = []
        for part in property.value.split(separator: ",") {
            let word = PropertiesText.trimmed(String(part))
            if word == "*" { return .all }
            guard word.utf8.count == 4 else {
                error(property.line, "4lw.commands.whitelist: \"\(word)\" is no four-letter word; separate words by commas")
                continue
            }
            if FourLetterWord(rawValue: word) == nil {
                warn(property.line, "4lw.commands.whitelist: this server has no word \"\(word)\"")
            }
            words.append(word)
        }
        return .only(words.sorted())
    }

    /// Settings whose other value would have to be obeyed and can't be.
    mutating func takeRefused() {
        if let (value, line) = number("electionAlg", in: 0...3), value != 3 {
            error(line, "electionAlg=\(value): only 3, the fast leader election, is built")
        }
        refuse("forceSync", being: false, why: "an acknowledged write must be on disk; remove the line")
        refuse("reconfigEnabled", being: true, why: "dynamic reconfiguration is not built; set it to false")
        refuse("sslQuorum", being: true, why: "TLS between members is not built")
        refuse("portUnification", being: true, why: "TLS between members is not built")
        refuse("client.portUnification", being: true, why: "TLS for clients is not built")
        refuse("localSessionsEnabled", being: true, why: "local sessions are not built")
        refuse("localSessionsUpgradingEnabled", being: true, why: "local sessions are not built")
        refuse("readonlymode.enabled", being: true, why: "read-only mode is not built")
        refuse("multiAddress.enabled", being: true, why: "several addresses of one member are not built")
        refuse("skipACL", being: true, why: "access lists are always checked")
        refuse("leaderServes", being: false, why: "a leader that serves no clients is not built")
        refuse("enforceQuota", being: true, why: "quotas are not built")
        refuse("extendedTypesEnabled", being: true, why: "TTL nodes are not built")
        refuse("admin.enableServer", being: true, why: "the admin HTTP server is not built; use the four-letter words")
        refuse("quorum.auth.enableSasl", being: true, why: "SASL between members is not built")
        refuse("enforce.auth.enabled", being: true, why: "enforced authentication is not built")
        refuse("sessionRequireClientSASLAuth", being: true, why: "SASL is not built")
        // S2: an empty directory must not vote; only the `initialize` file of a new ensemble allows it.
        refuse("db.autocreate", being: true, why: "an empty directory never votes here; use --initialize for a new ensemble")
        refuse("snapshot.trust.empty", being: true, why: "logs without a snapshot are damage, never trusted")
        if let property = take("snapshot.compression.method"), !property.value.isEmpty, property.value.lowercased() != "checked" {
            error(property.line, "snapshot.compression.method=\(property.value): snapshots are written uncompressed; remove the line")
        }
        // Both sides of a digest must be made alike: with another algorithm no credential would match.
        if let property = take("DigestAuthenticationProvider.digestAlg"), !["SHA1", "SHA-1"].contains(property.value.uppercased()) {
            error(property.line, "DigestAuthenticationProvider.digestAlg=\(property.value): only SHA1 is built; remove the line")
        }
        refuse("DigestAuthenticationProvider.enabled", being: false, why: "the digest scheme is always there")
        refuse("audit.enable", being: true, why: "audit logs are not built")
        if let property = take("metricsProvider.className"), !property.value.hasSuffix(".DefaultMetricsProvider") {
            error(property.line, "metricsProvider.className: only mntr is built; remove the line")
        }
        let keys: [(String, String)] = [
            ("secureClientPort", "TLS for clients is not built"), ("secureClientPortAddress", "TLS for clients is not built"),
            ("serverCnxnFactory", "the server's own connection layer is the only one"),
            ("dynamicConfigFile", "dynamic configuration files are not read; put the server.N lines here"),
            ("observerMasterPort", "observer masters are not built"), ("oraclePath", "quorum oracles are not built"),
        ]
        for (key, why) in keys {
            if let property = take(key) { error(property.line, "\(key): \(why)") }
        }
        refuseFamilies()
    }

    private mutating func refuseFamilies() {
        let families: [(prefix: String, why: String)] = [
            ("ssl.", "TLS is not built"), ("authProvider", "further authentication providers are not built"),
            ("quorum.auth.", "SASL between members is not built"), ("quorum.cnxn.", "SASL between members is not built"),
            ("group.", "hierarchical quorums are not built"), ("weight.", "hierarchical quorums are not built"),
            ("sasl.", "SASL is not built"), ("kerberos.", "SASL is not built"),
        ]
        for key in values.keys.sorted() {
            guard let family = families.first(where: { key.hasPrefix($0.prefix) }), let property = take(key) else { continue }
            error(property.line, "\(key): \(family.why)")
        }
    }

    /// What is left has no reader here.
    mutating func reportLeftovers() {
        for key in values.keys.sorted() {
            guard let property = values[key] else { continue }
            if Self.withoutEffect.contains(where: { key.hasPrefix($0) }) {
                warn(property.line, "\(key) has no effect in this server")
            } else {
                warn(property.line, "unknown key \(key); it has no effect")
            }
        }
        values = [:]
    }

    /// Apache's settings of its JVM, threads and caches: known, and meaningless here.
    private static let withoutEffect = [
        "admin.", "jvm.pause.", "metricsProvider.", "nio", "fsync.", "syncEnabled", "commitProcessor.", "maxResponseCacheSize",
        "cnxTimeout", "electionPortBindRetry", "connectToLearnerMasterLimit",
        "maxBatchSize", "flushDelay", "digest.enabled", "serializeLastProcessedZxid.enabled", "throttled", "request_throttle",
    ]
}
