import EnsembleBase
import KeeperCore

/// All checkers of a run, and what they have found.
package struct Checkers: Sendable {
    package internal(set) var verdict: Verdict
    var history = CommittedHistory()
    var agreement: AgreementChecker
    var proposals = ProposalChecker()
    var quorum: QuorumChecker
    var clients = ClientChecker()
    var sessions: SessionChecker
    var oversight: OperatorChecker

    init(members: Int, outsideOnly: Bool, only: Rule?) {
        verdict = Verdict(outsideOnly: outsideOnly, only: only)
        agreement = AgreementChecker(count: members)
        quorum = QuorumChecker(count: members)
        sessions = SessionChecker(count: members)
        oversight = OperatorChecker(count: members)
    }

    mutating func fail(_ rule: Rule, _ text: @autoclosure () -> String) { verdict.fail(rule, text()) }

    /// `protocolOrder`: with correct peers, nothing of this is ever said.
    mutating func noted(_ note: KeeperNote, by id: ServerID) {
        let reason: String
        switch note {
        case .roleEnded(let text, _), .learnerDropped(_, let text): reason = text
        case .digestMismatch: return fail(.digest, "\(id): \(note)")
        default: return
        }
        for phrase in ["out of turn", "does not follow", "never proposed", "not proposed to it", "no other voter"]
        where reason.contains(phrase) {
            fail(.protocolOrder, "\(id): \(reason)")
        }
    }
}
