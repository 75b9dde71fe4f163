import EnsembleBase
import FuzzedParsers
import KeeperCodec
import KeeperCore
import NIOCore
import Testing

@Suite struct FileFormatTests {
    @Test func adlerOfKnownTexts() {
        // RFC 1950's algorithm; the value is the commonly published one for this text.
        #expect(Adler32.of(Array("Wikipedia".utf8)) == 0x11E6_0398)
        #expect(Adler32.of([]) == 1)
        #expect(Adler32.of([UInt8](repeating: 255, count: 100_000)) == bytewise([UInt8](repeating: 255, count: 100_000)))
    }

    private func bytewise(_ bytes: [UInt8]) -> UInt64 {
        var sum = Adler32()
        for byte in bytes { sum.update(byte) }
        return sum.value
    }

    @Test(arguments: 0..<20 as Range<UInt64>) func entriesRoundTrip(seed: UInt64) throws {
        var samples = SampleRecords(seed: seed)
        for entry in samples.entries() {
            let decoded = try LogEntry(payload: entry.payload)
            #expect(decoded == entry)
            #expect(decoded.encoded == entry.payload)
        }
    }

    /// A leader refuses by this measure what a peer's decoder would refuse.
    @Test(arguments: 0..<20 as Range<UInt64>) func theSizeOfATransactionIsThatOfItsBytes(seed: UInt64) {
        var samples = SampleRecords(seed: seed)
        for var entry in samples.entries() {
            entry.digest = TransactionDigest(treeDigest: 1)
            #expect(entry.transaction.size + Transaction.frameSize == entry.encodedSize, "\(entry.transaction)")
        }
    }

    @Test func cutEntriesThrowOrDiffer() {
        var samples = SampleRecords(seed: 5)
        for entry in samples.entries() {
            let payload = entry.payload
            for size in 0..<payload.count { #expect((try? LogEntry(payload: Array(payload[..<size]))) != entry) }
        }
    }

    @Test func oldFormsAreRead() throws {
        let create = LogEntry(
            session: 1, cxid: 2, zxid: Zxid(rawValue: 3), time: 4,
            transaction: .create(
                op: .create, path: "/a", data: [1], acl: AccessRight.openToAll, ephemeral: true, parentCVersion: 7, ttl: 0))
        let withoutParentVersion = Array(create.payload.dropLast(4))
        guard case .create(_, _, _, _, true, -1, _) = try LogEntry(payload: withoutParentVersion).transaction else {
            Issue.record("not the old create")
            return
        }
        let close = LogEntry(
            session: 1, cxid: 2, zxid: Zxid(rawValue: 3), time: 4, transaction: .closeSession(ephemerals: nil),
            digest: TransactionDigest(treeDigest: 9))
        #expect(try LogEntry(payload: close.payload) == close)
    }

    @Test func anUnknownTransactionIsNamed() {
        var payload = LogEntry(
            session: 1, cxid: 1, zxid: Zxid(rawValue: 1), time: 1, transaction: .createSession(timeout: 1)
        ).payload
        payload[31] = 77
        payload[28...30] = [0, 0, 0]
        #expect(throws: CodecError(.value(77), what: "transaction type", offset: 32)) { try LogEntry(payload: payload) }
    }

    /// A mark is told from anything else, zeros foremost, and never ends with a zero.
    @Test func marksAreChecked() {
        #expect(LogMark(0) == nil)
        for end in [16, 255, 256, 1 << 16, 5_000_000_000] {
            let mark = LogMark(durableEnd: end)
            #expect(LogMark(mark.value) == mark)
            #expect(mark.bytes.last != 0)
            for bit in 0..<64 where LogMark(mark.value ^ 1 << UInt64(bit)) != nil {
                Issue.record("bit \(bit) of the mark of \(end)")
            }
        }
    }

    /// To whoever doesn't know of them a trailer is the end, and the header is a log's.
    @Test func aTrailerIsNoEntry() throws {
        var bytes: [UInt8] = []
        LogFormat.appendTrailer(LogMark(durableEnd: 700), to: &bytes)
        guard case .none = try LogFormat.record(bytes[...], at: 0) else { return #expect(Bool(false), "an entry") }
        let header = FileHeader.markedLog(LogMark(durableEnd: 16)).encoded()
        #expect(header.count == FileHeader.size)
        #expect(header.prefix(8) == FileHeader.log.encoded().prefix(8))
    }

    private func sampleTree() -> DataTree {
        var tree = DataTree()
        var changes: [TreeChange] = []
        let secret = [AccessRight(permissions: .read, identity: Identity(scheme: "digest", id: "u:x"))]
        for number in 1...20 {
            let entry = LogEntry(
                session: 5, cxid: 1, zxid: Zxid(rawValue: Int64(number)), time: 1,
                transaction: number == 1
                    ? .createSession(timeout: 4000)
                    : .create(
                        op: .create, path: NodePath("/n\(number)"), data: [1, 2, 3],
                        acl: number % 3 == 0 ? secret : AccessRight.openToAll, ephemeral: number == 7,
                        parentCVersion: Int32(number), ttl: 0))
            _ = tree.apply(entry, changes: &changes)
        }
        return tree
    }

    private func snapshotFile(_ tree: DataTree) -> [UInt8] {
        var sealer = SnapshotSealer()
        var bytes = sealer.header()
        var encoder = TreeEncoder(of: tree)
        while !encoder.isEnded {
            let chunk = encoder.next(from: tree, nodeLimit: 3)
            sealer.cover(chunk)
            bytes += Array(chunk.readableBytesView)
        }
        return bytes + sealer.trailer(digest: SnapshotDigest(zxid: tree.lastProcessedZxid, digest: tree.digest))
    }

    private func load(_ bytes: [UInt8], chunk: Int) throws -> (DataTree, SnapshotDigest?) {
        var reader = SnapshotFileReader()
        var loader = DataTreeLoader()
        var start = 0
        while start < bytes.count {
            let end = min(start + chunk, bytes.count)
            try reader.feed(ByteBuffer(bytes: bytes[start..<end])) { item throws(CodecError) in try loader.add(item) }
            start = end
        }
        try reader.finish()
        return (try loader.complete(zxid: Zxid(rawValue: 20)), reader.digest)
    }

    @Test(arguments: [1, 7, 100_000]) func snapshotsRoundTripInAnyChunks(chunk: Int) throws {
        let tree = sampleTree()
        let (loaded, digest) = try load(snapshotFile(tree), chunk: chunk)
        #expect(loaded.digest == tree.digest)
        #expect(loaded.sessions == tree.sessions)
        #expect(loaded.acl("/n3") == tree.acl("/n3"))
        #expect(loaded.ephemeralPaths(of: 5) == ["/n7"])
        #expect(digest == SnapshotDigest(zxid: Zxid(rawValue: 20), digest: tree.digest))
    }

    @Test func everyFlippedByteOfASnapshotIsDamage() {
        let bytes = snapshotFile(sampleTree())
        // The header's database id is Apache's constant and without meaning, but the seal covers it.
        for offset in 0..<bytes.count {
            var damaged = bytes
            damaged[offset] ^= 0x10
            #expect(throws: CodecError.self, "offset \(offset)") { try load(damaged, chunk: 4096) }
        }
    }

    /// Cut anywhere, a snapshot is refused, but for the one place where its trailer begins: older servers end there.
    @Test func everyCutSnapshotIsRefused() {
        let bytes = snapshotFile(sampleTree())
        for size in 0..<bytes.count where size != bytes.count - 33 {
            #expect(throws: CodecError.self, "size \(size)") { try load(Array(bytes[..<size]), chunk: 4096) }
        }
        #expect(throws: Never.self) { try load(Array(bytes[..<(bytes.count - 33)]), chunk: 4096) }
    }

    @Test(arguments: [1, 5, 4096]) func treeStreamsLeaveTheNextPacket(chunk: Int) throws {
        let tree = sampleTree()
        var encoder = TreeEncoder(of: tree)
        var stream = ByteBuffer()
        while !encoder.isEnded { stream.writeImmutableBuffer(encoder.next(from: tree, nodeLimit: 2)) }
        TreeStream.writeSignature(to: &stream)
        let size = stream.readableBytes
        stream.write(QuorumPacket.upToDate)
        var reader = TreeStreamReader(zxid: Zxid(rawValue: 20))
        var received = ByteBuffer()
        var loaded: DataTree?
        while loaded == nil, var part = stream.readSlice(length: min(chunk, stream.readableBytes)) {
            #expect(part.readableBytes > 0)
            received.writeBuffer(&part)
            loaded = try reader.feed(&received)
        }
        #expect(loaded?.digest == tree.digest)
        #expect(loaded?.lastProcessedZxid == Zxid(rawValue: 20))
        #expect(received.readableBytes + stream.readableBytes == QuorumPacket.upToDate.encodedSize)
        #expect(size > 0)
    }
}
