import KeeperCodec
import Testing

/// Packed snapshots, as zlib and snappy-java write them. Whole ones, by Apache's server, are read by
/// `RecoveryTests.directoriesAsApacheLeavesThemLoad`.
@Suite struct CompressionTests {
    private static func value(_ index: Int) -> UInt8 { UInt8((index * index / 97 ^ index / 50) % 7 + 65) }

    private static func content(_ count: Int) -> [UInt8] { (0..<count).map(value) }

    /// Its repetitions are nearly a window apart: distances of 32,503.
    private static let farContent: [UInt8] = (0..<300_000).map { $0 % 32_503 < 900 ? value($0 % 32_503) : 66 }

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.utf8.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }

    private func unpacked(
        _ file: [UInt8], _ compression: SnapshotCompression, step: Int = 1 << 20
    ) throws(CodecError) -> [UInt8] {
        var unpacker = SnapshotUnpacker(compression)
        var content: [UInt8] = []
        var rest = file[...]
        while !rest.isEmpty {
            try unpacker.feed(rest.prefix(step)) { content += $0 }
            rest = rest.dropFirst(step)
        }
        try unpacker.finish { content += $0 }
        return content
    }

    @Test(arguments: [1, 2, 7, 1000, 1 << 20]) func gzipInPiecesOfAnySize(step: Int) throws {
        #expect(try unpacked(Self.stored, .gzip, step: step) == Self.content(40))
        #expect(try unpacked(Self.fixed, .gzip, step: step) == Self.content(300))
        let isSame = try unpacked(Self.far, .gzip, step: step) == Self.farContent
        #expect(isSame)
        #expect(try unpacked(Self.stored + Self.fixed, .gzip, step: step) == Self.content(40) + Self.content(300))
    }

    /// A name and a comment, an extra field and a checksum in the header.
    @Test func gzipHeadersMayHoldMore() throws {
        let header = Self.stored[..<3] + [0x1E] + Self.stored[4..<10] + [3, 0, 1, 2, 3] + Array("name\u{0}comment\u{0}".utf8) + [9, 9]
        #expect(try unpacked(header + Self.stored[10...], .gzip) == Self.content(40))
    }

    @Test func cutOrSpoiltIsRefused() {
        for file in [Self.stored, Self.fixed] {
            for size in 0..<file.count {
                #expect(throws: CodecError.self, "cut at \(size)") { try unpacked(Array(file[..<size]), .gzip) }
            }
            for index in 10..<file.count {
                var spoilt = file
                spoilt[index] ^= 0x10
                // A few bits only fill up a byte.
                let content = try? unpacked(spoilt, .gzip)
                #expect(content == nil || content == (try? unpacked(file, .gzip)), "spoilt at \(index)")
            }
            #expect(throws: CodecError.self) { try unpacked(file + [0], .gzip) }
        }
    }

    /// A file of a few hundred bytes may hold very many: they come in pieces, and are never held together.
    @Test func whatComesIsHandedOverInPieces() throws {
        var unpacker = SnapshotUnpacker(.gzip)
        var largest = 0
        try unpacker.feed(Self.far[...]) { largest = max(largest, $0.count) }
        try unpacker.finish { largest = max(largest, $0.count) }
        #expect(largest <= 1 << 17 + 258)
    }

    // MARK: snappy

    private static func snappy(_ blocks: [[UInt8]]) -> [UInt8] {
        [0x82] + Array("SNAPPY".utf8) + [0, 0, 0, 0, 1, 0, 0, 0, 1] + blocks.flatMap { [0, 0, 0, UInt8($0.count)] + $0 }
    }

    /// Bytes as they are; repetitions with distances of one, two and four bytes, and one of itself; a length of its own.
    private static let block: [UInt8] = [
        23, 3 << 2, 1, 2, 3, 4, 1 | 0 << 2, 4, 2 | 3 << 2, 2, 0, 3 | 4 << 2, 1, 0, 0, 0, 60 << 2, 5, 5, 6, 7, 8, 9, 10,
    ]
    private static let unpackedBlock: [UInt8] = [1, 2, 3, 4, 1, 2, 3, 4, 3, 4, 3, 4, 4, 4, 4, 4, 4, 5, 6, 7, 8, 9, 10]

    @Test(arguments: [1, 3, 1 << 20]) func snappyInPiecesOfAnySize(step: Int) throws {
        let file = Self.snappy([Self.block, [0], Self.block])
        #expect(try unpacked(file, .snappy, step: step) == Self.unpackedBlock + Self.unpackedBlock)
        // Streams that were put together.
        #expect(try unpacked(file + file, .snappy, step: step).count == 4 * Self.unpackedBlock.count)
    }

    @Test func spoiltSnappyIsRefused() {
        let file = Self.snappy([Self.block])
        for size in 0..<file.count where size != 16 {
            #expect(throws: CodecError.self, "cut at \(size)") { try unpacked(Array(file[..<size]), .snappy) }
        }
        let bad: [[UInt8]] = [
            [4, 3 << 2, 1, 2, 3], [4, 0, 1, 1, 2], [4, 0, 1, 1, 0], [9, 0, 1, 1, 1], [255, 255, 255, 255, 15], [255, 255, 255, 255, 255, 1], [],
        ]
        for block in bad { #expect(throws: CodecError.self, "\(block)") { try unpacked(Self.snappy([block]), .snappy) } }
        #expect(throws: CodecError.self) { try unpacked(Self.snappy([]) + [0x7F, 0, 0, 0], .snappy) }
    }

    @Test func whatIsNotPackedPassesThrough() throws {
        var unpacker = SnapshotUnpacker(SnapshotCompression(ofFile: "snapshot.5"))
        var content: [UInt8] = []
        try unpacker.feed([1, 2, 3]) { content += $0 }
        try unpacker.finish { content += $0 }
        #expect(content == [1, 2, 3])
        #expect(SnapshotCompression(ofFile: "snapshot.5.gz") == .gzip)
        #expect(SnapshotCompression(ofFile: "snapshot.5.snappy") == .snappy)
    }

    // MARK: zlib's files

    private static let stored = bytes(
        """
        1f8b0800000000000403012800d7ff414141414141414141414242424243434343444445454546464747414242434344454546474141420b
        365c4b28000000
        """)

    private static let fixed = bytes(
        """
        1f8b080000000000020373748401272070060217175757573737777747101fc87173074a0219403110ede2eee6e4e2ece6eae8eee4eae2ee
        e4e8e2e6eaeeec046239bb3a02196e401108edecea0ea65c9c1ddd5d5d80aa9d1cdddd805a5d800c172727776767471767a0b0b39b9b8bbb
        3b9405947271777572777506934e6e2e40e408e1016930e10c24dc9cc15c38e508520752e40c940773804a4008e8485730db1d64b533d005
        409693939bab1350cad91da80568a633900fe4b8bab8bab8b9b902430124e6e80e722e9009127272720400eae0f6c42c010000
        """)

    private static let far = bytes(
        """
        1f8b0800000000000203eddd4982e4280c05d0b33108ee7fa3fa2232abfb06b588f7326cc0a310ceb5c6f83563c5de5575cebda3c7199c9b
        93e9e458b7fb9eb9d7a97167ed3bc73e75d7ecdeaa91cec9914fbbeabe66af716be7ea39eec9ad3b9d3de75d6bec95c3eb9c7def4f2fa7f6
        ad796bbdfd3c3bbff119a57dbb95dd596ff8b7197d5d5fb472fe0d7249ff1264bdfeed57af4490de9ca7664ead9b5bf2cc957106b56b9f53
        c9421f1bb7c34db70fcd5c5e23d3cc6e57f6639e3c2571e7573990e724f2bdc75839b4dfb83a099d815c37bbf7b3db9dca5d9f84feaf192f
        ac0e32d9c82bf6ce3baa23ed2d4fddbdfdbc60f6bb92b0932c67da49560239b963d7ca8493c1935eda33ef38738d99c4adf78aa42c8fdc2f
        9c9b384fc75837cb9447e5893b118e049ab4bdde1c23ab95057aab777bbd7eb7aab7a0d58b994cce24b48f25a3b965f6647ad7fbbe3b0b5c
        3d89d30b9d13391399cee9877506676249f0f77d6f9dc4cf17f9b7ed6ff3bcb49fd3d35cb92b0b97f5cd9255a7b17b3dfda4e276527b9cd9
        6722efdb9cfdbb6ffff9547fbed2dfe6bf2de3db9fc5ea34773b5f1666875f6f36994ff537937cf5e0bed0fa3fa6835a1dea1e9f7fa3fdd3
        64221d7d56b192dee47ae50f000000000000000000000000000000000000000000000000000000000000feada1ecbdb2f7cade2b7b0f0000
        000000000000000000000000000000000000000000000000000000c03753f65ed97b65ef95bd070000000000000000000000000000000000
        000000000000000000000000e0ab297bafecbdb2f7cade030000000000000000000000000000000000000000000000000000000000f0d594
        bd57f65ed97b65ef010000000000000000000000000000000000000000000000000000000000f86acade2b7bafecbdb2f700000000000000
        00000000000000000000000000000000000000000000007c3565ef95bd57f65ed97b00000000000000000000000000000000000000000000
        0000000000000000be9ab2f7cade2b7bafec3d0000000000000000000000000000000000000000000000000000000000005f4dd97b65ef95
        bd57f61e000000000000000000000000000000000000000000000000000000000080afa6ecbdb2f7cade2b7b0f0000000000f0b5fe007a96
        f988e0930400
        """)
}
