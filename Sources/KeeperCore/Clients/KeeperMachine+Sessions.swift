import EnsembleBase

/// Connections and sessions: opening, resuming, keeping alive, expiring.
extension KeeperMachine {
    mutating func clientConnected(
        _ id: ConnectionID, address: ByteString, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard isServing else { return actions.append(.closeClient(id)) }
        clients[id] = Client(address: address)
    }

    mutating func clientDisconnected(_ id: ConnectionID) {
        guard let client = clients.removeValue(forKey: id) else { return }
        watches.remove(id)
        if connectionBySession[client.session] == id { connectionBySession[client.session] = nil }
        if role == .following { unproposed.outlive(client, history) }
    }

    /// Ends a connection from this side.
    mutating func close(_ id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>) {
        guard clients[id] != nil else { return }
        clientDisconnected(id)
        actions.append(.closeClient(id))
    }

    mutating func received(
        _ request: ConnectRequest, from id: ConnectionID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard isServing, clients[id]?.phase == .connected else { return close(id, into: &actions) }
        // A client must not see time go back: another member has shown it more than this one has.
        guard request.lastZxidSeen <= servedZxid else {
            actions.append(
                .note(.clientRefused(reason: "it has seen \(request.lastZxidSeen), this member \(servedZxid)")))
            return close(id, into: &actions)
        }
        clients[id]!.mirrorsReadOnly = request.readOnly
        clients[id]!.timeout = max(
            configuration.minSessionTimeout, min(request.timeout, configuration.maxSessionTimeout))
        if request.sessionID == 0 {
            open(id, at: now, into: &actions)
        } else {
            resume(request, on: id, at: now, into: &actions)
        }
    }

    /// What this member may claim to have shown: at the start of an epoch its first history is complete everywhere
    /// that serves (operators.md, E6).
    ///
    /// S8: it admits clients and stamps what is read by them, the one because of the other: after a restore a client
    /// is admitted that has seen later zxids of earlier epochs, and must not be shown the tree's own.
    var servedZxid: Zxid {
        let epoch = leader?.epoch ?? follower?.epoch ?? 0
        return configuration.standalone
            ? tree.lastProcessedZxid : max(tree.lastProcessedZxid, Zxid(epoch: epoch, counter: 0))
    }

    private mutating func open(_ id: ConnectionID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        if sessionIDs == nil {
            sessionIDs = SessionIDs(server: configuration.serverID, startedAt: WallTime(milliseconds: wall(now)))
        }
        var session = sessionIDs!.make()
        // A wall clock that was set back must not bring an id twice.
        while tree.timeout(of: session) != nil { session = sessionIDs!.make() }
        clients[id]!.session = session
        clients[id]!.phase = .opening
        connectionBySession[session] = id
        submit(.createSession(timeout: clients[id]!.timeout), xid: 0, from: id, at: now, into: &actions)
    }

    private mutating func resume(
        _ request: ConnectRequest, on id: ConnectionID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        // The password is checked before anything is done to a connection that uses the session: Apache's order lets
        // anyone cut a live client off (reference/zookeeper.md, 1.2).
        guard SessionPassword.matches(request.password, session: request.sessionID) else {
            return refuse(id, into: &actions)
        }
        clients[id]!.session = request.sessionID
        clients[id]!.phase = .resuming
        if role == .following {
            unansweredRevalidations.append(id)
            actions.append(
                .sendToLeader(.revalidate(session: request.sessionID, timeout: clients[id]!.timeout)))
        } else if tree.timeout(of: request.sessionID) != nil, expiry.contains(request.sessionID) {
            owners[request.sessionID] = configuration.serverID
            // What is asked for now counts, not what was granted first: the client will ping accordingly.
            touch(request.sessionID, timeout: clients[id]!.timeout, at: now)
            takesOver(id, into: &actions)
        } else {
            refuse(id, into: &actions)
        }
    }

    mutating func revalidated(
        _ session: SessionID, _ valid: Bool, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        // Several connections may wait for the same session, and some have gone since they asked: an answer admits only
        // the one that asked for it, since it says that the session is here from that question on (`isOutcome`).
        guard let id = unansweredRevalidations.popFirst() else {
            return endRole("REVALIDATE out of turn", at: now, into: &actions)
        }
        guard clients[id]?.phase == .resuming else { return }
        guard clients[id]!.session == session else {
            return endRole("REVALIDATE of another session than was asked for", at: now, into: &actions)
        }
        guard valid else { return refuse(id, into: &actions) }
        touch(session, timeout: clients[id]!.timeout, at: now)
        takesOver(id, into: &actions)
    }

    /// The session is this connection's from here on; an older local connection of it is closed.
    ///
    /// The session's requests take effect in the order of its asking, over all its connections. Whatever it had sent
    /// before the leader knew that it is here, through this member or another, has been proposed before the leader's
    /// answer, which comes in one stream with the proposals; what the leader had not seen by then, it refuses as
    /// `sessionMoved`. So the last of the session's transactions in this member's log is the last of its past, and what
    /// the new connection asks for waits for it. Apache's leader answers while forwarded requests may still wait for
    /// their turn: of those that came from here this member knows, and the client has to try again until they are
    /// proposed; of those from other members it can't know.
    private mutating func takesOver(_ id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>) {
        let session = clients[id]!.session
        if let older = connectionBySession[session], older != id { close(older, into: &actions) }
        guard !unproposed.contains(session) else { return close(id, into: &actions) }
        welcome(id, into: &actions)
        guard let last = history.lastOutstanding(of: session) else { return }
        clients[id]!.pending.append(Client.Pending(xid: 0, request: .ping, kind: .earlier(last)))
    }

    private mutating func welcome(_ id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>) {
        guard let client = clients[id] else { return }
        connectionBySession[client.session] = id
        clients[id]!.phase = .established
        actions.append(
            .connectReply(
                id,
                ConnectResponse(
                    timeout: client.timeout, sessionID: client.session,
                    password: SessionPassword.make(for: client.session), readOnly: client.mirrorsReadOnly.map { _ in false })))
    }

    private mutating func refuse(_ id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>) {
        actions.append(.connectReply(id, .refusal(readOnly: clients[id]?.mirrorsReadOnly.map { _ in false })))
        close(id, into: &actions)
    }

    /// createSession has committed.
    mutating func sessionOpened(_ id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>) {
        guard clients[id]?.phase == .opening else { return }
        welcome(id, into: &actions)
    }

    // MARK: Keeping alive

    /// Leader: the session is alive from now on.
    mutating func track(_ session: SessionID, timeout: Int32, at now: Instant) {
        expiry.touch(session, timeout: .milliseconds(Int64(timeout)), at: now)
    }

    /// The leader moves the session's expiry; a follower notes it for the next ping. A session that has ended stays so.
    mutating func touch(_ session: SessionID, timeout: Int32, at now: Instant) {
        if role == .leading {
            if expiry.contains(session) { track(session, timeout: timeout, at: now) }
        } else {
            touched.note(session, timeout: timeout)
        }
    }

    /// Leader only: a session that nobody touched in time is closed by a transaction.
    mutating func expireSessions(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        for session in expiry.expired(at: now) {
            actions.append(.note(.sessionExpired(session)))
            propose(.closeSession, session: session, cxid: 0, identities: [], at: now, into: &actions)
        }
    }
}

/// The sessions that a follower's clients have used since its last answer to a ping.
struct TouchedSessions: Sendable {
    private var order: [TouchedSession] = []
    private var positions: [SessionID: Int] = [:]

    mutating func note(_ session: SessionID, timeout: Int32) {
        if let i = positions[session] {
            // The latest counts: a connection that resumes the session may ask for a shorter one.
            order[i].timeout = timeout
        } else {
            positions[session] = order.count
            order.append(TouchedSession(session: session, timeout: timeout))
        }
    }

    mutating func drain() -> [TouchedSession] {
        defer {
            order.removeAll()
            positions.removeAll(keepingCapacity: true)
        }
        return order
    }
}
