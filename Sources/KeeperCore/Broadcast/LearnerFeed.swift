import EnsembleBase

/// How far a learner has been brought to its leader's history, until it gets each proposal as it is made.
///
/// A learner takes minutes or hours to take a tree and to make it durable. What is committed meanwhile waits in the log,
/// where it is anyway, and not in memory (issue 8, A11).
///
/// ZOOKEEPER-4394: Apache's followers die of a COMMIT between NEWLEADER and UPTODATE of what was proposed before
/// NEWLEADER. So all that a learner gets before UPTODATE is committed, as pairs of PROPOSAL and COMMIT, and from NEWLEADER
/// to its acknowledgement it gets nothing but pings.
package struct LearnerFeed: Sendable {
    enum Step: Hashable, Sendable {
        /// What comes next can be sent. → taking, reading or stalled behind the window; else sealed by NEWLEADER, or done by
        /// UPTODATE.
        case ready
        /// The connection takes what it was sent. → ready on `learnerTook`.
        case taking
        /// The log is being read. → taking on `logRead`.
        case reading
        /// The log has nothing that is durable and not sent. → ready on `logSynced`.
        case stalled
        /// NEWLEADER is sent. → ready on its acknowledgement.
        case sealed
    }

    /// All that was committed up to here has been sent, or is in the tree that was.
    var through: Zxid
    var step = Step.ready

    /// Bytes that are sent at a time, one entry more or less: each that is taken shows that the learner lives, however slow
    /// its connection is (seed 2509).
    package static let pieceSize = 64 << 10

    /// - Returns: bytes, with what its two packets add.
    package static func size(of entry: LogEntry) -> Int { entry.size + 64 }
}

/// Bringing learners to this leader's history.
extension KeeperMachine {
    /// ZOOKEEPER-4785, 3104: where the learner stands is decided in this one step, and everything that is committed behind
    /// it goes to the learner in order, from the window or the log.
    mutating func synchronize(learnerAt index: Int, into actions: inout ActionBuffer<KeeperAction>) {
        let learner = leader!.learners[index]
        let plan = SyncPlan(peer: learner.lastZxid, history: history)
        var feed = LearnerFeed(through: history.lastCommitted)
        switch plan {
        case .diff:
            actions.append(.sendToLearner(learner.id, .diff(to: history.lastCommitted)))
            feed.through = learner.lastZxid
        case .trunc(let zxid):
            actions.append(.sendToLearner(learner.id, .trunc(to: zxid)))
        case .snap:
            actions.append(.sendSnapshot(learner.id, at: history.lastCommitted))
            actions.append(.awaitLearner(learner.id))
            feed.step = .taking
        }
        leader!.learners[index].phase = .synchronizing
        leader!.learners[index].feed = feed
        actions.append(.note(.learnerSynced(learner.server, how: plan.name)))
        goOn(feedingLearnerAt: index, into: &actions)
    }

    /// Sends what is committed and not sent; NEWLEADER behind the first of it, UPTODATE behind what was committed until
    /// that was acknowledged.
    mutating func goOn(feedingLearnerAt index: Int, into actions: inout ActionBuffer<KeeperAction>) {
        let learner = leader!.learners[index]
        guard let feed = learner.feed, feed.step == .ready else { return }
        guard let position = history.windowPosition(behind: feed.through) else {
            return readLog(forLearnerAt: index, behind: feed.through, into: &actions)
        }
        guard sendWindow(from: position, toLearnerAt: index, into: &actions) else { return }
        leader!.learners[index].feed?.through = history.lastCommitted
        if learner.phase == .synchronizing {
            leader!.learners[index].feed?.step = .sealed
            leader!.learners[index].syncedThrough = history.lastCommitted
            actions.append(
                .sendToLearner(learner.id, .newLeader(epoch: leader!.epoch, config: configuration.configurationText)))
        } else if leader!.isServing {
            serve(learnerAt: index, into: &actions)
        }
    }

    /// From here on it gets each proposal and each commit.
    private mutating func serve(learnerAt index: Int, into actions: inout ActionBuffer<KeeperAction>) {
        let id = leader!.learners[index].id
        leader!.learners[index].phase = .serving
        leader!.learners[index].feed = nil
        leader!.updateRecipients()
        actions.append(.sendToLearner(id, .upToDate))
        for offset in 0..<history.outstanding.count {
            actions.append(.sendToLearner(id, .proposal(history.outstanding[offset])))
        }
    }

    /// - Returns: whether that was all of it; else the learner takes a piece first.
    private mutating func sendWindow(
        from start: Int, toLearnerAt index: Int, into actions: inout ActionBuffer<KeeperAction>
    ) -> Bool {
        let id = leader!.learners[index].id
        var (position, size) = (start, 0)
        while position < history.window.count, size < LearnerFeed.pieceSize {
            send(history.window[position], to: id, into: &actions)
            size += LearnerFeed.size(of: history.window[position])
            position += 1
        }
        guard position < history.window.count else { return true }
        leader!.learners[index].feed = LearnerFeed(through: history.window[position - 1].zxid, step: .taking)
        actions.append(.awaitLearner(id))
        return false
    }

    private func send(_ committed: LogEntry, to id: LearnerID, into actions: inout ActionBuffer<KeeperAction>) {
        actions.append(.sendToLearner(id, .proposal(committed)))
        actions.append(.sendToLearner(id, .commit(committed.zxid)))
    }

    // MARK: From the log

    private mutating func readLog(
        forLearnerAt index: Int, behind zxid: Zxid, into actions: inout ActionBuffer<KeeperAction>
    ) {
        // A quorum of others may have what this member's own disk has not.
        let end = min(history.lastCommitted, history.lastSynced)
        guard zxid < end else { return leader!.learners[index].feed!.step = .stalled }
        leader!.learners[index].feed!.step = .reading
        actions.append(.readLog(leader!.learners[index].id, behind: zxid, upTo: end))
    }

    mutating func logRead(
        for id: LearnerID, _ entries: [LogEntry], at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard role == .leading, let index = leader!.index(of: id), let feed = leader!.learners[index].feed, feed.step == .reading
        else { return }
        var through = feed.through
        for entry in entries {
            // ZOOKEEPER-4925: a hole would spread. What is behind this leader's window it has proposed itself, in its own
            // epoch, or it is what its epoch began behind.
            let isFirst = entry.zxid == Zxid(epoch: leader!.epoch, counter: 1) && through.epoch < leader!.epoch
            guard isFirst || entry.zxid.isNext(after: through), entry.zxid <= history.lastCommitted else {
                return drop(id, "this member's log goes on with \(entry.zxid) behind \(through)", at: now, into: &actions)
            }
            through = entry.zxid
            send(entry, to: id, into: &actions)
        }
        leader!.learners[index].feed = LearnerFeed(through: through, step: .taking)
        actions.append(.awaitLearner(id))
    }

    mutating func learnerTook(_ id: LearnerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .leading, let index = leader!.index(of: id), leader!.learners[index].feed?.step == .taking else { return }
        leader!.learners[index].feed!.step = .ready
        learnerProgressed(id, at: now)
        goOn(feedingLearnerAt: index, into: &actions)
    }

    /// A log that is hurt stays so. A snapshot begins another file, and the learner's next tree is of later than that (seeds
    /// 1682, 2815).
    mutating func logUnreadable(
        for id: LearnerID, _ reason: String, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard role == .leading else { return }
        snapshots.want()
        drop(id, "this member's log can't be read: \(reason)", at: now, into: &actions)
    }

    /// This member's log is durable further than it was.
    mutating func goOnFeeding(into actions: inout ActionBuffer<KeeperAction>) {
        for index in leader!.learners.indices where leader!.learners[index].feed?.step == .stalled {
            leader!.learners[index].feed!.step = .ready
            goOn(feedingLearnerAt: index, into: &actions)
        }
    }

    /// Of what is behind this, some learner may still need the log.
    var neededLog: Zxid? {
        let least = leader?.learners.compactMap { $0.feed?.through }.min()
        return least.map { max($0, snapshots.patienceEnds) }
    }
}

extension SyncPlan {
    var name: String {
        switch self {
        case .diff: "DIFF"
        case .trunc: "TRUNC"
        case .snap: "SNAP"
        }
    }
}
