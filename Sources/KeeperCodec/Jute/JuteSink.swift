import EnsembleBase
import KeeperCore
import NIOCore

/// Where a record's fields go. Each record describes its layout once (`JuteRecord.encode`); run against `JuteSizer` the
/// description measures, run against `JuteWriter` it writes into memory of exactly that size.
package protocol JuteSink {
    mutating func int32(_ value: Int32)
    mutating func int64(_ value: Int64)
    mutating func bool(_ value: Bool)
    /// Bytes without a length.
    mutating func raw(_ bytes: [UInt8])
    /// A slice of what a node holds is written from where it lies.
    mutating func raw(_ bytes: ArraySlice<UInt8>)
}

extension JuteSink {
    @inline(__always)
    package mutating func zxid(_ value: Zxid) { int64(value.rawValue) }

    /// A `buffer` or `ustring`.
    @inline(__always)
    package mutating func buffer(_ bytes: [UInt8]) {
        int32(Int32(truncatingIfNeeded: bytes.count))
        raw(bytes)
    }

    @inline(__always)
    package mutating func string(_ value: ByteString) { buffer(value.bytes) }

    @inline(__always)
    package mutating func path(_ value: NodePath) { buffer(value.bytes) }

    /// A node's data: nil is null.
    @inline(__always)
    package mutating func nullableBuffer(_ bytes: [UInt8]?) {
        if let bytes { buffer(bytes) } else { null() }
    }

    @inline(__always)
    package mutating func nullableBuffer(_ bytes: ArraySlice<UInt8>?) {
        guard let bytes else { return null() }
        int32(Int32(truncatingIfNeeded: bytes.count))
        raw(bytes)
    }

    /// A null `buffer`, `ustring` or `vector`.
    @inline(__always)
    package mutating func null() { int32(-1) }

    /// The count that precedes a vector's items.
    @inline(__always)
    package mutating func count(_ value: Int) { int32(Int32(truncatingIfNeeded: value)) }
}

/// A record that knows its layout.
package protocol JuteRecord {
    func encode<Sink: JuteSink>(into sink: inout Sink)
}

/// Measures.
package struct JuteSizer: JuteSink {
    package private(set) var size = 0
    package init() {}

    @inline(__always) package mutating func int32(_ value: Int32) { size += 4 }
    @inline(__always) package mutating func int64(_ value: Int64) { size += 8 }
    @inline(__always) package mutating func bool(_ value: Bool) { size += 1 }
    @inline(__always) package mutating func raw(_ bytes: [UInt8]) { size += bytes.count }
    @inline(__always) package mutating func raw(_ bytes: ArraySlice<UInt8>) { size += bytes.count }
}

/// Writes into borrowed memory. The memory must have the size that `JuteSizer` measured: more is a programmer's error
/// and traps.
package struct JuteWriter: JuteSink {
    private let bytes: UnsafeMutableRawBufferPointer
    package private(set) var offset: Int

    package init(_ bytes: UnsafeMutableRawBufferPointer, offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    @inline(__always)
    private mutating func store<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        precondition(offset + MemoryLayout<T>.size <= bytes.count)
        bytes.storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
        offset += MemoryLayout<T>.size
    }

    @inline(__always) package mutating func int32(_ value: Int32) { store(value) }
    @inline(__always) package mutating func int64(_ value: Int64) { store(value) }
    @inline(__always) package mutating func bool(_ value: Bool) { store(value ? 1 as UInt8 : 0) }

    @inline(__always)
    package mutating func raw(_ source: [UInt8]) { source.withUnsafeBytes { copy($0) } }

    @inline(__always)
    package mutating func raw(_ source: ArraySlice<UInt8>) { source.withUnsafeBytes { copy($0) } }

    @inline(__always)
    private mutating func copy(_ source: UnsafeRawBufferPointer) {
        precondition(offset + source.count <= bytes.count)
        UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyMemory(from: source)
        offset += source.count
    }
}

extension JuteRecord {
    /// In bytes.
    package var encodedSize: Int {
        var sizer = JuteSizer()
        encode(into: &sizer)
        return sizer.size
    }

    /// The record alone, without a length.
    package func encoded() -> [UInt8] {
        let size = encodedSize
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            var writer = JuteWriter(UnsafeMutableRawBufferPointer(buffer))
            encode(into: &writer)
            count = writer.offset
        }
    }
}

extension ByteBuffer {
    /// Appends the record's bytes.
    package mutating func write<Record: JuteRecord>(_ record: Record) {
        let size = record.encodedSize
        writeWithUnsafeMutableBytes(minimumWritableBytes: size) { memory in
            var writer = JuteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[..<size]))
            record.encode(into: &writer)
            return writer.offset
        }
    }

    /// Appends an int length and the record's bytes: a frame of the client protocol, or an election message.
    package mutating func writeFrame<Record: JuteRecord>(_ record: Record) {
        let size = record.encodedSize
        writeWithUnsafeMutableBytes(minimumWritableBytes: 4 + size) { memory in
            var writer = JuteWriter(UnsafeMutableRawBufferPointer(rebasing: memory[..<(4 + size)]))
            writer.int32(Int32(truncatingIfNeeded: size))
            record.encode(into: &writer)
            return writer.offset
        }
    }
}
