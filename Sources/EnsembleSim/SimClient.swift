import EnsembleBase
import KeeperCore

/// A client that writes what nobody else writes, and remembers what it was promised.
struct SimClient {
    enum State {
        case disconnected
        case connecting
        case connected
    }

    let index: Int
    var state = State.disconnected
    var server: ServerID = 0
    var connection: UInt64 = 0
    var session: SessionID = 0
    var password: [UInt8] = []
    var lastZxid = Zxid.zero
    var nextXid: Int32 = 1
    var nextWrite = 0
    /// Sent and not answered, oldest first.
    var outstanding = FIFO<(xid: Int32, request: Request)>()
    /// Streams keep their order.
    var inboundFree = Instant.origin
    var outboundFree = Instant.origin
    var lastHeard = Instant.origin
}

extension World {
    mutating func clientTurn(_ c: Int) {
        guard clientsEnabled else { return }
        schedule(.clientTurn(c), in: .milliseconds(Int64.random(in: 2...60, using: &random)))
        switch clients[c].state {
        case .disconnected: connectClient(c)
        case .connecting:
            if now - clients[c].lastHeard > .seconds(2) { abandonConnection(c) }
        case .connected:
            if now - clients[c].lastHeard > .seconds(3) { return abandonConnection(c) }
            for _ in 0..<Int.random(in: 1...4, using: &random) where clients[c].outstanding.count < 8 { sendRequest(c) }
        }
    }

    private mutating func connectClient(_ c: Int) {
        guard let server = servers.randomElement(using: &random) else { return }
        nextConnection += 1
        clients[c].state = .connecting
        clients[c].server = server.id
        clients[c].connection = nextConnection
        clients[c].lastHeard = now
        clients[c].outstanding.removeAll()
        guard server.machine != nil else { return }
        servers[index(server.id)].connections[nextConnection] = c
        let id = ConnectionID(rawValue: nextConnection)
        sendToServer(c, .clientConnected(id, address: "127.0.0.1"))
        sendToServer(
            c,
            .connectRequested(
                id,
                ConnectRequest(
                    lastZxidSeen: clients[c].lastZxid, timeout: 4_000, sessionID: clients[c].session,
                    password: clients[c].session == 0 ? Array(repeating: 0, count: 16) : clients[c].password)))
    }

    private mutating func abandonConnection(_ c: Int) {
        let connection = clients[c].connection
        let server = clients[c].server
        clients[c].state = .disconnected
        if servers[index(server)].connections.removeValue(forKey: connection) != nil {
            sendToServer(c, .clientDisconnected(ConnectionID(rawValue: connection)))
        }
    }

    private mutating func sendToServer(_ c: Int, _ event: KeeperEvent) {
        let arrival = max(clients[c].outboundFree, now + delay())
        clients[c].outboundFree = arrival
        queue.schedule(.serverDelivery(c, connection: clients[c].connection, event), at: arrival)
    }

    mutating func serverReceived(_ c: Int, _ connection: UInt64, _ event: KeeperEvent) {
        let server = clients[c].server
        if case .clientDisconnected = event {} else {
            guard clients[c].connection == connection, servers[index(server)].connections[connection] == c else { return }
        }
        deliver(event, to: server)
    }

    /// The server's process has died: its clients see their connections end.
    mutating func dropClient(of id: ServerID, _ connection: UInt64) {
        guard let c = servers[index(id)].connections[connection] else { return }
        queue.schedule(.clientDelivery(c, connection: connection, .closed), at: max(clients[c].inboundFree, now + delay()))
    }

    private mutating func sendRequest(_ c: Int) {
        let xid = clients[c].nextXid
        clients[c].nextXid += 1
        let request: Request
        let base = "/c\(c)"
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<5:
            clients[c].nextWrite += 1
            request = .create(
                CreateRequest(
                    path: NodePath("\(base)-\(clients[c].nextWrite)"), data: Array("\(xid)".utf8),
                    acl: AccessRight.openToAll))
        case 5:
            request = .create(
                CreateRequest(
                    path: NodePath("\(base)-e\(xid)"), data: [], acl: AccessRight.openToAll, flags: 1))
        case 6: request = .setData(path: "/", data: Array("\(c) \(xid)".utf8), version: -1)
        case 7: request = .sync(path: "/")
        case 8:
            request = .multi([
                .create(CreateRequest(path: NodePath("\(base)-m\(xid)"), data: [], acl: AccessRight.openToAll)),
                .setData(path: "/", data: [1], version: -1),
            ])
        default: request = .getData(path: NodePath("\(base)-\(max(1, clients[c].nextWrite))"), watch: false)
        }
        clients[c].outstanding.append((xid: xid, request: request))
        sendToServer(c, .requested(ConnectionID(rawValue: clients[c].connection), xid: xid, request))
    }

    mutating func clientReceived(_ c: Int, _ connection: UInt64, _ message: ToClient) {
        guard clients[c].connection == connection, clients[c].state != .disconnected else { return }
        clients[c].lastHeard = now
        switch message {
        case .connected(let response):
            if response.timeout == 0 {
                clients[c].session = 0
                clients[c].state = .disconnected
            } else {
                clients[c].session = response.sessionID
                clients[c].password = response.password
                clients[c].state = .connected
            }
        case .closed: clients[c].state = .disconnected
        case .event: break
        case .reply(let reply): clientReceived(c, reply)
        }
    }

    private mutating func clientReceived(_ c: Int, _ reply: Reply) {
        guard let (xid, request) = clients[c].outstanding.popFirst() else {
            return checker.fail("client \(c): a reply to \(reply.xid), which it did not ask")
        }
        guard xid == reply.xid else {
            return checker.fail("client \(c): the reply to \(reply.xid) came before that to \(xid)")
        }
        if reply.zxid.rawValue > 0 {
            // Reads may be as old as the member, but a session never sees zxids go back.
            if reply.zxid < clients[c].lastZxid, !request.isWrite {
                checker.fail("client \(c): zxid went back from \(clients[c].lastZxid) to \(reply.zxid)")
            }
            clients[c].lastZxid = max(clients[c].lastZxid, reply.zxid)
        }
        guard reply.error == nil else { return }
        checker.acknowledged(request, reply.body, at: reply.zxid)
        if case .getData(let path, _) = request { _ = path }
    }
}
