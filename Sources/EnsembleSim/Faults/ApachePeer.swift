import EnsembleBase
import KeeperCore

/// A member that speaks as Apache's server does where that one errs, or differs from ours (`Plan.apachePeer`). Its machine is
/// ours; what leaves it is changed on the way:
///
/// - now and then it announces, and logs, a digest that is not its tree's; what follows is right again. (Rows of wrong ones,
///   which Apache's leader makes of container flags, stand in `ApachePast`.)
/// - it says UPTODATE late, so that proposals and commits come between NEWLEADER and that (ZOOKEEPER-4394, 4785);
/// - it sends DIFF from its log where our leader, whose window is shorter, would send a tree.
struct ApachePeer: Sendable {
    let id: ServerID
    private var random: SeededRandom
    /// By transaction.
    private var wrong: [Zxid: UInt64] = [:]
    /// The epoch in which its last digest was right: two wrong ones in a row would be another tree's.
    private var rightIn: Int64?

    init(id: ServerID, seed: UInt64) {
        self.id = id
        random = SeededRandom(seed: seed ^ 0xa9ee)
    }

    /// - Returns: whether what it announces with the entry is wrong.
    fileprivate mutating func proposes(_ entry: LogEntry) -> Bool {
        guard let digest = entry.digest else { return false }
        guard rightIn == entry.zxid.epoch, Int.random(in: 0..<15, using: &random) == 0 else {
            rightIn = entry.zxid.epoch
            return false
        }
        wrong[entry.zxid] = digest.treeDigest &+ UInt64.random(in: 1...0xffff_ffff, using: &random)
        rightIn = nil
        return true
    }

    /// As it has announced it.
    fileprivate func told(_ entry: LogEntry) -> LogEntry {
        guard let digest = wrong[entry.zxid] else { return entry }
        var entry = entry
        entry.digest = TransactionDigest(treeDigest: digest)
        entry.encoded = nil
        return entry
    }

    fileprivate mutating func delay() -> Duration { .milliseconds(Int64.random(in: 1...120, using: &random)) }
}

extension World {
    mutating func speakAsApache(_ actions: inout [KeeperAction]) { actions = actions.flatMap { spoken($0) } }

    private mutating func spoken(_ action: KeeperAction) -> [KeeperAction] {
        guard var peer = apachePeer else { return [action] }
        defer { apachePeer = peer }
        switch action {
        case .propose(let entry, let learners):
            if peer.proposes(entry) { checkers.wronglyAnnounced.insert(entry.zxid) }
            return [.propose(peer.told(entry), to: learners)]
        case .sendToLearner(let learner, .proposal(let entry)): return [.sendToLearner(learner, .proposal(peer.told(entry)))]
        case .sendToLearner(let learner, .upToDate):
            schedule(.lateUpToDate(learner), in: peer.delay())
            return []
        case .sendSnapshot(let learner, let end): return differences(to: learner, upTo: end) ?? [action]
        default: return [action]
        }
    }

    /// nil if its log does not lead from what the learner has to `end`.
    private func differences(to learner: LearnerID, upTo end: Zxid) -> [KeeperAction]? {
        let theirs = links[Int(learner.rawValue)].announcedEnd
        guard theirs.counter > 0, let entries = checkers.proposals.path(to: end, rightBehind: theirs), entries.count < 2_000 else {
            return nil
        }
        return [.sendToLearner(learner, .diff(to: end))]
            + entries.flatMap { [.sendToLearner(learner, .proposal($0)), .sendToLearner(learner, .commit($0.zxid))] }
    }

    /// If the learner is still there.
    mutating func sayUpToDate(_ learner: LearnerID) {
        let link = links[Int(learner.rawValue)]
        guard !link.isBroken, servers[index(link.leader)].incarnation == link.leaderIncarnation else { return }
        guard !servers[index(link.leader)].isFrozen else { return schedule(.lateUpToDate(learner), in: .milliseconds(20)) }
        sendToLearner(learner, .packet(.upToDate))
    }
}
