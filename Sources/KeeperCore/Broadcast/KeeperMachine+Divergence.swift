import EnsembleBase

/// This member's tree differed from its leader's, and it left (DESIGN, 7). Which of the two trees is wrong, neither of the
/// two members can tell; the others decide.
///
/// - A quorum follows a leader without this member: then that leader's tree is the ensemble's. The member joins it from
///   nothing, as one without data does, and a tree replaces its own (`ReceivedHistory`).
/// - There is none: then so many have left that the leader is the one that differs. Its tree must not win, since what it
///   lacks may have been acknowledged, and stands in the others' logs (S1). They elect among themselves: their votes are
///   as good as ever, for a vote tells of a log, and nothing is wrong with theirs. The leader that was left comes back
///   to them, differs from their leader, and takes the tree.
///
/// So nothing acknowledged is lost while a majority of trees is right. Where no two are equal nobody serves for long, and
/// the notes tell.
struct Doubt: Hashable, Sendable {
    /// Whose tree it was that differed: not to be elected by this member.
    let leader: ServerID
    /// The mark is on the disk, so that a restart goes on here instead of with the tree. Until then this member says
    /// nothing to anyone.
    var isMarked = false
    /// Before, it abstains: an election that it is not needed for comes to its end.
    var votesFrom: Instant?
}

/// A tree that differs from the leader's. Where a leader announces no digests (before 3.6, or switched off) nothing of
/// this can be seen.
extension KeeperMachine {
    /// Judges the tree behind an entry that was just applied: the leader's own, too, which announces what its tree is to
    /// be and must not go on announcing something else. Who serves must show nothing of a tree that differs. Who is being brought
    /// up may meet announcements of an earlier leader that was wrong, and waits for what comes behind them.
    ///
    /// - Returns: false if its tree is not to be shown any more: the role has ended.
    mutating func judgeTree(
        behind entry: LogEntry, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) -> Bool {
        guard entry.zxid > treeIsExactAfter else { return true }
        switch judgement.judge(entry, in: tree) {
        case .agrees, .undecided: return true
        case .suspected(let mismatch):
            actions.append(.note(.digestMismatch(mismatch)))
            return true
        case .wronglyAnnounced(let mismatch):
            actions.append(.note(.digestWronglyAnnounced(zxid: mismatch.zxid)))
            return true
        case .diverged(let mismatch):
            actions.append(.note(.digestMismatch(mismatch)))
            // Alone there is nobody to learn the truth from.
            guard !configuration.standalone, isServing else { return true }
            leaveDiffering(at: mismatch.zxid, at: now, into: &actions)
            return false
        }
    }

    /// The role ends. Of a follower, the tree is in doubt from here on.
    mutating func leaveDiffering(at zxid: Zxid, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        if let followed, role != .leading {
            raiseDoubt(about: followed, at: zxid, into: &actions)
        } else {
            judgement = DigestJudgement()
        }
        endRole("the tree behind \(zxid) is not what the leader announced", at: now, into: &actions)
    }

    private mutating func raiseDoubt(
        about leader: ServerID, at zxid: Zxid, into actions: inout ActionBuffer<KeeperAction>
    ) {
        doubt = Doubt(leader: leader)
        // What that leader announced says nothing of the next one's tree.
        judgement = DigestJudgement()
        actions.append(.note(.doubted(leader: leader, zxid: zxid)))
    }

    /// Settling: whether the mark of a doubt has to be waited for, also of one that the log's tail has brought.
    mutating func marksDoubt(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) -> Bool {
        if let divergence = judgement.divergence, let followed {
            raiseDoubt(about: followed, at: divergence.zxid, into: &actions)
        }
        guard let doubt, !doubt.isMarked else { return false }
        // Whoever else differs from that leader has left by then, too: it commits nothing more.
        looksAgainAt = now + configuration.syncTimeout
        diskOperations += 1
        actions.append(.markDoubt(leader: doubt.leader))
        return true
    }

    mutating func doubtMarked(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        diskOperations -= 1
        doubt?.isMarked = true
        settle(at: now, into: &actions)
    }

    /// S2: a recovering member advertises zxid −1, which no peer counts; so does one in doubt, for a while.
    mutating func ownVote(at now: Instant) -> Vote {
        if let doubt, doubt.votesFrom == nil { self.doubt!.votesFrom = now + configuration.syncTimeout }
        let abstains = recovering || doubt?.votesFrom.map { now < $0 } ?? false
        return Vote(
            leader: configuration.serverID, zxid: abstains ? .none : history.lastAppended,
            peerEpoch: abstains ? -1 : currentEpoch)
    }

    /// Looking: when a member in doubt votes after all.
    var votesAgainAt: Instant? { recovering || !election.abstains ? nil : doubt?.votesFrom }
}

extension KeeperNote {
    static func digestMismatch(_ mismatch: DigestMismatch) -> KeeperNote {
        .digestMismatch(zxid: mismatch.zxid, expected: mismatch.announced, actual: mismatch.actual)
    }
}
