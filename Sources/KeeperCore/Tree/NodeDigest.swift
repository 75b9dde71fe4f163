/// The digest of one node: CRC-32 (zlib's polynomial) of path, data and the 60 bytes of its stat
/// (reference/zookeeper.md, 2.4).
///
/// Path and data come first, so the state behind them is kept with the node: a change of the stat alone, which is what
/// happens to the parent of every created and deleted node, costs 60 bytes, however much data the node has.
struct NodeDigest: Hashable, Sendable {
    /// The CRC's inner state behind path and data; meaningless where `isCovered` is false.
    private var prefix: UInt32
    /// The whole CRC; 0 where `isCovered` is false.
    private var checksum: UInt32
    /// Nodes below `/zookeeper/` are left out of the tree's digest: Apache's servers write quota counters there locally.
    private let isCovered: Bool

    /// What the node adds to the tree's digest.
    var value: UInt64 { UInt64(checksum) }

    static let uncovered = NodeDigest(isCovered: false)

    private init(isCovered: Bool) {
        self.isCovered = isCovered
        prefix = 0
        checksum = 0
    }

    init(path: NodePath, data: ArraySlice<UInt8>?, stat: StoredStat) {
        self.init(isCovered: !NodeDigest.isExcluded(path))
        replaceData(data, path: path, stat: stat)
    }

    /// Recomputes everything.
    mutating func replaceData(_ data: ArraySlice<UInt8>?, path: NodePath, stat: StoredStat) {
        guard isCovered else { return }
        var behind = Checksum()
        if !path.isRoot { behind.update(path.bytes[...]) }
        if let data { behind.update(data) }
        prefix = behind.state
        refresh(stat)
    }

    /// Recomputes the part behind path and data.
    mutating func refresh(_ stat: StoredStat) {
        guard isCovered else { return }
        var whole = Checksum(state: prefix)
        whole.update(stat)
        checksum = whole.value
    }

    static func isExcluded(_ path: NodePath) -> Bool {
        let subtree: StaticString = "/zookeeper/"
        guard path.bytes.count >= subtree.utf8CodeUnitCount else { return false }
        for i in 0..<subtree.utf8CodeUnitCount where path.bytes[i] != subtree.utf8Start[i] { return false }
        return true
    }
}

/// CRC-32, eight bytes a step ("slicing by 8": Kounavis and Berry, 2005).
package struct Checksum: Sendable {
    private(set) var state: UInt32

    package init() { self.init(state: 0xFFFF_FFFF) }

    init(state: UInt32) { self.state = state }

    package var value: UInt32 { ~state }

    package mutating func update(_ bytes: ArraySlice<UInt8>) {
        if bytes.isEmpty { return }
        state = Checksum.tables.withUnsafeBufferPointer { t in
            bytes.withUnsafeBytes { raw in
                var crc = state
                var i = 0
                while i + 8 <= raw.count {
                    crc = Checksum.step(crc, UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: i, as: UInt64.self)), t)
                    i += 8
                }
                while i < raw.count {
                    crc = t[Int(UInt8(truncatingIfNeeded: crc) ^ raw[i])] ^ (crc >> 8)
                    i += 1
                }
                return crc
            }
        }
    }

    /// The stat in the order of the digest (not of the file): big-endian, so each word is swapped.
    mutating func update(_ stat: StoredStat) {
        let versions = Int64(stat.version) << 32 | Int64(UInt32(bitPattern: stat.cversion))
        let aversionAndOwner = Int64(stat.aversion) << 32 | Int64(UInt32(truncatingIfNeeded: stat.ephemeralOwner >> 32))
        state = Checksum.tables.withUnsafeBufferPointer { t in
            var crc = Checksum.step(state, bigEndian: stat.czxid.rawValue, t)
            crc = Checksum.step(crc, bigEndian: stat.mzxid.rawValue, t)
            crc = Checksum.step(crc, bigEndian: stat.pzxid.rawValue, t)
            crc = Checksum.step(crc, bigEndian: stat.ctime, t)
            crc = Checksum.step(crc, bigEndian: stat.mtime, t)
            crc = Checksum.step(crc, bigEndian: versions, t)
            crc = Checksum.step(crc, bigEndian: aversionAndOwner, t)
            var rest = UInt32(truncatingIfNeeded: stat.ephemeralOwner).byteSwapped
            for _ in 0..<4 {
                crc = t[Int(UInt8(truncatingIfNeeded: crc ^ rest))] ^ (crc >> 8)
                rest >>= 8
            }
            return crc
        }
    }

    @inline(__always)
    private static func step(_ crc: UInt32, bigEndian word: Int64, _ t: UnsafeBufferPointer<UInt32>) -> UInt32 {
        step(crc, UInt64(bitPattern: word).byteSwapped, t)
    }

    @inline(__always)
    private static func step(_ crc: UInt32, _ word: UInt64, _ t: UnsafeBufferPointer<UInt32>) -> UInt32 {
        let x = word ^ UInt64(crc)
        let low =
            t[0x700 + Int(x & 0xFF)] ^ t[0x600 + Int(x >> 8 & 0xFF)] ^ t[0x500 + Int(x >> 16 & 0xFF)]
            ^ t[0x400 + Int(x >> 24 & 0xFF)]
        let high =
            t[0x300 + Int(x >> 32 & 0xFF)] ^ t[0x200 + Int(x >> 40 & 0xFF)] ^ t[0x100 + Int(x >> 48 & 0xFF)]
            ^ t[Int(x >> 56)]
        return low ^ high
    }

    /// Table k of 8 maps a byte to its CRC followed by k zero bytes.
    private static let tables: [UInt32] = {
        var t = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
            t[byte] = crc
        }
        for i in 256..<(8 * 256) { t[i] = t[Int(t[i - 256] & 0xFF)] ^ (t[i - 256] >> 8) }
        return t
    }()
}
