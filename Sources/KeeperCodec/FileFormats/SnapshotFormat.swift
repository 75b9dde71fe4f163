import EnsembleBase
import KeeperCore
import NIOCore

/// The tree digest in a snapshot's trailer (reference/zookeeper.md, 2.2 item 7): what the digest was at `zxid`, which is
/// not before any effect that the snapshot holds. Replay compares digests from there on.
package struct SnapshotDigest: Hashable, Sendable {
    package var zxid: Zxid
    package var version: Int32
    /// nil for versions below 2, which stored another kind of digest as text.
    package var digest: UInt64?

    package init(zxid: Zxid, version: Int32 = 2, digest: UInt64?) {
        self.zxid = zxid
        self.version = version
        self.digest = digest
    }
}

/// Seals a snapshot file: goes around the tree's bytes with the header before, and checksums and trailer behind.
package struct SnapshotSealer: Sendable {
    private var sum = Adler32()

    package init() {}

    /// The bytes that open the file.
    package mutating func header() -> [UInt8] {
        let bytes = FileHeader.snapshot.encoded()
        cover(bytes)
        return bytes
    }

    /// Must see every chunk of the tree in its order.
    package mutating func cover(_ chunk: ByteBuffer) { chunk.withUnsafeReadableBytes { sum.update($0) } }

    private mutating func cover(_ bytes: [UInt8]) { bytes.withUnsafeBytes { sum.update($0) } }

    /// The bytes that end the file: seal; and, with a digest, trailer 7 and its seal.
    package mutating func trailer(digest: SnapshotDigest?) -> [UInt8] {
        var bytes = seal()
        if let digest, let value = digest.digest {
            let trailer = SnapshotTrailer(zxid: digest.zxid, version: digest.version, digest: value).encoded()
            cover(trailer)
            bytes += trailer
            bytes += seal()
        }
        return bytes
    }

    private mutating func seal() -> [UInt8] {
        let bytes = Seal(checksum: sum.value).encoded()
        cover(bytes)
        return bytes
    }
}

/// long Adler-32 of every byte before, ustring "/".
private struct Seal: JuteRecord {
    static let size = 13
    var checksum: UInt64

    func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int64(Int64(bitPattern: checksum))
        sink.path(.root)
    }
}

private struct SnapshotTrailer: JuteRecord {
    var zxid: Zxid
    var version: Int32
    var digest: UInt64

    func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.zxid(zxid)
        sink.int32(version)
        sink.int64(Int64(bitPattern: digest))
    }
}

/// Reads a snapshot file in chunks of any size: header, items, seals, trailers. Every checksum is compared.
package struct SnapshotFileReader: Sendable {
    private enum Phase: Sendable {
        /// → items
        case header
        /// → seal
        case items
        /// → trailer
        case seal
        /// Behind the first seal: the digest (7) and the last zxid (8) may follow, each with a seal. → trailer
        case trailer
    }

    private var phase = Phase.header
    private var items = SnapshotItemReader(offset: FileHeader.size)
    private var sum = Adler32()
    private var buffer = ByteBuffer()
    private var offset = 0
    private var trailersRead = 0
    package private(set) var digest: SnapshotDigest?
    /// Trailer 8: what the writer had processed when it ended (3.9 and later).
    package private(set) var lastProcessedZxid: Zxid?

    package init() {}

    /// Hands over the file's next bytes and calls `body` with every item that they complete.
    package mutating func feed(
        _ chunk: ByteBuffer, _ body: (SnapshotItem) throws(CodecError) -> Void
    ) throws(CodecError) {
        buffer.writeImmutableBuffer(chunk)
        while try step(body) {}
        buffer.discardReadBytes()
    }

    /// Must be called at the end of the file: throws if it ends early, or if bytes are left that are no trailer.
    package mutating func finish() throws(CodecError) {
        guard case .trailer = phase else { throw CodecError(.truncated, what: "snapshot", offset: offset) }
        if trailersRead < 2, buffer.readableBytes == 0 { return }
        if try readTrailer() { return try finish() }
        throw CodecError(.trailing(buffer.readableBytes), what: "snapshot", offset: offset)
    }

    /// Whether something was read.
    private mutating func step(_ body: (SnapshotItem) throws(CodecError) -> Void) throws(CodecError) -> Bool {
        switch phase {
        case .header:
            guard buffer.readableBytes >= FileHeader.size else { return false }
            _ = try buffer.withJuteReader { reader throws(CodecError) in
                try FileHeader.read(.snapshot, from: &reader)
            }
            consume(FileHeader.size)
            phase = .items
            return true
        case .items:
            let before = buffer
            guard let item = try items.next(from: &buffer) else { return false }
            let size = before.readableBytes - buffer.readableBytes
            before.withUnsafeReadableBytes { sum.update(UnsafeRawBufferPointer(rebasing: $0[..<size])) }
            offset += size
            try body(item)
            if case .end = item { phase = .seal }
            return true
        case .seal:
            guard buffer.readableBytes >= Seal.size else { return false }
            try readSeal()
            phase = .trailer
            return true
        case .trailer:
            // Which trailer follows is known by the size at the end of the file.
            return false
        }
    }

    private mutating func consume(_ size: Int) {
        buffer.withUnsafeReadableBytes { sum.update(UnsafeRawBufferPointer(rebasing: $0[..<size])) }
        buffer.moveReaderIndex(forwardBy: size)
        offset += size
    }

    private mutating func readSeal() throws(CodecError) {
        let start = offset
        let computed = sum.value
        let stored = try buffer.withJuteReader { reader throws(CodecError) -> UInt64 in
            let stored = UInt64(bitPattern: try reader.int64("snapshot's checksum"))
            guard try reader.path("snapshot's seal").isRoot else {
                throw CodecError(.value(0), what: "snapshot's seal", offset: start + 8)
            }
            return stored
        }
        guard stored == computed else {
            throw CodecError(.checksum(stored: stored, computed: computed), what: "snapshot", offset: start)
        }
        consume(Seal.size)
    }

    /// Reads one trailer and its seal, if they are here. The digest's is 20 bytes (or longer, as text, in version 1);
    /// the last zxid's is 8, and without a digest it may be the only one.
    private mutating func readTrailer() throws(CodecError) -> Bool {
        let left = buffer.readableBytes
        if left == 8 + Seal.size, trailersRead < 2 {
            lastProcessedZxid = buffer.getInteger(at: buffer.readerIndex, as: Int64.self).map(Zxid.init(rawValue:))
            consume(8)
            try readSeal()
            trailersRead = 2
            return true
        }
        guard trailersRead == 0, left >= 12 else { return false }
        let (digest, size) = try buffer.withJuteReader { reader throws(CodecError) -> (SnapshotDigest, Int) in
            let zxid = try reader.zxid("snapshot's digest zxid")
            let version = try reader.int32("snapshot's digest version")
            let value: UInt64?
            if version < 2 {
                try reader.skipBuffer("snapshot's digest")
                value = nil
            } else {
                value = UInt64(bitPattern: try reader.int64("snapshot's digest"))
            }
            return (SnapshotDigest(zxid: zxid, version: version, digest: value), reader.offset)
        }
        guard left >= size + Seal.size else { return false }
        consume(size)
        try readSeal()
        self.digest = digest
        trailersRead = 1
        return true
    }
}
