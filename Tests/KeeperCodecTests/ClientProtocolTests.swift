import EnsembleBase
import FuzzedParsers
import KeeperCodec
import KeeperCore
import NIOCore
import Testing

@Suite struct ClientProtocolTests {
    @Test(arguments: 0..<40 as Range<UInt64>) func requestsRoundTrip(seed: UInt64) throws {
        var samples = SampleRecords(seed: seed)
        for request in samples.requests() {
            let frame = RequestFrame(xid: samples.int32(), request: request)
            var buffer = ByteBuffer()
            buffer.writeFrame(frame)
            #expect(try RequestFrame.next(from: &buffer) == frame)
            #expect(buffer.readableBytes == 0)
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>) func repliesRoundTrip(seed: UInt64) throws {
        var samples = SampleRecords(seed: seed)
        for (op, body) in samples.bodies() {
            let reply = Reply(xid: samples.int32(), zxid: samples.zxid(), body: body)
            var buffer = ByteBuffer()
            buffer.writeFrame(reply)
            var frame = try #require(try buffer.readFrame())
            let header = try ReplyHeader(readingFrom: &frame)
            #expect(try Reply(header: header, op: op, body: frame) == reply)
        }
    }

    /// Apache's server answers −5, but to an `auth` right, whose id it never looks at (issue 8, A32).
    @Test(arguments: [("digest", true), ("world", true), ("auth", false)])
    func anIdThatIsNullIsMalformed(scheme: String, isMalformed: Bool) throws {
        var buffer = ByteBuffer()
        for number in [1, OpCode.setACL.rawValue, 2] { buffer.writeInteger(number) }
        buffer.writeString("/a")
        for number in [1, 31, Int32(scheme.utf8.count)] { buffer.writeInteger(number) }
        buffer.writeString(scheme)
        for number in [-1, -1] as [Int32] { buffer.writeInteger(number) }
        let request = try RequestFrame(frame: buffer).request
        #expect((request == .malformed(op: OpCode.setACL.rawValue)) == isMalformed)
    }

    @Test func aCredentialThatIsNullIsKeptApartFromAnEmptyOne() throws {
        for credential in [nil, []] as [[UInt8]?] {
            var buffer = ByteBuffer()
            buffer.writeFrame(RequestFrame(xid: -4, request: .auth(type: 0, scheme: "digest", credential: credential)))
            guard case .auth(_, _, let read)? = try RequestFrame.next(from: &buffer)?.request else {
                Issue.record("no auth request")
                continue
            }
            #expect(read == credential)
        }
    }

    @Test func anErrorReplyHasNoBody() throws {
        var buffer = ByteBuffer()
        buffer.writeFrame(Reply(xid: 7, zxid: .zero, error: .noNode, body: .path("/ignored")))
        #expect(buffer.readableBytes == 4 + 16)
        var frame = try #require(try buffer.readFrame())
        let header = try ReplyHeader(readingFrom: &frame)
        #expect(try Reply(header: header, op: .create, body: frame).error == .noNode)
    }

    @Test func repliesCoalesceInOneBuffer() throws {
        var buffer = ByteBuffer()
        for xid in 1...3 { buffer.writeFrame(Reply(xid: Int32(xid), zxid: .zero)) }
        for xid in 1...3 {
            var frame = try #require(try buffer.readFrame())
            #expect(try ReplyHeader(readingFrom: &frame).xid == Int32(xid))
        }
    }

    /// Every prefix of every request asks for more, whatever its length field says.
    @Test func everyPrefixOfAFrameAsksForMore() throws {
        var samples = SampleRecords(seed: 1)
        for request in samples.requests() {
            var whole = ByteBuffer()
            whole.writeFrame(RequestFrame(xid: 1, request: request))
            for size in 0..<whole.readableBytes {
                var part = try #require(whole.getSlice(at: 0, length: size))
                #expect(try RequestFrame.next(from: &part) == nil)
                #expect(part.readableBytes == size)
            }
        }
    }

    /// A body that is cut short inside a whole frame is an error, never a crash, and never a request of the same size.
    @Test func everyCutBodyThrowsOrIsAnotherRequest() throws {
        var samples = SampleRecords(seed: 2)
        for request in samples.requests() {
            let body = RequestFrame(xid: 1, request: request).encoded()
            for size in 0..<body.count {
                let decoded = try? RequestFrame(frame: ByteBuffer(bytes: body[..<size]))
                #expect(decoded != RequestFrame(xid: 1, request: request))
            }
        }
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func garbageNeverCrashes(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let ops = [1, 2, 3, 4, 5, 7, 14, 15, 22, 100, 101, 105, 106, -10, -11].map(Int32.init)
        for _ in 0..<2000 {
            let count = Int.random(in: 0...60, using: &random)
            var buffer = ByteBuffer()
            buffer.writeInteger(Int32(1))
            buffer.writeInteger(ops.randomElement(using: &random) ?? 0)
            for _ in 0..<count {
                // Small numbers make lengths and counts that fit.
                let small = Bool.random(using: &random)
                buffer.writeInteger(UInt8.random(in: 0...(small ? 3 : 255), using: &random))
            }
            _ = try? RequestFrame(frame: buffer)
            _ = try? ConnectRequest(frame: buffer)
            _ = try? ConnectResponse(frame: buffer)
        }
    }

    @Test(arguments: [-1, Int32.min, 0x10_0000, Int32.max]) func badFrameLengthsThrow(length: Int32) {
        var buffer = ByteBuffer(integer: length)
        #expect(throws: CodecError.self) { try RequestFrame.next(from: &buffer) }
    }

    /// A vector's count must not reserve what the bytes can't hold.
    @Test func aHugeCountIsMalformed() throws {
        var buffer = ByteBuffer()
        buffer.writeInteger(Int32(1))
        buffer.writeInteger(OpCode.setWatches.rawValue)
        buffer.writeInteger(Int64(0))
        buffer.writeInteger(Int32(2_000_000))
        #expect(try RequestFrame(frame: buffer).request == .malformed(op: OpCode.setWatches.rawValue))
    }

    @Test func aMultiInsideAMultiIsMalformed() throws {
        var buffer = ByteBuffer()
        for value in [1, OpCode.multi.rawValue, OpCode.multi.rawValue] as [Int32] { buffer.writeInteger(value) }
        buffer.writeInteger(UInt8(0))
        buffer.writeInteger(Int32(-1))
        #expect(try RequestFrame(frame: buffer).request == .malformed(op: OpCode.multi.rawValue))
    }

    /// One bad body costs one reply. A header that is cut off, or credentials that are, cost the connection.
    @Test func aMalformedBodyKeepsItsFrame() throws {
        #expect(throws: CodecError.self) {
            var short = ByteBuffer(bytes: [0, 0, 0, 4, 0, 0, 0, 1])
            _ = try RequestFrame.next(from: &short)
        }
        var buffer = ByteBuffer()
        for value in [12, 7, OpCode.getData.rawValue, 100, 8, 8, OpCode.ping.rawValue] as [Int32] { buffer.writeInteger(value) }
        #expect(try RequestFrame.next(from: &buffer) == RequestFrame(xid: 7, request: .malformed(op: OpCode.getData.rawValue)))
        #expect(try RequestFrame.next(from: &buffer) == RequestFrame(xid: 8, request: .ping))
        var auth = ByteBuffer()
        for value in [8, -4, OpCode.auth.rawValue] as [Int32] { auth.writeInteger(value) }
        #expect(throws: CodecError.self) { try RequestFrame.next(from: &auth) }
    }

    /// Clients tell null data from empty data, so it goes through every record as it came.
    @Test func nullDataStaysNull() throws {
        for data in [nil, []] as [[UInt8]?] {
            let created = Request.create(CreateRequest(path: "/a", data: data, acl: AccessRight.openToAll))
            for request in [created, .setData(path: "/a", data: data, version: 1), .multi([created])] {
                let frame = RequestFrame(xid: 1, request: request)
                #expect(try RequestFrame(frame: ByteBuffer(bytes: frame.encoded())) == frame)
            }
            let length: [UInt8] = data == nil ? [0xFF, 0xFF, 0xFF, 0xFF] : [0, 0, 0, 0]
            var tree = DataTree()
            var changes: [TreeChange] = []
            let transaction = Transaction.create(
                op: .create, path: "/a", data: data, acl: AccessRight.openToAll, ephemeral: false, parentCVersion: 1, ttl: 0)
            let entry = LogEntry(session: 1, cxid: 1, zxid: Zxid(rawValue: 1), time: 1, transaction: transaction)
            _ = tree.apply(try LogEntry(payload: entry.payload), changes: &changes)
            var watches = WatchTable()
            let read = ReadProcessing(connection: ConnectionID(rawValue: 1), session: 1, identities: [])
            let answer = read.answer(.getData(path: "/a", watch: false), tree: tree, watches: &watches)
            #expect(Array(answer.body.encoded().prefix(4)) == length)
            let node = SnapshotNode(path: "/a", data: data, aclKey: -1, stat: StoredStat())
            #expect(Array(SnapshotItem.node(node).encoded()[6..<10]) == length)
        }
    }

    @Test func aNullPathIsMalformed() throws {
        var buffer = ByteBuffer()
        for value in [7, OpCode.delete.rawValue, -1, -1] as [Int32] { buffer.writeInteger(value) }
        #expect(try RequestFrame(frame: buffer).request == .malformed(op: OpCode.delete.rawValue))
    }

    /// Apache's followers forward what they have not looked at: the learner's connection is no part of the mistake.
    @Test func aMalformedRequestThatALearnerForwardsKeepsItsPacket() throws {
        let forwarded = ForwardedRequest(session: 1, cxid: 2, request: .malformed(op: OpCode.create.rawValue), identities: [])
        var stream = ByteBuffer(bytes: QuorumPacket.request(forwarded).encoded())
        #expect(try QuorumPacket.next(from: &stream) == .request(forwarded))
    }

    @Test func unknownAndInternalOperationsAreNamed() throws {
        for op in [99, 20, -10, 0, 500] as [Int32] {
            var buffer = ByteBuffer()
            buffer.writeInteger(Int32(5))
            buffer.writeInteger(op)
            buffer.writeInteger(Int32(1))
            #expect(try RequestFrame(frame: buffer).request == .unknown(op: op))
        }
    }

    @Test func connectFramesHaveTheirTwoSizes() throws {
        for readOnly in [nil, false, true] as [Bool?] {
            let request = ConnectRequest(lastZxidSeen: Zxid(rawValue: 9), timeout: 4000, readOnly: readOnly)
            #expect(request.encodedSize == (readOnly == nil ? 44 : 45))
            #expect(try ConnectRequest(frame: ByteBuffer(bytes: request.encoded())) == request)
            let response = ConnectResponse(
                timeout: 4000, sessionID: 5, password: Array(repeating: 7, count: 16), readOnly: readOnly)
            #expect(response.encodedSize == (readOnly == nil ? 36 : 37))
            #expect(try ConnectResponse(frame: ByteBuffer(bytes: response.encoded())) == response)
        }
    }

    @Test func watchEventsCarryTheirZxid() throws {
        let event = WatchEvent(type: .deleted, path: "/a", zxid: Zxid(rawValue: 77))
        var buffer = ByteBuffer()
        buffer.writeFrame(event)
        var frame = try #require(try buffer.readFrame())
        let header = try ReplyHeader(readingFrom: &frame)
        #expect(header.xid == ReplyHeader.watchEventXid)
        #expect(try WatchEvent(header: header, body: frame) == event)
    }
}
