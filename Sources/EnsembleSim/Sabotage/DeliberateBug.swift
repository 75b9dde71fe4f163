/// Bugs that a test switches on to show that the checkers see them.
///
/// All live at the seam: the world lies to a correct core, reorders what it says, or loses what it wrote, in just the
/// way in which a core or its hands with that bug would. The production code has no hook for them.
package enum DeliberateBug: String, CaseIterable, Sendable {
    /// The log reports entries as durable when they are appended.
    case ackBeforeSync
    /// A member whose directory was lost votes as if it had its history (rule S2).
    case recoveringIgnored
    /// A directory that was rolled back has no mark (rule S2).
    case rolledBackUnmarked
    /// The epoch of a leader whose tree is being installed is on the disk before the tree is.
    case installEpochFirst
    /// A member that lost its directory comes back at once (rule S2).
    case promisesNotWaitedOut
    /// Epochs, and the synced log, are reported before they are durable, so NEWLEADER is acknowledged early
    /// (ZOOKEEPER-3911, 4643, 4646).
    case newLeaderAckedEarly
    /// currentEpoch never reaches the disk.
    case currentEpochNotWritten
    /// acceptedEpoch never reaches the disk: promises are forgotten by a restart.
    case acceptedEpochNotWritten
    /// A learner is cut back across an epoch's boundary where only a snapshot helps.
    case truncateAcrossEpochs
    /// TRUNC changes the member's memory and not its log (ZOOKEEPER-4712).
    case truncateInMemoryOnly
    /// The leader counts an acknowledgement that nobody gave.
    case commitWithoutQuorum
    /// The acknowledgement of NEWLEADER from a learner's last connection is counted on its next one.
    case ackReplayed
    /// A reply overtakes the watch events of its transaction.
    case watchAfterReply
    /// A watch event is sent twice.
    case watchTwice
    /// A fuzzy snapshot gets its name before the log behind it is durable.
    case snapshotBeforeLog
    /// A member votes without having read the last entries of its log (ZOOKEEPER-2845).
    case noFastForward
    /// A learner does not get the proposals that were under way when it was synced (ZOOKEEPER-4785).
    case proposalsNotResent
    /// DIFF lacks its last transaction (ZOOKEEPER-4925).
    case holeInDiff
    /// Neither epoch reaches the disk.
    case epochsNotWritten
    /// Recovery forgets the effects of an entry in the midst of the log.
    case replaySkipsEntry
    /// A damaged record passes for the torn end of the log.
    case damageTakenForTail
    /// An fsync that failed is taken for one that succeeded.
    case failedSyncIgnored
    /// The log's lane now and then reports entries before their sync.
    case logReportedEarly
    /// NEWLEADER is acknowledged before the history that it ends is durable (ZOOKEEPER-3911).
    case newLeaderBeforeSync
    /// Logs are never synced.
    case logSyncSkipped
    /// Epoch files are never synced, before they are renamed.
    case epochSyncSkipped
    /// Snapshots are never synced, before they are renamed.
    case snapshotSyncSkipped
    /// Directories are never synced, so that names may be lost.
    case directorySyncSkipped
    /// Recovery reads whole logs into memory (issue 8, A6).
    case wholeLogRead
    /// What the leader sends to its learners is not what it logs.
    case proposalAltered
    /// A learner's stream changes the order of a proposal and the packet behind it.
    case streamReordered
    /// Learners that have synced are never told that they may serve.
    case upToDateLost
    /// A copy of a tree lacks a node.
    case snapshotLosesNode
    /// The leader does not compare versions.
    case versionIgnored
    /// An ephemeral is created for a session that has been closed.
    case ephemeralAfterClose
    /// The leader does not listen to what followers tell it of sessions.
    case touchesIgnored
    /// A follower tells a client that its session is over, which it is not.
    case sessionForgotten
    /// Reads are answered with what was read first.
    case staleRead
    /// Now and then a reply is lost.
    case replyLost
    /// Now and then a watch event is lost.
    case watchLost
    /// A follower answers `sync` itself.
    case syncWithoutLeader
    /// A member serves clients that have seen more than it has.
    case clientZxidIgnored
    /// Followers do not tell the leader which sessions are alive.
    case touchesLost

    /// Now and then what a follower forwards is overtaken by what it forwards later.
    case writesOvertaken
    /// A check in a multi compares nothing.
    case checkIgnored
    /// Whoever proves to be someone has everyone's rights.
    case rightsIgnored
    /// A multi's last part is not done.
    case multiCutShort
    /// A reply brings what became of the connection's write before.
    case answerOfAnother
    /// Children are listed under a wrong name.
    case childMisnamed
    /// A value's first byte is wrong.
    case valueAltered
    /// A follower believes in sessions that have ended.
    case endedSessionResumed
    /// Connections of clients that have gone are kept.
    case departuresUnnoticed
    /// removeWatches says that it did, and did not.
    case watchNotRemoved
    /// The epoch is on the disk before the history that it vouches for.
    case epochBeforeLog

    /// A learner knows nothing of what a commit between NEWLEADER and UPTODATE is for, and leaves (ZOOKEEPER-4394: it has
    /// emptied its list of proposals at NEWLEADER).
    case commitUnknownBeforeUpToDate
    /// What a learner was synced with is committed behind UPTODATE, when it serves already (ZOOKEEPER-3023).
    case commitsBehindUpToDate
    /// A leader drops a learner whose acknowledgement of a proposal comes before that of NEWLEADER (ZOOKEEPER-4685).
    case proposalAckedFirst
    /// A request that is refused is proposed as a bare check (ZOOKEEPER-2623).
    case checkProposed
    /// A copy of a tree has other lists of rights than the tree (ZOOKEEPER-4689, 4846).
    case treeLosesRights
    /// Behind TRUNC the tree shows what was cut, as one from a snapshot that is newer than the cut (ZOOKEEPER-4837, A12).
    case truncatedEffectsStay
    /// The window for DIFF keeps what the log has from before a tree came as a whole, so that it has a hole (issue 8, A1).
    case windowHasHole
    /// A digest that was announced wrongly is taken for divergence, and ends each start (issue 8, A3).
    case wrongAnnouncementFatal
    /// What was replayed does not count for when a snapshot is due (issue 8, A7).
    case replayUncounted
    /// A process that stood still lets its timers ring before it reads what has come (issue 8, A8).
    case sessionsJudgedBeforeReading

    // MARK: The wires'

    /// The last byte of a read behind which more is to come is lost.
    case cutFrameForgotten
    /// A write of which the socket took a part begins anew.
    case partialWriteRepeated
    /// Now and then a reply is written twice.
    case replyTwice
    /// A connection that was not read for a full socket's sake is not read again.
    case readingNeverResumed
    /// A session ends, and its connection stays.
    case connectionOutlivesSession

    // MARK: The operator's

    /// A kill is reported as a death before the process has ended (rule S3).
    case fenceSkipped
    /// The next daemon does not find the servers that live (rule S3).
    case adoptionMissed
    /// A seed from a backup has no mark (rule S2).
    case seedUnmarked
    /// Lost promises are not waited out by the operator (rule S2).
    case promiseWaitSkipped
    /// Whoever serves is taken for one that is past the barrier (rule S2).
    case promisesByServingAlone
    /// Members that do not participate are taken for followers (rule S4).
    case probesFlatter
    /// The lock is said to be held, and nobody asked the ensemble (rule S5).
    case lockNotTaken
    /// With one member another is stopped (rule S5).
    case twoDisruptions
    /// Barriers are said to be reached, and nobody wrote one (rule S4).
    case barrierNotWritten
    /// What a reseed or restore replaces is removed (rule S6).
    case quarantineDeletes
    /// Retention removes an object that a kept backup needs (rule S6).
    case retentionDropsBase
    /// A backup counts as verified without having been read back (rule S7).
    case unverifiedBackupUsed
    /// A restore leaves the epoch as the backup has it (rule S8).
    case restoreWithoutEpoch
    /// Intents do not survive the daemon (rule S9).
    case intentsNotSaved
    /// A server does not compare what it finds with what the daemon saw before the launch (rule S2).
    case floorIgnored
    /// The ledger does not survive the daemon (rule S2).
    case ledgerNotSaved
    /// What members say of their logs is not entered in the ledger (rule S2).
    case ledgerBehind
    /// A directory that can't be read passes for an empty one (rule S10).
    case doubtTakenForLoss
    /// Whoever is silent for long is taken for one that stands still (rule S11).
    case silenceSuffices
    /// Whoever could not be asked is taken for silent (rule S11).
    case notAskedIsSilent
    /// Another member than the one that leads is taken for the leader, so that the leader's turn in a roll is any.
    case leaderMistaken
    /// What is written down of a roll does not say whom it has taken (rule S9).
    case rollForgotten
}

extension DeliberateBug {
    /// Whether it is one between a machine and its sockets, which needs a run of whole servers.
    package var isWires: Bool {
        switch self {
        case .cutFrameForgotten, .partialWriteRepeated, .replyTwice, .readingNeverResumed,
            .connectionOutlivesSession:
            true
        default: false
        }
    }

    /// Whether it is one of the operator's, which needs a run with one.
    package var isOperators: Bool {
        switch self {
        case .fenceSkipped, .adoptionMissed, .seedUnmarked, .promiseWaitSkipped, .promisesByServingAlone, .probesFlatter, .lockNotTaken,
            .twoDisruptions, .barrierNotWritten, .quarantineDeletes, .retentionDropsBase, .unverifiedBackupUsed, .restoreWithoutEpoch,
            .intentsNotSaved, .floorIgnored, .ledgerNotSaved, .ledgerBehind, .doubtTakenForLoss, .silenceSuffices,
            .notAskedIsSilent, .leaderMistaken, .rollForgotten:
            true
        default: false
        }
    }
}
