import EnsembleBase
import KeeperCore
import NIOCore

/// The form of a log file (reference/zookeeper.md, 2.3): header; entries of {long Adler-32 of the payload, int length,
/// payload, 0x42}; zeros to the end.
///
/// A file of ours says how far it is durable (`LogMark`), in places that Apache's reader passes over: the header's
/// database id, which it does not compare, and a trailer behind the last entry that looks to it as zeros do: a length of
/// 0, before which it reads a checksum and does not look at it.
package enum LogFormat {
    /// The checksum and the length.
    package static let prefixSize = 12
    package static let endOfRecord: UInt8 = 0x42
    /// The longest payload: a request's limit and what the leader adds (paths, access lists of a multi).
    package static let payloadLimit = JuteReader.fieldLimit

    /// Bytes that a writer syncs together at most, unless one record is longer.
    package static let batchLimit = 4 << 20

    /// Appends the entry's record.
    package static func append(payload: [UInt8], to bytes: inout [UInt8]) {
        let checksum = Adler32.of(payload)
        withUnsafeBytes(of: checksum.bigEndian) { bytes.append(contentsOf: $0) }
        withUnsafeBytes(of: UInt32(payload.count).bigEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: payload)
        bytes.append(endOfRecord)
    }

    package static func recordSize(payload: [UInt8]) -> Int { prefixSize + payload.count + 1 }

    /// A mark in the checksum's place, and the length 0.
    package static let trailerSize = prefixSize

    package static func appendTrailer(_ mark: LogMark, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: mark.bytes)
        bytes.append(contentsOf: [0, 0, 0, 0])
    }

    /// What stands at the beginning of `bytes`. Pure: where the bytes come from, and what a break means, is the caller's.
    ///
    /// - Parameter bytes: at least a record's prefix, and the whole record if `sizeNeeded` says so; fewer only at the end
    ///   of the file's data.
    package static func record(_ bytes: ArraySlice<UInt8>, at offset: Int) throws(CodecError) -> LogRecord {
        let start = bytes.startIndex
        guard bytes.count >= prefixSize, let length = try payloadLength(bytes, at: offset) else { return .none }
        let end = start + prefixSize + length
        guard end < bytes.endIndex else {
            throw CodecError(.truncated, what: "log entry", offset: offset)
        }
        guard bytes[end] == endOfRecord else {
            throw CodecError(.value(Int64(bytes[end])), what: "log entry's last byte", offset: offset)
        }
        let payload = bytes[(start + prefixSize)..<end]
        let stored = bytes.bigEndian64(at: start)
        var sum = Adler32()
        payload.withUnsafeBytes { sum.update($0) }
        guard sum.value == stored else {
            throw CodecError(.checksum(stored: stored, computed: sum.value), what: "log entry", offset: offset)
        }
        do throws(CodecError) {
            return .entry(try LogEntry(payload: Array(payload)), size: prefixSize + length + 1)
        } catch {
            throw CodecError(error.reason, what: error.what, offset: offset + prefixSize + error.offset)
        }
    }

    /// nil: a length of 0, where the data ends.
    private static func payloadLength(_ bytes: ArraySlice<UInt8>, at offset: Int) throws(CodecError) -> Int? {
        let length = Int(Int32(bitPattern: bytes.bigEndian32(at: bytes.startIndex + 8)))
        if length == 0 { return nil }
        guard length > 0, length <= payloadLimit else {
            throw CodecError(.length(length, limit: payloadLimit), what: "log entry", offset: offset)
        }
        return length
    }

    /// The size of the record that begins with `prefix`, if it is one.
    package static func sizeNeeded(_ prefix: ArraySlice<UInt8>) -> Int {
        guard prefix.count >= prefixSize, let length = try? payloadLength(prefix, at: 0) else { return prefixSize }
        return prefixSize + length + 1
    }
}

/// What stands at a position of a log.
package enum LogRecord: Sendable {
    case entry(LogEntry, size: Int)
    /// No entry begins here: zeros, a trailer, or less than a prefix.
    case none
}

/// Up to which offset a log file is durable, with a check of its own, in eight bytes.
///
/// A batch begins behind the data, over the trailer that stood there, and ends with a trailer whose mark says that the
/// file was durable up to the batch's beginning. Once the batch is synced the mark is written again with its end; this
/// write is not waited for. So, whatever a crash keeps of the last batch: what is below the greatest mark was synced, and
/// a hole in it is damage; above it any sectors may be missing, and nothing was acknowledged.
package struct LogMark: Hashable, Sendable {
    package var durableEnd: Int

    package init(durableEnd: Int) { self.durableEnd = durableEnd }

    /// - Returns: nil if the eight bytes are no mark.
    package init?(_ value: UInt64) {
        durableEnd = Int(value >> 24)
        guard value == self.value, durableEnd >= FileHeader.size else { return nil }
    }

    /// The check's last bit is set, so that a mark's last byte is never zero: zeros end with what is before them.
    package var value: UInt64 {
        let offset = UInt64(durableEnd) & 0x7F_FFFF_FFFF
        let check = ((offset &+ 1) &* 0x9E37_79B9_7F4A_7C15) >> 40
        return offset << 24 | check | 1
    }

    package var bytes: [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
}

extension ArraySlice<UInt8> {
    package func bigEndian64(at index: Int) -> UInt64 {
        withUnsafeBytes { UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: index - startIndex, as: UInt64.self)) }
    }

    package func bigEndian32(at index: Int) -> UInt32 {
        withUnsafeBytes { UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: index - startIndex, as: UInt32.self)) }
    }
}
