import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperServer

/// The simulated hands: what each action of a server does to the world.
extension World {
    mutating func perform(_ action: KeeperAction, of id: ServerID) {
        switch action {
        case .sendNotification(let receiver, let message):
            if servers[index(id)].isStopping { return }
            checkers.quorum.sends(message, id, &checkers.verdict)
            send(message, from: id, to: receiver)
        case .openLearnerPort:
            checkers.leads(action, id, disk: servers[index(id)].disk)
            servers[index(id)].acceptsLearners = true
        case .closeLearnerPort:
            servers[index(id)].acceptsLearners = false
            for link in links.indices where links[link].leader == id { breakLink(link) }
        case .sendToLearner(let learner, let packet):
            checkers.leads(action, id, disk: servers[index(id)].disk)
            sendToLearner(learner, .packet(packet))
        case .sendSnapshot(let learner, let zxid):
            guard let tree = servers[index(id)].machine?.tree else { return }
            record("\(id) sends a tree at \(zxid)")
            sendToLearner(learner, .packet(.snap(at: zxid)))
            sendToLearner(learner, .tree(FuzzyCopy(of: tree, losesRights: bug == .treeLosesRights), at: zxid))
        case .awaitLearner(let learner): sendToLearner(learner, .room)
        case .propose(let entry, let learners):
            checkers.proposals.proposed(entry, behind: servers[index(id)].lastLogged, by: id, &checkers.verdict)
            // As the shell does: serialised once.
            var encoded = entry
            encoded.encoded = entry.payload
            append(encoded, on: id)
            for learner in learners { sendToLearner(learner, .packet(.proposal(encoded))) }
        case .commit(let zxid, let learners):
            checkers.quorum.commits(zxid, id, &checkers.verdict)
            for learner in learners { sendToLearner(learner, .packet(.commit(zxid))) }
        case .closeLearner(let learner): breakLink(Int(learner.rawValue))
        case .connectToLeader(let leader): connect(id, to: leader)
        case .sendToLeader(let packet): sendToLeader(packet, from: id)
        case .pauseLeader: servers[index(id)].isPaused = true
        case .resumeLeader: servers[index(id)].isPaused = false
        case .disconnectFromLeader:
            if let link = servers[index(id)].leaderLink {
                servers[index(id)].leaderLink = nil
                breakLink(link)
            }
        default: performLocally(action, of: id)
        }
    }

    private mutating func performLocally(_ action: KeeperAction, of id: ServerID) {
        switch action {
        case .append(let entry):
            checkers.proposals.logged(entry, by: id, &checkers.verdict)
            append(entry, on: id)
        case .saveEpochs, .truncateLog, .installSnapshot, .takeSnapshot, .clearRecoveringMark, .markDoubt, .readLog:
            performOnDisk(action, of: id)
        case .note(let note): noted(note, by: id)
        case .halt(let reason): checkers.fail(.soundness, "\(id) halts: \(reason)")
        case .reply(let connection, let reply):
            noteSync(reply, to: connection, of: id)
            toClient(of: id, connection, .reply(reply))
        case .connectReply(let connection, let response):
            if response.timeout == 0, isDeposed(id) { checkers.sessions.refusedByDeposed.insert(connection.rawValue) }
            toClient(of: id, connection, .connected(response))
        case .watchEvent(let connection, let event): toClient(of: id, connection, .event(event))
        case .closeClient(let connection):
            toClient(of: id, connection, .closed)
            servers[index(id)].connections[connection.rawValue] = nil
        default: preconditionFailure("an action that the world does not perform")
        }
    }

    private mutating func performOnDisk(_ action: KeeperAction, of id: ServerID) {
        let i = index(id)
        guard let hands = servers[i].hands else { return }
        hands.loop.set(now)
        switch action {
        case .saveEpochs(let accepted, let current):
            hands.disk.saveEpochs(accepted: accepted, current: current)
            if bug == .newLeaderAckedEarly { later(.epochsSaved(accepted: accepted, current: current), to: id) }
        case .truncateLog(let zxid):
            record("\(id) truncates to \(zxid)")
            servers[i].isTruncating = true
            servers[i].installedThrough = .zero
            servers[i].isRewriting = true
            prepareCut(of: id, to: zxid)
            hands.disk.truncateLog(to: zxid)
        case .installSnapshot(let tree, let entries, let accepted, let current):
            for entry in entries { checkers.proposals.logged(entry, by: id, &checkers.verdict) }
            if bug == .installEpochFirst { saveEpochsFirst(of: id, accepted: accepted, current: current) }
            servers[i].installing = entries
            servers[i].lastLogged = entries.last?.zxid ?? tree.lastProcessedZxid
            servers[i].installedThrough = servers[i].lastLogged
            servers[i].disk.exactFrom = servers[i].receivedThrough
            servers[i].disk.vouched = .zero
            servers[i].isRewriting = true
            hands.disk.install(tree, entries: entries, accepted: accepted, current: current)
        case .takeSnapshot(let start, let needed):
            if plan.asksMore { askAmidSnapshot() }
            guard let tree = servers[i].machine?.tree else { return }
            servers[i].replay.begins(waiting: servers[i].machine!.outstandingEntries)
            if bug == .snapshotBeforeLog {
                later(.snapshotSaved(start), to: id)
                return schedule(
                    .earlySnapshot(id, incarnation: servers[i].incarnation, start: start, FuzzyCopy(of: tree)), in: .milliseconds(5))
            }
            hands.with(tree) { hands.takeSnapshot(needed: needed) }
        case .readLog(let learner, let zxid, let end): hands.disk.readLog(for: learner, behind: zxid, upTo: end)
        case .clearRecoveringMark: hands.disk.clearRecoveringMark()
        case .markDoubt(let leader): hands.disk.markDoubt(leader: leader)
        default: break
        }
    }

    private mutating func append(_ entry: LogEntry, on id: ServerID) {
        let i = index(id)
        servers[i].hands?.disk.append(entry)
        servers[i].appended = entry.zxid
        servers[i].lastLogged = entry.zxid
        servers[i].logged.append(entry)
        servers[i].replay.appended()
        servers[i].disk.appended.append(entry.zxid)
        checkers.agreement.appended(entry, at: i)
    }

    private mutating func noted(_ note: KeeperNote, by id: ServerID) {
        record("\(id) \(note)")
        checkers.noted(note, by: id)
        let i = index(id)
        switch note {
        case .roleEnded(let reason, let isHandedOff):
            judgeAwake(id, gives: reason)
            if reason.contains("zxids are used up") { checkers.rolls.isDisturbed() }
            // It ends in the step that commits its last proposal, which nobody else may know yet.
            if isHandedOff { observe(id, isServing: true) }
        case .leading(let epoch):
            lureClients(behind: id)
            checkers.rolls.establishes(epoch, &checkers.verdict)
            checkers.quorum.establishes(epoch, id, disk: servers[i].disk, at: now, &checkers.verdict)
            checkers.sessions.leads(id, sessions: servers[i].machine?.tree.sessions ?? [], at: clock(of: id))
        case .standalone:
            checkers.sessions.leads(id, sessions: servers[i].machine?.tree.sessions ?? [], at: clock(of: id))
        case .sessionExpired(let session):
            let timeout = servers[i].machine?.tree.timeout(of: session)
            checkers.sessions.expires(session, at: id, timeout: timeout, clock(of: id), &checkers.verdict)
            if hasUnreadWord(of: session, at: id) {
                checkers.fail(.sessions, "\(id) expires session \(session), and has not read what its client sent")
            }
            if isPeaceful, let client = clients.first(where: { $0.session == session && $0.state == .connected }) {
                checkers.fail(.sessions, "\(id) expires the session of client \(client.index), which talks all the time")
            }
            speakLate(for: session)
        default: break
        }
    }

    /// What arrived while the process stood still is read before anyone is judged (issue 8, A8).
    private func hasUnreadWord(of session: SessionID, at id: ServerID) -> Bool {
        servers[index(id)].frozenEvents.contains { event in
            switch event {
            case .requested(let connection, _, _), .authenticated(let connection, _, _):
                guard let client = servers[index(id)].connections[connection.rawValue] else { return false }
                return clients[client].session == session
            case .learnerPacketReceived(_, .ping(_, let sessions)): return sessions.contains { $0.session == session }
            default: return false
            }
        }
    }

    /// S8: what a client has seen of earlier epochs turns it away from nobody who serves in a later one.
    mutating func judgeRefusal(of request: ConnectRequest, _ actions: [KeeperAction], by id: ServerID) {
        guard let status = servers[index(id)].machine?.status, status.serving, servers.count > 1,
            request.lastZxidSeen.epoch < status.currentEpoch,
            actions.contains(where: { if case .note(.clientRefused) = $0 { true } else { false } })
        else { return }
        checkers.fail(
            .sessions, "\(id) serves in epoch \(status.currentEpoch), and turns away a client that has seen \(request.lastZxidSeen)")
    }

    private mutating func toClient(of id: ServerID, _ connection: ConnectionID, _ message: ToClient) {
        guard let client = servers[index(id)].connections[connection.rawValue] else { return }
        let arrival = max(clients[client].inboundFree, now + delay(client), servers[index(id)].silentUntil)
        clients[client].inboundFree = arrival
        queue.schedule(.clientDelivery(client, connection: connection.rawValue, message), at: arrival)
    }

    // MARK: For the checkers

    /// What a leader hears of sessions, from its own clients and from its learners.
    mutating func noteTouches(_ event: KeeperEvent, at id: ServerID) {
        let now = clock(of: id)
        switch event {
        case .learnerPacketReceived(_, .learnerInfo): checkers.promises.hears(event, id)
        case .requested(let connection, _, _), .authenticated(let connection, _, _):
            // What comes late over an earlier connection may have been another session's (the daemon's).
            guard let client = servers[index(id)].connections[connection.rawValue], clients[client].connection == connection.rawValue
            else { return }
            checkers.sessions.touched(clients[client].session, at: id, now)
        case .learnerPacketReceived(_, .ping(_, let sessions)):
            for touched in sessions { checkers.sessions.touched(touched.session, at: id, now) }
        case .learnerPacketReceived(_, .revalidate(let session, _)): checkers.sessions.touched(session, at: id, now)
        case .learnerPacketReceived(_, .request(let forwarded)):
            if case .createSession = forwarded.request { checkers.sessions.touched(forwarded.session, at: id, now) }
        case .connectRequested(let connection, let request):
            // Nor does one that is turned away for what it has seen.
            guard let status = servers[index(id)].machine?.status,
                request.lastZxidSeen <= max(status.lastProcessed, Zxid(epoch: status.currentEpoch, counter: 0))
            else { return }
            // Whoever does not know the password keeps no session alive.
            guard let client = servers[index(id)].connections[connection.rawValue],
                clients[client].session == request.sessionID, clients[client].password == request.password
            else { return }
            checkers.sessions.touched(request.sessionID, at: id, now)
        default: break
        }
    }

    /// It does not know yet of a leader of a later epoch. Nobody confirms a quorum for what it says of sessions, as for
    /// `sync`: of one that began under the other leader it says that it is over, as Apache's does.
    private func isDeposed(_ id: ServerID) -> Bool {
        let established = checkers.quorum.highestEstablished
        guard let status = servers[index(id)].machine?.status, status.currentEpoch < established,
            let since = sinceDeposed(id, by: established)
        else { return false }
        return since < servers[index(id)].configuration.syncTimeout * 3
    }

    /// How long it could have heard of the leader of `epoch`: a process that goes on waits for its peers anew.
    private func sinceDeposed(_ id: ServerID, by epoch: Int64) -> Duration? {
        checkers.quorum.establishedAt[epoch].map { now - max($0, servers[index(id)].goesOnSince) }
    }

    private mutating func noteSync(_ reply: Reply, to connection: ConnectionID, of id: ServerID) {
        guard case .path = reply.body, let client = servers[index(id)].connections[connection.rawValue],
            clients[client].connection == connection.rawValue,
            let sent = clients[client].outstandingSync(xid: reply.xid)
        else { return }
        let status = servers[index(id)].machine!.status
        let since = sinceDeposed(id, by: sent.floor.epoch)
        let patience = servers[index(id)].configuration.syncTimeout * 3
        checkers.clients.synced(
            reply, floor: sent.floor, memberEpoch: status.currentEpoch, sinceNewEpoch: since, patience: patience,
            who: client, &checkers.verdict)
    }
}
