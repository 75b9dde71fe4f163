/// Bytes of a compressed file as they come, read by bits (least significant first, as deflate packs them) or by bytes.
///
/// Whoever reads asks first whether as much is here as the next step may need (`holds`), so that no step is ever left half
/// done: a step that finds less has met the end of the file.
struct BitInput: Sendable {
    private var bytes: [UInt8] = []
    private var next = 0
    /// Of the file, before `bytes`.
    private var discarded = 0
    private var bits: UInt64 = 0
    private var bitCount = 0
    /// Nothing more comes.
    var isEnded = false

    mutating func append(_ chunk: ArraySlice<UInt8>) {
        giveBack()
        bytes.removeFirst(next)
        discarded += next
        next = 0
        bytes += chunk
    }

    /// Where the next whole byte stands in the file.
    var offset: Int { discarded + next - bitCount / 8 }

    private var left: Int { bytes.count - next + bitCount / 8 }
    var isEmpty: Bool { left == 0 }

    /// Whether a step that takes at most `count` bytes may begin.
    func holds(_ count: Int) -> Bool { isEnded || left >= count }

    // MARK: bits

    /// Whole bytes of which no bit was taken.
    private mutating func giveBack() {
        next -= bitCount / 8
        bitCount %= 8
        bits &= 1 << UInt64(bitCount) - 1
    }

    private mutating func fill() {
        while bitCount <= 56, next < bytes.count {
            bits |= UInt64(bytes[next]) << UInt64(bitCount)
            next += 1
            bitCount += 8
        }
    }

    /// The next bits, zeros where the file has ended. At most 32.
    mutating func peek(_ count: Int) -> Int {
        if bitCount < count { fill() }
        return Int(bits & (1 << UInt64(count) - 1))
    }

    mutating func skip(_ count: Int, _ what: String) throws(CodecError) {
        guard bitCount >= count else { throw CodecError(.truncated, what: what, offset: offset) }
        bits >>= UInt64(count)
        bitCount -= count
    }

    mutating func take(_ count: Int, _ what: String) throws(CodecError) -> Int {
        let value = peek(count)
        try skip(count, what)
        return value
    }

    // MARK: bytes

    /// Gives up what is left of a byte that was begun.
    mutating func align() {
        giveBack()
        bits = 0
        bitCount = 0
    }

    /// Exactly `count` bytes. After `align`.
    mutating func takeBytes(_ count: Int, _ what: String) throws(CodecError) -> ArraySlice<UInt8> {
        guard bytes.count - next >= count else { throw CodecError(.truncated, what: what, offset: offset) }
        defer { next += count }
        return bytes[next..<(next + count)]
    }

    /// Up to `count` bytes. After `align`.
    mutating func takeSome(_ count: Int) -> ArraySlice<UInt8> {
        let end = min(next + count, bytes.count)
        defer { next = end }
        return bytes[next..<end]
    }
}
