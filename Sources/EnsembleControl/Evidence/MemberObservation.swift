import EnsembleBase

/// A member's number: its `myid`.
package typealias MemberID = Int

/// What is known of one member. Health is three questions, kept apart: `process` (is it alive), `answer` (does it
/// answer) and, judged over the whole ensemble by `EnsembleObservation.participants`, does it participate.
package struct MemberObservation: Sendable, Hashable {
    package let id: MemberID
    package var process: ProcessObservation
    /// What it last said, and when. A silent member keeps its last answer; freshness is judged by `at`.
    package var answer: MemberAnswer?
    /// What came of asking it.
    package var hearing = Hearing.nothing
    /// Its present process has answered, at any time.
    package var hasAnswered = false
    /// Since when the kernel says that its process is stopped; nil while it runs.
    package var stoppedSince: Instant?
    package var labour = Labour()
    /// Since when it has been silent, and nobody has counted it (`weighSilence`).
    var uncountedSince: Instant?
    /// When its data directory was last looked at, and what was there. Only for members of this host.
    package var disk: DataDirectoryCondition?

    package init(
        id: MemberID, process: ProcessObservation = .unknown, answer: MemberAnswer? = nil, disk: DataDirectoryCondition? = nil
    ) {
        self.id = id
        self.process = process
        self.answer = answer
        self.disk = disk
    }

    /// It says something, whatever: this side can hear.
    package var isHeard: Bool { hearing == .answers || hearing == .turnedAway }

    /// Another process than before: nothing that was heard is true of it.
    mutating func began(pid: Int32, hasAnswered: Bool = false) {
        process = .alive(pid: pid, ProcessSight())
        answer = nil
        hearing = .nothing
        self.hasAnswered = hasAnswered
        stoppedSince = nil
        uncountedSince = nil
        labour = Labour()
    }

    mutating func ended(_ cause: ExitCause) {
        began(pid: 0)
        process = .exited(cause)
    }

    mutating func saw(_ sight: ProcessSight, at now: Instant) {
        guard case .alive(let pid, let before) = process else { return }
        // Who goes on has not been silent of itself, and needs a moment to be heard.
        let stoodStill = before.state == .stopped || before.state == .traced
        if sight.state == .runs, stoodStill, case .silent = hearing { hearing = .silent(since: now) }
        process = .alive(pid: pid, sight)
        stoppedSince = sight.state == .stopped ? stoppedSince ?? now : nil
        labour.saw(sight, at: now)
    }

    mutating func heard(_ hearing: Hearing) {
        switch (self.hearing, hearing) {
        // Since when, the first one of a row has said.
        case (.silent, .silent), (.notAsked, .notAsked): return
        case (_, _): self.hearing = hearing
        }
        if isHeard { hasAnswered = true }
    }
}

/// Is the process alive? For a member of another host this is always `.unknown`: only its daemon can say.
package enum ProcessObservation: Sendable, Hashable {
    case unknown
    case absent
    case alive(pid: Int32, ProcessSight)
    case exited(ExitCause)
}

/// Why a server ended, as far as can be told. What follows from each is `MemberSupervisor`'s.
package enum ExitCause: Sendable, Hashable, Codable {
    /// Exit status 0, or the signal that we sent.
    case clean
    /// It refused its configuration: starting it again can't help.
    case configuration(String)
    /// It found its files damaged: reseed.
    case damagedData(String)
    /// The disk is full or failed.
    case storage(String)
    /// A port of its configuration is taken.
    case addressInUse(String)
    /// The system could not start it at this moment (EAGAIN, ENOMEM, a file that could not be written): may pass.
    case launchFailed(String)
    case signalled(Int32)
    case status(Int32)
    /// It was not our child (a former daemon's): the kernel doesn't tell us.
    case untold

    package var description: String {
        switch self {
        case .clean: "it ended cleanly"
        case .configuration(let text): "it refused its configuration: \(text)"
        case .damagedData(let text): "it found its data damaged: \(text)"
        case .storage(let text): "its disk failed or is full: \(text)"
        case .addressInUse(let text): "an address it listens on is taken: \(text)"
        case .launchFailed(let text): "it could not be started: \(text)"
        case .signalled(let number): "it was ended by signal \(number)"
        case .status(let code): "it exited with status \(code)"
        case .untold: "it ended; it was started by an earlier daemon, so its status is not known"
        }
    }
}

/// Why a server could not be started.
package enum LaunchFailure: Sendable, Hashable {
    /// The same attempt may succeed later.
    case passing(String)
    /// Nothing but a person or another manifest helps: no such program, no right to run it.
    case lasting(String)
}

/// One answer of a server to a probe.
package struct MemberAnswer: Sendable, Hashable {
    package enum Role: String, Sendable, Hashable, Codable {
        /// It answers, and serves nobody: electing, syncing, recovering.
        case looking
        case leading
        case following
        case observing
        case standalone

        package var serves: Bool { self != .looking }
    }

    package var at: Instant
    /// Whose answer it is, by its own word; nil where the server doesn't say. All of an answer is one server's.
    package var server: MemberID?
    package var role: Role
    /// The last transaction it has applied. Its high 32 bits are an epoch.
    package var zxid: Int64
    /// Up to which of them its own disk has them; nil where the server doesn't say.
    package var durable: Int64?
    /// The epoch that it has promised; nil where the server doesn't say. An epoch that nothing was written in is in no zxid.
    package var acceptedEpoch: Int64?
    /// Only a leader's: how many followers it counts as synced.
    package var syncedFollowers: Int?
    package var clients: Int
    package var version: String

    package init(
        at: Instant, server: MemberID? = nil, role: Role, zxid: Int64, durable: Int64? = nil, acceptedEpoch: Int64? = nil,
        syncedFollowers: Int? = nil, clients: Int = 0, version: String = ""
    ) {
        self.at = at
        self.server = server
        self.role = role
        self.zxid = zxid
        self.durable = durable
        self.acceptedEpoch = acceptedEpoch
        self.syncedFollowers = syncedFollowers
        self.clients = clients
        self.version = version
    }
}

/// How closely a data directory is looked at.
package enum InspectionDepth: Sendable, Hashable {
    /// Seals, the last log's entries, the epochs, the identity: no tree is built.
    case seals
    /// Everything is read, replayed and compared: as costly as a server's start.
    case replay
}

/// What is in a member's data directory, found by looking, before the ledger's opinion (`DataTrust`).
package enum DataDirectoryCondition: Sendable, Hashable, Codable {
    /// No such directory, while its parent is there.
    case missing
    /// There, without snapshots, logs or epoch files.
    case empty
    /// Empty, and `initialize` lies in it: a first start was prepared for the directory of this identity, and no server has
    /// begun here. Whoever begins makes a database of it before that word is taken away.
    case unused(identity: String?)
    case holding(DataDirectoryContents)
    /// Files of a server that don't parse: names the file and the offset.
    case damaged(String)
    /// It can't be looked at (I/O error, permissions, an absent mount): nothing is known, so nothing is done (S10).
    case unreadable(String)

    /// Whether no server's files are there.
    package var isBlank: Bool {
        switch self {
        case .missing, .empty, .unused: true
        case .holding, .damaged, .unreadable: false
        }
    }
}

/// What an intact data directory claims.
package struct DataDirectoryContents: Sendable, Hashable, Codable {
    /// Written by the daemon when the directory was made; nil in a directory that no daemon has made.
    package var identity: String?
    /// The highest transaction on disk; 0 when there is none.
    package var zxid: Int64
    package var acceptedEpoch: Int64
    package var currentEpoch: Int64
    /// The bundled engine's `recovering` mark is present.
    package var recovering: Bool

    package init(identity: String?, zxid: Int64, acceptedEpoch: Int64, currentEpoch: Int64, recovering: Bool) {
        self.identity = identity
        self.zxid = zxid
        self.acceptedEpoch = acceptedEpoch
        self.currentEpoch = currentEpoch
        self.recovering = recovering
    }
}
