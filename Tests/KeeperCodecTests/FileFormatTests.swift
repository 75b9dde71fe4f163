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

    /// A log of `count` entries and where each ends.
    private func log(_ count: Int, zeros: Int) -> (bytes: [UInt8], ends: [Int]) {
        var bytes = FileHeader.log.encoded()
        var ends: [Int] = []
        for number in 1...count {
            let entry = LogEntry(
                session: 1, cxid: 1, zxid: Zxid(rawValue: Int64(number)), time: 1,
                transaction: .setData(path: "/a", data: [1, 0, 0, 0, 2, 0x42, 0, 3], version: 1),
                digest: TransactionDigest(treeDigest: 5))
            LogFormat.append(payload: entry.payload, to: &bytes)
            ends.append(bytes.count)
        }
        return (bytes + [UInt8](repeating: 0, count: zeros), ends)
    }

    private enum Ending: Hashable { case end, torn }

    private func read(_ bytes: [UInt8]) throws -> (entries: Int, ending: Ending) {
        try bytes.withUnsafeBytes { raw in
            var reader = try LogReader(raw)
            var count = 0
            while true {
                switch try reader.next() {
                case .entry: count += 1
                case .end: return (count, .end)
                case .torn: return (count, .torn)
                }
            }
        }
    }

    /// A crash leaves the front of the last write and zeros: at every offset that is a torn tail, and what was whole
    /// before it is read.
    @Test(arguments: [0, 100]) func everyTornTailIsTolerated(zeros: Int) throws {
        let (bytes, ends) = log(3, zeros: 0)
        for cut in ends[1]..<bytes.count {
            let torn = Array(bytes[..<cut]) + [UInt8](repeating: 0, count: zeros == 0 ? 0 : bytes.count - cut + zeros)
            #expect(try read(torn).entries == 2, "cut at \(cut)")
        }
        #expect(try read(bytes + [UInt8](repeating: 0, count: zeros)) == (3, .end))
    }

    /// After a power failure any sectors of the last batch may be missing, whatever is there behind them.
    @Test func aMissingSectorEndsTheLog() throws {
        let (bytes, ends) = log(60, zeros: 0)
        for sector in stride(from: 512, to: bytes.count - 512, by: 512) {
            var holed = bytes
            for offset in sector..<(sector + 512) { holed[offset] = 0 }
            let whole = ends.count { $0 <= sector }
            // What is left of a sector that an earlier sync had written in part.
            #expect(try read(holed) == (whole, .torn), "sector at \(sector)")
            var behind = bytes
            for offset in ends[whole]..<((ends[whole] / 512 + 1) * 512) { behind[offset] = 0 }
            if ends[whole] % 512 < 500 { #expect(try read(behind) == (whole + 1, .torn), "behind \(ends[whole])") }
        }
        // Farther from the end than a batch reaches it is damage: what is behind it was acknowledged.
        var long = bytes
        let filler = LogEntry(session: 5, cxid: 1, zxid: Zxid(rawValue: 99), time: 1, transaction: .setData(path: "/a", data: Array(repeating: 1, count: 1 << 20), version: 1))
        for _ in 0..<5 { LogFormat.append(payload: filler.payload, to: &long) }
        for offset in 1024..<1536 { long[offset] = 0 }
        #expect(throws: CodecError.self) { try read(long) }
    }

    /// One flipped bit anywhere in the entries, also in the last one, is damage, not an end.
    @Test(arguments: [0, 64]) func everyFlippedBitIsDamage(zeros: Int) {
        let (bytes, ends) = log(3, zeros: zeros)
        for offset in FileHeader.size..<ends[2] {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[offset] ^= 1 << UInt8(bit)
                #expect(throws: CodecError.self, "bit \(bit) of \(offset)") { try read(damaged) }
            }
        }
    }

    /// Within the first bytes it looks like an interrupted write, of which nothing was acknowledged.
    @Test func everyFlippedBitOfTheZerosIsDamage() throws {
        let (bytes, ends) = log(2, zeros: 64)
        for offset in ends[1]..<(ends[1] + LogFormat.prefixSize) {
            var damaged = bytes
            damaged[offset] ^= 4
            if let result = try? read(damaged) { #expect(result == (2, .torn)) }
        }
        for offset in (ends[1] + LogFormat.prefixSize)..<bytes.count {
            var damaged = bytes
            damaged[offset] ^= 4
            #expect(throws: CodecError.self, "\(offset)") { try read(damaged) }
        }
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
