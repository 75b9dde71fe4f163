import EnsembleBase
import EnsembleControl
import KeeperCore

/// How the operator's deliberate bugs change what its hands do and see.
extension World {
    /// Changes what the operator does in one step.
    mutating func sabotage(_ actions: inout [OperatorAction]) {
        switch bug {
        case .fenceSkipped:
            for case .kill(let id) in actions { tell(.exited(id, .signalled(9))) }
        case .lockNotTaken:
            for case .acquireLock(let token) in actions { tell(.effectFinished(token, .done)) }
            actions.removeAll { if case .acquireLock = $0 { true } else { false } }
        case .barrierNotWritten:
            // What was committed long ago: of another epoch, a backup would begin anew at once, for ever.
            for case .writeBarrier(let token) in actions {
                tell(.effectFinished(token, .barrier(zxid: checkers.history.last.rawValue)), in: .milliseconds(5))
            }
            actions.removeAll { if case .writeBarrier = $0 { true } else { false } }
        case .twoDisruptions:
            actions = actions.flatMap { action -> [OperatorAction] in
                guard case .terminate(let id) = action else { return [action] }
                return [action, .terminate(id % servers.count + 1)]
            }
        default: break
        }
    }

    /// Changes what is written down.
    func sabotaged(_ intents: Intents) -> Intents {
        guard bug == .rollForgotten, var roll = intents.operation?.workflow as? Roll else { return intents }
        var forgetful = intents
        roll.remaining = roll.members
        forgetful.operation?.workflow = roll
        return forgetful
    }

    /// The leader follows, and one that follows leads.
    private func mistaken(_ answer: MemberAnswer, of id: Int) -> MemberAnswer {
        guard let leader = servers.first(where: { $0.serves && $0.machine!.isLeading }),
            let other = servers.first(where: { $0.serves && $0.id != leader.id }),
            [leader.id, other.id].contains(ServerID(id))
        else { return answer }
        var answer = answer
        let isOther = ServerID(id) == other.id
        answer.role = isOther ? .leading : .following
        answer.syncedFollowers = isOther ? leader.machine!.status.syncedFollowers : nil
        return answer
    }

    private func unlogged(_ answer: MemberAnswer) -> MemberAnswer {
        var answer = answer
        answer.durable = answer.durable.map { _ in 0 }
        return answer
    }

    /// Changes what the operator is told.
    mutating func sabotaged(_ event: OperatorEvent) -> OperatorEvent? {
        switch event {
        case .unanswered(let id): sabotage.silent.insert(id)
        case .answered(let id, _), .turnedAway(let id), .notAsked(let id, _), .exited(let id, _): sabotage.silent.remove(id)
        default: break
        }
        return switch (bug, event) {
        case (.silenceSuffices, .processSeen(let id, _)) where sabotage.silent.contains(id): .processSeen(id, ProcessSight(.stopped))
        case (.notAskedIsSilent, .notAsked(let id, _)): .unanswered(id)
        case (.adoptionMissed, .adopted): nil
        case (.probesFlatter, .answered(let id, let answer)) where answer.role == .looking:
            .answered(id, MemberAnswer(at: answer.at, role: .following, zxid: checkers.history.last.rawValue))
        case (.probesFlatter, .answered(let id, let answer)) where answer.role == .leading:
            .answered(id, MemberAnswer(at: answer.at, role: .leading, zxid: answer.zxid, syncedFollowers: servers.count - 1))
        case (.leaderMistaken, .answered(let id, let answer)) where answer.role.serves:
            .answered(id, mistaken(answer, of: id))
        case (.ledgerBehind, .answered(let id, let answer)): .answered(id, unlogged(answer))
        case (.promisesByServingAlone, .effectFinished(let token, .barrier)) where daemon!.intents.reseed?.phase == .waiting:
            .effectFinished(token, .barrier(zxid: 0))
        case (.doubtTakenForLoss, .dataInspected(let id, .unreadable)): .dataInspected(id, .missing)
        default: event
        }
    }
}
