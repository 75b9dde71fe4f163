import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperServer
import NIOCore
import NIOEmbedded
import Testing

/// A connection in an embedded channel, with the events that it raised.
private final class Rig {
    let loop = EmbeddedEventLoop()
    let turn: LoopTurn
    let table: ClientTable
    let channel: EmbeddedChannel
    var connection: ClientConnection
    var events: [KeeperEvent] = []

    init(_ change: (inout ClientPolicy) -> Void = { _ in }) throws {
        var policy = ClientPolicy()
        change(&policy)
        turn = LoopTurn(eventLoop: loop)
        table = ClientTable(turn: turn, policy: policy, statistics: ServerStatistics())
        connection = try #require(table.admit(address: "127.0.0.1", port: 4000))
        channel = EmbeddedChannel(handler: connection, loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 2181)).wait()
        turn.step = { [unowned self] event, _ in events.append(event) }
        table.answer = { Array("answer to \($0.rawValue)".utf8) }
    }

    func send(_ bytes: [UInt8]) throws { try channel.writeInbound(ByteBuffer(bytes: bytes)) }

    func open() throws {
        try send(Rig.frame(ConnectRequest(timeout: 4000)))
        connection.send(ConnectResponse(timeout: 4000, sessionID: 7, password: Array(repeating: 1, count: 16), readOnly: false))
        loop.run()
        events = []
    }

    static func frame(_ record: some JuteRecord) -> [UInt8] {
        var buffer = ByteBuffer()
        buffer.writeFrame(record)
        return Array(buffer.readableBytesView)
    }

    static func get(_ xid: Int32) -> [UInt8] {
        frame(RequestFrame(xid: xid, request: .getData(path: "/a", watch: false)))
    }

    var xids: [Int32] {
        events.compactMap { if case .requested(_, let xid, _) = $0 { xid } else { nil } }
    }

    func outbound() throws -> [UInt8] {
        var all: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { all += Array(buffer.readableBytesView) }
        return all
    }
}

/// As NIO's channels do: what follows from a write is told before it returns.
private final class FullSocket: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var fillsUp = false

    func flush(context: ChannelHandlerContext) {
        context.flush()
        guard fillsUp, let channel = context.channel as? EmbeddedChannel else { return }
        fillsUp = false
        for isWritable in [false, true] {
            channel.isWritable = isWritable
            context.fireChannelWritabilityChanged()
        }
    }
}

@Suite struct ClientConnectionTests {
    /// A world of whole servers found it: a request that waited while the socket was full was taken up within the write
    /// that emptied it, and its answer went with the buffer that had been written.
    @Test func whatIsAnsweredWhileAWriteIsUnderWayIsNotLost() throws {
        let rig = try Rig { $0.outstandingPerConnection = 1 }
        let socket = FullSocket()
        try rig.channel.pipeline.syncOperations.addHandler(socket, position: .first)
        try rig.open()
        _ = try rig.outbound()
        rig.turn.step = { [unowned rig] event, _ in
            rig.events.append(event)
            if case .requested(_, xid: 2, _) = event { rig.connection.send(Reply(xid: 2, zxid: .zero)) }
        }
        // The second waits until the first is answered.
        try rig.send(Rig.get(1) + Rig.get(2))
        #expect(rig.xids == [1])
        socket.fillsUp = true
        rig.connection.send(Reply(xid: 1, zxid: .zero))
        rig.loop.run()
        #expect(rig.xids == [1, 2])
        let sent = try rig.outbound()
        #expect(sent == Rig.frame(Reply(xid: 1, zxid: .zero)) + Rig.frame(Reply(xid: 2, zxid: .zero)))
    }

    @Test func framesSplitAtEveryByteAreTheSame() throws {
        let connect = Rig.frame(ConnectRequest(timeout: 4000))
        let requests = Rig.get(1) + Rig.get(2) + Rig.get(3)
        for split in 1..<requests.count {
            let rig = try Rig()
            for byte in connect { try rig.send([byte]) }
            #expect(rig.events.count == 2)
            rig.connection.send(ConnectResponse(timeout: 4000, sessionID: 7, password: [], readOnly: false))
            try rig.send(Array(requests[..<split]))
            try rig.send(Array(requests[split...]))
            rig.loop.run()
            #expect(rig.xids == [1, 2, 3], "split at \(split)")
        }
    }

    @Test func framesBehindTheConnectRequestWaitForItsAnswer() throws {
        let rig = try Rig()
        try rig.send(Rig.frame(ConnectRequest(timeout: 4000)) + Rig.get(1))
        #expect(rig.xids.isEmpty)
        rig.connection.send(ConnectResponse(timeout: 4000, sessionID: 7, password: [], readOnly: false))
        rig.loop.run()
        #expect(rig.xids == [1])
    }

    @Test(arguments: [
        [0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff], [0, 0x10, 0, 0],
        [0, 0, 0, 3, 1, 2, 3], Array("GET / HTTP/1.1\r\n\r\n".utf8), [0x16, 0x03, 0x01, 0x02, 0x00, 0x01],
    ] as [[UInt8]])
    func garbageClosesTheConnectionAndRaisesNothing(bytes: [UInt8]) throws {
        let rig = try Rig()
        try rig.send(bytes)
        rig.loop.run()
        #expect(!rig.channel.isActive)
        #expect(rig.events.isEmpty)
        #expect(rig.table.count == 0)
    }

    @Test func anOversizedFrameClosesAnOpenConnection() throws {
        let rig = try Rig()
        try rig.open()
        try rig.send([0, 0x20, 0, 0])
        rig.loop.run()
        #expect(!rig.channel.isActive)
        #expect(rig.events.count == 1)
        guard case .clientDisconnected? = rig.events.first else { return #expect(Bool(false)) }
    }

    @Test func repliesOfATurnAreOneWrite() throws {
        let rig = try Rig()
        try rig.open()
        _ = try rig.outbound()
        try rig.send(Rig.get(1) + Rig.get(2) + Rig.get(3))
        for xid in rig.xids { rig.connection.send(Reply(xid: xid, zxid: .zero, body: .data([], .zero))) }
        #expect(try rig.channel.readOutbound(as: ByteBuffer.self) == nil)
        rig.loop.run()
        var frames = try #require(try rig.channel.readOutbound(as: ByteBuffer.self))
        #expect(try rig.channel.readOutbound(as: ByteBuffer.self) == nil)
        for xid: Int32 in 1...3 {
            var frame = try #require(try frames.readFrame())
            #expect(try ReplyHeader(readingFrom: &frame).xid == xid)
        }
    }

    @Test func atTheOutstandingLimitReadingStopsUntilRepliesDrain() throws {
        let rig = try Rig { $0.outstandingPerConnection = 4 }
        try rig.open()
        try rig.send((1...10).flatMap { Rig.get($0) })
        #expect(rig.xids == [1, 2, 3, 4])
        for xid: Int32 in 1...4 { rig.connection.send(Reply(xid: xid, zxid: .zero)) }
        rig.loop.run()
        #expect(rig.xids == [1, 2, 3, 4, 5, 6, 7, 8])
        for xid: Int32 in 5...8 { rig.connection.send(Reply(xid: xid, zxid: .zero)) }
        rig.loop.run()
        for xid: Int32 in 9...10 { rig.connection.send(Reply(xid: xid, zxid: .zero)) }
        rig.loop.run()
        #expect(rig.xids == Array(1...10))
        #expect(rig.table.outstandingRequests == 0)
    }

    /// A hundred requests of some twenty bytes, each answered with 100 KB: they leave as they come, so that a socket that
    /// is full stops more from being asked.
    @Test(arguments: [true, false]) func largeRepliesDoNotGatherInOneBuffer(atOnce: Bool) throws {
        let rig = try Rig()
        try rig.open()
        _ = try rig.outbound()
        let (turn, data) = (rig.turn, [UInt8](repeating: 7, count: 100_000))
        func answer(_ connection: ClientConnection, _ xid: Int32) {
            connection.send(Reply(xid: xid, zxid: .zero, body: .data(data[...], .zero)))
        }
        if atOnce {
            turn.step = { [unowned rig] event, _ in
                if case .requested(_, let xid, _) = event { answer(rig.connection, xid) }
            }
        }
        try rig.send((1...100).flatMap { Rig.get($0) })
        // Behind a write all of it is answered in one turn.
        if !atOnce { for xid: Int32 in 1...100 { answer(rig.connection, xid) } }
        rig.loop.run()
        var total = 0
        while let buffer = try rig.channel.readOutbound(as: ByteBuffer.self) {
            #expect(buffer.readableBytes < 400_000)
            total += buffer.readableBytes
        }
        #expect(total > 100 * data.count)
    }

    @Test func aClosedConnectionGivesItsOutstandingRequestsBack() throws {
        let rig = try Rig()
        try rig.open()
        try rig.send(Rig.get(1) + Rig.get(2))
        #expect(rig.table.outstandingRequests == 2)
        try rig.channel.close().wait()
        rig.loop.run()
        #expect(rig.table.outstandingRequests == 0)
    }

    @Test(arguments: FourLetterWord.allCases)
    func aFourLetterWordIsAnsweredAndTheConnectionClosed(word: FourLetterWord) throws {
        let rig = try Rig()
        for byte in word.rawValue.utf8 { try rig.send([byte]) }
        rig.loop.run()
        #expect(try rig.outbound() == Array("answer to \(word.rawValue)".utf8))
        #expect(!rig.channel.isActive)
        #expect(rig.events.isEmpty)
    }

    @Test func aConnectionWithoutASessionIsClosedInTime() throws {
        let rig = try Rig { $0.openingTimeout = .milliseconds(1) }
        rig.table.closeOverdue(at: rig.turn.now + .seconds(1))
        rig.loop.run()
        #expect(!rig.channel.isActive)
        let open = try Rig { $0.openingTimeout = .milliseconds(1) }
        try open.open()
        open.table.closeOverdue(at: open.turn.now + .seconds(1))
        open.loop.run()
        #expect(open.channel.isActive)
    }

    @Test func limitsPerAddressAndInTotal() throws {
        let rig = try Rig { $0.connectionsPerAddress = 2; $0.connections = 3 }
        #expect(rig.table.admit(address: "127.0.0.1", port: 1) != nil)
        #expect(rig.table.admit(address: "127.0.0.1", port: 2) == nil)
        #expect(rig.table.admit(address: "127.0.0.2", port: 3) != nil)
        #expect(rig.table.admit(address: "127.0.0.3", port: 4) == nil)
    }

    @Test func digestCredentials() {
        // Apache's documentation of DigestAuthenticationProvider: super:admin.
        #expect(Credentials.digest(of: Array("super:admin".utf8)) == "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=")
        let proved = Credentials.identities(
            scheme: "digest", credential: Array("super:admin".utf8), superDigest: "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=",
            address: "10.0.0.1")
        #expect(proved?.map(\.scheme) == ["super", "digest"])
        // Without a colon, all of it is the user (printf u | openssl sha1 -binary | base64).
        #expect(Credentials.digest(of: Array("u".utf8)) == "u:UeaYkqtJ34XGIwzMV/jh0WBsrMw=")
        #expect(Credentials.identities(scheme: "x509", credential: [], superDigest: nil, address: "") == nil)
        // Null proves nothing (issue 8, A32), empty bytes are a user without a name.
        #expect(Credentials.identities(scheme: "digest", credential: nil, superDigest: nil, address: "") == nil)
        #expect(Credentials.identities(scheme: "digest", credential: [], superDigest: nil, address: "")?.count == 1)
        #expect(Credentials.identities(scheme: "ip", credential: nil, superDigest: nil, address: "::1")?.count == 1)
    }

    @Test func authRequestsArriveAsIdentities() throws {
        let rig = try Rig()
        try rig.open()
        try rig.send(Rig.frame(RequestFrame(xid: -4, request: .auth(type: 0, scheme: "digest", credential: Array("u:p".utf8)))))
        guard case .authenticated(_, -4, let identities)? = rig.events.first else { return #expect(Bool(false)) }
        #expect(identities?.map(\.scheme) == ["digest"])
    }
}

extension Stat {
    fileprivate static let zero = Stat(
        czxid: .zero, mzxid: .zero, ctime: 0, mtime: 0, version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0, dataLength: 0,
        numChildren: 0, pzxid: .zero)
}
