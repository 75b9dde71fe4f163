import EnsembleBase
import KeeperCore

/// How each deliberate bug changes what the world does.
extension World {
    /// Delivers an event soon, before anything of a later instant.
    mutating func later(_ event: KeeperEvent, to id: ServerID) {
        schedule(.lie(id, incarnation: servers[index(id)].incarnation, event), in: .zero)
    }

    func liesAboutLog(_ id: ServerID) -> Bool {
        switch bug {
        case .ackBeforeSync: true
        case .newLeaderAckedEarly, .newLeaderBeforeSync, .epochBeforeLog: !(servers[index(id)].machine?.status.serving ?? true)
        default: false
        }
    }

    /// Changes what a server hears.
    mutating func sabotaged(_ event: KeeperEvent, of id: ServerID) -> KeeperEvent {
        switch (bug, event) {
        case (.touchesIgnored, .learnerPacketReceived(let learner, .ping(let zxid, _))):
            .learnerPacketReceived(learner, .ping(zxid: zxid, sessions: []))
        case (.sessionForgotten, .leaderPacketReceived(.revalidated(let session, true))):
            .leaderPacketReceived(.revalidated(session: session, valid: false))
        case (.versionIgnored, .requested(let connection, let xid, .setData(let path, let data, _))):
            .requested(connection, xid: xid, .setData(path: path, data: data, version: -1))
        case (.writesOvertaken, .learnerPacketReceived(_, .request(let forwarded))) where forwarded.cxid % 20 == 19:
            overtaken(event, forwarded, at: id)
        case (.checkIgnored, .requested(let connection, let xid, .multi(let parts))):
            .requested(connection, xid: xid, .multi(parts.map { if case .check(let path, _) = $0 { .check(path: path, version: -1) } else { $0 } }))
        case (.multiCutShort, .requested(let connection, let xid, .multi(let parts))):
            .requested(connection, xid: xid, .multi(parts.dropLast()))
        case (.rightsIgnored, .authenticated(let connection, let xid, .some)):
            .authenticated(connection, xid: xid, ["user0:", "user1:"].map { Workload.identity(provedBy: Array($0.utf8)) })
        case (.endedSessionResumed, .leaderPacketReceived(.revalidated(let session, false))):
            .leaderPacketReceived(.revalidated(session: session, valid: true))
        case (.departuresUnnoticed, .clientDisconnected): .clockRead(wall(of: id))
        case (.watchNotRemoved, .requested(let connection, let xid, .removeWatches(let path, let type))):
            .requested(connection, xid: xid, .checkWatches(path: path, type: type))
        default: lateOrLost(event, of: id)
        }
    }

    /// Those of a learner that is being synced.
    private mutating func lateOrLost(_ event: KeeperEvent, of id: ServerID) -> KeeperEvent {
        switch event {
        case .leaderConnected, .leaderPacketReceived(.upToDate): sabotage.synced.remove(id)
        case .leaderPacketReceived(.newLeader): sabotage.synced.insert(id)
        case .leaderPacketReceived(.commit):
            let isServing = servers[index(id)].machine?.isServing ?? false
            if bug == .commitUnknownBeforeUpToDate, sabotage.synced.contains(id) {
                return .leaderPacketReceived(.commit(Zxid(rawValue: .max)))
            }
            if bug == .commitsBehindUpToDate, !isServing {
                schedule(.lie(id, incarnation: servers[index(id)].incarnation, event), in: .milliseconds(30))
                return .clockRead(wall(of: id))
            }
        case .learnerPacketReceived(let learner, .ack(let zxid)) where bug == .proposalAckedFirst:
            return acknowledgedOutOfTurn(event, by: learner, zxid, at: id)
        default: break
        }
        return event
    }

    private mutating func acknowledgedOutOfTurn(
        _ event: KeeperEvent, by learner: LearnerID, _ zxid: Zxid, at id: ServerID
    ) -> KeeperEvent {
        let isHeldBack = sabotage.acksHeldBack.contains(learner)
        if zxid.counter > 0 {
            guard isHeldBack else { return event }
            breakLink(Int(learner.rawValue))
            return .learnerDisconnected(learner)
        }
        guard !isHeldBack else {
            sabotage.acksHeldBack.remove(learner)
            return event
        }
        sabotage.acksHeldBack.insert(learner)
        schedule(.lie(id, incarnation: servers[index(id)].incarnation, event), in: .milliseconds(60))
        return .clockRead(wall(of: id))
    }

    /// For `sessionsJudgedBeforeReading`: each timer as if it had rung in time.
    mutating func ringLateTimers(of id: ServerID) {
        let now = clock(of: id)
        while let deadline = servers[index(id)].machine?.deadline, deadline <= now, checkers.verdict.violation == nil {
            sabotage.heldClock = deadline
            step(id, .deadlineReached)
        }
        sabotage.heldClock = nil
    }

    /// Delivered again a little later; meanwhile nothing happens.
    private mutating func overtaken(_ event: KeeperEvent, _ forwarded: ForwardedRequest, at id: ServerID) -> KeeperEvent {
        guard forwarded.request.isWrite,
            sabotage.overtaken.insert(SessionRequest(session: forwarded.session, cxid: forwarded.cxid)).inserted
        else { return event }
        schedule(.lie(id, incarnation: servers[index(id)].incarnation, event), in: .milliseconds(60))
        return .clockRead(wall(of: id))
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
        case .windowHasHole: actions = actions.flatMap { outOfWindow($0, of: id) }
        case .commitWithoutQuorum:
            for case .propose(let entry, let learners) in actions {
                if let learner = learners.first { later(.learnerPacketReceived(learner, .ack(entry.zxid)), to: id) }
            }
        case .ackReplayed:
            for case .sendToLearner(let learner, .newLeader(let epoch, _)) in actions {
                let zxid = Zxid(epoch: epoch, counter: 0)
                let hasAcknowledged = sabotage.replayable.contains(ServerEpoch(server: links[Int(learner.rawValue)].learner, epoch: epoch))
                if hasAcknowledged { later(.learnerPacketReceived(learner, .ack(zxid)), to: id) }
            }
            for case .sendToLeader(.ack(let zxid)) in actions where zxid.counter == 0 {
                sabotage.replayable.insert(ServerEpoch(server: id, epoch: zxid.epoch))
            }
        case .upToDateLost:
            actions = actions.filter { if case .sendToLearner(_, .upToDate) = $0 { false } else { true } }
        case .replyLost:
            actions = actions.filter { if case .reply(_, let reply) = $0 { reply.xid % 50 != 49 } else { true } }
        case .watchLost:
            actions = actions.filter { if case .watchEvent(_, let event) = $0 { event.zxid.counter % 20 != 0 } else { true } }
        case .answerOfAnother: actions = actions.map { ofAnother($0) }
        case .checkProposed: actions = actions.map(proposingCheck)
        case .childMisnamed, .valueAltered: actions = actions.map(altered)
        case .epochBeforeLog:
            for case .saveEpochs(let accepted, let current) in actions {
                saveEpochsFirst(of: id, accepted: accepted, current: current)
            }
        case .staleRead: actions = actions.map { stale($0, of: id) }
        case .ephemeralAfterClose: actions = actions.map(outlivingItsSession)
        case .proposalAltered: actions = actions.flatMap(toldDifferently)
        case .touchesLost:
            actions = actions.map { action in
                if case .sendToLeader(.ping(let zxid, _)) = action { .sendToLeader(.ping(zxid: zxid, sessions: [])) } else { action }
            }
        default: break
        }
    }

    /// The first answer to a read of each node, again and again.
    private mutating func stale(_ action: KeeperAction, of id: ServerID) -> KeeperAction {
        guard case .reply(let connection, var reply) = action, case .data = reply.body,
            let client = servers[index(id)].connections[connection.rawValue],
            case .getData(let path, _)? = clients[client].outstandingRequest(xid: reply.xid)?.request
        else { return action }
        if let first = sabotage.firstAnswers[path] { reply.body = first } else { sabotage.firstAnswers[path] = reply.body }
        return .reply(connection, reply)
    }

    /// What became of the write before, under this one's xid.
    private mutating func ofAnother(_ action: KeeperAction) -> KeeperAction {
        guard case .reply(let connection, var reply) = action, checkers.history.outcome(at: reply.zxid) != nil else { return action }
        let previous = sabotage.lastAnswers.updateValue(reply, forKey: connection)
        guard reply.xid % 30 == 29, let previous else { return action }
        (reply.error, reply.body, reply.zxid) = (previous.error, previous.body, previous.zxid)
        return .reply(connection, reply)
    }

    private func altered(_ action: KeeperAction) -> KeeperAction {
        guard case .reply(let connection, var reply) = action, reply.xid % 10 == 9 else { return action }
        switch (bug, reply.body) {
        case (.childMisnamed, .childrenAndStat(let names, let stat)) where !names.isEmpty:
            reply.body = .childrenAndStat(names.dropLast() + ["n-misnamed"], stat)
        case (.valueAltered, .data(let data?, let stat)) where !data.isEmpty:
            reply.body = .data([data.first! ^ 1] + data.dropFirst(), stat)
        default: return action
        }
        return .reply(connection, reply)
    }

    private func proposingCheck(_ action: KeeperAction) -> KeeperAction {
        guard case .propose(var entry, let learners) = action, case .error = entry.transaction else { return action }
        entry.transaction = .check(path: "/k0", version: 0)
        return .propose(entry, to: learners)
    }

    private func outlivingItsSession(_ action: KeeperAction) -> KeeperAction {
        guard case .propose(var entry, let learners) = action,
            case .create(_, _, _, _, ephemeral: true, _, _) = entry.transaction,
            let closed = checkers.proposals.closedSessions.max()
        else { return action }
        entry.session = closed
        return .propose(entry, to: learners)
    }

    private func toldDifferently(_ action: KeeperAction) -> [KeeperAction] {
        guard case .propose(let entry, let learners) = action,
            case .setData(let path, let data, let version) = entry.transaction
        else { return [action] }
        var other = entry
        other.transaction = .setData(path: path, data: (data ?? []) + [0], version: version)
        return [.propose(entry, to: [])] + learners.map { .sendToLearner($0, .proposal(other)) }
    }

    /// For `streamReordered`: whether the packet waits for the next one.
    mutating func isHeldBack(_ packet: SimLink.Packet, on link: Int) -> Bool {
        guard bug == .streamReordered, case .packet(.proposal) = packet, sabotage.heldBack[link] == nil else { return false }
        sabotage.heldBack[link] = packet
        return true
    }

    mutating func releaseHeldBack(on link: Int) {
        guard let packet = sabotage.heldBack[link] else { return }
        sabotage.heldBack[link] = nil
        links[link].toLearner.append(packet)
        queue.schedule(.linkDelivery(link: link, toLeader: false), at: links[link].toLearnerFree)
    }

    /// Drops proposals between the sync and NEWLEADER whose commits are not with them.
    private func withoutUncommitted(_ actions: [KeeperAction]) -> [KeeperAction] {
        guard actions.contains(where: { if case .sendToLearner(_, .upToDate) = $0 { true } else { false } }) else { return actions }
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

    /// DIFF in place of SNAP, out of a window that goes back to before a tree came as a whole.
    private func outOfWindow(_ action: KeeperAction, of id: ServerID) -> [KeeperAction] {
        guard case .sendSnapshot(let learner, let end) = action, let found = sabotage.windows[id] else { return [action] }
        let theirs = servers[index(links[Int(learner.rawValue)].learner)].disk.end
        let later = servers[index(id)].logged.filter { $0.zxid <= end && $0.zxid > found.last?.zxid ?? .zero }
        let window = found + later
        guard let position = window.lastIndex(where: { $0.zxid == theirs }), window.last?.zxid == end else { return [action] }
        return [.sendToLearner(learner, .diff(to: end))]
            + window[(position + 1)...].flatMap { [.sendToLearner(learner, .proposal($0)), .sendToLearner(learner, .commit($0.zxid))] }
    }

    /// TRUNC and the rest of the log in place of SNAP.
    private func truncating(_ action: KeeperAction, of id: ServerID) -> [KeeperAction] {
        guard case .sendSnapshot(let learner, let end) = action else { return [action] }
        let theirs = servers[index(links[Int(learner.rawValue)].learner)].disk.end
        let log = servers[index(id)].logged.filter { $0.zxid <= end }
        guard let before = log.last(where: { $0.zxid < theirs }) else { return [action] }
        let rest = log.filter { $0.zxid > before.zxid }
        return [.sendToLearner(learner, .trunc(to: before.zxid))]
            + rest.flatMap { [.sendToLearner(learner, .proposal($0)), .sendToLearner(learner, .commit($0.zxid))] }
    }
}

/// What deliberate bugs remember.
struct SabotageMemory: Sendable {
    /// For `ackReplayed`.
    var replayable: Set<ServerEpoch> = []
    /// Members that have been told NEWLEADER, and not UPTODATE.
    var synced: Set<ServerID> = []
    /// For `proposalAckedFirst`.
    var acksHeldBack: Set<LearnerID> = []
    /// For `sessionsJudgedBeforeReading`: what a process takes for now.
    var heldClock: Instant?
    /// For `writesOvertaken`.
    var overtaken: Set<SessionRequest> = []
    /// For `answerOfAnother`.
    var lastAnswers: [ConnectionID: Reply] = [:]
    /// For `staleRead`.
    var firstAnswers: [NodePath: ResponseBody] = [:]
    /// For `windowHasHole`: what each member found in its log.
    var windows: [ServerID: [LogEntry]] = [:]
    /// For `silenceSuffices`: those whose last probe was in vain.
    var silent: Set<Int> = []
    /// For `streamReordered`, by link.
    var heldBack: [Int: SimLink.Packet] = [:]
}

struct SessionRequest: Hashable, Sendable {
    var session: SessionID
    var cxid: Int32
}

struct ServerEpoch: Hashable, Sendable {
    var server: ServerID
    var epoch: Int64
}
