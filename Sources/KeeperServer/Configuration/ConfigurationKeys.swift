import EnsembleBase
import KeeperCodec

/// The keys beside addresses, directories and times: limits, retention, four-letter words, and what is refused.
extension ConfigurationParser {
    mutating func takeLimits() -> (perAddress: Int, total: Int, frame: Int, outstanding: Int) {
        // Nothing above zero is Apache's "any number".
        let perAddress = number("maxClientCnxns", in: Int.min...1_000_000)?.value ?? 60
        let total = number("maxCnxns", in: Int.min...1_000_000, decoded: true)?.value ?? 0
        let outstanding = number("globalOutstandingLimit", in: 1...10_000_000, decoded: true)?.value ?? 1000
        return (max(perAddress, 0), max(total, 0), takeFrame(), outstanding)
    }

    private mutating func takeFrame() -> Int {
        // 0xfffff is Apache's default (reference/zookeeper.md, 1.1).
        guard let (value, line) = number("jute.maxbuffer", in: Int.min...FrameLimit.greatest, decoded: true) else {
            return 0xfffff
        }
        // With less not even sessions could be opened or, for peers, be told of.
        if value < 1024 { warn(line, "jute.maxbuffer is raised to 1024, the least that a server can do with") }
        return max(value, 1024)
    }

    /// How long a connection may go without a session.
    mutating func takeSessionlessTimeout() -> Duration? {
        number("nio.sessionlessCnxnTimeout", in: 1...Int(Int32.max), decoded: true).map { .milliseconds($0.value) }
    }

    mutating func takeContainerSweepInterval() -> Duration {
        .milliseconds(number("znode.container.checkIntervalMs", in: 1...Int(Int32.max), decoded: true)?.value ?? 60_000)
    }

    /// `snapSizeLimitInKb` and `txnLogSizeLimitInKb` in bytes. Nothing above zero is Apache's way to switch a limit off.
    mutating func takeSizeLimits() -> (snapshot: Int, log: Int?) {
        let snapshot = number("snapSizeLimitInKb", in: Int.min...(1 << 40), decoded: true)?.value ?? 4 << 20
        let log = number("txnLogSizeLimitInKb", in: Int.min...(1 << 40), decoded: true)?.value ?? -1
        return (snapshot > 0 ? snapshot << 10 : .max, log > 0 ? log << 10 : nil)
    }

    /// This server's own key, in MiB. Apache's server has none of the kind.
    mutating func takeMemoryBudget() -> Int? { number("ensemble.memoryBudgetMB", in: 16...(1 << 20)).map { $0.value << 20 } }

    mutating func takeKeeping() -> (snapCount: Int, retain: Int, purge: Duration?, preallocation: Int) {
        let snapCount = atLeast(2, number("snapCount", in: Int.min...1_000_000_000, decoded: true), "snapCount") ?? 100_000
        let retain = atLeast(3, number("autopurge.snapRetainCount", in: Int.min...1_000_000), "autopurge.snapRetainCount") ?? 3
        // Kilobytes.
        let preallocation = (number("preAllocSize", in: 64...(4 << 20))?.value ?? 65_536) << 10
        return (snapCount, retain, takePurgeInterval(), preallocation)
    }

    /// Raised to the least that is possible, as Apache's server does.
    private mutating func atLeast(_ least: Int, _ given: (value: Int, line: Int)?, _ key: String) -> Int? {
        guard let (value, line) = given else { return nil }
        if value < least { warn(line, "\(key) is raised to \(least), the least that there is") }
        return max(value, least)
    }

    /// Hours, or a number with its unit (ms, s, m, h, d); nil, which is 0 in the file: never.
    private mutating func takePurgeInterval() -> Duration? {
        guard let property = take("autopurge.purgeInterval") else { return nil }
        let text = property.value.lowercased()
        let units: [(suffix: String, unit: Duration)] = [
            ("ms", .milliseconds(1)), ("s", .seconds(1)), ("m", .seconds(60)), ("h", .seconds(3600)), ("d", .seconds(86_400)),
        ]
        let unit = units.first { text.hasSuffix($0.suffix) }
        guard let count = Int32(text.dropLast(unit?.suffix.count ?? 0)), count <= 1_000_000_000 else {
            let found = "found \"\(property.value)\""
            error(property.line, "autopurge.purgeInterval must be a number of hours, or one with ms, s, m, h or d, \(found)")
            return nil
        }
        return count > 0 ? (unit?.unit ?? .seconds(3600)) * Int(count) : nil
    }

    mutating func takeWords() -> AllowedWords {
        // `srvr` is what Apache's own scripts ask a server.
        guard let property = take("4lw.commands.whitelist") else { return .only(["srvr"]) }
        var words: Set = ["srvr"]
        for part in property.value.split(separator: ",") {
            let word = PropertiesText.trimmed(String(part))
            if word == "*" { return .all }
            // As with Apache's server: a mistake in the list takes away words, not the server.
            if word.utf8.count != 4 {
                warn(property.line, "4lw.commands.whitelist: \"\(word)\" is no four-letter word; separate words by commas")
            } else if FourLetterWord(rawValue: word) == nil {
                warn(property.line, "4lw.commands.whitelist: this server has no word \"\(word)\"")
            }
            words.insert(word)
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
        refuse("emulate353TTLNodes", being: true, why: "TTL nodes are not built")
        refuse("admin.enableServer", being: true, why: "the admin HTTP server is not built; use the four-letter words")
        for key in ["quorum.auth.enableSasl", "quorum.auth.learnerRequireSasl", "quorum.auth.serverRequireSasl"] {
            refuse(key, being: true, why: "SASL between members is not built")
        }
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
            ("group.", "hierarchical quorums are not built"), ("weight.", "hierarchical quorums are not built"),
            ("sasl.", "SASL is not built"), ("kerberos.", "SASL is not built"),
        ]
        for key in values.keys.sorted() {
            guard let family = families.first(where: { key.hasPrefix($0.prefix) }), let property = take(key) else { continue }
            error(property.line, "\(key): \(family.why)")
        }
    }
}
