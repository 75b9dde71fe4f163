import EnsembleBase
import KeeperCore
import NIOCore

// A packet's form (reference/zookeeper.md, 3.3): int type, long zxid, buffer data, vector of Id. There is no length in
// front, so the end is found by walking the fields.

/// Packet type numbers.
private enum PacketType {
    static let request: Int32 = 1
    static let proposal: Int32 = 2
    static let ack: Int32 = 3
    static let commit: Int32 = 4
    static let ping: Int32 = 5
    static let revalidate: Int32 = 6
    static let sync: Int32 = 7
    static let inform: Int32 = 8
    static let newLeader: Int32 = 10
    static let followerInfo: Int32 = 11
    static let upToDate: Int32 = 12
    static let diff: Int32 = 13
    static let trunc: Int32 = 14
    static let snap: Int32 = 15
    static let observerInfo: Int32 = 16
    static let leaderInfo: Int32 = 17
    static let ackEpoch: Int32 = 18
}

extension QuorumPacket {
    /// The longest data of one packet with the standard `jute.maxbuffer`: a proposal holds a request and what the leader
    /// adds to it. Packets are no longer than twice that (int, long, data, identities): a stream that buffers more
    /// without completing one is broken.
    package static let dataLimit = 2 * FrameLimit.client

    /// The next whole packet of a stream, or nil if more bytes must arrive first (nothing is consumed then, and
    /// asking again costs no more than walking five lengths and the identities).
    ///
    /// - Throws: a `CodecError` for bytes that no more bytes could turn into a packet: close the connection.
    package static func next(
        from buffer: inout ByteBuffer, dataLimit: Int = QuorumPacket.dataLimit
    ) throws(CodecError) -> QuorumPacket? {
        let decoded = try buffer.withJuteReader(limit: dataLimit) {
            (reader: inout JuteReader) throws(CodecError) -> (packet: QuorumPacket, size: Int)? in
            guard let size = try wholeSize(reader) else { return nil }
            return (try QuorumPacket(from: &reader), size)
        }
        guard let decoded else { return nil }
        buffer.moveReaderIndex(forwardBy: decoded.size)
        return decoded.packet
    }

    /// The size of the packet at the reader, if it is whole.
    private static func wholeSize(_ start: JuteReader) throws(CodecError) -> Int? {
        var reader = start
        do throws(CodecError) {
            _ = try reader.int32("QuorumPacket.type")
            _ = try reader.int64("QuorumPacket.zxid")
            try reader.skipBuffer("QuorumPacket.data")
            let count = try reader.count(minimumItemSize: Identity.minimumSize, "QuorumPacket.authinfo")
            for _ in 0..<count {
                try reader.skipBuffer("Id.scheme")
                try reader.skipBuffer("Id.id")
            }
            return reader.offset - start.offset
        } catch {
            guard error.isTruncated, start.remaining <= 2 * start.limit else { throw error }
            return nil
        }
    }

    init(from reader: inout JuteReader) throws(CodecError) {
        let start = reader.offset
        let type = try reader.int32("QuorumPacket.type")
        let zxid = try reader.zxid("QuorumPacket.zxid")
        var data = try reader.nested("QuorumPacket.data")
        let identities = try reader.identities()
        switch type {
        case PacketType.followerInfo, PacketType.observerInfo:
            self = try .init(learnerInfo: &data, zxid: zxid, observer: type == PacketType.observerInfo)
        case PacketType.leaderInfo:
            self = .leaderInfo(epoch: zxid.epoch, protocolVersion: try data.int32("LEADERINFO.protocolVersion"))
        case PacketType.ackEpoch:
            self = .ackEpoch(lastZxid: zxid, currentEpoch: try data.int32("ACKEPOCH.currentEpoch"))
        case PacketType.diff: self = .diff(to: zxid)
        case PacketType.trunc: self = .trunc(to: zxid)
        case PacketType.snap: self = .snap(at: zxid)
        case PacketType.newLeader: self = .newLeader(epoch: zxid.epoch, config: data.rest())
        case PacketType.upToDate: self = .upToDate
        case PacketType.request: self = .request(try ForwardedRequest(from: &data, identities: identities))
        case PacketType.proposal: self = .proposal(try LogEntry(packet: &data, zxid: zxid))
        case PacketType.inform: self = .inform(try LogEntry(packet: &data, zxid: zxid))
        case PacketType.ack: self = .ack(zxid)
        case PacketType.commit: self = .commit(zxid)
        case PacketType.ping: self = .ping(zxid: zxid, sessions: try QuorumPacket.touched(in: &data))
        case PacketType.revalidate: self = try .init(revalidate: &data)
        // Apache's leader answers with an empty packet: answers match the syncs by their order alone.
        case PacketType.sync: self = .sync
        default: throw CodecError(.value(Int64(type)), what: "QuorumPacket.type", offset: start)
        }
    }

    /// LearnerInfo: 8 bytes before 3.4, 12 in 3.4, 20 since 3.5.
    private init(learnerInfo data: inout JuteReader, zxid: Zxid, observer: Bool) throws(CodecError) {
        let server = try data.int64("LearnerInfo.serverid")
        let version = data.isAtEnd ? 1 : try data.int32("LearnerInfo.protocolVersion")
        let config = data.isAtEnd ? 0 : try data.int64("LearnerInfo.configVersion")
        self = .learnerInfo(
            acceptedEpoch: zxid.epoch, server: server, protocolVersion: version, configVersion: config,
            observer: observer)
    }

    /// The leader's answer has a bool where the learner's question has an int.
    private init(revalidate data: inout JuteReader) throws(CodecError) {
        let isAnswer = data.remaining == 9
        let session = try data.int64("REVALIDATE.sessionId")
        if isAnswer {
            self = .revalidated(session: session, valid: try data.bool("REVALIDATE.valid"))
        } else {
            self = .revalidate(session: session, timeout: try data.int32("REVALIDATE.timeout"))
        }
    }

    private static func touched(in data: inout JuteReader) throws(CodecError) -> [TouchedSession] {
        var sessions: [TouchedSession] = []
        sessions.reserveCapacity(data.remaining / 12)
        while !data.isAtEnd {
            let session = try data.int64("PING.sessionId")
            sessions.append(TouchedSession(session: session, timeout: try data.int32("PING.timeout")))
        }
        return sessions
    }
}

extension LogEntry {
    /// The data of PROPOSAL and INFORM. The packet repeats the zxid; one that differs from its entry's is damage.
    fileprivate init(packet data: inout JuteReader, zxid: Zxid) throws(CodecError) {
        let start = data.offset
        try self.init(payload: data.rest())
        guard self.zxid == zxid else {
            throw CodecError(.value(self.zxid.rawValue), what: "zxid inside a proposal \(zxid)", offset: start)
        }
    }
}

extension ForwardedRequest: JuteRecord {
    /// long session, int cxid, int type, then the bytes of the client's request behind its header.
    init(from data: inout JuteReader, identities: [Identity]) throws(CodecError) {
        let session = try data.int64("REQUEST.sessionId")
        let cxid = try data.int32("REQUEST.cxid")
        let type = try data.int32("REQUEST.type")
        let request = try Request.received(op: type, from: &data, origin: .peer)
        self.init(session: session, cxid: cxid, request: request, identities: identities)
    }

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int64(session)
        sink.int32(cxid)
        sink.int32(request.op)
        request.encodeBody(into: &sink)
    }
}

extension QuorumPacket: JuteRecord {
    /// 3.4's number: epochs are agreed upon before the sync.
    package static let protocolVersion: Int32 = 0x10000

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        switch self {
        case .learnerInfo(let acceptedEpoch, let server, let protocolVersion, let configVersion, let observer):
            let type = observer ? PacketType.observerInfo : PacketType.followerInfo
            sink.packetHead(type, Zxid(epoch: acceptedEpoch, counter: 0), dataSize: 20)
            sink.int64(server)
            sink.int32(protocolVersion)
            sink.int64(configVersion)
            sink.null()
        case .leaderInfo(let epoch, let protocolVersion):
            sink.packetHead(PacketType.leaderInfo, Zxid(epoch: epoch, counter: 0), dataSize: 4)
            sink.int32(protocolVersion)
            sink.null()
        case .ackEpoch(let lastZxid, let currentEpoch):
            sink.packetHead(PacketType.ackEpoch, lastZxid, dataSize: 4)
            sink.int32(currentEpoch)
            sink.null()
        case .diff(let zxid): sink.emptyPacket(PacketType.diff, zxid)
        case .trunc(let zxid): sink.emptyPacket(PacketType.trunc, zxid)
        case .snap(let zxid): sink.emptyPacket(PacketType.snap, zxid)
        case .newLeader(let epoch, let config):
            sink.packetHead(PacketType.newLeader, Zxid(epoch: epoch, counter: 0), dataSize: config.count)
            sink.raw(config)
            sink.null()
        case .upToDate: sink.emptyPacket(PacketType.upToDate, .none)
        case .request(let forwarded):
            sink.packetHead(PacketType.request, .none, dataSize: forwarded.encodedSize)
            forwarded.encode(into: &sink)
            sink.identities(forwarded.identities)
        case .proposal(let entry): sink.entryPacket(PacketType.proposal, entry)
        case .inform(let entry): sink.entryPacket(PacketType.inform, entry)
        case .ack(let zxid): sink.emptyPacket(PacketType.ack, zxid)
        case .commit(let zxid): sink.emptyPacket(PacketType.commit, zxid)
        case .ping(let zxid, let sessions): QuorumPacket.encodePing(zxid, sessions, into: &sink)
        case .revalidate(let session, let timeout):
            sink.packetHead(PacketType.revalidate, .none, dataSize: 12)
            sink.int64(session)
            sink.int32(timeout)
            sink.null()
        case .revalidated(let session, let valid):
            sink.packetHead(PacketType.revalidate, .none, dataSize: 9)
            sink.int64(session)
            sink.bool(valid)
            sink.null()
        case .sync: sink.emptyPacket(PacketType.sync, .zero)
        }
    }

    private static func encodePing<Sink: JuteSink>(
        _ zxid: Zxid, _ sessions: [TouchedSession], into sink: inout Sink
    ) {
        sink.packetHead(PacketType.ping, zxid, dataSize: 12 * sessions.count)
        for touched in sessions {
            sink.int64(touched.session)
            sink.int32(touched.timeout)
        }
        sink.null()
    }
}

extension JuteSink {
    /// Type, zxid, and the length of the data that must follow.
    fileprivate mutating func packetHead(_ type: Int32, _ zxid: Zxid, dataSize: Int) {
        int32(type)
        self.zxid(zxid)
        count(dataSize)
    }

    /// A packet without data and identities.
    fileprivate mutating func emptyPacket(_ type: Int32, _ zxid: Zxid) {
        int32(type)
        self.zxid(zxid)
        null()
        null()
    }

    fileprivate mutating func entryPacket(_ type: Int32, _ entry: LogEntry) {
        packetHead(type, entry.zxid, dataSize: entry.encodedSize)
        entry.encode(into: &self)
        null()
    }
}
