import CYAML

/// A place in a text; both count from 1, columns in Unicode scalars.
package struct TextMark: Hashable, Comparable, Sendable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static func < (a: TextMark, b: TextMark) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

/// A value of a YAML document and where it begins.
struct YAMLNode: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        /// `quoted`: the text was in quotes, or a block: it is text even if it looks like a number.
        case scalar(String, quoted: Bool)
        case sequence([YAMLNode])
        /// In the order of the file. Keys may be repeated here: reporting that is the decoder's, which knows the path.
        case mapping([Entry])
    }

    struct Entry: Hashable, Sendable {
        var key: String
        var mark: TextMark
        var value: YAMLNode
    }

    var content: Content
    var mark: TextMark

    /// An absent value: `key:` with nothing behind it, `~` or `null`.
    var isNull: Bool {
        if case .scalar(let text, quoted: false) = content { ["", "~", "null", "Null", "NULL"].contains(text) } else { false }
    }
}

/// Why bytes are no YAML document that a manifest may be.
struct YAMLError: Error, Hashable {
    var mark: TextMark
    var problem: String
    var remedy: String
}

/// Bytes to a tree of nodes, by libyaml's events. What a manifest has no use for is refused rather than interpreted:
/// anchors and aliases (a few bytes can stand for gigabytes), tags, several documents, keys that are not plain text.
struct YAMLReader {
    /// Larger than any cluster's manifest by far.
    static let maximumBytes = 1 << 20
    static let maximumDepth = 32
    static let maximumNodes = 50_000

    private enum Event {
        case scalar(String, quoted: Bool)
        case sequenceStart, sequenceEnd, mappingStart, mappingEnd
        case documentStart, documentEnd, streamStart, streamEnd
    }

    private var parser: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeBufferPointer<UInt8>
    private var nodes = 0

    /// The one document in `bytes`.
    static func read(_ bytes: [UInt8]) throws(YAMLError) -> YAMLNode {
        guard bytes.count <= maximumBytes else {
            throw YAMLError(
                mark: TextMark(line: 1, column: 1), problem: "the file has \(bytes.count) bytes",
                remedy: "a manifest has at most \(maximumBytes)")
        }
        let result: Result<YAMLNode, YAMLError> = bytes.withUnsafeBufferPointer { buffer in
            withUnsafeTemporaryAllocation(of: yaml_parser_t.self, capacity: 1) { room in
                guard let parser = room.baseAddress, yaml_parser_initialize(parser) == 1 else {
                    return .failure(
                        YAMLError(mark: TextMark(line: 1, column: 1), problem: "no memory to read it", remedy: "free some"))
                }
                defer { yaml_parser_delete(parser) }
                yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
                // The buffer outlives the parser: libyaml keeps the pointer and does not copy.
                yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
                var reader = YAMLReader(parser: parser, bytes: buffer)
                do throws(YAMLError) { return .success(try reader.document()) } catch { return .failure(error) }
            }
        }
        return try result.get()
    }

    private init(parser: UnsafeMutablePointer<yaml_parser_t>, bytes: UnsafeBufferPointer<UInt8>) {
        self.parser = parser
        self.bytes = bytes
    }

    private mutating func document() throws(YAMLError) -> YAMLNode {
        _ = try next()
        let (start, startMark) = try next()
        guard case .documentStart = start else {
            throw YAMLError(mark: startMark, problem: "the file declares nothing", remedy: "begin with 'cluster: <name>'")
        }
        let (first, mark) = try next()
        let node = try value(first, at: mark, depth: 1)
        _ = try next()
        let (after, afterMark) = try next()
        guard case .streamEnd = after else {
            throw YAMLError(
                mark: afterMark, problem: "a second document begins here", remedy: "put one cluster in one file")
        }
        return node
    }

    private mutating func value(_ event: Event, at mark: TextMark, depth: Int) throws(YAMLError) -> YAMLNode {
        nodes += 1
        guard nodes <= Self.maximumNodes else {
            throw YAMLError(
                mark: mark, problem: "more than \(Self.maximumNodes) values", remedy: "a manifest has fewer")
        }
        guard depth <= Self.maximumDepth else {
            throw YAMLError(
                mark: mark, problem: "nested deeper than \(Self.maximumDepth) levels", remedy: "a manifest is flatter")
        }
        switch event {
        case .scalar(let text, let quoted): return YAMLNode(content: .scalar(text, quoted: quoted), mark: mark)
        case .sequenceStart:
            var items: [YAMLNode] = []
            while true {
                let (event, itemMark) = try next()
                if case .sequenceEnd = event { return YAMLNode(content: .sequence(items), mark: mark) }
                items.append(try value(event, at: itemMark, depth: depth + 1))
            }
        case .mappingStart: return YAMLNode(content: .mapping(try entries(depth: depth)), mark: mark)
        default: throw YAMLError(mark: mark, problem: "a value is missing here", remedy: "write one")
        }
    }

    private mutating func entries(depth: Int) throws(YAMLError) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        while true {
            let (event, mark) = try next()
            switch event {
            case .mappingEnd: return entries
            case .scalar(let key, _):
                let (event, valueMark) = try next()
                entries.append(
                    YAMLNode.Entry(key: key, mark: mark, value: try value(event, at: valueMark, depth: depth + 1)))
            default:
                throw YAMLError(mark: mark, problem: "a key that is not a word", remedy: "every key is a plain word")
            }
        }
    }
}

// MARK: libyaml

extension YAMLReader {
    private func next() throws(YAMLError) -> (Event, TextMark) {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw failure() }
        defer { yaml_event_delete(&raw) }
        let mark = TextMark(line: Int(raw.start_mark.line) + 1, column: Int(raw.start_mark.column) + 1)
        switch raw.type {
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            try refuseDecoration(anchor: scalar.anchor, tag: scalar.tag, at: mark)
            let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            return (.scalar(text, quoted: scalar.style != YAML_PLAIN_SCALAR_STYLE), mark)
        case YAML_SEQUENCE_START_EVENT:
            try refuseDecoration(anchor: raw.data.sequence_start.anchor, tag: raw.data.sequence_start.tag, at: mark)
            return (.sequenceStart, mark)
        case YAML_MAPPING_START_EVENT:
            try refuseDecoration(anchor: raw.data.mapping_start.anchor, tag: raw.data.mapping_start.tag, at: mark)
            return (.mappingStart, mark)
        case YAML_ALIAS_EVENT:
            throw YAMLError(mark: mark, problem: "an alias (*name)", remedy: "write the value out: a manifest has no aliases")
        case YAML_SEQUENCE_END_EVENT: return (.sequenceEnd, mark)
        case YAML_MAPPING_END_EVENT: return (.mappingEnd, mark)
        case YAML_DOCUMENT_START_EVENT: return (.documentStart, mark)
        case YAML_DOCUMENT_END_EVENT: return (.documentEnd, mark)
        case YAML_STREAM_START_EVENT: return (.streamStart, mark)
        default: return (.streamEnd, mark)
        }
    }

    private func refuseDecoration(
        anchor: UnsafeMutablePointer<UInt8>?, tag: UnsafeMutablePointer<UInt8>?, at mark: TextMark
    ) throws(YAMLError) {
        if anchor != nil {
            throw YAMLError(mark: mark, problem: "an anchor (&name)", remedy: "leave it out: a manifest has no aliases")
        }
        if tag != nil {
            throw YAMLError(mark: mark, problem: "a tag (!name)", remedy: "leave it out: the type follows from the key")
        }
    }

    private func failure() -> YAMLError {
        let raw = parser.pointee
        let problem = raw.problem.map { String(cString: $0) } ?? "it cannot be read"
        switch raw.error {
        case YAML_READER_ERROR:
            // Here libyaml leaves its mark at the beginning, and tells the offset (reference/swift-linux.md, 1).
            return YAMLError(
                mark: mark(at: Int(raw.problem_offset)), problem: "a byte that is not text (\(problem))",
                remedy: "save the file as UTF-8 without control characters")
        case YAML_MEMORY_ERROR:
            return YAMLError(mark: TextMark(line: 1, column: 1), problem: "no memory to read it", remedy: "free some")
        default:
            let mark = TextMark(line: Int(raw.problem_mark.line) + 1, column: Int(raw.problem_mark.column) + 1)
            let context = raw.context.map { " " + String(cString: $0) } ?? ""
            return YAMLError(
                mark: mark, problem: "not YAML: \(problem)\(context)",
                remedy: "check indentation, colons and quotes here and in the line above")
        }
    }

    /// Line and column of a byte; continuation bytes of UTF-8 are no columns of their own.
    private func mark(at offset: Int) -> TextMark {
        var mark = TextMark(line: 1, column: 1)
        for byte in bytes.prefix(max(offset, 0)) {
            if byte == UInt8(ascii: "\n") {
                mark = TextMark(line: mark.line + 1, column: 1)
            } else if byte & 0xC0 != 0x80 {
                mark.column += 1
            }
        }
        return mark
    }
}
