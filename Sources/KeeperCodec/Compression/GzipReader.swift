import KeeperCore

/// Unpacks a gzip file (RFC 1952) as its bytes come: one member or several, each with its checksum and its size.
struct GzipReader: Sendable {
    private enum Phase: Sendable {
        /// → content
        case header
        /// → trailer
        case content(Inflate)
        /// → header
        case trailer
    }

    private var input = BitInput()
    private var phase = Phase.header
    private var members = 0
    private var checksum = Checksum()
    private var size: UInt32 = 0

    /// The most that a header may take: its extra field and its texts are of no use here.
    private static let headerLimit = 1 << 17

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
        guard case .header = phase, members > 0, input.isEmpty else {
            throw CodecError(.truncated, what: "gzip file", offset: input.offset)
        }
    }

    private mutating func run(_ body: (ArraySlice<UInt8>) throws(CodecError) -> Void) throws(CodecError) {
        while true {
            switch phase {
            case .header:
                guard input.holds(GzipReader.headerLimit), !(input.isEmpty && members > 0) else { return }
                try readHeader()
                phase = .content(Inflate())
                checksum = Checksum()
                size = 0
            case .content(let inflate): guard try unpack(inflate, body) else { return }
            case .trailer:
                guard input.holds(8) else { return }
                try readTrailer()
                members += 1
                phase = .header
            }
        }
    }

    /// Whether the member's content has ended.
    private mutating func unpack(
        _ inflate: consuming Inflate, _ body: (ArraySlice<UInt8>) throws(CodecError) -> Void
    ) throws(CodecError) -> Bool {
        // Held by one only: else each write would copy it.
        phase = .trailer
        var input = BitInput()
        swap(&input, &self.input)
        defer { swap(&input, &self.input) }
        try inflate.run(&input) { bytes throws(CodecError) in
            checksum.update(bytes)
            size &+= UInt32(truncatingIfNeeded: bytes.count)
            try body(bytes)
        }
        if inflate.isEnded { input.align() } else { phase = .content(inflate) }
        return inflate.isEnded
    }

    private mutating func readHeader() throws(CodecError) {
        let start = input.offset
        let fixed = Array(try input.takeBytes(10, "gzip header"))
        guard fixed[0] == 0x1F, fixed[1] == 0x8B, fixed[2] == 8, fixed[3] & 0xE0 == 0 else {
            let problem = members == 0 ? "is none of a deflated file" : "bytes behind the end are no further member"
            throw CodecError(.content(problem), what: "gzip header", offset: start)
        }
        let flags = fixed[3]
        if flags & 4 != 0 {
            let size = Array(try input.takeBytes(2, "gzip header"))
            _ = try input.takeBytes(Int(size[0]) | Int(size[1]) << 8, "gzip header")
        }
        // A name and a comment, each with a zero behind it.
        for flag: UInt8 in [8, 16] where flags & flag != 0 {
            while try input.takeBytes(1, "gzip header").first != 0 {}
        }
        if flags & 2 != 0 { _ = try input.takeBytes(2, "gzip header") }
        guard input.offset - start <= GzipReader.headerLimit else {
            throw CodecError(.length(input.offset - start, limit: GzipReader.headerLimit), what: "gzip header", offset: start)
        }
    }

    private mutating func readTrailer() throws(CodecError) {
        let start = input.offset
        let bytes = Array(try input.takeBytes(8, "gzip trailer"))
        func number(_ index: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[index + $1]) << UInt32(8 * $1) } }
        guard number(0) == checksum.value else {
            throw CodecError(
                .checksum(stored: UInt64(number(0)), computed: UInt64(checksum.value)), what: "gzip content", offset: start)
        }
        guard number(4) == size else { throw CodecError(.value(Int64(number(4))), what: "gzip size", offset: start + 4) }
    }
}
