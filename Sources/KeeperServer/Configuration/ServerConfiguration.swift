import EnsembleBase
import KeeperCore

/// What a zoo.cfg (and its `myid`) asks for. Made by `ConfigurationParser`; every value is within its range.
package struct ServerConfiguration: Hashable, Sendable {
    /// Where the configuration was read from, for messages.
    package var file: String

    package var tickTime: Duration
    /// In ticks.
    package var initLimit: Int
    /// In ticks.
    package var syncLimit: Int
    package var minSessionTimeout: Duration
    package var maxSessionTimeout: Duration

    package var dataDirectory: String
    /// `dataLogDir`; the data directory if the file names none.
    package var logDirectory: String
    /// Whether directories that are missing are made (`datadir.autocreate`).
    package var createsDirectories: Bool
    /// Not of the file, but of this one start: what the directories must hold at least (S2).
    package var dataFloor: DataFloor?

    /// Where clients connect. Port 0 lets the system choose (tests).
    package var client: HostPort
    package var clientBacklog: Int
    /// Connections from one address; 0 = any number.
    package var maxClientConnections: Int
    /// Connections in total; 0 = any number that the descriptor limit allows.
    package var maxConnections: Int

    /// By id, ascending. Empty in a standalone server.
    package var members: [MemberAddress]
    package var serverID: ServerID
    /// One server, no quorum protocol.
    package var standalone: Bool
    package var quorumListenOnAllAddresses: Bool

    package var snapCount: Int
    /// Bytes of log after which a snapshot is due whatever `snapCount` says (`snapSizeLimitInKb`); `Int.max`: never.
    package var snapshotSizeLimit: Int
    /// Bytes after which a log file is followed by the next (`txnLogSizeLimitInKb`); nil: files change with snapshots only.
    package var logSizeLimit: Int?
    package var snapRetainCount: Int
    /// nil: old snapshots are never purged.
    package var purgeInterval: Duration?
    /// Bytes.
    package var preallocation: Int
    /// Bytes: the largest frame that a client may send.
    package var maxFrame: Int
    package var globalOutstandingLimit: Int
    /// Bytes that may be held for clients and peers together; nil: by the machine's memory.
    package var memoryBudget: Int?
    /// A connection without a session is closed after this long.
    package var sessionlessTimeout: Duration?
    /// How often a leader looks for containers that have become empty (`znode.container.checkIntervalMs`).
    package var containerSweepInterval: Duration

    package var allowedWords: AllowedWords
    /// `user:base64(sha1(user:password))` of the super user.
    package var superDigest: ByteString?

    package var myself: MemberAddress? { members.first { $0.id == serverID } }

    /// The text of `/zookeeper/config` and of election messages, as Apache prints it (QuorumMaj.toString).
    package var configText: String {
        members.map { $0.configText + "\n" }.joined() + "version=0"
    }
}

/// Which four-letter words may be answered (`4lw.commands.whitelist`).
package enum AllowedWords: Hashable, Sendable {
    case all
    /// Sorted; holds `srvr`, which Apache's own `zkServer.sh status` asks.
    case only([String])

    package func contains(_ word: String) -> Bool {
        switch self {
        case .all: true
        case .only(let words): words.contains(word)
        }
    }
}

/// Something to say about a configuration file.
package struct ConfigurationProblem: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Severity: String, Hashable, Sendable { case warning, error }

    package var severity: Severity
    package var file: String
    /// From 1; nil when it is about the file as a whole.
    package var line: Int?
    package var message: String

    package var description: String {
        let place = line.map { "\(file):\($0)" } ?? file
        return "\(place): \(severity.rawValue): \(message)"
    }
}
