import EnsembleBase
import KeeperCore
import KeeperServer

/// What the checkers see of each step of a machine, before its hands perform it.
extension WiredWorld {
    func stepped(_ server: WiredServer, _ event: KeeperEvent, _ actions: inout [KeeperAction]) {
        guard let machine = server.machine, checkers.verdict.violation == nil else { return }
        answered(event, to: server)
        noteTouches(event, at: server)
        sabotage.step(&actions)
        for action in actions { judge(action, of: server, machine) }
        observe(server, machine)
        judgeMemory(of: server)
    }

    /// A9: what a server holds for others stays about its budget, whatever they do. A frame may come in alone while less
    /// than all is held, and what is written by others is told of until a quarter more is held.
    private func judgeMemory(of server: WiredServer) {
        guard let budget = server.process?.shell.turn.budget else { return }
        let bound = budget.limit + budget.limit / 4 + WiredWorld.largestFrames
        if budget.held > bound {
            checkers.fail(.memory, "\(server.id) holds \(budget.held) bytes for others, and its budget is \(budget.limit)")
        }
    }

    /// Bytes: two frames of the limit, and what they become.
    private static let largestFrames = 4 << 20

    // MARK: What a step is about

    /// What storage has answered.
    private func answered(_ event: KeeperEvent, to server: WiredServer) {
        let member = Int(server.id) - 1
        switch event {
        case .logSynced:
            let end = server.disk.end
            server.disk.appended.removeAll { $0 <= end }
            checkers.quorum.isDurable(end, at: server.id)
        case .recovered(let state):
            record("\(server.id) is at \(state.tree.lastProcessedZxid)\(state.recovering ? ", recovering" : "")")
            checkers.agreement.reset(member)
            // Alone it may give the zxids anew of what it lost with its log's end (`World.recovers`).
            if servers.count == 1 { checkers.proposals.cut(behind: state.tree.lastProcessedZxid) }
            server.disk.appended = []
            server.logged = state.recent
            server.lastLogged = state.tree.lastProcessedZxid
        case .snapshotInstalled:
            checkers.agreement.reset(member)
            server.logged = server.installing
            for entry in server.installing { checkers.agreement.appended(entry, at: member) }
            server.installing = []
            server.disk.appended = []
            checkers.quorum.isDurable(server.disk.end, at: server.id)
        case .recoveringMarkCleared:
            if !server.disk.marked { checkers.quorum.clearsMark(server.id) }
        default: break
        }
    }

    /// What a leader hears of sessions, from its own clients and from its learners, by its own clock.
    private func noteTouches(_ event: KeeperEvent, at server: WiredServer) {
        func touched(_ session: SessionID) {
            checkers.sessions.touched(session, at: server.id, server.clock.local(now))
            server.heard[session] = now
        }
        switch event {
        case .learnerPacketReceived(_, .learnerInfo): checkers.promises.hears(event, server.id)
        case .requested(let connection, _, _), .clientTookReplies(let connection):
            if let session = server.process?.shell.clients[connection]?.record.session { touched(session) }
        case .learnerPacketReceived(_, .ping(_, let sessions)):
            for session in sessions { touched(session.session) }
        case .learnerPacketReceived(_, .revalidate(let session, _)): touched(session)
        case .learnerPacketReceived(_, .request(let forwarded)):
            if case .createSession = forwarded.request { touched(forwarded.session) }
        case .connectRequested(_, let request): touched(request.sessionID)
        default: break
        }
    }

    // MARK: What it asks for

    private func judge(_ action: KeeperAction, of server: WiredServer, _ machine: KeeperMachine) {
        switch action {
        case .sendNotification(_, let message): judge { $0.quorum.sends(message, server.id, &$0.verdict) }
        case .openLearnerPort, .sendToLearner(_, .leaderInfo), .sendToLearner(_, .newLeader), .sendToLearner(_, .upToDate):
            let disk = server.disk
            judge { $0.leads(action, server.id, disk: disk) }
        case .connectToLeader: judge { $0.quorum.connects(server.id) }
        case .propose(let entry, _):
            let last = server.lastLogged
            judge { $0.proposals.proposed(entry, behind: last, by: server.id, &$0.verdict) }
            appended(entry, server)
        case .append(let entry):
            judge { $0.proposals.logged(entry, by: server.id, &$0.verdict) }
            appended(entry, server)
        case .commit(let zxid, _): judge { $0.quorum.commits(zxid, server.id, &$0.verdict) }
        case .installSnapshot(let tree, let entries, _, _):
            for entry in entries { judge { $0.proposals.logged(entry, by: server.id, &$0.verdict) } }
            server.installing = entries
            server.lastLogged = entries.last?.zxid ?? tree.lastProcessedZxid
        case .sendToLeader(let packet): noteAcknowledgement(packet, of: server, machine)
        case .reply(let connection, let reply): noteSync(reply, to: connection, of: server, machine)
        case .connectReply(let connection, let response): noteRefusal(response, to: connection, of: server, machine)
        case .note(let note): noted(note, by: server, machine)
        case .halt(let reason): checkers.fail(.soundness, "\(server.id) halts: \(reason)")
        default: break
        }
    }

    private func appended(_ entry: LogEntry, _ server: WiredServer) {
        server.logged.append(entry)
        server.lastLogged = entry.zxid
        server.disk.appended.append(entry.zxid)
        checkers.agreement.appended(entry, at: Int(server.id) - 1)
    }

    /// Promises and acknowledgements are held against the disk of the one that gives them.
    private func noteAcknowledgement(_ packet: QuorumPacket, of server: WiredServer, _ machine: KeeperMachine) {
        switch packet {
        case .ackEpoch, .ack: break
        default: return
        }
        guard let leader = machine.status.leader else { return }
        let (disk, time) = (server.disk, now)
        judge {
            $0.promises(packet, server.id, to: leader, disk: disk)
            $0.quorum.sends(
                packet, server.id, to: leader, disk: disk, at: time,
                isAwaited: { candidate, epoch in
                    guard let machine = self.server(candidate).machine, machine.isLeading else { return false }
                    return machine.status.acceptedEpoch == epoch
                }, &$0.verdict)
        }
    }

    private func noteSync(_ reply: Reply, to connection: ConnectionID, of server: WiredServer, _ machine: KeeperMachine) {
        guard case .path = reply.body, let client = client(of: server, connection),
            let sent = client.memory.outstandingSync(xid: reply.xid)
        else { return }
        let since = sinceDeposed(server, by: sent.floor.epoch)
        let (status, patience) = (machine.status, patience)
        judge {
            $0.clients.synced(
                reply, floor: sent.floor, memberEpoch: status.currentEpoch, sinceNewEpoch: since, patience: patience,
                who: client.number, &$0.verdict)
        }
    }

    /// A member that does not know yet of a leader of a later epoch says of sessions that began there that they are over, as
    /// Apache's does (`World.isDeposed`).
    private func noteRefusal(
        _ response: ConnectResponse, to connection: ConnectionID, of server: WiredServer, _ machine: KeeperMachine
    ) {
        let established = checkers.quorum.highestEstablished
        guard response.timeout == 0, machine.status.currentEpoch < established,
            let since = sinceDeposed(server, by: established), since < patience,
            let cable = client(of: server, connection)?.cable
        else { return }
        checkers.sessions.refusedByDeposed.insert(UInt64(cable.number))
    }

    /// How long it could have heard of the leader of `epoch`: a process that goes on waits for its peers anew.
    private func sinceDeposed(_ server: WiredServer, by epoch: Int64) -> Duration? {
        checkers.quorum.establishedAt[epoch].map { now - max($0, server.goesOnSince) }
    }

    /// How long a leader without a quorum goes on, and those who follow it: three times `syncLimit`.
    private var patience: Duration { .milliseconds(200 * 4 * 3) }

    /// The client behind a connection, if it still holds to it.
    private func client(of server: WiredServer, _ connection: ConnectionID) -> WiredClient? {
        guard let port = server.process?.shell.clients[connection]?.port else { return nil }
        return clients.first { client in
            client.memory.server == server.id && client.cable.map { Switchboard.clientPort(ofCable: $0.number) } == port
        }
    }

    private func observe(_ server: WiredServer, _ machine: KeeperMachine, isServing: Bool? = nil) {
        let member = Int(server.id) - 1
        guard isServing ?? machine.isServing else { return checkers.agreement.stopsServing(member) }
        var log: [LogEntry] = []
        if !checkers.agreement.isServing(member) {
            log = checkers.proposals.path(to: machine.tree.lastProcessedZxid, behind: checkers.history.last) + server.logged
        }
        judge {
            $0.agreement.observe(
                member, tree: machine.tree, isLeading: machine.isLeading, log: log, history: &$0.history, &$0.verdict)
        }
    }

    private func noted(_ note: KeeperNote, by server: WiredServer, _ machine: KeeperMachine) {
        record("\(server.id) \(note)")
        checkers.noted(note, by: server.id)
        if case .roleEnded = note { server.roleEndedAt = now }
        switch note {
        // It ends in the step that commits its last proposal, which nobody else may know yet.
        case .roleEnded(_, handedOff: true): observe(server, machine, isServing: true)
        case .leading(let epoch):
            let (disk, time) = (server.disk, now)
            judge { $0.quorum.establishes(epoch, server.id, disk: disk, at: time, &$0.verdict) }
            judgesSessions(server, machine)
        case .standalone: judgesSessions(server, machine)
        case .sessionExpired(let session): expires(session, server, machine)
        default: break
        }
    }

    /// From now on it is the one that says which of them are over.
    private func judgesSessions(_ server: WiredServer, _ machine: KeeperMachine) {
        checkers.sessions.leads(server.id, sessions: machine.tree.sessions, at: server.clock.local(now))
        server.heard = [:]
        for session in machine.tree.sessions { server.heard[session.session] = now }
    }

    private func expires(_ session: SessionID, _ server: WiredServer, _ machine: KeeperMachine) {
        let (timeout, local) = (machine.tree.timeout(of: session), server.clock.local(now))
        judge { $0.sessions.expires(session, at: server.id, timeout: timeout, local, &$0.verdict) }
        guard let client = clients.first(where: { $0.session == session }) else { return }
        // A8: what has waited in its own sockets is read before anybody is called silent.
        if let timeout, let heard = server.heard[session],
            let since = client.unreadSince(at: server.id, before: heard + .milliseconds(Int64(timeout)), letGo: server.roleEndedAt)
        {
            checkers.fail(.expiry, "\(server.id) expires the session of client \(client.number), and has not read what it sent at \(since)")
        }
        // A client that reads what was left of a connection has not yet seen that its server let it go.
        let isServed = servers.first { $0.id == client.server }.map { $0.roleEndedAt < client.connectedAt } ?? false
        if isPeaceful, client.isConnected, isServed {
            checkers.fail(.sessions, "\(server.id) expires the session of client \(client.number), which talks all the time: \(client.condition)")
        }
    }
}
