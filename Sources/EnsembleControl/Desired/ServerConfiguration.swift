import EnsembleBase

/// The `zoo.cfg` of one member. Both engines read the same keys; what is the same for all is written for both, so that
/// a cluster can change its engine on the same data.
struct ServerConfiguration {
    var manifest: Manifest
    var member: MemberDeclaration
    var dataDirectory: String
    var logDirectory: String

    var text: String {
        var lines = ["# Member \(member.id) of \(manifest.cluster), written by ensembled from the manifest. Changes here are overwritten."]
        lines += timing + storage + clients + quorum
        return lines.map { $0 + "\n" }.joined()
    }

    private var settings: ServerSettings { manifest.settings }

    private var timing: [String] {
        [
            "tickTime=\(settings.tickTime.inMilliseconds)",
            "initLimit=\(settings.initLimit)",
            "syncLimit=\(settings.syncLimit)",
            "minSessionTimeout=\(settings.effectiveMinSessionTimeout.inMilliseconds)",
            "maxSessionTimeout=\(settings.effectiveMaxSessionTimeout.inMilliseconds)",
        ]
    }

    private var storage: [String] {
        var lines = ["dataDir=\(dataDirectory)"]
        if logDirectory != dataDirectory { lines.append("dataLogDir=\(logDirectory)") }
        lines += [
            "snapCount=\(settings.snapCount)",
            "autopurge.snapRetainCount=\(settings.autopurgeKeep)",
            "autopurge.purgeInterval=\(settings.autopurgeHours)",
            // S2: an empty directory is no new cluster. Apache's server reads an unknown key as the Java property
            // `zookeeper.<key>`; ours reads the key.
            "db.autocreate=false",
        ]
        return lines
    }

    private var clients: [String] {
        var lines = ["clientPort=\(member.clientPort)"]
        // Without it a server listens for clients on every address, also for a cluster that is meant for this host.
        if !listensEverywhere { lines.append("clientPortAddress=\(member.host)") }
        lines += [
            "maxClientCnxns=\(settings.maxClientConnections)",
            "globalOutstandingLimit=\(settings.globalOutstandingLimit)",
        ]
        if manifest.engine == .bundled {
            // Apache's server reads this from a Java property without its usual prefix: see `apacheArguments`.
            lines.append("jute.maxbuffer=\(settings.maxBuffer)")
        }
        if let superDigest = settings.superDigest { lines.append("DigestAuthenticationProvider.superDigest=\(superDigest)") }
        lines += [
            "4lw.commands.whitelist=\(settings.whitelist.joined(separator: ", "))",
            // Each server would listen on 8080, and the second member of a host would fail to.
            "admin.enableServer=false",
        ]
        return lines
    }

    private var quorum: [String] {
        var lines = [
            // A single member is a quorum of one, not a standalone server: its epochs rise as in any ensemble, so a
            // restore can raise them (S8), probes ask the same questions, and it can later grow without changing mode.
            "standaloneEnabled=false",
            // A committed reconfiguration would outrank this file (reference/operators.md, section 3).
            "reconfigEnabled=false",
            // Peers connect to the names of `server.N`; on a host with several addresses these may resolve to
            // another one than the peer sees.
            "quorumListenOnAllIPs=\(listensEverywhere)",
        ]
        for member in manifest.members.sorted(by: { $0.id < $1.id }) {
            let host = member.host.contains(":") ? "[\(member.host)]" : member.host
            lines.append("server.\(member.id)=\(host):\(member.quorumPort):\(member.electionPort):participant")
        }
        return lines
    }

    /// A cluster that lives on the loopback interface is not offered to the network.
    private var listensEverywhere: Bool { !HostName.isLoopback(member.host) }
}

extension ServerSettings {
    /// Sorted, without repetition.
    var whitelist: [String] {
        if fourLetterWords.contains("*") { return ["*"] }
        return Set(fourLetterWords + Self.wordsTheDaemonAsks).sorted()
    }
}
