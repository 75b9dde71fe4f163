import EnsembleBase
import KeeperCore
import NIOCore

// The election channel (reference/zookeeper.md, 3.1 and 3.2): a hello by the dialer, then framed notifications.

/// What a peer says first on an election connection.
package struct ElectionHello: Hashable, Sendable {
    /// The dialer's id. Negative ids other than the anonymous observer's don't exist.
    package var server: ServerID
    /// `host:electionPort`, several separated by `|`; empty from 3.4 and older.
    package var address: [UInt8]

    package init(server: ServerID, address: [UInt8]) {
        self.server = server
        self.address = address
    }

    /// 3.5 and later.
    private static let version1: Int64 = -65536
    /// 3.6 and later with `multiAddress.enabled`. Never written: it breaks rolling upgrades (ZOOKEEPER-3720).
    private static let version2: Int64 = -65535
    /// The longest address that Apache's server accepts.
    package static let addressLimit = 2048

    /// The hello at the reader index, or nil if more bytes must arrive first (nothing is consumed then).
    package static func next(from buffer: inout ByteBuffer) throws(CodecError) -> ElectionHello? {
        do throws(CodecError) {
            let (hello, size) = try buffer.withJuteReader(limit: addressLimit) { reader throws(CodecError) in
                (try ElectionHello(from: &reader), reader.offset)
            }
            buffer.moveReaderIndex(forwardBy: size)
            return hello
        } catch {
            guard error.isTruncated else { throw error }
            return nil
        }
    }

    private init(from reader: inout JuteReader) throws(CodecError) {
        let first = try reader.int64("election hello")
        if first >= 0 {
            self.init(server: first, address: [])
            return
        }
        guard first == ElectionHello.version1 || first == ElectionHello.version2 else {
            throw CodecError(.value(first), what: "election hello", offset: 0)
        }
        let server = try reader.int64("election hello's sid")
        guard server >= 0 else { throw CodecError(.value(server), what: "election hello's sid", offset: 8) }
        let start = reader.offset
        let address = try reader.buffer("election hello's address")
        guard !address.isEmpty else {
            throw CodecError(.length(0, limit: ElectionHello.addressLimit), what: "election hello's address", offset: start)
        }
        self.init(server: server, address: address)
    }
}

extension ElectionHello: JuteRecord {
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int64(ElectionHello.version1)
        sink.int64(server)
        sink.buffer(address)
    }
}

extension Notification: JuteRecord {
    /// What 3.5 to 3.10 send: 40 bytes, then the configuration.
    private static let version: Int32 = 2

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(state.rawValue)
        sink.int64(vote.leader)
        sink.zxid(vote.zxid)
        sink.int64(electionEpoch)
        sink.int64(vote.peerEpoch)
        sink.int32(Notification.version)
        sink.buffer(config)
    }

    /// Decodes an election message: 28 bytes (3.3), 36 (3.4.0), 40 (3.4.6), 44 and the configuration (3.5).
    package init(message: ByteBuffer) throws(CodecError) {
        self = try message.withJuteReader(limit: FrameLimit.election) { reader throws(CodecError) in
            try Notification(from: &reader)
        }
    }

    private init(from reader: inout JuteReader) throws(CodecError) {
        let number = try reader.int32("Notification.state")
        guard let state = PeerState(rawValue: number) else {
            throw CodecError(.value(Int64(number)), what: "Notification.state", offset: 0)
        }
        let leader = try reader.int64("Notification.leader")
        let zxid = try reader.zxid("Notification.zxid")
        let electionEpoch = try reader.int64("Notification.electionEpoch")
        // A peer of 3.3 has no epochs of its own: its zxid tells.
        let peerEpoch = reader.isAtEnd ? zxid.epoch : try reader.int64("Notification.peerEpoch")
        let version = reader.isAtEnd ? 0 : try reader.int32("Notification.version")
        // Version 1 carries no configuration; later versions may append fields behind it.
        let config = version >= 2 ? try reader.buffer("Notification.config") : []
        self.init(
            state: state, vote: Vote(leader: leader, zxid: zxid, peerEpoch: peerEpoch), electionEpoch: electionEpoch,
            config: config)
    }
}
