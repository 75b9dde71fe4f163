import EnsembleBase

/// From a client's request to its reply: what is answered here, what goes to the leader, and in which order.
///
/// A connection's replies come in the order of its requests. Writes are passed on at once, so that they pipeline;
/// whatever arrives behind one waits in `Client.pending` until it has committed.
extension KeeperMachine {
    mutating func received(
        _ request: Request, xid: Int32, from id: ConnectionID, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        // Only what is needed is read out: a copy of the client would make each append to `pending` copy the queue.
        guard clients[id]?.phase == .established else {
            // Requests behind closeSession, or before the session stands, have no answer.
            if clients[id]?.phase != .closing { close(id, into: &actions) }
            return
        }
        touchSession(of: id, at: now)
        if request.isWrite {
            submit(request, xid: xid, from: id, at: now, into: &actions)
        } else if case .sync(let path) = request {
            submitSync(path, xid: xid, from: id, into: &actions)
        } else if clients[id]!.pending.isEmpty {
            answer(request, xid: xid, to: id, into: &actions)
        } else {
            let proved = clients[id]!.identities.count
            clients[id]!.pending.append(Client.Pending(xid: xid, request: request, kind: .local(proved: proved)))
        }
    }

    mutating func authenticated(
        _ id: ConnectionID, xid: Int32, _ identities: [Identity]?, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard clients[id]?.phase == .established else { return }
        touchSession(of: id, at: now)
        // At once, as Apache's server: a write that was sent behind it is judged before its answer's turn has come.
        let isProven = prove(identities, on: id)
        if clients[id]!.pending.isEmpty {
            answerAuthentication(isProven, xid: xid, to: id, into: &actions)
        } else {
            clients[id]!.pending.append(
                Client.Pending(xid: xid, request: .ping, kind: .authentication(isProven: isProven)))
        }
    }

    /// False if there is nothing, or more than a connection may have.
    private mutating func prove(_ identities: [Identity]?, on id: ConnectionID) -> Bool {
        guard let identities else { return false }
        for identity in identities where !clients[id]!.identities.contains(identity) {
            clients[id]!.identities.append(identity)
        }
        return clients[id]!.identities.reduce(0, { $0 + $1.size }) <= Client.identityLimit
    }

    mutating func tookReplies(_ id: ConnectionID, at now: Instant) {
        if clients[id]?.phase == .established { touchSession(of: id, at: now) }
    }

    private mutating func touchSession(of id: ConnectionID, at now: Instant) {
        let (session, timeout) = (clients[id]!.session, clients[id]!.timeout)
        touch(session, timeout: timeout, at: now)
    }

    // MARK: Local answers

    private mutating func answer(
        _ request: Request, xid: Int32, proved: Int = .max, to id: ConnectionID,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        switch request {
        case .ping:
            actions.append(.reply(id, Reply(xid: xid, zxid: servedZxid)))
        case .sasl:
            // Its zxid is 0, as Apache's.
            actions.append(.reply(id, Reply(xid: xid, zxid: .zero, body: .saslToken(nil))))
        case .unknown:
            actions.append(.reply(id, Reply(xid: xid, zxid: .none, error: .unimplemented)))
            close(id, into: &actions)
        default:
            let all = clients[id]!.identities
            let read = ReadProcessing(
                connection: id, session: clients[id]!.session, identities: proved < all.count ? Array(all[..<proved]) : all,
                multiReadLimit: max(ReadProcessing.standardMultiReadLimit, configuration.transactionLimit)
            ).answer(request, tree: tree, watches: &watches)
            for event in read.events { actions.append(.watchEvent(id, event)) }
            actions.append(
                .reply(id, Reply(xid: xid, zxid: servedZxid, error: read.error, body: read.body)))
        }
    }

    /// Its zxid is 0, as Apache's: it says nothing about the tree.
    private mutating func answerAuthentication(
        _ isProven: Bool, xid: Int32, to id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard isProven else {
            actions.append(.reply(id, Reply(xid: xid, zxid: .zero, error: .authFailed)))
            return close(id, into: &actions)
        }
        actions.append(.reply(id, Reply(xid: xid, zxid: .zero)))
    }

    /// Answers what stands at the head of the line and waits for nobody.
    private mutating func drainPending(of id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>) {
        while let next = clients[id]?.pending.first {
            switch next.kind {
            case .write, .earlier, .sync: return
            case .local(let proved):
                _ = clients[id]!.pending.popFirst()
                answer(next.request, xid: next.xid, proved: proved, to: id, into: &actions)
            case .authentication(let isProven):
                _ = clients[id]!.pending.popFirst()
                answerAuthentication(isProven, xid: next.xid, to: id, into: &actions)
            }
        }
    }

    // MARK: Writes

    /// Passes a write on: proposed here, or forwarded to the leader.
    mutating func submit(
        _ request: Request, xid: Int32, from id: ConnectionID, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        let session = clients[id]!.session
        if case .check = request {
            // ZOOKEEPER-2623: a bare check must never be proposed.
            clients[id]!.pending.append(Client.Pending(xid: xid, request: .unknown(op: 13), kind: .local(proved: 0)))
            return drainPending(of: id, into: &actions)
        }
        if case .closeSession = request { clients[id]!.phase = .closing }
        clients[id]!.pending.append(Client.Pending(xid: xid, request: request, kind: .write(after: history.lastAppended)))
        if role == .leading {
            if case .createSession(let timeout) = request {
                owners[session] = configuration.serverID
                track(session, timeout: timeout, at: now)
            }
            proposeChecked(
                request, session: session, cxid: xid, identities: clients[id]!.identities,
                from: configuration.serverID, at: now, into: &actions)
        } else {
            actions.append(
                .sendToLeader(
                    .request(
                        ForwardedRequest(
                            session: session, cxid: xid, request: request, identities: clients[id]!.identities))))
        }
    }

    /// Leader: a request that a follower has forwarded.
    mutating func received(
        _ forwarded: ForwardedRequest, from learner: Learner, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard leader!.isServing else { return }
        switch forwarded.request {
        // A follower of Apache's waits for the answer to a malformed sync before it refuses it.
        case .sync, .malformed(op: OpCode.sync.rawValue):
            return awaitSync(.learner(learner.id), into: &actions)
        case .createSession(let timeout):
            owners[forwarded.session] = learner.server
            track(forwarded.session, timeout: timeout, at: now)
        default: break
        }
        proposeChecked(
            forwarded.request, session: forwarded.session, cxid: forwarded.cxid, identities: forwarded.identities,
            from: learner.server, at: now, into: &actions)
    }

    /// A session's writes count only through the member that it last connected to. So does its own wish to end: a close
    /// that comes late would end what the client went on with elsewhere.
    private mutating func proposeChecked(
        _ request: Request, session: SessionID, cxid: Int32, identities: [Identity], from server: ServerID,
        at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        var refusal: KeeperError?
        switch request {
        case .createSession: break
        default:
            let isAlive = expiry.contains(session)
            if isAlive, let owner = owners[session], owner != server {
                refusal = .sessionMoved
            } else if isAlive {
                owners[session] = server
            } else if request != .closeSession {
                // Ending it once more does no harm.
                refusal = .sessionExpired
            }
        }
        propose(
            request, session: session, cxid: cxid, identities: identities, refusal: refusal, at: now, into: &actions)
    }

    /// Leader: turns a write into a transaction, logs and broadcasts it. Even a refused one takes a zxid.
    mutating func propose(
        _ request: Request, session: SessionID, cxid: Int32, identities: [Identity], refusal: KeeperError? = nil,
        at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        // A leader that hands off only finishes what is under way: its clients lose their connections in a moment.
        guard role == .leading, leader!.isServing, leader!.handOff == nil else { return }
        // ZOOKEEPER-1277: the counter must not run into the epoch; a new epoch starts it afresh.
        if leader!.lastProposed.counter >= configuration.epochLength {
            guard configuration.standalone else {
                return endRole("the epoch's zxids are used up", at: now, into: &actions)
            }
            // Nobody to elect it with.
            leader!.lastProposed = Zxid(epoch: leader!.lastProposed.epoch + 1, counter: 0)
        }
        let zxid = leader!.lastProposed.next
        let entry: LogEntry
        if let refusal {
            entry = LogEntry(
                session: session, cxid: cxid, zxid: zxid, time: wall(now), transaction: .error(refusal.rawValue))
        } else {
            entry = preparation.prepare(
                request, session: session, cxid: cxid, identities: identities, zxid: zxid, time: wall(now), tree: tree)
        }
        guard zxid.follows(history.lastAppended) else {
            return violated("\(zxid) was to be proposed behind \(history.lastAppended)", into: &actions)
        }
        leader!.lastProposed = zxid
        if refusal == nil, case .closeSession = request { expiry.remove(session) }
        history.append(entry)
        actions.append(.propose(entry, to: leader!.recipients))
    }

    // MARK: Commits

    mutating func commitWhatAQuorumHas(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard leader!.isServing else { return }
        let acknowledged = leader!.quorumAcknowledged(own: history.lastSynced, configuration)
        guard acknowledged > history.lastCommitted else { return }
        // What a learner acknowledges is judged as it arrives; this is what was made of it.
        guard acknowledged <= leader!.lastProposed else {
            return violated("\(acknowledged) was to be committed, and \(leader!.lastProposed) proposed", into: &actions)
        }
        while role == .leading, let entry = history.commitNext(upTo: acknowledged) {
            actions.append(.commit(entry.zxid, to: leader!.recipients))
            applyCommitted(entry, at: now, into: &actions)
            guard role == .leading else { return }
            if case .closeSession = entry.transaction { owners[entry.session] = nil }
            // Before the next commit: a write that a client sent behind its sync must find the sync answered, here and
            // at a follower, or its reply finds another request at the head of the line.
            answerSyncs(into: &actions)
        }
        guard role == .leading else { return }
        finishHandOff(at: now, into: &actions)
    }

    /// Applies a committed transaction while clients are served: watches first, then the reply.
    mutating func applyCommitted(
        _ entry: LogEntry, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard entry.zxid > tree.lastProcessedZxid else {
            return violated("\(entry.zxid) was to be applied behind \(tree.lastProcessedZxid)", into: &actions)
        }
        changes.removeAll(keepingCapacity: true)
        let result = tree.apply(entry, changes: &changes)
        if role == .leading { preparation.applied(upTo: entry.zxid) }
        guard judgeTree(behind: entry, at: now, into: &actions) else { return }
        if !changes.isEmpty {
            let clients = clients
            watches.trigger(changes, zxid: entry.zxid, identities: { clients[$0]?.identities ?? [] }) { connection, event in
                actions.append(.watchEvent(connection, event))
            }
        }
        answerWrite(entry, result, at: now, into: &actions)
        considerSnapshot(behind: entry, at: now, into: &actions)
    }

    /// The reply to the local connection that asked, if there is one; and the end of one whose session has ended.
    private mutating func answerWrite(
        _ entry: LogEntry, _ result: ApplyResult, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard let id = connectionBySession[entry.session] else { return }
        if let next = clients[id]?.pending.first, isOutcome(entry, of: next) {
            _ = clients[id]!.pending.popFirst()
            if case .earlier = next.kind {
                // Nobody waits for it any more, only for its having happened.
            } else if case .createSession = next.request {
                sessionOpened(id, into: &actions)
            } else if result.error == .sessionMoved {
                // No reply: the client lives elsewhere by now (reference/zookeeper.md, 1.2).
                return close(id, into: &actions)
            } else {
                actions.append(
                    .reply(
                        id,
                        Reply(
                            xid: next.xid, zxid: entry.zxid, error: result.error,
                            body: result.responseBody(for: next.request))))
            }
        }
        if case .closeSession = entry.transaction { return close(id, into: &actions) }
        drainPending(of: id, into: &actions)
    }

    /// Whether the entry is what became of the oldest request of its session's connection here.
    ///
    /// Its number alone proves nothing: a client may number its requests anew on each connection, and what it sent over
    /// an earlier one, here or through another member, may commit at any time (issue 8, A4). But
    /// - a request's transaction comes after everything that this member had logged when it passed the request on, and a
    ///   session is admitted here only behind everything that it had sent through here before (`takesOver`): so what
    ///   an earlier connection of this member sent is out of the question;
    /// - from the moment that the session is this member's, the leader refuses what others forward for it as
    ///   `sessionMoved`. Such a refusal may bear the same number, and ends the connection without a reply: the client
    ///   asks again who it is;
    /// - what else commits for the session was sent through another member that took the session over since, and then
    ///   the client has given this connection up, so that nobody reads what it is told.
    private func isOutcome(_ entry: LogEntry, of request: Client.Pending) -> Bool {
        switch request.kind {
        case .earlier(let last): return entry.zxid == last
        case .write(let after):
            guard entry.zxid > after, entry.cxid == request.xid else { return false }
            // The leader's own end of a session bears the number 0, as a request may.
            if case .closeSession = entry.transaction { return request.request == .closeSession }
            return true
        case .sync, .local, .authentication: return false
        }
    }

    private mutating func considerSnapshot(
        behind entry: LogEntry, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        snapshots.applied(entry)
        // A snapshot's digest says that the tree was exact there.
        guard entry.zxid >= treeIsExactAfter, snapshots.isDue(at: now) else { return }
        snapshots.begun(at: tree.lastProcessedZxid)
        actions.append(.takeSnapshot(start: tree.lastProcessedZxid, needed: neededLog))
    }

    // MARK: sync

    private mutating func submitSync(
        _ path: NodePath, xid: Int32, from id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>
    ) {
        clients[id]!.pending.append(Client.Pending(xid: xid, request: .sync(path: path), kind: .sync))
        if role == .leading {
            awaitSync(.client(id), into: &actions)
        } else {
            unansweredSyncs.append(id)
            actions.append(
                .sendToLeader(
                    .request(
                        ForwardedRequest(
                            session: clients[id]!.session, cxid: xid, request: .sync(path: path),
                            identities: clients[id]!.identities))))
        }
    }

    /// Leader: the answer is due once everything proposed so far is committed.
    private mutating func awaitSync(
        _ origin: Leader.PendingSync.Origin, into actions: inout ActionBuffer<KeeperAction>
    ) {
        leader!.pendingSyncs.append(Leader.PendingSync(origin: origin, after: history.lastAppended))
        answerSyncs(into: &actions)
    }

    private mutating func answerSyncs(into actions: inout ActionBuffer<KeeperAction>) {
        while let next = leader?.pendingSyncs.first, next.after <= history.lastCommitted {
            _ = leader!.pendingSyncs.popFirst()
            switch next.origin {
            case .client(let id): answerSync(on: id, into: &actions)
            case .learner(let id): actions.append(.sendToLearner(id, .sync))
            }
        }
    }

    /// Follower: the leader has answered the oldest sync.
    mutating func syncAnswered(into actions: inout ActionBuffer<KeeperAction>) {
        if let id = unansweredSyncs.popFirst() { answerSync(on: id, into: &actions) }
    }

    /// A sync is first in line when its answer comes: whatever stood before it was proposed before it, and is applied.
    /// If it isn't, the leader sees it otherwise, and a client that would wait for ever is better told to ask again.
    private mutating func answerSync(on id: ConnectionID, into actions: inout ActionBuffer<KeeperAction>) {
        // Its connection may have gone.
        guard clients[id] != nil else { return }
        guard let next = clients[id]!.pending.first, case .sync = next.kind, case .sync(let path) = next.request else {
            return close(id, into: &actions)
        }
        _ = clients[id]!.pending.popFirst()
        actions.append(.reply(id, Reply(xid: next.xid, zxid: servedZxid, body: .path(path))))
        drainPending(of: id, into: &actions)
    }
}
