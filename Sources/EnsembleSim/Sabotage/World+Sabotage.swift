import EnsembleBase
import KeeperCore

/// How each deliberate bug changes what the world does.
extension World {
    /// Delivers an event soon, before anything of a later instant.
    mutating func later(_ event: KeeperEvent, to id: ServerID) {
        schedule(.lie(id, incarnation: servers[index(id)].incarnation, event), in: .zero)
    }

    func liesAboutLog(_ id: ServerID) -> Bool {
        bug == .ackBeforeSync || (bug == .newLeaderAckedEarly && !servers[index(id)].machine!.status.serving)
    }

    /// Changes what a server says in one step.
    mutating func sabotage(_ actions: inout [KeeperAction], of id: ServerID) {
        switch bug {
        case .watchAfterReply:
            let isEvent = { (action: KeeperAction) in if case .watchEvent = action { true } else { false } }
            actions = actions.filter { !isEvent($0) } + actions.filter(isEvent)
        case .watchTwice:
            actions = actions.flatMap { action in if case .watchEvent = action { [action, action] } else { [action] } }
        case .proposalsNotResent: actions = withoutUncommitted(actions)
        case .holeInDiff: actions = withoutEndOfDiff(actions)
        case .truncateAcrossEpochs: actions = actions.flatMap { truncating($0, of: id) }
        case .commitWithoutQuorum:
            for case .propose(let entry, let learners) in actions {
                if let learner = learners.first { later(.learnerPacketReceived(learner, .ack(entry.zxid)), to: id) }
            }
        case .ackReplayed:
            for case .sendToLearner(let learner, .newLeader(let epoch, _)) in actions {
                let zxid = Zxid(epoch: epoch, counter: 0)
                let hasAcknowledged = replayable.contains(ServerEpoch(server: links[Int(learner.rawValue)].learner, epoch: epoch))
                if hasAcknowledged { later(.learnerPacketReceived(learner, .ack(zxid)), to: id) }
            }
            for case .sendToLeader(.ack(let zxid)) in actions where zxid.counter == 0 {
                replayable.insert(ServerEpoch(server: id, epoch: zxid.epoch))
            }
        case .touchesLost:
            actions = actions.map { action in
                if case .sendToLeader(.ping(let zxid, _)) = action { .sendToLeader(.ping(zxid: zxid, sessions: [])) } else { action }
            }
        default: break
        }
    }

    /// Drops proposals between the sync and NEWLEADER whose commits are not with them.
    private func withoutUncommitted(_ actions: [KeeperAction]) -> [KeeperAction] {
        guard actions.contains(where: { if case .sendToLearner(_, .newLeader) = $0 { true } else { false } }) else { return actions }
        var committed: Set<Zxid> = []
        for case .sendToLearner(_, .commit(let zxid)) in actions { committed.insert(zxid) }
        return actions.filter { action in
            if case .sendToLearner(_, .proposal(let entry)) = action { committed.contains(entry.zxid) } else { true }
        }
    }

    private func withoutEndOfDiff(_ actions: [KeeperAction]) -> [KeeperAction] {
        var last: Zxid?
        for case .sendToLearner(_, .commit(let zxid)) in actions { last = zxid }
        guard let last, actions.contains(where: { if case .sendToLearner(_, .newLeader) = $0 { true } else { false } }) else {
            return actions
        }
        return actions.filter { action in
            switch action {
            case .sendToLearner(_, .proposal(let entry)): entry.zxid != last
            case .sendToLearner(_, .commit(let zxid)): zxid != last
            default: true
            }
        }
    }

    /// TRUNC and the rest of the log in place of SNAP.
    private func truncating(_ action: KeeperAction, of id: ServerID) -> [KeeperAction] {
        guard case .sendSnapshot(let learner, let end) = action else { return [action] }
        let theirs = servers[index(links[Int(learner.rawValue)].learner)].disk.end
        let log = servers[index(id)].disk.log.filter { $0.zxid <= end }
        guard let before = log.last(where: { $0.zxid < theirs }) else { return [action] }
        let rest = log.filter { $0.zxid > before.zxid }
        return [.sendToLearner(learner, .trunc(to: before.zxid))]
            + rest.flatMap { [.sendToLearner(learner, .proposal($0)), .sendToLearner(learner, .commit($0.zxid))] }
    }
}

struct ServerEpoch: Hashable, Sendable {
    var server: ServerID
    var epoch: Int64
}
