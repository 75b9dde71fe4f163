import EnsembleBase

/// `GET /v1/status`: all that `ensemblectl status` shows.
package struct StatusResponse: Hashable, Sendable, Codable {
    package var cluster: String
    package var engine: Engine
    /// Version of the daemon.
    package var version: String
    /// Counts accepted manifests since the cluster was declared; rises with each reload that changed something.
    package var generation: UInt64
    /// Fingerprint of the settings that the members should have, in hexadecimal.
    package var fingerprint: String
    package var observedAt: WallTime
    /// One line that a person can read: the same as systemd's `STATUS=`.
    package var summary: String
    package var quorum: QuorumView
    /// S10: what the daemon would do, but does not, and the condition that is missing.
    package var held: [Hold]
    package var members: [MemberStatus]
    package var backups: BackupSummary
    /// The first of what is at work, if anything is.
    package var operation: OperationStatus?
    /// All of it; nil where the daemon does not say.
    package var operations: [OperationStatus]?
    /// Since when a person wants nothing voluntary done; nil: it is done.
    package var pausedSince: WallTime?

    package init(
        cluster: String, engine: Engine, version: String, generation: UInt64, fingerprint: String, observedAt: WallTime,
        summary: String, quorum: QuorumView, held: [Hold] = [], members: [MemberStatus], backups: BackupSummary = .init(),
        operation: OperationStatus? = nil
    ) {
        self.cluster = cluster
        self.engine = engine
        self.version = version
        self.generation = generation
        self.fingerprint = fingerprint
        self.observedAt = observedAt
        self.summary = summary
        self.quorum = quorum
        self.held = held
        self.members = members
        self.backups = backups
        self.operation = operation
    }
}

/// The ensemble as the daemon sees it.
package struct QuorumView: Hashable, Sendable, Codable {
    package var voters: Int
    /// More than half of the voters.
    package var needed: Int
    /// Voters that serve in the current epoch.
    package var participating: Int
    /// Id of the member that leads, if exactly one does.
    package var leader: Int?
    package var epoch: Int64?

    package var holds: Bool { participating >= needed && leader != nil }

    package init(voters: Int, needed: Int, participating: Int, leader: Int? = nil, epoch: Int64? = nil) {
        self.voters = voters
        self.needed = needed
        self.participating = participating
        self.leader = leader
        self.epoch = epoch
    }
}

/// Something that waits for a condition (S10).
package struct Hold: Hashable, Sendable, Codable {
    /// What is held: "reseed of member 2".
    package var what: String
    /// What must come true: "a verified backup, there is none yet".
    package var missingCondition: String
    package var since: WallTime?
    /// Nil where the daemon does not say.
    package var gravity: Gravity?

    /// Whom it is for.
    package enum Gravity: String, CaseIterable, OpenVocabulary {
        /// It passes by itself, sooner or later.
        case waits
        /// Somebody has to do something.
        case person
        case other
    }

    package init(what: String, missingCondition: String, since: WallTime? = nil, gravity: Gravity? = nil) {
        self.gravity = gravity
        self.what = what
        self.missingCondition = missingCondition
        self.since = since
    }
}

/// One member. The three questions of health are kept apart: is the process alive, does it answer, does it
/// participate.
package struct MemberStatus: Hashable, Sendable, Codable {
    package enum Role: String, CaseIterable, OpenVocabulary {
        case leader, follower, looking, standalone
        /// Not known: it does not answer.
        case unknown
        case other
    }

    package enum State: String, CaseIterable, OpenVocabulary {
        /// Serves in the current epoch with no lag to speak of.
        case participating
        /// Process started, not yet in the ensemble.
        case starting
        /// Alive and answering, in no quorum.
        case waiting
        /// Alive, does not answer: wedged or stopped by a signal.
        case unresponsive
        /// Gone; a restart waits for its backoff.
        case backingOff
        /// Gone, and the daemon gave up on it.
        case gaveUp
        /// Being brought back from a backup.
        case reseeding
        /// In the ensemble without a vote until it has synced with the leader (S2).
        case recovering
        case stopping
        /// Not running because someone said so.
        case stopped
        case other
    }

    package var id: Int
    package var host: String
    package var role: Role
    package var state: State
    /// One sentence beside the state: what happened, or what it waits for.
    package var detail: String
    package var alive: Bool
    package var answers: Bool
    package var participates: Bool
    package var pid: Int32?
    package var uptimeMilliseconds: Int64?
    package var epoch: Int64?
    package var zxid: HexZxid?
    /// Transactions behind the leader, when both are in the same epoch.
    package var lag: Int64?
    /// Deaths that the daemon did not ask for, since the daemon's state began.
    package var restarts: Int
    package var recovering: Bool
    /// Step of a reseed, when one is at work: "waiting for lost promises to expire".
    package var reseed: String?
    /// Address for clients, `host:port`.
    package var clientAddress: String
    package var connections: Int?
    /// Resident memory in bytes.
    package var memory: Int64?
    /// What the server prints; absolute path on its host.
    package var logFile: String
    package var dataDirectory: String
    /// Whether it runs with the settings that the manifest declares now.
    package var upToDate: Bool
    /// It is out of service by somebody's wish, or comes back from that; nil where the daemon does not say.
    package var planned: Bool?

    package init(
        id: Int, host: String, role: Role = .unknown, state: State, detail: String = "", alive: Bool = false,
        answers: Bool = false, participates: Bool = false, pid: Int32? = nil, uptimeMilliseconds: Int64? = nil,
        epoch: Int64? = nil, zxid: HexZxid? = nil, lag: Int64? = nil, restarts: Int = 0, recovering: Bool = false,
        reseed: String? = nil, clientAddress: String, connections: Int? = nil, memory: Int64? = nil, logFile: String,
        dataDirectory: String, upToDate: Bool = true
    ) {
        self.id = id
        self.host = host
        self.role = role
        self.state = state
        self.detail = detail
        self.alive = alive
        self.answers = answers
        self.participates = participates
        self.pid = pid
        self.uptimeMilliseconds = uptimeMilliseconds
        self.epoch = epoch
        self.zxid = zxid
        self.lag = lag
        self.restarts = restarts
        self.recovering = recovering
        self.reseed = reseed
        self.clientAddress = clientAddress
        self.connections = connections
        self.memory = memory
        self.logFile = logFile
        self.dataDirectory = dataDirectory
        self.upToDate = upToDate
    }
}

package struct BackupSummary: Hashable, Sendable, Codable {
    package var count = 0
    package var last: BackupDescription?
    package var lastVerified: BackupDescription?
    /// When the schedule takes the next one; nil: no schedule.
    package var nextAt: WallTime?
    /// Why the latest attempt failed; nil when it did not.
    package var lastFailure: String?
    /// Since when the newest that counts is older than it may be; nil: it is not.
    package var overdueSince: WallTime?
    /// Those whose verification has failed, or that can't be read.
    package var damaged: Int?
    /// Those that were taken later than now, by their word.
    package var fromTheFuture: Int?

    package init() {}
}

/// A zxid in JSON: a string such as `"0x200000011"`, because a JSON number loses whole numbers above 2^53 in many
/// readers.
package struct HexZxid: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    package var value: Int64

    package init(_ value: Int64) { self.value = value }

    package var description: String { "0x" + String(UInt64(bitPattern: value), radix: 16) }

    package static func < (a: HexZxid, b: HexZxid) -> Bool { a.value < b.value }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard text.hasPrefix("0x"), let bits = UInt64(text.dropFirst(2), radix: 16) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\"\(text)\" is not a zxid, such as 0x200000011")
        }
        value = Int64(bitPattern: bits)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
