import EnsembleBase
import KeeperCore
import Testing

@testable import KeeperClient

/// A machine, a clock and what it asked for last.
private struct Bench {
    var machine: SessionMachine
    var now = Instant.origin
    var log: [SessionAction] = []
    private var actions = ActionBuffer<SessionAction>()
    private var tokens: UInt64 = 0

    init(servers: Int = 2, timeout: Duration = .seconds(9), outstanding: Int = 100) {
        let list = (1...servers).map { ConnectString.Server(host: "s\($0)", port: 2181) }
        var limits = SessionMachine.Limits()
        limits.outstanding = outstanding
        machine = SessionMachine(servers: list, timeout: timeout, limits: limits, seed: 7)
    }

    mutating func step(_ event: SessionEvent) -> [SessionAction] {
        machine.step(event, at: now, into: &actions)
        log = actions.drain()
        return log
    }

    mutating func pass(_ duration: Duration) -> [SessionAction] {
        now = now + duration
        return step(.timePassed)
    }

    /// Goes on to the next channel that the machine opens and grants the session there.
    mutating func connect(session: SessionID = 42, timeout: Int32 = 9000) -> [SessionAction] {
        let opened = log.isEmpty ? step(.started) : log
        guard let channel = Bench.channel(in: opened) else { return [] }
        _ = step(.channelOpened(channel))
        return step(.connectAnswered(
            channel, ConnectResponse(timeout: timeout, sessionID: session, password: [1, 2], readOnly: false)))
    }

    var channel: ChannelToken {
        if case .connected(let channel) = machine.state { return channel }
        return ChannelToken(rawValue: 0)
    }

    mutating func call(_ request: Request, within: Duration = .seconds(5), watch: WatchRegistry.Kind? = nil) -> (CallToken, [SessionAction]) {
        tokens += 1
        let token = CallToken(rawValue: tokens)
        let watch = watch.map { (token: WatchToken(rawValue: tokens), kind: $0) }
        return (token, step(.called(Call(token: token, request: request, deadline: now + within, watch: watch))))
    }

    static func channel(in actions: [SessionAction]) -> ChannelToken? {
        for case .openChannel(let token, _, _) in actions { return token }
        return nil
    }

    static func completed(_ token: CallToken, in actions: [SessionAction]) -> Bool {
        for case .complete(token, .success) in actions { return true }
        return false
    }

    static func sent(in actions: [SessionAction]) -> [(xid: Int32, request: Request)] {
        actions.compactMap { if case .send(_, let xid, let request) = $0 { (xid, request) } else { nil } }
    }

    static func failure(of token: CallToken, in actions: [SessionAction]) -> KeeperClientError? {
        for case .complete(token, .failure(let error)) in actions { return error }
        return nil
    }

    static func reply(to token: CallToken, in actions: [SessionAction]) -> Reply? {
        for case .complete(token, .success(let reply)) in actions { return reply }
        return nil
    }
}

@Suite struct SessionMachineTests {
    let write = Request.setData(path: "/a", data: [1], version: -1)
    let read = Request.getData(path: "/a", watch: true)

    @Test func aCallMadeBeforeTheConnectionIsSentWhenItIsThere() {
        var bench = Bench()
        _ = bench.step(.started)
        let opened = bench.log
        let (token, early) = bench.call(write)
        #expect(Bench.sent(in: early).isEmpty)
        bench.log = opened
        let granted = bench.connect()
        #expect(Bench.sent(in: granted).map(\.request) == [write])
        let answered = bench.step(.replied(bench.channel, Reply(xid: 1, zxid: Zxid(rawValue: 9))))
        #expect(Bench.reply(to: token, in: answered) != nil)
        #expect(bench.machine.lastZxid == Zxid(rawValue: 9))
    }

    @Test func aWriteOnALostConnectionHasAnUnknownOutcomeAndIsNotSentAgain() {
        var bench = Bench()
        _ = bench.connect()
        let (token, _) = bench.call(write)
        let lost = bench.step(.channelClosed(bench.channel, reason: "reset"))
        #expect(Bench.failure(of: token, in: lost) == .connectionLost(.unknown))
        let again = bench.connect()
        #expect(Bench.sent(in: again).isEmpty)
    }

    @Test func aReconnectPresentsTheSessionAndItsLastZxid() {
        var bench = Bench()
        _ = bench.connect(session: 77)
        _ = bench.call(write)
        _ = bench.step(.replied(bench.channel, Reply(xid: 1, zxid: Zxid(rawValue: 5))))
        let lost = bench.step(.channelClosed(bench.channel, reason: "reset"))
        let greeted = bench.step(.channelOpened(Bench.channel(in: lost)!))
        guard case .sendConnect(_, let request)? = greeted.first else {
            Issue.record("no connect request")
            return
        }
        #expect(request.sessionID == 77)
        #expect(request.password == [1, 2])
        #expect(request.lastZxidSeen == Zxid(rawValue: 5))
    }

    @Test func credentialsThenWatchesThenCallsAreRenewedAfterAReconnect() {
        var bench = Bench()
        _ = bench.connect()
        _ = bench.call(.auth(type: 0, scheme: "digest", credential: [3]))
        _ = bench.step(.replied(bench.channel, Reply(xid: -4, zxid: .zero)))
        _ = bench.call(read, watch: .data)
        _ = bench.step(.replied(bench.channel, Reply(xid: 1, zxid: Zxid(rawValue: 5), body: .none)))
        let lost = bench.step(.channelClosed(bench.channel, reason: "reset"))
        let (_, queued) = bench.call(write)
        #expect(Bench.sent(in: queued).isEmpty)
        bench.log = lost
        let sent = Bench.sent(in: bench.connect())
        #expect(sent.map(\.xid) == [-4, -8, 2])
        #expect(sent[1].request == .setWatches(WatchSet(relativeZxid: Zxid(rawValue: 5), data: ["/a"]), extended: false))
    }

    @Test func aCallThatTimesOutKeepsItsPlaceAmongTheAnswers() {
        var bench = Bench()
        _ = bench.connect()
        let (late, _) = bench.call(write, within: .seconds(1))
        let (next, _) = bench.call(read)
        let timedOut = bench.pass(.seconds(1))
        #expect(Bench.failure(of: late, in: timedOut) == .timedOut(.unknown))
        let lateReply = bench.step(.replied(bench.channel, Reply(xid: 1, zxid: .zero)))
        #expect(Bench.reply(to: late, in: lateReply) == nil)
        let nextReply = bench.step(.replied(bench.channel, Reply(xid: 2, zxid: .zero)))
        #expect(Bench.reply(to: next, in: nextReply) != nil)
    }

    @Test func aCallThatTimesOutUnsentIsNeverSent() {
        var bench = Bench()
        _ = bench.step(.started)
        let opened = bench.log
        let (token, _) = bench.call(write, within: .seconds(1))
        let expired = bench.pass(.seconds(1))
        #expect(Bench.failure(of: token, in: expired) == .timedOut(.notSent))
        bench.log = opened
        let granted = bench.connect()
        #expect(Bench.sent(in: granted).isEmpty)
    }

    @Test func answersOutOfOrderEndTheConnection() {
        var bench = Bench()
        _ = bench.connect()
        _ = bench.call(write)
        let actions = bench.step(.replied(bench.channel, Reply(xid: 99, zxid: .zero)))
        #expect(actions.contains { if case .closeChannel = $0 { true } else { false } })
        #expect(bench.machine.status == .disconnected)
    }

    @Test func anIdleConnectionIsPingedAndASilentOneGivenUp() {
        var bench = Bench(timeout: .seconds(9))
        _ = bench.connect()
        #expect(bench.machine.deadline == Instant.origin + .seconds(3))
        let pinged = bench.pass(.seconds(3))
        #expect(Bench.sent(in: pinged).map(\.request) == [.ping])
        let silent = bench.pass(.seconds(3))
        #expect(Bench.channel(in: silent) != nil, "no new connection after 6 of 9 seconds of silence")
    }

    @Test func aSessionIsCertainOnlyFromTheSendingOfWhatWasAnswered() {
        var bench = Bench(timeout: .seconds(9))
        _ = bench.connect()
        bench.now = bench.now + .seconds(2)
        _ = bench.call(write)
        bench.now = bench.now + .seconds(2)
        _ = bench.step(.replied(bench.channel, Reply(xid: 1, zxid: .zero)))
        #expect(bench.machine.certainUntil == Instant.origin + .seconds(2) + .seconds(9))
    }

    @Test func aRefusedSessionIsTheEnd() {
        var bench = Bench()
        _ = bench.connect()
        _ = bench.call(read, watch: .data)
        _ = bench.step(.replied(bench.channel, Reply(xid: 1, zxid: .zero)))
        bench.log = bench.step(.channelClosed(bench.channel, reason: "reset"))
        let ended = bench.connect(session: 0, timeout: 0)
        #expect(bench.machine.status == .expired)
        #expect(ended.contains { if case .endWatch = $0 { true } else { false } })
        let (token, refused) = bench.call(write)
        #expect(Bench.failure(of: token, in: refused) == .sessionExpired)
        #expect(bench.machine.deadline == nil)
    }

    @Test func everyServerIsTriedBeforeAPause() {
        var bench = Bench(servers: 3)
        var hosts: Set<String> = []
        _ = bench.step(.started)
        for _ in 0..<3 {
            for case .openChannel(let channel, let server, _) in bench.log {
                hosts.insert(server.host)
                _ = bench.step(.channelClosed(channel, reason: "refused"))
                break
            }
        }
        #expect(hosts == ["s1", "s2", "s3"])
        #expect(Bench.channel(in: bench.log) == nil)
        let afterPause = bench.pass(.seconds(1))
        #expect(Bench.channel(in: afterPause) != nil)
    }

    @Test func moreThanTheLimitIsRefusedAtOnce() {
        var bench = Bench(outstanding: 2)
        _ = bench.connect()
        _ = bench.call(write)
        _ = bench.call(write)
        let (token, actions) = bench.call(write)
        #expect(Bench.failure(of: token, in: actions) == .overloaded(limit: 2))
    }

    @Test func closingSendsCloseSessionLastAndFailsWhatFollows() {
        var bench = Bench()
        _ = bench.connect()
        let (before, _) = bench.call(write)
        let closing = bench.step(.closeRequested)
        #expect(Bench.sent(in: closing).map(\.request) == [.closeSession])
        let (after, refused) = bench.call(write)
        #expect(Bench.failure(of: after, in: refused) == .closed)
        let answered = bench.step(.replied(ChannelToken(rawValue: 1), Reply(xid: 1, zxid: .zero)))
        #expect(Bench.reply(to: before, in: answered) != nil)
        _ = bench.step(.replied(ChannelToken(rawValue: 1), Reply(xid: 2, zxid: .zero)))
        #expect(bench.machine.status == .closed)
    }

    /// Apache's servers answer a credential at once, whatever was sent before it.
    @Test func aCredentialsAnswerMayOvertakeOthers() {
        var bench = Bench()
        _ = bench.connect()
        let (read, reading) = bench.call(.exists(path: "/a", watch: false))
        let (proof, _) = bench.call(.auth(type: 0, scheme: "digest", credential: [3]))
        var actions = bench.step(.replied(bench.channel, Reply(xid: -4, zxid: .zero)))
        #expect(Bench.completed(proof, in: actions))
        let xid = Bench.sent(in: reading)[0].xid
        actions = bench.step(.replied(bench.channel, Reply(xid: xid, zxid: .zero, error: .noNode)))
        #expect(Bench.completed(read, in: actions))
        #expect(bench.machine.status == .connected)
    }

    @Test func aRefusedCredentialIsTheEnd() {
        var bench = Bench()
        _ = bench.connect()
        let (token, _) = bench.call(.auth(type: 0, scheme: "nonsense", credential: []))
        let actions = bench.step(.replied(bench.channel, Reply(xid: -4, zxid: .zero, error: .authFailed)))
        #expect(Bench.failure(of: token, in: actions) == .authenticationRefused)
        #expect(bench.machine.status == .authenticationRefused)
    }

    @Test func whatAnOldConnectionStillDeliversIsIgnored() {
        var bench = Bench()
        _ = bench.connect()
        let old = bench.channel
        bench.log = bench.step(.channelClosed(old, reason: "reset"))
        _ = bench.connect()
        let (token, _) = bench.call(write)
        let stale = bench.step(.replied(old, Reply(xid: 1, zxid: .zero)))
        #expect(Bench.reply(to: token, in: stale) == nil)
        #expect(bench.machine.status == .connected)
    }
}
