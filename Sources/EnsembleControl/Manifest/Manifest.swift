import EnsembleBase

/// What one manifest file declares: a cluster, its members, and how they are to be run. Every value here has passed
/// the checks of `ManifestDecoding`; nothing downstream checks ranges again.
package struct Manifest: Hashable, Sendable {
    /// Name of the cluster: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit. It is also
    /// the systemd instance name and a directory name.
    package var cluster: String
    package var engine: Engine
    /// Where members keep their files, unless a member says otherwise; absolute. Nil: the daemon's state directory.
    /// The directory belongs to this cluster alone: a member's home is `<dataDirectory>/members/<id>`.
    package var dataDirectory: String?
    package var settings: ServerSettings
    /// In the order of the file; ids are unique.
    package var members: [MemberDeclaration]
    /// Nil: the manifest asks for no backups. Then nothing can be reseeded from one.
    package var backups: BackupSettings?
    package var restart: RestartPolicy
    package var reseed: ReseedPolicy
    package var limits: Limits
    package var apache: ApacheSettings
    package var operatorAccess: OperatorAccess

    package init(
        cluster: String, engine: Engine = .bundled, dataDirectory: String? = nil, settings: ServerSettings = .init(),
        members: [MemberDeclaration], backups: BackupSettings? = nil, restart: RestartPolicy = .init(),
        reseed: ReseedPolicy = .init(), limits: Limits = .init(), apache: ApacheSettings = .init(),
        operatorAccess: OperatorAccess = .init()
    ) {
        self.cluster = cluster
        self.engine = engine
        self.dataDirectory = dataDirectory
        self.settings = settings
        self.members = members
        self.backups = backups
        self.restart = restart
        self.reseed = reseed
        self.limits = limits
        self.apache = apache
        self.operatorAccess = operatorAccess
    }

    package func member(_ id: Int) -> MemberDeclaration? { members.first { $0.id == id } }
    /// Ids of the voters, ascending.
    package var voters: [Int] { members.filter { $0.role == .voter }.map(\.id).sorted() }
    /// How many voters make a quorum: more than half.
    package var quorumSize: Int { voters.count / 2 + 1 }
}

/// Which program a member runs.
package enum Engine: String, CaseIterable, Hashable, Sendable, Codable {
    /// `ensemble-server`, which comes with the daemon.
    case bundled
    /// Apache's Java server, installed on the host.
    case apache
}

/// The part that a member has in the quorum.
package enum MemberRole: String, CaseIterable, Hashable, Sendable, Codable {
    case voter
}

/// One numbered member of the cluster.
package struct MemberDeclaration: Hashable, Sendable, Codable {
    /// 1 to 254: Apache's server packs it into one byte of each session id, and its documentation allows no more.
    package var id: Int
    /// Name or address at which peers and clients reach the member. On the loopback interface it serves only this host.
    package var host: String
    /// 1 to 65535; the three ports of a member, and those of all members of one host, differ.
    package var clientPort: Int
    package var quorumPort: Int
    package var electionPort: Int
    package var role: MemberRole
    /// `dataDir` of the server; absolute. Nil: `<home>/data`.
    package var dataDirectory: String?
    /// `dataLogDir` of the server; absolute. Nil: the same directory as `dataDir`.
    package var logDirectory: String?

    package init(
        id: Int, host: String, clientPort: Int, quorumPort: Int, electionPort: Int, role: MemberRole = .voter,
        dataDirectory: String? = nil, logDirectory: String? = nil
    ) {
        self.id = id
        self.host = host
        self.clientPort = clientPort
        self.quorumPort = quorumPort
        self.electionPort = electionPort
        self.role = role
        self.dataDirectory = dataDirectory
        self.logDirectory = logDirectory
    }
}

/// What goes into every member's `zoo.cfg`. The defaults are those of Apache's documentation, but for `autopurge`
/// (theirs is off, and disks fill) and `maxClientConnections` of one address (theirs, 60, is kept).
package struct ServerSettings: Hashable, Sendable {
    /// 10 ms to 1 min.
    package var tickTime: Duration = .seconds(2)
    /// Ticks that a learner may take to connect to the leader and sync with it: 1 to 10000.
    package var initLimit = 10
    /// Ticks that a learner may lag behind the leader before it is dropped: 1 to 10000.
    package var syncLimit = 5
    /// Connections from one address; 0: no limit.
    package var maxClientConnections = 60
    /// Nil: two ticks.
    package var minSessionTimeout: Duration?
    /// Nil: twenty ticks.
    package var maxSessionTimeout: Duration?
    /// Transactions between two snapshots: 2 to 100000000.
    package var snapCount = 100_000
    /// Four-letter words that clients may ask for, beside those that the daemon itself needs
    /// (`ServerSettings.wordsTheDaemonAsks`). `*` allows all.
    package var fourLetterWords: [String] = []
    /// Snapshots that the server keeps: 3 to 1000.
    package var autopurgeKeep = 3
    /// Whole hours between two purges of the server's own old files: 0 (off) to 8760.
    package var autopurgeHours = 1
    /// Requests that may wait in the server before it stops reading: 1 to 1000000.
    package var globalOutstandingLimit = 1000
    /// Largest node and largest request, in bytes (`jute.maxbuffer`): 1 KiB to 64 MiB.
    package var maxBuffer = 1_048_575
    /// `user:base64(sha1(user:password))`; nil: there is no super user.
    package var superDigest: String?

    package init() {}

    /// What the daemon's probes ask; always in the whitelist, whatever the manifest says.
    package static let wordsTheDaemonAsks = ["conf", "isro", "mntr", "ruok", "srvr", "stat"]

    package var effectiveMinSessionTimeout: Duration { minSessionTimeout ?? tickTime * 2 }
    package var effectiveMaxSessionTimeout: Duration { maxSessionTimeout ?? tickTime * 20 }
    /// How long a promise of an epoch that a member made can matter to a candidate: each of the leader's three phases
    /// is bounded by `initLimit` ticks (reference/operators.md, section 3). A reseed waits this long after the fence at most.
    package var promiseLifetime: Duration { tickTime * (3 * initLimit) }
}

/// How files of a member are captured.
package enum CaptureMode: String, CaseIterable, Hashable, Sendable, Codable {
    /// From a running member: its snapshot and the logs that repair it.
    case live
    /// From a follower that is stopped for it, under S4 and S5.
    case cold
}

/// Which member a backup is taken from when no person names one.
package enum CaptureSource: String, CaseIterable, Hashable, Sendable, Codable {
    /// A follower, when one participates: the leader has enough to do.
    case follower
    case any
}

package struct BackupSettings: Hashable, Sendable {
    /// Directory of the archive; absolute. Nil: `<state directory>/archive`.
    package var archive: String?
    package var schedule: Schedule
    package var mode: CaptureMode
    package var source: CaptureSource
    package var retention: RetentionPolicy
    /// Level of zstd, 1 (fast) to 19 (small).
    package var compressionLevel: Int
    /// Verify each backup as soon as it is complete. Only verified backups are ever used without a person (S7).
    package var verify: Bool
    /// How old the newest backup that counts may become; nil: as `BackupAge` has it.
    package var maximumAge: Duration?

    package init(
        archive: String? = nil, schedule: Schedule, mode: CaptureMode = .live, source: CaptureSource = .follower,
        retention: RetentionPolicy, compressionLevel: Int = 3, verify: Bool = true, maximumAge: Duration? = nil
    ) {
        self.maximumAge = maximumAge
        self.archive = archive
        self.schedule = schedule
        self.mode = mode
        self.source = source
        self.retention = retention
        self.compressionLevel = compressionLevel
        self.verify = verify
    }
}

/// What happens after a server ended by itself.
package struct RestartPolicy: Hashable, Sendable {
    /// Wait before the first restart; doubled after each further death.
    package var initialDelay: Duration = .milliseconds(500)
    package var maximumDelay: Duration = .seconds(60)
    /// Deaths of one member within `within` after which the daemon gives up on it and says so: 1 to 1000.
    package var giveUpAfter = 10
    package var within: Duration = .seconds(600)
    /// How long a restarted member must participate without lag before it counts as whole: before its backoff is
    /// forgotten, and before a rolling restart touches the next member.
    package var soak: Duration = .seconds(5)

    package init() {}
}

/// When a member whose data is lost or untrusted is brought back without a person.
package struct ReseedPolicy: Hashable, Sendable {
    package var automatic = true
    /// Reseeds of one member in any hour: 1 to 60. More often means that the cause is not the data.
    package var perMemberPerHour = 1
    /// Reseeds in the whole cluster in any 24 hours: 1 to 1000.
    package var perDay = 3

    package init() {}
}

package struct Limits: Hashable, Sendable {
    /// `RLIMIT_NOFILE` of each server: 256 to 1048576. Nil: what the daemon has.
    package var openFiles: Int?
    /// Nil: no limit is set.
    package var memory: Int?
    /// How long a server may take to stop before it is killed.
    package var stopTimeout: Duration = .seconds(30)
    /// How long a server may stand still by a signal, with nobody tracing it, before it is ended: 1 s to 1 h.
    package var frozenTimeout: Duration = .seconds(5)

    package init() {}
}

/// How Apache's server is launched; used only with `engine: apache`. The defaults are those of Debian's `zookeeper`
/// package.
package struct ApacheSettings: Hashable, Sendable {
    package var java = "/usr/bin/java"
    /// Directories and archives, in order. Debian's package names no binding of its logging interface, so the last one is
    /// there to let the server say what it does.
    package var classpath = ["/etc/zookeeper/conf", "/usr/share/java/zookeeper.jar", "/usr/share/java/slf4j-simple.jar"]
    /// Bytes of JVM heap (`-Xms`, `-Xmx`): 64 MiB and more.
    package var heap = 512 << 20
    /// Further flags of the JVM. Those that would break a safety rule are refused.
    package var jvmFlags: [String] = []

    package init() {}
}

/// Who may use the control socket.
package struct OperatorAccess: Hashable, Sendable {
    /// Group that owns the socket. Nil: the daemon's own.
    package var socketGroup: String?
    /// Permission bits of the socket.
    package var socketMode: UInt32 = 0o660

    package init() {}
}
