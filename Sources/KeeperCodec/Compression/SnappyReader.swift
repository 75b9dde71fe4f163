/// Unpacks what snappy-java's `SnappyOutputStream` writes, as its bytes come: a header of 16 bytes (0x82 "SNAPPY" 0, int
/// version, int the oldest version that can read it), then blocks, each an int of its size and a raw snappy block. The
/// header may come again where a block's size is due: streams that were put together.
struct SnappyReader: Sendable {
    private enum Phase: Sendable {
        /// Of which so many bytes were taken for a size. → size
        case header(taken: Int)
        /// → block, header
        case size
        /// → size
        case block(size: Int)
    }

    private var input = BitInput()
    private var phase = Phase.header(taken: 0)

    private static let headerSize = 16
    private static let magic: [UInt8] = [0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0]
    /// Writers make blocks of 32 KiB. More than this is garbage, or a writer that no ZooKeeper server is.
    private static let blockLimit = 1 << 24

    mutating func feed(
        _ chunk: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) throws(CodecError) -> Void
    ) throws(CodecError) {
        input.append(chunk)
        try run(body)
    }

    /// The file has ended.
    mutating func finish(_ body: (ArraySlice<UInt8>) throws(CodecError) -> Void) throws(CodecError) {
        input.isEnded = true
        try run(body)
        guard case .size = phase, input.isEmpty else {
            throw CodecError(.truncated, what: "snappy file", offset: input.offset)
        }
    }

    private mutating func run(_ body: (ArraySlice<UInt8>) throws(CodecError) -> Void) throws(CodecError) {
        while true {
            switch phase {
            case .header(let taken):
                guard input.holds(SnappyReader.headerSize) else { return }
                let start = input.offset
                let rest = try input.takeBytes(SnappyReader.headerSize - taken, "snappy header")
                guard rest.starts(with: SnappyReader.magic.dropFirst(taken)) else {
                    throw CodecError(.content("is none of a snappy stream"), what: "snappy header", offset: start)
                }
                phase = .size
            case .size:
                guard input.holds(4), !input.isEmpty else { return }
                try readSize()
            case .block(let size):
                guard input.holds(size) else { return }
                let start = input.offset
                try body(try SnappyReader.unpack(try input.takeBytes(size, "snappy block"), at: start)[...])
                phase = .size
            }
        }
    }

    private mutating func readSize() throws(CodecError) {
        let start = input.offset
        let bytes = try input.takeBytes(4, "snappy block's size")
        if bytes.elementsEqual(SnappyReader.magic.prefix(4)) { return phase = .header(taken: 4) }
        let size = Int(Int32(bitPattern: bytes.bigEndian32(at: bytes.startIndex)))
        guard (0...SnappyReader.blockLimit).contains(size) else {
            throw CodecError(.length(size, limit: SnappyReader.blockLimit), what: "snappy block", offset: start)
        }
        phase = .block(size: size)
    }

    // MARK: a block

    /// A length as a number of seven bits a byte, then elements: bytes as they are, or a repetition of earlier ones.
    private static func unpack(_ block: ArraySlice<UInt8>, at offset: Int) throws(CodecError) -> [UInt8] {
        var rest = block
        func problem(_ text: String) -> CodecError {
            CodecError(.content(text), what: "snappy block", offset: offset + rest.startIndex - block.startIndex)
        }
        func number(_ count: Int) throws(CodecError) -> Int {
            guard rest.count >= count else { throw problem("it ends inside an element") }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count).reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        var (size, shift) = (0, 0)
        while true {
            let byte = try number(1)
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 { break }
            guard shift < 32 else { throw problem("its length has no end") }
        }
        guard size <= blockLimit else { throw CodecError(.length(size, limit: blockLimit), what: "snappy block", offset: offset) }
        var output: [UInt8] = []
        output.reserveCapacity(size)
        while !rest.isEmpty {
            let tag = try number(1)
            if tag & 3 == 0 {
                let length = tag >> 2 < 60 ? tag >> 2 + 1 : try number(tag >> 2 - 59) + 1
                guard rest.count >= length, output.count + length <= size else { throw problem("bytes beyond its length") }
                output += rest.prefix(length)
                rest = rest.dropFirst(length)
                continue
            }
            let (length, distance): (Int, Int)
            switch tag & 3 {
            case 1: (length, distance) = (tag >> 2 & 7 + 4, (tag >> 5) << 8 | (try number(1)))
            case 2: (length, distance) = (tag >> 2 + 1, try number(2))
            default: (length, distance) = (tag >> 2 + 1, try number(4))
            }
            guard distance > 0, distance <= output.count, output.count + length <= size else {
                throw problem("a repetition from before its beginning, or beyond its length")
            }
            let start = output.count - distance
            for index in start..<(start + length) { output.append(output[index]) }
        }
        guard output.count == size else { throw problem("\(output.count) bytes, and not the \(size) that it names") }
        return output
    }
}
