import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

extension FuzzedParser {
    static let wire: [FuzzedParser] = [
        FuzzedParser("client-requests", "frames of clients behind the connect request", seeds: requestSeeds, check: checkRequests),
        FuzzedParser("connect-frames", "connect requests and their answers", seeds: connectSeeds, check: checkConnectFrames),
        FuzzedParser("replies", "replies and watch events, as the client library reads them", seeds: replySeeds, check: checkReplies),
        FuzzedParser("peer-packets", "packets between leader and learner", seeds: packetSeeds, check: checkPackets),
        FuzzedParser("transactions", "payloads of proposals and of log entries", seeds: transactionSeeds, check: checkTransaction),
        FuzzedParser("election", "hello and notifications of the election channel", seeds: electionSeeds, check: checkElection),
        FuzzedParser("tree-stream", "the tree that a leader sends behind SNAP", seeds: treeStreamSeeds, check: checkTreeStream),
    ]

    // MARK: Seeds

    private static func frames(_ records: [some JuteRecord]) -> [UInt8] {
        var buffer = ByteBuffer()
        for record in records { buffer.writeFrame(record) }
        return Array(buffer.readableBytesView)
    }

    private static func requestSeeds() -> [[UInt8]] {
        var samples = SampleRecords(seed: 1)
        let all = samples.requests().map { RequestFrame(xid: samples.int32(), request: $0) }
        return all.map { frames([$0]) } + [frames(Array(all.prefix(4)))]
    }

    private static func connectSeeds() -> [[UInt8]] {
        let request = ConnectRequest(lastZxidSeen: Zxid(rawValue: 9), timeout: 4000, sessionID: 7)
        var old = request
        old.readOnly = nil
        let response = ConnectResponse(timeout: 4000, sessionID: 7, password: Array(repeating: 3, count: 16), readOnly: false)
        return [[0] + request.encoded(), [0] + old.encoded(), [1] + response.encoded()]
    }

    private static func replySeeds() -> [[UInt8]] {
        var samples = SampleRecords(seed: 2)
        var seeds: [[UInt8]] = []
        for (op, body) in samples.bodies() {
            seeds.append([UInt8(truncatingIfNeeded: op.rawValue)] + Reply(xid: 5, zxid: samples.zxid(), body: body).encoded())
        }
        seeds.append([4] + Reply(xid: 5, zxid: samples.zxid(), error: .noNode).encoded())
        seeds.append([0] + WatchEvent(type: .dataChanged, path: samples.path(), zxid: samples.zxid()).encoded())
        return seeds
    }

    private static func packetSeeds() -> [[UInt8]] {
        var samples = SampleRecords(seed: 3)
        return samples.packets().map { $0.encoded() }
    }

    private static func transactionSeeds() -> [[UInt8]] {
        var samples = SampleRecords(seed: 4)
        return samples.entries().map { $0.encoded() }
    }

    private static func electionSeeds() -> [[UInt8]] {
        let vote = Vote(leader: 2, zxid: Zxid(epoch: 3, counter: 4), peerEpoch: 3)
        let messages = [PeerState.looking, .following, .leading, .observing].map {
            Notification(state: $0, vote: vote, electionEpoch: 8, config: Array("server.1=h:2881:3881\nversion=0".utf8))
        }
        let hello = ElectionHello(server: 1, address: Array("127.0.0.1:3881".utf8)).encoded()
        let oldHello: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1]
        // A peer of 3.4: 40 bytes, no configuration.
        let old = Array(messages[0].encoded().prefix(36)) + [0, 0, 0, 1]
        return [hello + frames(messages), oldHello + [0, 0, 0, 40] + old]
    }

    private static func treeStreamSeeds() -> [[UInt8]] {
        [SampleTrees.small, SampleTrees.withEverything].map { tree in
            var signature = ByteBuffer()
            TreeStream.writeSignature(to: &signature)
            return SampleTrees.serialised(tree) + Array(signature.readableBytesView)
        }
    }

    // MARK: Checks

    /// Everything that a stream of bytes holds, handed over in pieces of `step` bytes, and whether it ends in an error.
    private static func decode<Item>(
        _ bytes: [UInt8], step: Int, _ next: (inout ByteBuffer) throws(CodecError) -> Item?
    ) -> (items: [Item], failed: Bool) {
        var items: [Item] = []
        var buffer = ByteBuffer()
        var rest = bytes[...]
        while !rest.isEmpty {
            buffer.writeBytes(rest.prefix(step))
            rest = rest.dropFirst(step)
            do throws(CodecError) {
                while let item = try next(&buffer) { items.append(item) }
            } catch {
                return (items, true)
            }
        }
        return (items, false)
    }

    /// Pieces in which a peer could send the bytes: short inputs byte by byte, long ones in a few.
    private static func steps(_ bytes: [UInt8]) -> [Int] { [max(bytes.count, 1), max(bytes.count / 7, 1)] }

    /// However a stream is cut, the same items come out of it.
    private static func checkStream<Item: Equatable>(
        _ bytes: [UInt8], _ next: (inout ByteBuffer) throws(CodecError) -> Item?
    ) throws(Violation) -> [Item] {
        let (whole, cut) = (steps(bytes)[0], steps(bytes)[1])
        let atOnce = decode(bytes, step: whole, next)
        let inPieces = decode(bytes, step: cut, next)
        try requireEqual(inPieces.items, atOnce.items, "read in pieces of \(cut)")
        try requireEqual(inPieces.failed, atOnce.failed, "an error, read in pieces of \(cut)")
        return atOnce.items
    }

    @Sendable private static func checkRequests(_ bytes: [UInt8]) throws(Violation) {
        let read = try checkStream(bytes) { buffer throws(CodecError) in try RequestFrame.next(from: &buffer) }
        for frame in read {
            let again = try checkStream(frames([frame])) { buffer throws(CodecError) in try RequestFrame.next(from: &buffer) }
            try requireEqual(again, [frame], "a request, written and read")
        }
    }

    @Sendable private static func checkConnectFrames(_ bytes: [UInt8]) throws(Violation) {
        let body = ByteBuffer(bytes: bytes.dropFirst())
        if bytes.first == 0, let request = try? ConnectRequest(frame: body) {
            try requireEqual(try? ConnectRequest(frame: ByteBuffer(bytes: request.encoded())), request, "a connect request")
        } else if let response = try? ConnectResponse(frame: body) {
            try requireEqual(try? ConnectResponse(frame: ByteBuffer(bytes: response.encoded())), response, "a connect response")
        }
    }

    @Sendable private static func checkReplies(_ bytes: [UInt8]) throws(Violation) {
        guard let number = bytes.first, let op = OpCode(rawValue: Int32(Int8(bitPattern: number))) else { return }
        func read(_ bytes: [UInt8]) -> (Reply?, WatchEvent?) {
            var frame = ByteBuffer(bytes: bytes)
            guard let header = try? ReplyHeader(readingFrom: &frame) else { return (nil, nil) }
            guard header.xid == ReplyHeader.watchEventXid else { return (try? Reply(header: header, op: op, body: frame), nil) }
            return (nil, try? WatchEvent(header: header, body: frame))
        }
        let (reply, event) = read(Array(bytes.dropFirst()))
        if let reply { try requireEqual(read(reply.encoded()).0, reply, "a reply to \(op)") }
        if let event { try requireEqual(read(event.encoded()).1, event, "a watch event") }
    }

    @Sendable private static func checkPackets(_ bytes: [UInt8]) throws(Violation) {
        func next(_ buffer: inout ByteBuffer) throws(CodecError) -> QuorumPacket? { try QuorumPacket.next(from: &buffer) }
        for packet in try checkStream(bytes, next) {
            try requireEqual(try checkStream(packet.encoded(), next), [packet], "a packet, written and read")
        }
    }

    @Sendable private static func checkTransaction(_ bytes: [UInt8]) throws(Violation) {
        guard let entry = try? LogEntry(payload: bytes) else { return }
        try requireEqual(entry.payload, bytes, "the bytes that an entry came in")
        // Without them it is serialised: another form of the same entry, perhaps (CreateTxnV0, reconfig).
        var bare = entry
        bare.encoded = nil
        try requireEqual(try? LogEntry(payload: bare.payload), entry, "an entry, written and read")
    }

    @Sendable private static func checkElection(_ bytes: [UInt8]) throws(Violation) {
        var buffer = ByteBuffer(bytes: bytes)
        guard let hello = try? ElectionHello.next(from: &buffer) else { return }
        if !hello.address.isEmpty {
            var again = ByteBuffer(bytes: hello.encoded())
            try requireEqual(try? ElectionHello.next(from: &again), hello, "a hello")
        }
        while let message = try? buffer.readFrame(limit: FrameLimit.election), let notification = try? Notification(message: message) {
            try requireEqual(
                try? Notification(message: ByteBuffer(bytes: notification.encoded())), notification, "a notification")
        }
    }

    @Sendable private static func checkTreeStream(_ bytes: [UInt8]) throws(Violation) {
        func read(_ step: Int) -> (DataTree, Int)? {
            var reader = TreeStreamReader(zxid: SampleTrees.anyZxid)
            var buffer = ByteBuffer()
            var rest = bytes[...]
            do throws(CodecError) {
                while !rest.isEmpty {
                    buffer.writeBytes(rest.prefix(step))
                    rest = rest.dropFirst(step)
                    if let tree = try reader.feed(&buffer) { return (tree, buffer.readableBytes + rest.count) }
                }
            } catch {}
            return nil
        }
        let (whole, cut) = (read(steps(bytes)[0]), read(steps(bytes)[1]))
        try requireEqual(whole?.1, cut?.1, "what is left behind the tree, read in pieces")
        try requireEqual(whole?.0.digest, cut?.0.digest, "the tree's digest, read in pieces")
        if let tree = whole?.0 { try SampleTrees.checkSerialisation(of: tree) }
    }
}
