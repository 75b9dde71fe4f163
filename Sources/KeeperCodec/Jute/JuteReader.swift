import EnsembleBase
import KeeperCore
import NIOCore

/// Reads Jute primitives (reference/zookeeper.md, introduction) from memory that it borrows: legal only inside the
/// closure that lent the bytes. Every access is checked against the end; every length is checked against `limit` and
/// against what is left *before* anything is allocated.
package struct JuteReader {
    @usableFromInline let bytes: UnsafeRawBufferPointer
    /// Of the next unread byte.
    package private(set) var offset: Int
    /// The longest string or buffer that is accepted.
    package let limit: Int

    /// The longest field of any record: twice the greatest `jute.maxbuffer` that a server accepts (the limit and its
    /// extra size; reference/zookeeper.md, 1.1). A stream that strangers could make buffer as much has a limit of its
    /// own.
    package static let fieldLimit = 2 * FrameLimit.greatest

    package init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0, limit: Int = JuteReader.fieldLimit) {
        self.bytes = bytes
        self.offset = offset
        self.limit = limit
    }

    package var remaining: Int { bytes.count - offset }
    package var isAtEnd: Bool { offset == bytes.count }

    @inline(__always)
    private mutating func load<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type, _ what: @autoclosure () -> String
    ) throws(CodecError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw CodecError(.truncated, what: what(), offset: offset) }
        let value = T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
        offset += MemoryLayout<T>.size
        return value
    }

    @inline(__always)
    package mutating func int32(_ what: @autoclosure () -> String) throws(CodecError) -> Int32 {
        try load(Int32.self, what())
    }

    @inline(__always)
    package mutating func int64(_ what: @autoclosure () -> String) throws(CodecError) -> Int64 {
        try load(Int64.self, what())
    }

    @inline(__always)
    package mutating func zxid(_ what: @autoclosure () -> String) throws(CodecError) -> Zxid {
        Zxid(rawValue: try load(Int64.self, what()))
    }

    /// Java reads any byte but 0 as true; so do we.
    @inline(__always)
    package mutating func bool(_ what: @autoclosure () -> String) throws(CodecError) -> Bool {
        try load(UInt8.self, what()) != 0
    }

    /// A length that is within the limit and available; nil for null (−1).
    @inline(__always)
    private mutating func length(_ what: @autoclosure () -> String) throws(CodecError) -> Int? {
        let start = offset
        let length = Int(try load(Int32.self, what()))
        if length == -1 { return nil }
        guard length >= 0, length <= limit else {
            throw CodecError(.length(length, limit: limit), what: what(), offset: start)
        }
        guard length <= remaining else { throw CodecError(.truncated, what: what(), offset: start) }
        return length
    }

    /// A `buffer` or `ustring`; null is empty.
    @inline(__always)
    package mutating func buffer(_ what: @autoclosure () -> String) throws(CodecError) -> [UInt8] {
        guard let length = try length(what()), length > 0 else { return [] }
        defer { offset += length }
        return [UInt8](UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + length)]))
    }

    /// A node's data: null is nil, which clients tell from empty.
    @inline(__always)
    package mutating func nullableBuffer(_ what: @autoclosure () -> String) throws(CodecError) -> [UInt8]? {
        guard let length = try length(what()) else { return nil }
        if length == 0 { return [] }
        defer { offset += length }
        return [UInt8](UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + length)]))
    }

    @inline(__always)
    package mutating func string(_ what: @autoclosure () -> String) throws(CodecError) -> ByteString {
        ByteString(try buffer(what()))
    }

    /// Not validated: that is the pipeline's, whose answer to a bad path is an error reply, no closed connection.
    @inline(__always)
    package mutating func path(_ what: @autoclosure () -> String) throws(CodecError) -> NodePath {
        NodePath(unchecked: try buffer(what()))
    }

    /// The path of a request: null (−1) names no node and is malformed.
    @inline(__always)
    package mutating func requestPath(_ what: @autoclosure () -> String) throws(CodecError) -> NodePath {
        let start = offset
        guard let length = try length(what()) else {
            throw CodecError(.length(-1, limit: limit), what: what(), offset: start)
        }
        defer { offset += length }
        return NodePath(unchecked: [UInt8](UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + length)])))
    }

    /// Passes over a `buffer` or `ustring`.
    package mutating func skipBuffer(_ what: @autoclosure () -> String) throws(CodecError) {
        offset += try length(what()) ?? 0
    }

    /// The extent of a `buffer`, passed over: to be read by a nested reader.
    package mutating func nested(_ what: @autoclosure () -> String) throws(CodecError) -> JuteReader {
        let length = try length(what()) ?? 0
        defer { offset += length }
        let end = UnsafeRawBufferPointer(rebasing: bytes[..<(offset + length)])
        return JuteReader(end, offset: offset, limit: limit)
    }

    /// The count of a `vector`; null is 0. Items of at least `minimumItemSize` bytes each must fit into what is left,
    /// so that a garbage count reserves nothing.
    package mutating func count(minimumItemSize: Int, _ what: @autoclosure () -> String) throws(CodecError) -> Int {
        let start = offset
        let count = Int(try load(Int32.self, what()))
        if count == -1 { return 0 }
        guard count >= 0, count <= limit else {
            throw CodecError(.length(count, limit: limit), what: what(), offset: start)
        }
        guard count <= remaining / minimumItemSize else { throw CodecError(.truncated, what: what(), offset: start) }
        return count
    }

    /// The bytes from here to the end.
    package mutating func rest() -> [UInt8] {
        defer { offset = bytes.count }
        return [UInt8](UnsafeRawBufferPointer(rebasing: bytes[offset...]))
    }

    /// Throws unless every byte was read.
    package func expectEnd(_ what: @autoclosure () -> String) throws(CodecError) {
        if !isAtEnd { throw CodecError(.trailing(remaining), what: what(), offset: offset) }
    }
}

extension ByteBuffer {
    /// Lends the readable bytes to a reader, without moving the reader index.
    @inline(__always)
    package func withJuteReader<R>(
        limit: Int = JuteReader.fieldLimit, _ body: (inout JuteReader) throws(CodecError) -> R
    ) throws(CodecError) -> R {
        try withUnsafeReadableBytes { bytes -> Result<R, CodecError> in
            var reader = JuteReader(bytes, limit: limit)
            do throws(CodecError) { return .success(try body(&reader)) } catch { return .failure(error) }
        }.get()
    }
}

extension [UInt8] {
    /// Lends the bytes to a reader.
    @inline(__always)
    package func withJuteReader<R>(
        limit: Int = JuteReader.fieldLimit, _ body: (inout JuteReader) throws(CodecError) -> R
    ) throws(CodecError) -> R {
        try withUnsafeBytes { bytes -> Result<R, CodecError> in
            var reader = JuteReader(bytes, limit: limit)
            do throws(CodecError) { return .success(try body(&reader)) } catch { return .failure(error) }
        }.get()
    }
}
