import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// A client at the other end of a cable: real frames, and the manners of real libraries.
final class WiredClient: CableEnd {
    struct Manners: Hashable {
        /// kazoo's: each connection begins with xid 1.
        var restartsXids: Bool
        /// It looks into its socket now and then, and takes little.
        var readsSlowly: Bool
        /// Requests that it has outstanding at most.
        var depth: Int
        /// It asks for values of hundreds of kilobytes.
        var isHungry: Bool
    }

    let number: Int
    let manners: Manners
    unowned let world: WiredWorld
    var memory: SimClient
    var cable: Cable?
    private var input = ByteBuffer()
    private var output = ByteBuffer()
    private var isReading = false
    /// The latest, the one in use included. One that it has left without a word stays open: the server must find out by
    /// itself.
    private var cables = FIFO<Cable>()

    init(number: Int, seed: UInt64, world: WiredWorld) {
        self.number = number
        self.world = world
        memory = SimClient(index: number, seed: seed)
        var random = SeededRandom(seed: seed ^ 0x3a77 ^ UInt64(number) << 32)
        manners = Manners(
            restartsXids: world.plan.restartsXids && number % 2 == 1, readsSlowly: Int.random(in: 0..<4, using: &random) == 0,
            depth: [1, 8, 40, 400][Int.random(in: 0..<4, using: &random)], isHungry: Int.random(in: 0..<4, using: &random) == 0)
    }

    var isServed: Bool { memory.state == .connected && world.now - memory.lastHeard < .seconds(1) }
    var session: SessionID { memory.session }
    var isConnected: Bool { memory.state == .connected }
    var server: ServerID { memory.server }
    var connectedAt = Instant.origin

    /// In words.
    var condition: String {
        let oldest = memory.outstanding.first.map { ", \(memory.outstanding.count) unanswered since \($0.sentAt)" } ?? ""
        let bytes = cable.map { ", unread bytes: \($0.unread(at: .acceptor)) there, \($0.unread(at: .dialler)) here" } ?? ""
        return "at \(memory.server), \(memory.state), heard last at \(memory.lastHeard)\(oldest)\(bytes), \(output.readableBytes) unsent, \(manners)"
    }

    /// Since when something that it sent waits in a server's socket, if since before `end`: on its connection, or on one that it
    /// has closed, of which a loop that runs reads everything, whoever wants it. Connections of before `letGo` the server has
    /// closed itself: what a slow reader has not taken of them leaves, and nothing more is read.
    func unreadSince(at server: ServerID, before end: Instant, letGo: Instant) -> Instant? {
        for offset in 0..<cables.count {
            let cable = cables[offset]
            guard cable.acceptor == .server(server), cable.dialledAt > letGo, cable.isOpen(at: .acceptor),
                cable === self.cable || cable.hasEnded(at: .acceptor)
            else { continue }
            if let since = cable.unreadSince(at: .acceptor), since < end { return since }
        }
        return nil
    }

    // MARK: What it does

    func turn() {
        guard world.clientsEnabled else { return }
        world.timeline.schedule(.clientTurn(number), in: .milliseconds(Int64.random(in: world.plan.clientPause, using: &memory.random)))
        let silence = world.now - memory.lastHeard
        switch memory.state {
        case .disconnected: connect()
        case .connecting: if silence > .seconds(2) { leave() }
        case .connected:
            if silence > .seconds(3) {
                if world.isPeaceful, let oldest = memory.outstanding.first {
                    world.checkers.fail(.convergence, "client \(number) waits for the answer to \(oldest.xid), and \(memory.server) sends nothing")
                }
                return leave()
            }
            if Int.random(in: 0..<(world.isPeaceful ? 2_000 : world.plan.turnsPerMove), using: &memory.random) == 0 { return leave() }
            for request in nextRequests() where memory.outstanding.count < manners.depth { send(request) }
        }
    }

    private func nextRequests() -> [Request] {
        guard manners.isHungry, Int.random(in: 0..<20, using: &memory.random) == 0 else { return memory.nextRequests() }
        let register = NodePath("/r\(Int.random(in: 0..<4, using: &memory.random))")
        let size = Int.random(in: 1_000...300_000, using: &memory.random)
        // Now and then all at once, and more than a server has room for.
        if Int.random(in: 0..<10, using: &memory.random) == 0 {
            let value = Array(repeating: UInt8(truncatingIfNeeded: size), count: size)
            return Array(repeating: .setData(path: register, data: value, version: -1), count: 60)
        }
        return [
            .setData(path: register, data: Array(repeating: UInt8(truncatingIfNeeded: size), count: size), version: -1),
            .getData(path: register, watch: false), .getChildren2(path: "/q", watch: false),
        ]
    }

    private func connect() {
        guard let server = world.servers.randomElement(using: &memory.random) else { return }
        memory.state = .connecting
        memory.server = server.id
        memory.lastHeard = world.now
        memory.outstanding.removeAll()
        memory.workload.connectionLost()
        if manners.restartsXids { memory.nextXid = 1 }
        input = ByteBuffer()
        output = ByteBuffer()
        isReading = false
        var number: Int?
        let cable = world.switchboard.dial(Switchboard.clientPort(of: server.id), from: .client(self.number)) { [unowned self] isAccepted in
            guard self.cable?.number == number, memory.state == .connecting else { return }
            if isAccepted { introduce() } else { memory.state = .disconnected }
        }
        number = cable.number
        self.cable = cable
        cables.append(cable)
        if cables.count > 4 { _ = cables.popFirst() }
        cable.attach(self, as: .dialler)
    }

    private func introduce() {
        let request = ConnectRequest(
            lastZxidSeen: memory.lastZxid, timeout: 4_000, sessionID: memory.session,
            password: memory.session == 0 ? Array(repeating: 0, count: 16) : memory.password)
        output.writeFrame(request)
        push()
    }

    /// Ends the connection, or just never uses it again.
    func leave() {
        memory.state = .disconnected
        guard let cable else { return }
        if Bool.random(using: &memory.random) { cable.close(from: .dialler) }
        self.cable = nil
    }

    /// The server is told, as after closeSession.
    func disconnect() {
        memory.state = .disconnected
        cable?.close(from: .dialler)
        cable = nil
    }

    func send(_ request: Request) {
        let xid = memory.nextXid
        memory.nextXid += 1
        world.checkers.clients.asks(request)
        let number = world.checkers.history.requests.sends(
            request, xid: xid, session: memory.session, memory.identities, to: memory.server)
        if case .closeSession = request { world.checkers.sessions.asksToClose(memory.session) }
        memory.outstanding.append(
            SimClient.Outstanding(
                xid: xid, number: number, request: request, identities: memory.identities,
                floor: world.checkers.clients.acknowledged, sentAt: world.now))
        output.writeFrame(RequestFrame(xid: xid, request: request))
        push()
    }

    private func push() {
        guard let cable else { return }
        _ = cable.send(&output, from: .dialler)
        if output.readableBytes == 0 { output = ByteBuffer() }
    }

    // MARK: CableEnd

    func becameWritable() { push() }

    func becameReadable() {
        guard let cable, !isReading else { return }
        isReading = true
        let delay: Duration = manners.readsSlowly ? .milliseconds(world.timeline.draw(1...120)) : .zero
        world.timeline.schedule(.clientReads(number, connection: cable.number), in: delay)
    }

    func reads(_ connection: Int) {
        guard let cable, cable.number == connection else { return }
        isReading = false
        let limit = manners.readsSlowly ? 40_000 : 1 << 20
        switch cable.read(at: .dialler, limit: limit) {
        case .nothing: return
        case .bytes(var bytes):
            input.writeBuffer(&bytes)
            memory.lastHeard = world.now
            take()
        case .end, .reset:
            cable.close(from: .dialler)
            self.cable = nil
            memory.state = .disconnected
            return
        }
        if self.cable === cable, cable.hasNews(at: .dialler) { becameReadable() }
    }

    private func take() {
        do throws(CodecError) {
            while cable != nil, let frame = try input.readFrame(limit: FrameLimit.greatest) { try take(frame) }
        } catch {
            world.checkers.fail(.soundness, "client \(number) can't read what \(memory.server) sent: \(error)")
        }
        input.discardReadBytes()
    }

    private func take(_ frame: ByteBuffer) throws(CodecError) {
        guard memory.state == .connected else { return welcomed(try ConnectResponse(frame: frame)) }
        var frame = frame
        let header = try ReplyHeader(readingFrom: &frame)
        if header.xid == ReplyHeader.watchEventXid {
            let event = try WatchEvent(header: header, body: frame)
            if event.zxid != .none { sees(event.zxid) }
            return world.judge { memory.watches.received(event, $0.history, memory.identities, who: number, &$0.verdict) }
        }
        guard let sent = memory.outstanding.popFirst() else {
            return world.checkers.fail(.sessionOrder, "client \(number): a reply to \(header.xid), which it did not ask")
        }
        guard sent.xid == header.xid else {
            return world.checkers.fail(.sessionOrder, "client \(number): the reply to \(header.xid) came before that to \(sent.xid), \(sent.request), of session \(session): \(condition)")
        }
        received(try Reply(header: header, op: OpCode(rawValue: sent.request.op) ?? .error, body: frame), to: sent)
    }
}
