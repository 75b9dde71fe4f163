import EnsembleBase
import KeeperCore

/// A client session's judgement: which server to try, what to send when, what an answer or a silence means.
///
/// Pure: the shell opens channels, moves bytes and holds callbacks; it feeds events and performs the actions in order.
/// Requests are sent in the order of the calls and answered in that order, hence a FIFO and no lookup by xid.
struct SessionMachine: Sendable {
    enum State: Sendable {
        /// Made, not started. → connecting
        case idle
        /// A TCP connection is being opened. → handshaking (opened), waiting (failed), closed
        case connecting(ChannelToken, giveUpAt: Instant)
        /// The connect request is sent. → connected (granted), waiting (connection lost), ended (session refused)
        case handshaking(ChannelToken, giveUpAt: Instant)
        /// The session is served. → waiting (connection lost or silent), closing, ended
        case connected(ChannelToken)
        /// Every server was tried: a pause before the next round. → connecting, ended
        case waiting(until: Instant)
        /// closeSession is sent. → ended (answered, connection lost, or out of time)
        case closing(ChannelToken, giveUpAt: Instant)
        /// Final. Every call fails with the error.
        case ended(SessionStatus)
    }

    /// A request on the wire, or waiting to be.
    private enum Item {
        case call(Call)
        case auth(Int)
        case housekeeping
    }

    private struct Sent {
        var xid: Int32
        var request: Request
        var item: Item
        var at: Instant
    }

    struct Limits: Sendable {
        /// Requests that wait for an answer or for a connection.
        var outstanding = 10_000
    }

    struct Credential: Hashable, Sendable {
        var scheme: ByteString
        var secret: [UInt8]
    }

    private(set) var state = State.idle
    /// 0 until a server has granted a session.
    private(set) var sessionID: SessionID = 0
    private(set) var lastZxid = Zxid.zero
    /// What the server granted, or until then what is asked for.
    private(set) var timeout: Duration
    /// When the latest request was sent that a server has answered: the session was alive then. It cannot have expired
    /// before this plus `timeout`, because a server starts counting when it receives.
    private(set) var provenAliveAt: Instant?
    private(set) var watches = WatchRegistry()

    private let servers: [ConnectString.Server]
    private let limits: Limits
    private var random: SeededRandom
    private var backoff = Backoff(initial: .milliseconds(50), ceiling: .seconds(2))
    private var nextServer = 0
    private var failuresInRound = 0
    private var nextChannel: UInt64 = 0
    private var nextXid: Int32 = 1
    private var password = [UInt8](repeating: 0, count: 16)
    private var credentials: [Credential] = []
    /// Calls not yet sent, in order.
    private var queued: [Call] = []
    private var sent = FIFO<Sent>()
    /// Credentials on the wire. Apache's servers answer them at once, past the requests that were sent before and wait.
    private var sentCredentials = FIFO<Sent>()
    /// Calls whose caller has gone away; their answers are still due in order.
    private var abandoned: Set<CallToken> = []
    /// No call that is waited for is due before this. A bound, not the exact minimum, so that a step costs the same
    /// however many calls are outstanding; `passTime` makes it exact again.
    private var earliestCallDeadline = Instant.distantFuture
    private var lastSentAt = Instant.origin
    private var lastHeardAt = Instant.origin

    /// What opens the session again, also from another process; nil until a server has granted one.
    var ticket: SessionTicket? { sessionID == 0 ? nil : SessionTicket(id: sessionID, password: password) }

    /// - Parameters:
    ///   - seed: orders the servers, so that the clients of an ensemble spread over it.
    ///   - ticket: of the session to go on with; nil: a new one is asked for.
    init(
        servers: [ConnectString.Server], timeout: Duration, limits: Limits = Limits(), seed: UInt64, resuming ticket: SessionTicket? = nil
    ) {
        var random = SeededRandom(seed: seed)
        var order = servers
        for index in order.indices.dropLast() {
            order.swapAt(index, Int.random(in: index..<order.count, using: &random))
        }
        self.servers = order
        self.timeout = timeout
        self.limits = limits
        self.random = random
        if let ticket { (sessionID, password) = (ticket.id, ticket.password) }
    }

    /// The request that the next reply of this xid answers: the shell needs it to decode the body.
    func awaited(_ xid: Int32) -> Request? {
        (xid == SessionMachine.credentialXid ? sentCredentials : sent).first?.request
    }

    /// Of every `auth` request (reference/zookeeper.md, 1.1).
    private static let credentialXid: Int32 = -4

    /// Until when the session is certainly alive, as far as this side knows; nil before the first answer.
    var certainUntil: Instant? { provenAliveAt.map { $0 + timeout } }

    var status: SessionStatus {
        switch state {
        case .connected, .closing: .connected
        case .idle, .connecting, .handshaking, .waiting: .disconnected
        case .ended(let status): status
        }
    }

    mutating func step(_ event: SessionEvent, at now: Instant, into actions: inout ActionBuffer<SessionAction>) {
        switch event {
        case .started: connectNext(at: now, into: &actions)
        case .called(let call): accept(call, at: now, into: &actions)
        case .callCancelled(let token): abandon(token, into: &actions)
        case .watchDropped(let token, let kind, let path): dropWatch(token, kind, path, at: now, into: &actions)
        case .channelOpened(let channel): greet(channel, at: now, into: &actions)
        case .channelClosed(let channel, let reason): lose(channel, reason, at: now, into: &actions)
        case .connectAnswered(let channel, let response): settle(channel, response, at: now, into: &actions)
        case .replied(let channel, let reply): answer(channel, reply, at: now, into: &actions)
        case .watchFired(let channel, let event): fire(channel, event, at: now, into: &actions)
        case .closeRequested: close(at: now, into: &actions)
        case .abandoned:
            if let channel { actions.append(.closeChannel(channel)) }
            if !status.isFinal { end(.closed, into: &actions) }
        case .timePassed: passTime(at: now, into: &actions)
        }
    }
}

// MARK: - Connecting

extension SessionMachine {
    /// The channel of the present state, if it has one.
    private var channel: ChannelToken? {
        switch state {
        case .connecting(let channel, _), .handshaking(let channel, _), .connected(let channel), .closing(let channel, _): channel
        case .idle, .waiting, .ended: nil
        }
    }

    private mutating func connectNext(at now: Instant, into actions: inout ActionBuffer<SessionAction>) {
        let server = servers[nextServer % servers.count]
        nextServer += 1
        nextChannel += 1
        let channel = ChannelToken(rawValue: nextChannel)
        // One round over all servers fits into the session's timeout, so that it can outlive all but one of them.
        let patience = max(timeout / servers.count, .milliseconds(200))
        state = .connecting(channel, giveUpAt: now + patience)
        actions.append(.openChannel(channel, to: server, within: patience))
    }

    private mutating func greet(_ opened: ChannelToken, at now: Instant, into actions: inout ActionBuffer<SessionAction>) {
        guard case .connecting(let channel, let giveUpAt) = state, channel == opened else {
            actions.append(.closeChannel(opened))
            return
        }
        state = .handshaking(channel, giveUpAt: giveUpAt)
        lastSentAt = now
        let milliseconds = Int32(clamping: timeout.inMilliseconds)
        actions.append(.sendConnect(channel, ConnectRequest(
            lastZxidSeen: lastZxid, timeout: milliseconds, sessionID: sessionID, password: password)))
    }

    private mutating func settle(
        _ from: ChannelToken, _ response: ConnectResponse, at now: Instant, into actions: inout ActionBuffer<SessionAction>
    ) {
        guard case .handshaking(let channel, _) = state, channel == from else { return }
        guard response.timeout > 0, response.sessionID != 0 else {
            actions.append(.closeChannel(channel))
            end(.expired, into: &actions)
            return
        }
        state = .connected(channel)
        failuresInRound = 0
        backoff.reset()
        sessionID = response.sessionID
        password = response.password
        timeout = .milliseconds(Int64(response.timeout))
        provenAliveAt = lastSentAt
        lastHeardAt = now
        actions.append(.changed(.connected))
        // Credentials first, since a watch may need them; watches next, so that no event is missed by what follows.
        for index in credentials.indices { sendCredential(index, on: channel, at: now, into: &actions) }
        for renewal in watches.renewals(relativeTo: lastZxid) {
            put(renewal, xid: -8, .housekeeping, on: channel, at: now, into: &actions)
        }
        let waiting = queued
        queued = []
        for call in waiting { send(call, on: channel, at: now, into: &actions) }
    }

    private mutating func lose(
        _ lost: ChannelToken, _ reason: String, at now: Instant, into actions: inout ActionBuffer<SessionAction>
    ) {
        guard lost == channel else { return }
        switch state {
        case .closing: end(.closed, into: &actions)
        case .connected:
            failSent(into: &actions)
            actions.append(.changed(.disconnected))
            connectNext(at: now, into: &actions)
        case .connecting, .handshaking:
            failuresInRound += 1
            if failuresInRound >= servers.count {
                failuresInRound = 0
                state = .waiting(until: now + backoff.next(using: &random))
            } else {
                connectNext(at: now, into: &actions)
            }
        case .idle, .waiting, .ended: break
        }
    }

    /// Everything on the wire has an unknown outcome now. Nothing is sent again: a write could happen twice.
    private mutating func failSent(into actions: inout ActionBuffer<SessionAction>) {
        while let lost = sent.popFirst() ?? sentCredentials.popFirst() {
            guard case .call(let call) = lost.item else { continue }
            guard abandoned.remove(call.token) == nil else { continue }
            actions.append(.complete(call.token, .failure(.connectionLost(.unknown))))
        }
        abandoned.removeAll()
    }
}

// MARK: - Calls

extension SessionMachine {
    private mutating func accept(_ call: Call, at now: Instant, into actions: inout ActionBuffer<SessionAction>) {
        if case .ended(let status) = state {
            actions.append(.complete(call.token, .failure(Self.error(for: status))))
            return
        }
        if case .closing = state {
            actions.append(.complete(call.token, .failure(.closed)))
            return
        }
        guard sent.count + sentCredentials.count + queued.count < limits.outstanding else {
            actions.append(.complete(call.token, .failure(.overloaded(limit: limits.outstanding))))
            return
        }
        earliestCallDeadline = min(earliestCallDeadline, call.deadline)
        if case .connected(let channel) = state {
            send(call, on: channel, at: now, into: &actions)
        } else {
            // Never sent, hence safe to send later: it waits for the connection until its deadline.
            queued.append(call)
        }
    }

    private mutating func send(
        _ call: Call, on channel: ChannelToken, at now: Instant, into actions: inout ActionBuffer<SessionAction>
    ) {
        if case .auth(_, let scheme, let secret?) = call.request {
            let credential = Credential(scheme: scheme, secret: secret)
            if !credentials.contains(credential) { credentials.append(credential) }
            put(call.request, xid: SessionMachine.credentialXid, .call(call), on: channel, at: now, into: &actions)
            return
        }
        let xid = nextXid
        // Negative xids are the protocol's own (reference/zookeeper.md, 1.1).
        nextXid = nextXid == .max ? 1 : nextXid + 1
        put(call.request, xid: xid, .call(call), on: channel, at: now, into: &actions)
    }

    private mutating func sendCredential(
        _ index: Int, on channel: ChannelToken, at now: Instant, into actions: inout ActionBuffer<SessionAction>
    ) {
        let credential = credentials[index]
        let request = Request.auth(type: 0, scheme: credential.scheme, credential: credential.secret)
        put(request, xid: SessionMachine.credentialXid, .auth(index), on: channel, at: now, into: &actions)
    }

    private mutating func put(
        _ request: Request, xid: Int32, _ item: Item, on channel: ChannelToken, at now: Instant,
        into actions: inout ActionBuffer<SessionAction>
    ) {
        let record = Sent(xid: xid, request: request, item: item, at: now)
        if xid == SessionMachine.credentialXid { sentCredentials.append(record) } else { sent.append(record) }
        lastSentAt = now
        actions.append(.send(channel, xid: xid, request))
    }

    /// The caller no longer waits. A queued call is taken back; a sent one keeps its place among the answers.
    private mutating func abandon(_ token: CallToken, into actions: inout ActionBuffer<SessionAction>) {
        if let index = queued.firstIndex(where: { $0.token == token }) {
            queued.remove(at: index)
            actions.append(.complete(token, .failure(.cancelled(.notSent))))
            return
        }
        guard sentCalls.contains(where: { $0.token == token }), abandoned.insert(token).inserted else { return }
        actions.append(.complete(token, .failure(.cancelled(.unknown))))
    }

    private var sentCalls: [Call] {
        func call(_ sent: Sent) -> Call? { if case .call(let call) = sent.item { call } else { nil } }
        return (0..<sent.count).compactMap { call(sent[$0]) } + (0..<sentCredentials.count).compactMap { call(sentCredentials[$0]) }
    }

    private mutating func answer(
        _ from: ChannelToken, _ reply: Reply, at now: Instant, into actions: inout ActionBuffer<SessionAction>
    ) {
        guard from == channel else { return }
        let isOfCredential = reply.xid == SessionMachine.credentialXid
        guard let head = isOfCredential ? sentCredentials.popFirst() : sent.popFirst(), head.xid == reply.xid else {
            // The server broke the order: nothing on this connection can be trusted any more.
            actions.append(.closeChannel(from))
            lose(from, "reply \(reply.xid) out of order", at: now, into: &actions)
            return
        }
        lastHeardAt = now
        provenAliveAt = head.at
        if reply.zxid > lastZxid { lastZxid = reply.zxid }
        if case .closeSession = head.request {
            actions.append(.closeChannel(from))
            end(.closed, into: &actions)
            return
        }
        if case .auth = head.request, reply.error != nil {
            actions.append(.closeChannel(from))
            if case .call(let call) = head.item { actions.append(.complete(call.token, .failure(.authenticationRefused))) }
            end(.authenticationRefused, into: &actions)
            return
        }
        guard case .call(let call) = head.item else { return }
        register(call, reply)
        guard abandoned.remove(call.token) == nil else { return }
        actions.append(.complete(call.token, .success(reply)))
    }

    /// The server has set the watch only if the read succeeded, or, for exists, if it found nothing.
    private mutating func register(_ call: Call, _ reply: Reply) {
        guard let watch = call.watch else { return }
        switch call.request {
        case .exists(let path, _):
            if reply.error == nil { watches.add(watch.token, .data, at: path) }
            if reply.error == .noNode { watches.add(watch.token, .exist, at: path) }
        case .getData(let path, _), .getChildren(let path, _), .getChildren2(let path, _), .addWatch(let path, _):
            if reply.error == nil { watches.add(watch.token, watch.kind, at: path) }
        default: break
        }
    }

    private mutating func fire(
        _ from: ChannelToken, _ event: WatchEvent, at now: Instant, into actions: inout ActionBuffer<SessionAction>
    ) {
        guard from == channel else { return }
        lastHeardAt = now
        for token in watches.fire(event.type, at: event.path) { actions.append(.deliver(token, event)) }
    }

    private mutating func dropWatch(
        _ token: WatchToken, _ kind: WatchRegistry.Kind, _ path: NodePath, at now: Instant,
        into actions: inout ActionBuffer<SessionAction>
    ) {
        guard watches.remove(token, kind, at: path), case .connected(let channel) = state else { return }
        let type: WatcherType = kind == .recursive ? .persistentRecursive : .persistent
        let xid = nextXid
        nextXid = nextXid == .max ? 1 : nextXid + 1
        put(.removeWatches(path: path, type: type), xid: xid, .housekeeping, on: channel, at: now, into: &actions)
    }
}

// MARK: - Time and the end

extension SessionMachine {
    /// When `timePassed` is due: the earliest of the connection's own limits and the callers' deadlines.
    var deadline: Instant? {
        var due: Instant?
        func consider(_ instant: Instant) { due = min(due ?? instant, instant) }
        switch state {
        case .idle, .ended: return nil
        case .connecting(_, let giveUpAt), .handshaking(_, let giveUpAt), .closing(_, let giveUpAt): consider(giveUpAt)
        case .waiting(let until): consider(until)
        case .connected:
            consider(lastSentAt + pingInterval)
            consider(lastHeardAt + silenceLimit)
        }
        if earliestCallDeadline < .distantFuture { consider(earliestCallDeadline) }
        return due
    }

    /// A ping this long after the last request keeps the session alive with a margin for one lost round.
    private var pingInterval: Duration { timeout / 3 }
    /// A server silent this long is given up while there is still time to reach another before the session expires.
    private var silenceLimit: Duration { timeout * 2 / 3 }

    private mutating func passTime(at now: Instant, into actions: inout ActionBuffer<SessionAction>) {
        if earliestCallDeadline <= now { endWaits(at: now, into: &actions) }
        switch state {
        case .connecting(let channel, let giveUpAt), .handshaking(let channel, let giveUpAt):
            guard giveUpAt <= now else { return }
            actions.append(.closeChannel(channel))
            lose(channel, "no answer in time", at: now, into: &actions)
        case .waiting(let until):
            if until <= now { connectNext(at: now, into: &actions) }
        case .connected(let channel):
            if lastHeardAt + silenceLimit <= now {
                actions.append(.closeChannel(channel))
                lose(channel, "the server fell silent", at: now, into: &actions)
            } else if lastSentAt + pingInterval <= now {
                put(.ping, xid: -2, .housekeeping, on: channel, at: now, into: &actions)
            }
        case .closing(let channel, let giveUpAt):
            guard giveUpAt <= now else { return }
            actions.append(.closeChannel(channel))
            end(.closed, into: &actions)
        case .idle, .ended: break
        }
    }

    /// Fails every call whose deadline has come.
    private mutating func endWaits(at now: Instant, into actions: inout ActionBuffer<SessionAction>) {
        earliestCallDeadline = .distantFuture
        for call in queued where call.deadline <= now {
            actions.append(.complete(call.token, .failure(.timedOut(.notSent))))
        }
        queued.removeAll { $0.deadline <= now }
        for call in queued { earliestCallDeadline = min(earliestCallDeadline, call.deadline) }
        for call in sentCalls where !abandoned.contains(call.token) {
            if call.deadline <= now {
                abandoned.insert(call.token)
                actions.append(.complete(call.token, .failure(.timedOut(.unknown))))
            } else {
                earliestCallDeadline = min(earliestCallDeadline, call.deadline)
            }
        }
    }

    private mutating func close(at now: Instant, into actions: inout ActionBuffer<SessionAction>) {
        switch state {
        case .connected(let channel):
            for call in queued { actions.append(.complete(call.token, .failure(.closed))) }
            queued = []
            put(.closeSession, xid: nextXid, .housekeeping, on: channel, at: now, into: &actions)
            state = .closing(channel, giveUpAt: now + min(timeout, .seconds(5)))
        case .connecting(let channel, _), .handshaking(let channel, _):
            actions.append(.closeChannel(channel))
            end(.closed, into: &actions)
        case .idle, .waiting: end(.closed, into: &actions)
        case .closing, .ended: break
        }
    }

    private mutating func end(_ status: SessionStatus, into actions: inout ActionBuffer<SessionAction>) {
        state = .ended(status)
        failSent(into: &actions)
        for call in queued { actions.append(.complete(call.token, .failure(Self.error(for: status)))) }
        queued = []
        for watch in watches.drain() { actions.append(.endWatch(watch.token, watch.path)) }
        actions.append(.changed(status))
    }

    static func error(for status: SessionStatus) -> KeeperClientError {
        switch status {
        case .expired: .sessionExpired
        case .authenticationRefused: .authenticationRefused
        case .closed, .connected, .disconnected: .closed
        }
    }
}
