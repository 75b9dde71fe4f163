import EnsembleBase
import KeeperCore

/// `leadership`, before an epoch is established: what a candidate must have heard before it asks for promises, and before it
/// offers its history (Zab's phases 1 and 2: CEPOCH, ACK-E).
///
/// What a candidate that skips some of it may destroy comes to light once in very many runs, since the election keeps almost
/// every such candidate away; the rule sees the step itself.
struct PromiseChecker: Sendable {
    /// How long a history is, as votes compare it.
    struct Reach: Sendable {
        var epoch: Int64
        var last: Zxid

        static func <= (a: Reach, b: Reach) -> Bool { (a.epoch, a.last) <= (b.epoch, b.last) }
    }

    private struct Candidate: Sendable {
        /// What its learners said that they had promised before.
        var told: [ServerID: Int64] = [:]
        /// The epoch that it asks promises for; 0 before.
        var epoch: Int64 = 0
        /// Its own when it began to ask.
        var reach = Reach(epoch: 0, last: .zero)
        var promises: [ServerID: Reach] = [:]
        var hasOffered = false
    }

    private var candidates: [Candidate]

    init(count: Int) { candidates = Array(repeating: Candidate(), count: count) }

    private func isQuorum(_ count: Int) -> Bool { count * 2 > candidates.count }

    /// It takes up its candidacy.
    mutating func begins(_ id: ServerID) { candidates[Int(id) - 1] = Candidate() }

    /// A candidate is told what its learner has promised.
    mutating func hears(_ event: KeeperEvent, _ id: ServerID) {
        guard case .learnerPacketReceived(_, .learnerInfo(let accepted, let server, _, _, _)) = event else { return }
        let i = Int(id) - 1
        if candidates[i].epoch == 0 { candidates[i].told[server] = accepted }
    }

    /// It asks for promises of an epoch: above whatever a quorum with itself has promised, and its own promise is durable.
    mutating func asks(_ epoch: Int64, _ id: ServerID, promised: Int64, disk: SimDisk, _ verdict: inout Verdict) {
        let i = Int(id) - 1
        guard candidates[i].epoch == 0 else { return }
        candidates[i].epoch = epoch
        candidates[i].reach = Reach(epoch: disk.currentEpoch, last: disk.end)
        if epoch <= promised {
            verdict.fail(.leadership, "S2: \(id) asks for promises of epoch \(epoch), and has promised \(promised) to another")
        }
        if disk.acceptedEpoch != epoch {
            verdict.fail(.leadership, "S2: \(id) asks for promises of epoch \(epoch), and its disk has \(disk.acceptedEpoch)")
        }
        let below = candidates[i].told.values.count { $0 < epoch }
        if !isQuorum(below + 1) {
            verdict.fail(
                .leadership, "\(id) asks for promises of epoch \(epoch), and only \(below) others have said that they are below it")
        }
    }

    /// A member that remembers promises an epoch, with its own history.
    mutating func promises(_ epoch: Int64, _ id: ServerID, to leader: ServerID, _ reach: Reach) {
        let i = Int(leader) - 1
        guard candidates[i].epoch == epoch else { return }
        candidates[i].promises[id] = reach
    }

    /// It sends NEWLEADER behind its history: of those that have promised, a quorum with itself has no longer one.
    mutating func offers(_ epoch: Int64, _ id: ServerID, _ verdict: inout Verdict) {
        let candidate = candidates[Int(id) - 1]
        guard !candidate.hasOffered else { return }
        candidates[Int(id) - 1].hasOffered = true
        let contained = candidate.promises.values.count { $0 <= candidate.reach }
        if candidate.epoch != epoch || !isQuorum(contained + 1) {
            verdict.fail(
                .leadership,
                "S1: \(id) offers its history for epoch \(epoch), and \(contained) others that it is not behind have promised \(candidate.epoch)")
        }
    }
}
