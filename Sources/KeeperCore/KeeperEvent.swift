import EnsembleBase

/// A client connection, as the hands number them. Never reused within a process.
package struct ConnectionID: Hashable, Comparable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (a: ConnectionID, b: ConnectionID) -> Bool { a.rawValue < b.rawValue }
}

/// A learner's connection to this leader. Never reused within a process.
package struct LearnerID: Hashable, Comparable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (a: LearnerID, b: LearnerID) -> Bool { a.rawValue < b.rawValue }
}

/// What a member found on its disk.
package struct RecoveredState: Sendable {
    /// The tree after the newest valid snapshot and every logged transaction behind it.
    package var tree: DataTree
    /// The last transactions of the log, oldest first, up to the tree's zxid, and nothing is missing between them (A hole
    /// would spread by DIFF: ZOOKEEPER-4925): the window for DIFF.
    package var recent: [LogEntry]
    /// 0 if never written.
    package var acceptedEpoch: Int64
    package var currentEpoch: Int64
    /// The `recovering` mark (rule S2), or an empty directory without the `initialize` file.
    package var recovering: Bool
    /// What the log holds behind the newest valid snapshot.
    package var behindSnapshot: LogExtent
    /// The tree is what every member had behind its last transaction. False behind a snapshot that does not say how far
    /// it was fuzzy: digests prove nothing until a leader has brought this member past that.
    package var isExact = false
    /// The tree differed from that server's when it led, and which of the two is wrong was not known (`Doubt`).
    package var doubted: ServerID?
    /// What the replay made of the leaders' digests: a suspicion in the last entry is decided by the next that comes.
    package var judgement = DigestJudgement()
    /// What was found in the files and made good, for people: a torn tail, a wrongly announced digest, a snapshot passed
    /// over; with file and offset.
    package var findings: [String] = []

    package init(
        tree: DataTree, recent: [LogEntry], acceptedEpoch: Int64, currentEpoch: Int64, recovering: Bool,
        behindSnapshot: LogExtent = LogExtent()
    ) {
        self.tree = tree
        self.recent = recent
        self.acceptedEpoch = acceptedEpoch
        self.currentEpoch = currentEpoch
        self.recovering = recovering
        self.behindSnapshot = behindSnapshot
    }
}

/// What has happened: the inputs of `KeeperMachine.step`.
package enum KeeperEvent: Sendable {
    /// The wall clock's reading at the step's instant. Sent once at the start and about once a second.
    case clockRead(WallTime)
    /// The machine's `deadline` has passed.
    case deadlineReached
    /// The answer to start-up and to `truncateLog`: nothing is handled before the first one.
    case recovered(RecoveredState)

    case clientConnected(ConnectionID, address: ByteString)
    case connectRequested(ConnectionID, ConnectRequest)
    /// Any decoded request but `auth`.
    case requested(ConnectionID, xid: Int32, Request)
    /// An `auth` request whose credential the hands have checked (hashing is theirs): the identities it proves, or
    /// nil if it proves none.
    case authenticated(ConnectionID, xid: Int32, [Identity]?)
    /// The client goes on taking what it was sent, slowly: its pings may wait behind what it has asked for.
    case clientTookReplies(ConnectionID)
    case clientDisconnected(ConnectionID)

    case notificationReceived(from: ServerID, Notification)

    case learnerConnected(LearnerID)
    case learnerPacketReceived(LearnerID, QuorumPacket)
    case learnerDisconnected(LearnerID)
    /// The learner's connection has taken some of the tree that is on its way; sent now and then.
    case learnerProgressed(LearnerID)
    /// The answer to `awaitLearner`; none comes from a connection that ends.
    case learnerTook(LearnerID)
    /// At least one entry, in order, from the first one that was asked for on.
    case logRead(LearnerID, [LogEntry])
    case logUnreadable(LearnerID, reason: String)

    case leaderConnected(ServerID)
    case leaderPacketReceived(QuorumPacket)
    /// The whole tree that followed a SNAP packet, its last processed zxid set to the packet's.
    case snapshotReceived(DataTree)
    /// Bytes of a SNAP stream have come; sent now and then while one is being read, so that a large tree doesn't look
    /// like a silent leader.
    case leaderBytesReceived
    /// Also when the connection could not be made.
    case leaderDisconnected

    /// Every entry appended up to and including this one is durable.
    case logSynced(Zxid)
    case epochsSaved(accepted: Int64, current: Int64)
    case snapshotInstalled(accepted: Int64, current: Int64)
    case snapshotSaved(Zxid)
    /// It was given up; the log still holds everything behind the one before.
    case snapshotFailed
    case recoveringMarkCleared
    case doubtMarked
    /// An operator asks a leader to step down in favour of the most advanced follower.
    case handOffRequested
}
