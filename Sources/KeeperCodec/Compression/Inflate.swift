/// Undoes deflate (RFC 1951). Memory: the window of 32 KiB and as much output again before it is handed over.
struct Inflate: Sendable {
    private enum Phase: Sendable {
        /// → stored, coded
        case header
        /// Bytes that stand as they are. → header, ended
        case stored(left: Int)
        /// → header, ended
        case coded(lengths: HuffmanCode, distances: HuffmanCode)
        case ended
    }

    private var phase = Phase.header
    private var isLast = false
    private var output = SlidingWindow()

    /// The most that a step takes: the code lengths of a block, 316 of at most 14 bits.
    private static let stepSize = 1024

    var isEnded: Bool { if case .ended = phase { true } else { false } }

    /// Goes on as far as `input` allows; hands what comes of it to `body`.
    mutating func run(
        _ input: inout BitInput, _ body: (ArraySlice<UInt8>) throws(CodecError) -> Void
    ) throws(CodecError) {
        while !isEnded, input.holds(Inflate.stepSize) {
            switch phase {
            case .header: try beginBlock(&input)
            case .stored(let left): try copyStored(left, &input)
            case .coded(let lengths, let distances): try decode(lengths, distances, &input, body)
            case .ended: break
            }
            if output.isFull || isEnded { try output.flush(body) }
        }
    }

    private mutating func beginBlock(_ input: inout BitInput) throws(CodecError) {
        isLast = try input.take(1, "deflate block") == 1
        switch try input.take(2, "deflate block") {
        case 0:
            input.align()
            let sizes = try input.takeBytes(4, "deflate stored block")
            let start = sizes.startIndex
            let size = Int(sizes[start]) | Int(sizes[start + 1]) << 8
            let complement = Int(sizes[start + 2]) | Int(sizes[start + 3]) << 8
            guard size == complement ^ 0xFFFF else {
                throw CodecError(.value(Int64(complement)), what: "deflate stored block's size", offset: input.offset)
            }
            phase = .stored(left: size)
        case 1: phase = .coded(lengths: .fixedLengths, distances: .fixedDistances)
        case 2: try readCodes(&input)
        default: throw CodecError(.value(3), what: "deflate block's kind", offset: input.offset)
        }
    }

    private mutating func endBlock() { phase = isLast ? .ended : .header }

    private mutating func copyStored(_ left: Int, _ input: inout BitInput) throws(CodecError) {
        if left == 0 { return endBlock() }
        let bytes = input.takeSome(min(left, output.room))
        guard !bytes.isEmpty else { throw CodecError(.truncated, what: "deflate stored block", offset: input.offset) }
        output.append(bytes)
        phase = .stored(left: left - bytes.count)
    }

    // MARK: codes

    private static let codeLengthOrder = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

    private mutating func readCodes(_ input: inout BitInput) throws(CodecError) {
        let lengthCount = try input.take(5, "deflate codes") + 257
        let distanceCount = try input.take(5, "deflate codes") + 1
        let codeLengthCount = try input.take(4, "deflate codes") + 4
        guard lengthCount <= 286, distanceCount <= 30 else {
            throw CodecError(.content("more codes than there are"), what: "deflate codes", offset: input.offset)
        }
        var codeLengths = [UInt8](repeating: 0, count: 19)
        for index in 0..<codeLengthCount {
            codeLengths[Inflate.codeLengthOrder[index]] = UInt8(try input.take(3, "deflate codes"))
        }
        let codeLengthCode = try HuffmanCode(codeLengths[...], mayBeIncomplete: false, at: input.offset)
        let lengths = try readCodeLengths(lengthCount + distanceCount, codeLengthCode, &input)
        guard lengths[256] > 0 else {
            throw CodecError(.content("no code for the block's end"), what: "deflate codes", offset: input.offset)
        }
        phase = .coded(
            lengths: try HuffmanCode(lengths[..<lengthCount], mayBeIncomplete: true, at: input.offset),
            distances: try HuffmanCode(lengths[lengthCount...], mayBeIncomplete: true, at: input.offset))
    }

    private func readCodeLengths(
        _ count: Int, _ code: HuffmanCode, _ input: inout BitInput
    ) throws(CodecError) -> [UInt8] {
        var lengths: [UInt8] = []
        while lengths.count < count {
            let symbol = try code.next(&input)
            let (value, repeats): (UInt8, Int)
            switch symbol {
            case 0..<16: (value, repeats) = (UInt8(symbol), 1)
            case 16:
                guard let last = lengths.last else {
                    throw CodecError(.content("a repetition of nothing"), what: "deflate codes", offset: input.offset)
                }
                (value, repeats) = (last, try input.take(2, "deflate codes") + 3)
            case 17: (value, repeats) = (0, try input.take(3, "deflate codes") + 3)
            default: (value, repeats) = (0, try input.take(7, "deflate codes") + 11)
            }
            lengths += repeatElement(value, count: repeats)
        }
        guard lengths.count == count else {
            throw CodecError(.content("more lengths than codes"), what: "deflate codes", offset: input.offset)
        }
        return lengths
    }

    // MARK: coded data

    private static let lengthBases = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
    ]
    private static let lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
    private static let distanceBases = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193,
        12289, 16385, 24577,
    ]

    /// Until the block ends, the input does for now, or the output is full.
    private mutating func decode(
        _ lengths: HuffmanCode, _ distances: HuffmanCode, _ input: inout BitInput,
        _ body: (ArraySlice<UInt8>) throws(CodecError) -> Void
    ) throws(CodecError) {
        while input.holds(Inflate.stepSize) {
            let symbol = try lengths.next(&input)
            if symbol < 256 {
                output.append(UInt8(symbol))
            } else if symbol == 256 {
                return endBlock()
            } else {
                guard symbol < 286 else {
                    throw CodecError(.value(Int64(symbol)), what: "deflate length", offset: input.offset)
                }
                let length = Inflate.lengthBases[symbol - 257] + (try input.take(Inflate.lengthBits[symbol - 257], "deflate length"))
                try output.repeatBytes(length, from: try readDistance(distances, &input), at: input.offset)
            }
            if output.isFull { try output.flush(body) }
        }
    }

    private func readDistance(_ code: HuffmanCode, _ input: inout BitInput) throws(CodecError) -> Int {
        let symbol = try code.next(&input)
        guard symbol < 30 else { throw CodecError(.value(Int64(symbol)), what: "deflate distance", offset: input.offset) }
        let extra = symbol < 4 ? 0 : symbol / 2 - 1
        return Inflate.distanceBases[symbol] + (try input.take(extra, "deflate distance"))
    }
}

/// The last 32 KiB of the output, and what was not handed over yet.
private struct SlidingWindow: Sendable {
    private var bytes: [UInt8] = []
    private var handedOver = 0

    private static let size = 1 << 15
    private static let limit = 1 << 17

    init() { bytes.reserveCapacity(SlidingWindow.limit + 300) }

    var isFull: Bool { bytes.count >= SlidingWindow.limit }
    var room: Int { max(SlidingWindow.limit - bytes.count, 1) }

    mutating func append(_ byte: UInt8) { bytes.append(byte) }
    mutating func append(_ more: ArraySlice<UInt8>) { bytes += more }

    mutating func repeatBytes(_ count: Int, from distance: Int, at offset: Int) throws(CodecError) {
        guard distance <= bytes.count else {
            throw CodecError(.content("reaches back before the beginning"), what: "deflate distance", offset: offset)
        }
        // Byte by byte: the two may overlap, and the copy then repeats itself.
        let start = bytes.count - distance
        for index in start..<(start + count) { bytes.append(bytes[index]) }
    }

    mutating func flush(_ body: (ArraySlice<UInt8>) throws(CodecError) -> Void) throws(CodecError) {
        if handedOver < bytes.count { try body(bytes[handedOver...]) }
        bytes.removeFirst(max(bytes.count - SlidingWindow.size, 0))
        handedOver = bytes.count
    }
}

/// A canonical prefix code (RFC 1951, 3.2.2).
struct HuffmanCode: Sendable {
    private static let longest = 15
    private static let quickBits = 9
    /// For the next nine bits: symbol and length of the code that they begin with; 0 if it is longer, or none.
    private var quick = [UInt16](repeating: 0, count: 1 << quickBits)
    /// Codes of each length.
    private var counts = [Int](repeating: 0, count: longest + 1)
    /// By length, and then by value.
    private var symbols: [UInt16] = []

    /// - Parameter mayBeIncomplete: a code with a single symbol has one bit of which one value means nothing.
    init(_ lengths: ArraySlice<UInt8>, mayBeIncomplete: Bool, at offset: Int) throws(CodecError) {
        for length in lengths where length > 0 { counts[Int(length)] += 1 }
        var left = 1
        for length in 1...HuffmanCode.longest {
            left = left << 1 - counts[length]
            guard left >= 0 else { throw CodecError(.content("too many codes of a length"), what: "deflate codes", offset: offset) }
        }
        let used = counts.reduce(0, +)
        guard left == 0 || mayBeIncomplete && (used == 0 || used == 1 && counts[1] == 1) else {
            throw CodecError(.content("too few codes"), what: "deflate codes", offset: offset)
        }
        for length in 1...HuffmanCode.longest {
            for (symbol, other) in lengths.enumerated() where Int(other) == length { symbols.append(UInt16(symbol)) }
        }
        fillQuick()
    }

    private mutating func fillQuick() {
        var (code, index) = (0, 0)
        for length in 1...HuffmanCode.quickBits {
            for _ in 0..<counts[length] {
                // The first bit of a code comes first, which is the lowest of what `peek` gives.
                var reversed = 0
                for bit in 0..<length where code >> bit & 1 == 1 { reversed |= 1 << (length - 1 - bit) }
                for place in stride(from: reversed, to: quick.count, by: 1 << length) {
                    quick[place] = symbols[index] << 4 | UInt16(length)
                }
                code += 1
                index += 1
            }
            code <<= 1
        }
    }

    func next(_ input: inout BitInput) throws(CodecError) -> Int {
        let ahead = input.peek(HuffmanCode.longest)
        let entry = quick[ahead & (1 << HuffmanCode.quickBits - 1)]
        if entry != 0 {
            try input.skip(Int(entry & 15), "deflate code")
            return Int(entry >> 4)
        }
        var (code, first, index) = (0, 0, 0)
        for length in 1...HuffmanCode.longest {
            code |= ahead >> (length - 1) & 1
            let count = counts[length]
            if code - first < count {
                try input.skip(length, "deflate code")
                return Int(symbols[index + code - first])
            }
            index += count
            first = (first + count) << 1
            code <<= 1
        }
        throw CodecError(.content("no code begins so"), what: "deflate code", offset: input.offset)
    }

    /// A block without codes of its own has these (RFC 1951, 3.2.6).
    static let fixedLengths = fixed(
        Array(repeating: 8, count: 144) + Array(repeating: 9, count: 112) + Array(repeating: 7, count: 24) + Array(repeating: 8, count: 8))
    static let fixedDistances = fixed(Array(repeating: 5, count: 32))

    private static func fixed(_ lengths: [UInt8]) -> HuffmanCode {
        do throws(CodecError) { return try HuffmanCode(lengths[...], mayBeIncomplete: false, at: 0) } catch {
            preconditionFailure("\(error)")
        }
    }
}
