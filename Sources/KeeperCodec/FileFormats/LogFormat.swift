import EnsembleBase
import KeeperCore
import NIOCore

/// The form of a log file (reference/zookeeper.md, 2.3): header; entries of {long Adler-32 of the payload, int length,
/// payload, 0x42}; zeros to the end.
package enum LogFormat {
    /// The checksum and the length.
    package static let prefixSize = 12
    package static let endOfRecord: UInt8 = 0x42
    /// The longest payload: a request's limit and what the leader adds (paths, access lists of a multi).
    package static let payloadLimit = JuteReader.fieldLimit

    /// Bytes that a writer syncs together at most, unless one record is longer: a crash leaves nothing unfinished farther
    /// than this from the end of the data.
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
}

/// What stands at a position of a log.
package enum LogRecord: Sendable {
    case entry(LogEntry, size: Int)
    /// Zeros up to the end, or the end itself.
    case end
    /// The beginning of an entry whose remainder was never written: its end is zeros, or behind the end of the file. A
    /// crash leaves this; neither the entry nor what may stand behind it was ever acknowledged.
    case torn
}

/// Reads the records of one log file that is in memory.
package struct LogReader {
    private let bytes: UnsafeRawBufferPointer
    /// Of the next record.
    package private(set) var offset: Int

    /// - Throws: if the header is not a log's. A file shorter than a header, or of zeros only, is empty: it was being
    ///   created when its writer died.
    package init(_ bytes: UnsafeRawBufferPointer) throws(CodecError) {
        self.bytes = bytes
        offset = 0
        if bytes.count < FileHeader.size || bytes.prefix(FileHeader.size).allSatisfy({ $0 == 0 }) {
            guard LogReader.isZero(bytes.dropFirst(FileHeader.size)) else {
                throw CodecError(.value(0), what: "FileHeader.magic", offset: 0)
            }
            offset = bytes.count
            return
        }
        var reader = JuteReader(bytes)
        try FileHeader.read(.log, from: &reader)
        offset = FileHeader.size
    }

    /// Reads the record at `offset` and moves behind it if it is an entry.
    ///
    /// - Throws: for damage: bytes that are neither an entry, nor zeros to the end, nor what a crash leaves of an entry.
    package mutating func next() throws(CodecError) -> LogRecord {
        let left = bytes.count - offset
        if left < LogFormat.prefixSize { return try unfinished(from: bytes.count) }
        let stored = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        let length = Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: Int32.self)))
        if length == 0 { return try unfinished(from: offset + LogFormat.prefixSize - 1) }
        guard length > 0, length <= LogFormat.payloadLimit else {
            throw CodecError(.length(length, limit: LogFormat.payloadLimit), what: "log entry", offset: offset)
        }
        let payloadStart = offset + LogFormat.prefixSize
        let end = payloadStart + length
        guard end < bytes.count, bytes[end] == LogFormat.endOfRecord else { return try unfinished(from: end) }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[payloadStart..<end])
        var sum = Adler32()
        sum.update(payload)
        guard sum.value == stored else {
            throw CodecError(.checksum(stored: stored, computed: sum.value), what: "log entry", offset: offset)
        }
        do throws(CodecError) {
            let entry = try LogEntry(payload: [UInt8](payload))
            offset = end + 1
            return .entry(entry, size: end + 1 - payloadStart + LogFormat.prefixSize)
        } catch {
            throw CodecError(error.reason, what: error.what, offset: payloadStart + error.offset)
        }
    }

    /// The bytes at `offset` are no whole entry. They are what a crash left if everything at and behind `end`, where
    /// the entry's last byte belongs, is still zero, or if its sector is. But an entry that *is* whole under another
    /// length has a damaged length: that is not silently dropped.
    private func unfinished(from end: Int) throws(CodecError) -> LogRecord {
        let isZeroBehind = end >= bytes.count || LogReader.isZero(bytes[end...])
        if isZeroBehind, LogReader.isZero(bytes[offset..<min(end, bytes.count)]) { return .end }
        guard isZeroBehind || isHole(at: end), !isWholeUnderAnotherLength else {
            throw CodecError(.value(Int64(bytes[min(end, bytes.count - 1)])), what: "log entry", offset: offset)
        }
        return .torn
    }

    /// What is synced together reaches the disk sector by sector in any order: after a power failure a later one may
    /// be there and this one not. A sector that was never written is zeros from its beginning, or from where the
    /// entries before it end. Only the last batch can be like that; no flipped bit looks so.
    private func isHole(at end: Int) -> Bool {
        guard bytes.count - offset <= LogFormat.batchLimit else { return false }
        let sector = end / LogReader.sectorSize * LogReader.sectorSize
        return LogReader.isZero(bytes[max(offset, sector)..<min(sector + LogReader.sectorSize, bytes.count)])
    }

    /// The least that a disk writes at once.
    private static let sectorSize = 512

    private var isWholeUnderAnotherLength: Bool {
        guard bytes.count - offset > LogFormat.prefixSize else { return false }
        let stored = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        var sum = Adler32()
        let limit = min(bytes.count, offset + LogFormat.prefixSize + LogFormat.payloadLimit + 1)
        for index in (offset + LogFormat.prefixSize)..<limit {
            if bytes[index] == LogFormat.endOfRecord, sum.value == stored { return true }
            sum.update(bytes[index])
        }
        return false
    }

    private static func isZero(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        isZero(UnsafeRawBufferPointer(rebasing: bytes))
    }

    /// Eight bytes at a time: most of a log file is preallocated zeros.
    private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var index = 0
        while index + 8 <= bytes.count {
            if bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) != 0 { return false }
            index += 8
        }
        while index < bytes.count {
            if bytes[index] != 0 { return false }
            index += 1
        }
        return true
    }
}
