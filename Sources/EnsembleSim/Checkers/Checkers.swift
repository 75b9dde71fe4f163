import EnsembleBase
import KeeperCore

/// All checkers of a run, and what they have found.
package struct Checkers: Sendable {
    package internal(set) var verdict: Verdict
    var history = CommittedHistory()
    var agreement: AgreementChecker
    var proposals = ProposalChecker()
    var quorum: QuorumChecker
    var promises: PromiseChecker
    var clients = ClientChecker()
    var sessions: SessionChecker
    var oversight: OperatorChecker
    var rolls: RollChecker
    /// Transactions whose digest a peer that errs has announced wrongly.
    var wronglyAnnounced: Set<Zxid> = []

    init(members: Int, outsideOnly: Bool, only: Rule?) {
        verdict = Verdict(outsideOnly: outsideOnly, only: only)
        agreement = AgreementChecker(count: members)
        quorum = QuorumChecker(count: members)
        promises = PromiseChecker(count: members)
        sessions = SessionChecker(count: members)
        oversight = OperatorChecker(count: members)
        rolls = RollChecker(count: members)
    }

    /// The ensemble has had a life before the run, in which all that it committed was acknowledged to somebody.
    mutating func begin(with past: ApachePast) {
        history.begins(with: past.committed)
        proposals.begins(with: past)
        quorum.begins(with: past)
        clients.begins(with: past.committed, tree: history.tree)
    }

    mutating func fail(_ rule: Rule, _ text: @autoclosure () -> String) { verdict.fail(rule, text()) }

    /// What a candidate says to its learners, and that it is one.
    mutating func leads(_ action: KeeperAction, _ id: ServerID, disk: SimDisk) {
        switch action {
        case .openLearnerPort: promises.begins(id)
        case .sendToLearner(_, .leaderInfo(let epoch, _)):
            promises.asks(epoch, id, promised: quorum.promise(of: id), disk: disk, &verdict)
        case .sendToLearner(_, .newLeader(let epoch, _)):
            promises.offers(epoch, id, &verdict)
            quorum.offers(epoch, by: id, history: disk.end)
        case .sendToLearner(_, .upToDate): quorum.saysUpToDate(id, &verdict)
        default: break
        }
    }

    /// A learner promises an epoch; one that has lost its history, or has promised before, says so and does not count.
    mutating func promises(_ packet: QuorumPacket, _ id: ServerID, to leader: ServerID, disk: SimDisk) {
        guard case .ackEpoch(let last, let current) = packet, current != -1 else { return }
        promises.promises(disk.acceptedEpoch, id, to: leader, PromiseChecker.Reach(epoch: Int64(current), last: last))
    }

    /// `protocolOrder`: with correct peers, nothing of this is ever said.
    mutating func noted(_ note: KeeperNote, by id: ServerID) {
        let reason: String
        switch note {
        case .roleEnded(let text, _), .learnerDropped(_, let text): reason = text
        case .digestMismatch(let zxid, _, _):
            if !wronglyAnnounced.contains(zxid) { fail(.digest, "\(id): \(note)") }
            return
        // Who has lost its history takes none that anything speaks against. Everyone else waits for the next digest.
        case .doubted(_, let zxid):
            if !wronglyAnnounced.contains(zxid) || !quorum.hasForgotten(id) { fail(.digest, "\(id): \(note)") }
            return
        default: return
        }
        for phrase in ["out of turn", "does not follow", "never proposed", "not proposed to it", "no other voter"]
        where reason.contains(phrase) {
            fail(.protocolOrder, "\(id): \(reason)")
        }
    }
}
