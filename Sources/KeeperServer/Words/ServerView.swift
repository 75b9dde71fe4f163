import EnsembleBase
import KeeperCore

/// What four-letter words are answered from: a moment of the server. Loop-bound, made per answer.
package struct ServerView {
    package var configuration: ServerConfiguration
    package var status: KeeperStatus
    package var tree: DataTree
    package var watches: WatchTable
    package var clients: ClientTable
    package var statistics: ServerStatistics
    package var uptime: Duration
    /// Since this server leads; nil if it doesn't.
    package var leaderUptime: Duration?
    package var descriptors: Descriptors

    /// File descriptors of the process.
    package struct Descriptors: Hashable, Sendable {
        package var open: Int
        package var limit: Int
    }

    /// Apache's word for the role.
    var mode: String {
        switch status.role {
        case .starting, .looking: "looking"
        case .following: "follower"
        case .leading: "leader"
        case .standalone: "standalone"
        }
    }

    static let notServing = "This ZooKeeper instance is not currently serving requests\n"

    /// The answer to `word`, in the exact form of Apache's server: people's scripts and exporters scrape it.
    package func answer(_ word: FourLetterWord) -> String {
        guard configuration.allowedWords.contains(word.rawValue) else { return word.refusal }
        switch word {
        case .ruok: return "imok"
        case .isro: return status.serving ? "rw" : "null"
        case .conf: return configurationText
        case .envi: return environmentText
        case .mntr: return monitorText
        case .dirs, .dump, .hash, .srvr, .stat, .cons, .srst, .crst, .wchs, .wchc, .wchp:
            guard status.serving else { return ServerView.notServing }
        }
        switch word {
        case .srvr: return "Zookeeper version: \(ServerVersion.full)\n" + statisticsText
        case .stat: return "Zookeeper version: \(ServerVersion.full)\nClients:\n" + connections(brief: true) + "\n" + statisticsText
        case .cons: return connections(brief: false) + "\n"
        case .srst:
            statistics.reset()
            return "Server stats reset.\n"
        case .crst:
            for client in clients.all { client.resetRecord() }
            return "Connection stats reset.\n"
        case .wchs:
            return "\(watches.connectionCount) connections watching \(watches.pathCount) paths\nTotal watches:\(watches.watchCount)\n"
        case .wchc:
            return watches.pathsByConnection.map { item in
                "\(session(of: item.connection))\n" + item.paths.map { "\t\($0)\n" }.joined()
            }.joined() + "\n"
        case .wchp:
            return watches.watchersByPath.map { item in
                "\(item.path)\n" + item.connections.map { "\t\(session(of: $0))\n" }.joined()
            }.joined() + "\n"
        case .dump: return dumpText
        // Apache keeps a digest of every 128th transaction; here the tree's own is known at any moment.
        case .hash:
            return "\(String(UInt64(bitPattern: tree.lastProcessedZxid.rawValue), radix: 16)): \(Int64(bitPattern: tree.digest))\n"
        // `dirs` needs the disk: `directoriesText`.
        case .dirs, .ruok, .isro, .conf, .envi, .mntr: return ""
        }
    }

    /// Apache's tree holds the root under two names and counts both. Members of one ensemble must show the same number.
    var shownNodeCount: Int { tree.nodeCount + 1 }

    private func session(of connection: ConnectionID) -> String {
        "0x" + hex(clients[connection]?.record.session ?? 0)
    }

    private func hex(_ value: Int64) -> String { String(UInt64(bitPattern: value), radix: 16) }

    private var statisticsText: String {
        let latency = statistics.latency
        var text = "Latency min/avg/max: \(latency.minMilliseconds)/\(latency.averageText)/\(latency.maxMilliseconds)\n"
        text += "Received: \(statistics.packetsReceived)\nSent: \(statistics.packetsSent)\n"
        text += "Connections: \(clients.count)\nOutstanding: \(clients.outstandingRequests)\n"
        text += "Zxid: \(status.lastProcessed)\nMode: \(mode)\nNode count: \(shownNodeCount)\n"
        if status.role == .leading {
            let sizes = statistics.proposalSizes
            text += "Proposal sizes last/min/max: \(sizes.last)/\(sizes.least)/\(sizes.most)\n"
        }
        return text
    }

    /// Sessions as a follower of Apache's shows them, with their timeouts: when each one ends only the leader knows, and
    /// it never tells by sets of sessions. So it is with connections.
    private var dumpText: String {
        let sessions = tree.sessions
        var text = "SessionTracker dump:\nGlobal Sessions(\(sessions.count)):\n"
        for session in sessions { text += "0x\(hex(session.session))\t\(session.timeout)ms\n" }
        let ephemerals = tree.ephemeralsBySession
        text += "ephemeral nodes dump:\nSessions with Ephemerals (\(ephemerals.count)):\n"
        for (session, paths) in ephemerals { text += "0x\(hex(session)):\n" + paths.map { "\t\($0)\n" }.joined() }
        text += "Connections dump:\nConnections Sets (0)/(\(clients.count)):\n"
        for client in clients.all { text += "\tip: /\(client.address):\(client.port) sessionId: 0x\(hex(client.record.session))\n" }
        return text
    }

    static func directoriesText(snapshots: Int, logs: Int) -> String { "datadir_size: \(snapshots)\nlogdir_size: \(logs)\n" }

    private func connections(brief: Bool) -> String {
        clients.all.map { client in
            let host = client.address.bytes.contains(UInt8(ascii: ":")) ? "[\(client.address)]" : "\(client.address)"
            let record = client.record
            var text = " /\(host):\(client.port)[1](queued=\(client.outstanding),recved=\(record.received),sent=\(record.sent)"
            if !brief, record.session != 0 {
                let latency = record.latency
                text += ",sid=0x\(hex(record.session)),lop=\(record.lastOperationText),est=\(client.established.milliseconds)"
                text += ",to=\(record.timeout),lcxid=0x\(hex(Int64(record.lastCxid))),lzxid=0x\(hex(record.lastZxid.rawValue))"
                text += ",lresp=\(record.lastReply.milliseconds),llat=\(record.lastLatency),minlat=\(latency.minMilliseconds)"
                text += ",avglat=\(latency.sumMilliseconds / max(latency.count, 1)),maxlat=\(latency.maxMilliseconds)"
            }
            return text + ")\n"
        }.joined()
    }

    private var configurationText: String {
        let c = configuration
        var text = """
            clientPort=\(c.client.port)
            secureClientPort=-1
            dataDir=\(c.dataDirectory)/version-2
            dataLogDir=\(c.logDirectory)/version-2
            tickTime=\(c.tickTime.inMilliseconds)
            maxClientCnxns=\(c.maxClientConnections)
            minSessionTimeout=\(c.minSessionTimeout.inMilliseconds)
            maxSessionTimeout=\(c.maxSessionTimeout.inMilliseconds)
            clientPortListenBacklog=\(c.clientBacklog)
            serverId=\(c.serverID)

            """
        guard !c.standalone, let myself = c.myself else { return text }
        text += """
            initLimit=\(c.initLimit)
            syncLimit=\(c.syncLimit)
            electionAlg=3
            electionPort=\(myself.electionPort)
            quorumPort=\(myself.quorumPort)
            peerType=\(myself.role == .observer ? 1 : 0)
            membership:\u{20}
            \(c.configText)

            """
        return text
    }

    private var environmentText: String {
        """
        Environment:
        zookeeper.version=\(ServerVersion.full)
        os.name=Linux

        """
    }
}
