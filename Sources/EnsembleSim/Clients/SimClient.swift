import EnsembleBase
import KeeperCore

/// A client that asks for what `Workload` makes up, and remembers what it was told.
struct SimClient: Sendable {
    enum State: Hashable, Sendable {
        case disconnected
        case connecting
        case connected
    }

    struct Outstanding: Sendable {
        var xid: Int32
        /// Of all requests of the run (`SentWrite`).
        var number: Int
        var request: Request
        /// What the client had proved by then.
        var identities: [Identity]
        /// The highest write that anyone had seen acknowledged when this was sent.
        var floor: Zxid
        var sentAt: Instant
    }

    let index: Int
    var random: SeededRandom
    /// For what a plan may leave out: how it behaves.
    var temper: SeededRandom
    var workload: Workload
    var state = State.disconnected
    var server: ServerID = 0
    var connection: UInt64 = 0
    var session: SessionID = 0
    var password: [UInt8] = []
    var lastZxid = Zxid.zero
    var lastWrite = Zxid.zero
    var nextXid: Int32 = 1
    /// Sent and not answered, oldest first.
    var outstanding = FIFO<Outstanding>()
    var watches = WatchChecker()
    /// Streams keep their order.
    var inboundFree = Instant.origin
    var outboundFree = Instant.origin
    var lastHeard = Instant.origin
    /// Messages take longer until then.
    var slowUntil = Instant.origin
    /// It has gone, without a word, and comes back then.
    var awayUntil = Instant.origin
    /// Where it goes next; nil: anywhere.
    var nextServer: ServerID?
    /// What it shows for a session, when it connects.
    var claim = Claim.own
    /// Connections that servers have ended since it last had a write acknowledged, in peace.
    var endedInVain = 0
    /// A session that it has closed itself.
    var closed: (session: SessionID, password: [UInt8])?
    /// What it has proved on this connection, its address first.
    var identities = SimClient.anyone

    /// What every connection of the simulator proves by itself.
    enum Claim: Hashable, Sendable {
        case own
        /// Its own session, with another's password: must be refused, and harms nobody.
        case wrongPassword
        /// A session that it has closed: must be refused.
        case closedSession
    }

    static let anyone = [Identity(scheme: "ip", id: "127.0.0.1")]

    init(index: Int, seed: UInt64) {
        self.index = index
        random = SeededRandom(seed: seed ^ UInt64(index + 1) &* 0x9E37_79B9)
        temper = SeededRandom(seed: seed ^ UInt64(index + 1) &* 0x51ed_270b)
        workload = Workload(client: index)
    }

    /// What a client asks for in a widened plan: the common and the rarer.
    mutating func moreRequests(payload: Int) -> [Request] {
        let common = workload.next(using: &random)
        guard workload.isReady, Int.random(in: 0..<3, using: &temper) == 0 else { return common }
        let more = workload.more(payload: payload, using: &temper)
        return Bool.random(using: &temper) ? common + more : more + common
    }

    mutating func nextRequests() -> [Request] { workload.next(using: &random) }

    /// The sync that waits for this answer.
    func outstandingSync(xid: Int32) -> Outstanding? {
        guard let sent = outstandingRequest(xid: xid), case .sync = sent.request else { return nil }
        return sent
    }

    /// The request that waits for this answer.
    func outstandingRequest(xid: Int32) -> Outstanding? {
        for offset in 0..<outstanding.count where outstanding[offset].xid == xid { return outstanding[offset] }
        return nil
    }
}

extension World {
    mutating func clientTurn(_ c: Int) {
        guard clientsEnabled else { return }
        var pause = Int64.random(in: plan.clientPause, using: &clients[c].random)
        // Whoever uses up an epoch in half a second lets nobody join (seeds 2045, 2068, 2120).
        if !faultsEnabled, let length = plan.epochLength, length < 400 { pause *= 10 }
        schedule(.clientTurn(c), in: .milliseconds(pause))
        guard now >= lullEnd else { return }
        switch clients[c].state {
        case .disconnected: if now >= clients[c].awayUntil { connectClient(c) }
        case .connecting:
            if now - clients[c].lastHeard > .seconds(2) { abandonConnection(c, politely: true) }
        case .connected:
            if now - clients[c].lastHeard > .seconds(3) { return abandonConnection(c, politely: true) }
            // A slow disk has a hundred large values to write before (seed 686).
            let patience: Duration = plan.payload > 0 ? .seconds(6) : .seconds(2)
            if isPeaceful, !isStalled, let oldest = clients[c].outstanding.first,
                now - max(oldest.sentAt, servers[index(clients[c].server)].silentUntil, hostSleep?.end ?? .origin) > patience
            {
                return checkers.fail(.convergence, "client \(c) has had no answer to \(oldest.xid) since \(oldest.sentAt)")
            }
            if plan.clientsMisbehave, faultsEnabled, Int.random(in: 0..<300, using: &clients[c].temper) == 0 {
                // Gone without a word, sometimes for longer than its session lives.
                clients[c].awayUntil = now + .milliseconds(Int64.random(in: 200...7_000, using: &clients[c].temper))
                return abandonConnection(c, politely: false)
            }
            // Moves on, sometimes leaving requests and a connection behind that the server still believes in.
            if Int.random(in: 0..<(isPeaceful ? 400 : plan.turnsPerMove), using: &clients[c].random) == 0 {
                return abandonConnection(c, politely: Bool.random(using: &clients[c].random))
            }
            let requests = plan.asksMore ? clients[c].moreRequests(payload: plan.payload) : clients[c].nextRequests()
            for request in requests where clients[c].outstanding.count < 40 {
                send(request, from: c)
                // Sent behind the end, it must come to nothing.
                if plan.asksMore, case .closeSession = request { send(.setData(path: "/r0", data: [1], version: -1), from: c) }
            }
        }
    }

    mutating func connectClient(_ c: Int) {
        guard var i = servers.indices.randomElement(using: &clients[c].random) else { return }
        if let next = clients[c].nextServer.take() { i = index(next) }
        if plan.clientsMisbehave { connectWithoutAWord(c) }
        let server = servers[i].id
        nextConnection += 1
        clients[c].state = .connecting
        clients[c].server = server
        clients[c].connection = nextConnection
        clients[c].lastHeard = now
        clients[c].outstanding.removeAll()
        clients[c].identities = SimClient.anyone
        clients[c].workload.connectionLost()
        if plan.restartsXids, c % 2 == 1 { clients[c].nextXid = 1 }
        guard servers[i].machine != nil, !servers[i].isStopping, now >= servers[i].turnsAwayUntil else { return }
        if isOperated, c == linkClient, muffling(at: server) != nil { return }
        servers[i].connections[nextConnection] = c
        let id = ConnectionID(rawValue: nextConnection)
        sendToServer(c, .clientConnected(id, address: "127.0.0.1"))
        var request = connectRequest(c)
        if usesBytes { request = Wire.carried(request, &checkers) }
        sendToServer(c, .connectRequested(id, request))
    }

    private mutating func connectRequest(_ c: Int) -> ConnectRequest {
        var request = ConnectRequest(
            lastZxidSeen: bug == .clientZxidIgnored ? .zero : clients[c].lastZxid, timeout: 4_000,
            sessionID: clients[c].session,
            password: clients[c].session == 0 ? Array(repeating: 0, count: 16) : clients[c].password)
        clients[c].claim = .own
        // The longest that is granted, and more.
        if plan.clientsMisbehave, c % 2 == 0 { request.timeout = 1_000_000 }
        guard plan.clientsMisbehave, faultsEnabled, !isOperated || c != linkClient else { return request }
        if let closed = clients[c].closed, clients[c].session == 0 {
            clients[c].closed = nil
            clients[c].claim = .closedSession
            (request.sessionID, request.password) = closed
        } else if clients[c].session != 0, Int.random(in: 0..<10, using: &clients[c].temper) == 0 {
            clients[c].claim = .wrongPassword
            request.password[0] ^= 0x55
        }
        return request
    }

    /// Some connect, say nothing, and go.
    private mutating func connectWithoutAWord(_ c: Int) {
        guard faultsEnabled, let i = servers.indices.randomElement(using: &clients[c].temper), servers[i].machine != nil,
            !servers[i].isStopping, Int.random(in: 0..<4, using: &clients[c].temper) == 0
        else { return }
        nextConnection += 1
        let id = ConnectionID(rawValue: nextConnection)
        servers[i].connections[nextConnection] = c
        let (came, went) = (now + delay(), now + .milliseconds(Int64.random(in: 50...2_000, using: &clients[c].temper)))
        queue.schedule(
            .serverDelivery(servers[i].id, client: c, connection: nextConnection, .clientConnected(id, address: "127.0.0.1")), at: came)
        queue.schedule(.serverDelivery(servers[i].id, client: c, connection: nextConnection, .clientDisconnected(id)), at: went)
    }

    /// - Parameter politely: whether the server learns of it.
    mutating func abandonConnection(_ c: Int, politely: Bool) {
        let connection = clients[c].connection
        clients[c].state = .disconnected
        if politely, servers[index(clients[c].server)].connections[connection] != nil {
            sendToServer(c, .clientDisconnected(ConnectionID(rawValue: connection)))
        }
    }

    private mutating func sendToServer(_ c: Int, _ event: KeeperEvent) {
        let arrival = max(clients[c].outboundFree, now + delay(c), servers[index(clients[c].server)].silentUntil)
        clients[c].outboundFree = arrival
        queue.schedule(
            .serverDelivery(clients[c].server, client: c, connection: clients[c].connection, event), at: arrival)
    }

    mutating func serverReceived(_ id: ServerID, _ c: Int, _ connection: UInt64, _ event: KeeperEvent) {
        // The connection is of this process, and open at its end.
        guard servers[index(id)].connections[connection] == c else { return }
        if case .clientDisconnected = event { servers[index(id)].connections[connection] = nil }
        if bug == .syncWithoutLeader, case .requested(let connection, let xid, .sync(let path)) = event,
            let zxid = servers[index(id)].machine?.tree.lastProcessedZxid, clients[c].outstanding.first?.xid == xid
        {
            return perform(.reply(connection, Reply(xid: xid, zxid: zxid, body: .path(path))), of: id)
        }
        deliver(event, to: id)
    }

    /// The server's process has died: its clients see their connections end.
    mutating func dropClient(of id: ServerID, _ connection: UInt64) {
        guard let c = servers[index(id)].connections[connection] else { return }
        queue.schedule(.clientDelivery(c, connection: connection, .closed), at: max(clients[c].inboundFree, now + delay()))
    }

    mutating func send(_ request: Request, from c: Int) {
        let xid = clients[c].nextXid
        clients[c].nextXid += 1
        checkers.clients.asks(request)
        let number = checkers.history.requests.sends(
            request, xid: xid, session: clients[c].session, clients[c].identities, to: clients[c].server)
        if case .closeSession = request { checkers.sessions.asksToClose(clients[c].session) }
        clients[c].outstanding.append(
            SimClient.Outstanding(
                xid: xid, number: number, request: request, identities: clients[c].identities,
                floor: checkers.clients.acknowledged, sentAt: now))
        let carried = usesBytes ? Wire.carried(request, xid: xid, &checkers) : request
        let connection = ConnectionID(rawValue: clients[c].connection)
        if case .auth(_, _, let credential) = carried {
            // The hands look at the credential, and hash it (KeeperEvent.authenticated).
            let proved = credential.flatMap { $0.isEmpty ? nil : [Workload.identity(provedBy: $0)] }
            for identity in proved ?? [] where !clients[c].identities.contains(identity) {
                clients[c].identities.append(identity)
            }
            sendToServer(c, .authenticated(connection, xid: xid, proved))
        } else {
            sendToServer(c, .requested(connection, xid: xid, carried))
        }
    }

    /// A server begins a snapshot: what is asked for now is in none of its tables, and in its log.
    mutating func askAmidSnapshot() {
        guard clientsEnabled, now >= lullEnd else { return }
        for c in clients.indices where clients[c].state == .connected && clients[c].outstanding.count < 30 && !(isOperated && c == linkClient) {
            guard Int.random(in: 0..<4, using: &clients[c].temper) == 0 else { continue }
            for request in clients[c].workload.amidSnapshot() { send(request, from: c) }
        }
    }

    /// What it sent on the connection that it left comes as its session is about to end.
    mutating func speakLate(for session: SessionID) {
        guard plan.clientsMisbehave, faultsEnabled,
            let c = clients.firstIndex(where: { $0.session == session && $0.state == .disconnected }), !isOperated || c != linkClient,
            servers[index(clients[c].server)].connections[clients[c].connection] == c
        else { return }
        record("client \(c) is heard late")
        let request = Request.setData(path: "/r0", data: [2], version: -1)
        let xid = clients[c].nextXid
        clients[c].nextXid += 1
        checkers.clients.asks(request)
        _ = checkers.history.requests.sends(
            request, xid: xid, session: session, clients[c].identities, to: clients[c].server)
        sendToServer(c, .requested(ConnectionID(rawValue: clients[c].connection), xid: xid, request))
    }

    /// For a while nobody asks for anything, or connects.
    mutating func beginLull() {
        guard faultsEnabled else { return }
        let length = Duration.milliseconds(Int64.random(in: 300...3_500, using: &lullRandom))
        record("the clients are silent")
        lullEnd = now + length
        schedule(.lull, in: length + .milliseconds(Int64.random(in: 500...6_000, using: &lullRandom)))
    }

    // MARK: What comes back

    mutating func clientReceived(_ c: Int, _ connection: UInt64, _ message: ToClient) {
        guard clients[c].connection == connection, clients[c].state != .disconnected else { return }
        clients[c].lastHeard = now
        switch message {
        case .connected(let response): welcomed(c, usesBytes ? Wire.carried(response, &checkers) : response)
        case .closed:
            // One that was refused has seen more than the server yet.
            if clients[c].state == .connected { judgeEnd(of: c) }
            clients[c].state = .disconnected
        case .event(let event):
            let event = usesBytes ? Wire.carried(event, &checkers) : event
            if event.zxid != .none { sees(event.zxid, c) }
            clients[c].watches.received(event, checkers.history, clients[c].identities, who: c, &checkers.verdict)
        case .reply(let reply): received(reply, c)
        }
    }

    private mutating func welcomed(_ c: Int, _ response: ConnectResponse) {
        guard clients[c].claim == .own else { return answeredFalseClaim(c, isRefused: response.timeout == 0) }
        guard response.timeout != 0 else {
            checkers.sessions.refused(
                clients[c].session, client: c, over: clients[c].connection, proposed: checkers.proposals.closedSessions, &checkers.verdict)
            clients[c].session = 0
            clients[c].watches = WatchChecker()
            clients[c].state = .disconnected
            return
        }
        if response.timeout != 4_000 {
            checkers.fail(.sessions, "client \(c) is granted \(response.timeout) ms, and 4000 are the most")
        }
        clients[c].session = response.sessionID
        clients[c].password = response.password
        clients[c].state = .connected
        let set = clients[c].watches.watchSet(relativeTo: clients[c].lastZxid, checkers.history)
        let isEmpty = clients[c].watches.watches.isEmpty
        clients[c].watches = WatchChecker()
        if !isEmpty { send(.setWatches(set, extended: true), from: c) }
    }

    /// A server may end a connection for what it knows of the session; the next attempt is better then.
    private mutating func judgeEnd(of c: Int) {
        guard isPeaceful, !isStalled, plan.epochLength == nil else { return clients[c].endedInVain = 0 }
        clients[c].endedInVain += 1
        if clients[c].endedInVain >= 3 {
            checkers.fail(.convergence, "client \(c) has its connections ended, the third in a row by \(clients[c].server), and no write of it is acknowledged")
        }
    }

    private mutating func answeredFalseClaim(_ c: Int, isRefused: Bool) {
        if !isRefused {
            checkers.fail(.sessions, "client \(c) is given a session on a false claim: \(clients[c].claim)")
        }
        clients[c].state = .disconnected
    }

    /// `sessionOrder`: a session never sees zxids go back, whatever it connects to.
    private mutating func sees(_ zxid: Zxid, _ c: Int) {
        if zxid < clients[c].lastZxid {
            checkers.fail(.sessionOrder, "client \(c): zxid went back from \(clients[c].lastZxid) to \(zxid)")
        }
        clients[c].lastZxid = max(clients[c].lastZxid, zxid)
    }

    private mutating func received(_ reply: Reply, _ c: Int) {
        guard let sent = clients[c].outstanding.popFirst() else {
            return checkers.fail(.sessionOrder, "client \(c): a reply to \(reply.xid), which it did not ask")
        }
        guard sent.xid == reply.xid else {
            return checkers.fail(.sessionOrder, "client \(c): the reply to \(reply.xid) came before that to \(sent.xid)")
        }
        let reply = usesBytes ? Wire.carried(reply, to: sent.request, &checkers) : reply
        if reply.zxid.rawValue > 0 { sees(reply.zxid, c) }
        clients[c].workload.answered(sent.request, reply)
        // A daemon that is refused gives its session up at once.
        let session = clients[c].session
        if isOperated, c == linkClient { linkAnswered(sent.request, reply) }
        if case .auth(_, _, let credential) = sent.request {
            let isEmpty = credential?.isEmpty ?? true
            if (reply.error == .authFailed) != isEmpty {
                checkers.fail(.answers, "client \(c): a credential of \(credential?.count ?? 0) bytes is answered with \(reply)")
            }
            return
        }
        if case .setWatches(let set, _) = sent.request {
            return clients[c].watches.restoredWatches(set, at: reply.zxid, checkers.history, who: c, &checkers.verdict)
        }
        clients[c].watches.replied(at: reply.zxid, checkers.history, clients[c].identities, who: c, &checkers.verdict)
        if sent.request.isWrite {
            clients[c].endedInVain = 0
            checkers.history.answered(sent.number, at: reply.zxid)
            checkers.clients.answered(
                sent.request, number: sent.number, reply, session: session, floor: max(sent.floor, clients[c].lastWrite),
                checkers.history, &checkers.verdict)
            clients[c].lastWrite = max(clients[c].lastWrite, reply.zxid)
            if case .closeSession = sent.request {
                clients[c].closed = (clients[c].session, clients[c].password)
                clients[c].session = 0
                clients[c].watches = WatchChecker()
                clients[c].state = .disconnected
            }
        } else {
            checkers.history.requests.answersRead(sent.number, of: session, at: reply.zxid, by: clients[c].server)
            checkers.clients.read(
                sent.request, reply, who: c, sent.identities, checkers.history, &checkers.verdict)
            leaveWatch(sent.request, reply, c)
        }
    }

    private mutating func leaveWatch(_ request: Request, _ reply: Reply, _ c: Int) {
        let succeeded = reply.error == nil
        func add(_ kind: WatchChecker.Kinds, _ path: NodePath) {
            clients[c].watches.add(kind, path, at: reply.zxid, checkers.history)
        }
        switch request {
        case .getData(let path, true) where succeeded: add(.data, path)
        case .exists(let path, true) where succeeded || reply.error == .noNode: add(.data, path)
        case .getChildren2(let path, true) where succeeded: add(.child, path)
        case .getChildren(let path, true) where succeeded: add(.child, path)
        case .addWatch(let path, let recursive) where succeeded: add(recursive ? .recursive : .persistent, path)
        case .removeWatches(let path, let type):
            clients[c].watches.removed(path, type, reply.error, who: c, &checkers.verdict)
        case .checkWatches(let path, let type):
            clients[c].watches.checked(path, type, reply.error, who: c, &checkers.verdict)
        default: break
        }
    }
}
