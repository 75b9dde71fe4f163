import EnsembleBase

/// What is to be done: the outputs of `KeeperMachine.step`. The hands perform them in order; order matters per
/// connection and for the disk.
package enum KeeperAction: Sendable {
    case reply(ConnectionID, Reply)
    case connectReply(ConnectionID, ConnectResponse)
    case watchEvent(ConnectionID, WatchEvent)
    /// Close once everything sent before is flushed.
    case closeClient(ConnectionID)

    case sendNotification(to: ServerID, Notification)

    /// Accept learners on the quorum port; connections that arrive earlier are refused.
    case openLearnerPort
    /// Stop accepting, and close every learner connection.
    case closeLearnerPort
    case sendToLearner(LearnerID, QuorumPacket)
    /// Send SNAP and the current tree to this learner. The tree may go on changing meanwhile (a fuzzy snapshot is
    /// repaired by the proposals that follow); packets to this learner wait behind the stream.
    case sendSnapshot(LearnerID, at: Zxid)
    /// Answered by `learnerTook`, once this learner's connection has room for more than what it was sent so far.
    case awaitLearner(LearnerID)
    /// Read about `LearnerFeed.pieceSize` bytes of this member's log, of what is behind the one zxid and not behind the
    /// other, which is durable; answered by `logRead` or `logUnreadable`.
    case readLog(LearnerID, behind: Zxid, upTo: Zxid)
    /// Append to the local log and send PROPOSAL to these learners, serialised once.
    case propose(LogEntry, to: [LearnerID])
    case commit(Zxid, to: [LearnerID])
    case closeLearner(LearnerID)

    case connectToLeader(ServerID)
    case sendToLeader(QuorumPacket)
    /// Read nothing more from the leader's connection until `resumeLeader`, or another connection.
    case pauseLeader
    case resumeLeader
    case disconnectFromLeader

    /// Append to the local log; answered by `logSynced` once durable. Group commit: entries of one turn of the loop
    /// share a sync.
    case append(LogEntry)
    /// Both files, atomically each, synced; answered by `epochsSaved`.
    case saveEpochs(accepted: Int64, current: Int64)
    /// Cut the log behind this zxid and read the directory again; answered by `recovered`.
    case truncateLog(to: Zxid)
    /// Replace this member's data: the received tree becomes a snapshot (without a digest trailer: it is fuzzy), the
    /// entries the log behind it, and these the epochs; snapshots and logs of before are set aside. All of it at one
    /// moment: a crash leaves the directory as it was, or as it is to be. Answered by `snapshotInstalled`.
    case installSnapshot(DataTree, entries: [LogEntry], accepted: Int64, current: Int64)
    /// Write the tree in the background; answered by `snapshotSaved` or `snapshotFailed`. `start` names the file. The walk shows effects of
    /// transactions that are applied meanwhile, so the file gets its name only after the log is durable up to the
    /// tree's last processed zxid at the walk's end: replay must be able to complete them. What is then superseded may be
    /// purged, but for the log behind `needed`: learners are to be sent it.
    case takeSnapshot(start: Zxid, needed: Zxid?)
    /// Remove the `recovering` mark and that of a doubt, synced; answered by `recoveringMarkCleared`.
    case clearRecoveringMark
    /// Write down, synced, that this member's tree differed from that server's (`RecoveredState.doubted`); answered by
    /// `doubtMarked`.
    case markDoubt(leader: ServerID)

    case note(KeeperNote)
    /// End the process: going on would be unsafe. The text says why.
    case halt(String)
}

/// Things worth saying: the shell logs them, tests expect them.
package enum KeeperNote: Hashable, Sendable {
    case looking(round: Int64)
    case elected(leader: ServerID, epoch: Int64)
    case following(leader: ServerID, epoch: Int64)
    case leading(epoch: Int64)
    case standalone
    /// It follows or leads no longer. `handedOff`: a leader that has committed all that it proposed.
    case roleEnded(reason: String, handedOff: Bool)
    case learnerSynced(ServerID, how: String)
    case learnerDropped(ServerID, reason: String)
    case sessionExpired(SessionID)
    /// The first of a kind is a suspicion: the next digest tells divergence from a wrong announcement.
    case digestMismatch(zxid: Zxid, expected: UInt64, actual: UInt64)
    case digestWronglyAnnounced(zxid: Zxid)
    /// This member's tree is not that leader's, and it leaves.
    case doubted(leader: ServerID, zxid: Zxid)
    /// A leader goes on without a member whose history its own does not contain.
    case keptOut(ServerID, reason: String)
    case recoveringWaits
    case recovered(epoch: Int64)
    case clientRefused(reason: String)
}
