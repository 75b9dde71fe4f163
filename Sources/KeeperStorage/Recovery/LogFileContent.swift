import EnsembleBase
import Glibc
import KeeperCodec
import KeeperCore

/// One log file's entries, read from the disk in pieces: the memory is a chunk and the longest entry, whatever the file.
package struct LogFileContent: Sendable {
    /// How the data ends.
    package enum End: Hashable, Sendable {
        case clean
        /// What a crash left of a batch that was not yet durable; nothing of it was acknowledged. With what was found.
        case torn(String)
    }

    let file: NumberedFile
    /// Whether the file's writer says how far it is durable: ours does. nil: Apache's, or an older one of ours.
    let mark: LogMark?
    let reader: LogBytes
    let isEmpty: Bool

    package init(_ file: NumberedFile, in files: any FileSystem) throws(StorageError) {
        self.file = file
        reader = try LogBytes(files.open(file.path, .reading))
        var window = LogWindow(reader)
        let header = try window.bytes(at: 0, count: FileHeader.size)
        // One that is shorter, or zeros, was being created when its writer died.
        isEmpty = reader.size < FileHeader.size || reader.dataEnd == 0
        guard !isEmpty else {
            mark = nil
            guard reader.dataEnd <= FileHeader.size else { throw .damaged(file.path, offset: 0, "no log's header") }
            return
        }
        do throws(CodecError) { mark = LogMark(UInt64(bitPattern: try FileHeader.ofLog(Array(header)).database)) } catch {
            throw .damaged(file.path, error)
        }
    }

    /// Calls `body` with each entry and the offset of its end, until it returns false.
    ///
    /// - Returns: how the data ends, and where the last entry read ends.
    /// - Throws: for damage, naming file and offset, and whatever `body` throws.
    package func forEachEntry(
        _ body: (LogEntry, _ end: Int) throws(StorageError) -> Bool
    ) throws(StorageError) -> (end: End, offset: Int) {
        if isEmpty { return (.clean, 0) }
        var window = LogWindow(reader)
        var offset = FileHeader.size
        var last = Zxid.none
        while true {
            let prefix = try window.bytes(at: offset, count: LogFormat.prefixSize)
            let bytes = try window.bytes(at: offset, count: LogFormat.sizeNeeded(prefix))
            let record: LogRecord
            do throws(CodecError) { record = try LogFormat.record(bytes, at: offset) } catch {
                return (try judge(offset, behind: last, error), offset)
            }
            guard case .entry(let entry, let size) = record else { return (try judge(offset, behind: last, nil), offset) }
            guard try body(entry, offset + size) else { return (.clean, offset) }
            last = entry.zxid
            offset += size
        }
    }

    // MARK: Where the entries end

    /// No whole entry stands at `offset`: the end, an interrupted write, or damage.
    private func judge(_ offset: Int, behind last: Zxid, _ problem: CodecError?) throws(StorageError) -> End {
        if let mark { return try judge(offset, durableEnd: try durableEnd(mark), problem) }
        if reader.dataEnd <= offset { return .clean }
        if let whole = try LogSearch(reader).wholeEntry(behind: offset, after: last) {
            throw damage(offset, problem, "the entry at offset \(whole) behind it is whole")
        }
        guard try isUnfinished(offset) else { throw damage(offset, problem, "it is not what an interrupted write leaves") }
        return torn(offset, problem)
    }

    /// The log knows how far it is durable: below that a hole is damage and is never cut; above it any subset of sectors
    /// may be missing.
    private func judge(_ offset: Int, durableEnd: Int, _ problem: CodecError?) throws(StorageError) -> End {
        // The file's own end: Apache's server, which leaves marks as they are, has cut it there (TRUNC).
        if offset < durableEnd, offset < reader.size {
            throw damage(offset, problem, "the file was durable up to offset \(durableEnd)")
        }
        if reader.dataEnd <= offset { return .clean }
        return try trailer(at: offset) != nil && reader.dataEnd == offset + 8 ? .clean : torn(offset, problem)
    }

    /// The greatest mark: the header's, or that of the trailer with which the data ends, unless a crash has kept it away.
    private func durableEnd(_ mark: LogMark) throws(StorageError) -> Int {
        let atEnd = reader.dataEnd >= FileHeader.size + 8 ? try trailer(at: reader.dataEnd - 8) : nil
        return max(mark.durableEnd, atEnd?.durableEnd ?? 0)
    }

    private func trailer(at offset: Int) throws(StorageError) -> LogMark? {
        let bytes = try reader.read(count: 8, at: offset)
        return bytes.count == 8 ? LogMark(bytes[...].bigEndian64(at: 0)) : nil
    }

    private func torn(_ offset: Int, _ problem: CodecError?) -> End {
        .torn(
            "\(file.path): behind offset \(offset) stands an interrupted write (\(describe(problem))) of \(reader.dataEnd - offset) bytes, which was never acknowledged")
    }

    private func damage(_ offset: Int, _ problem: CodecError?, _ evidence: String) -> StorageError {
        .damaged(file.path, offset: offset, "no whole entry (\(describe(problem))), and \(evidence)")
    }

    private func describe(_ problem: CodecError?) -> String {
        problem.map { "\($0.what): \($0.problem)" } ?? "no length"
    }

    /// For a file that doesn't say how far it is durable, the side of keeping: the entry's end must be missing, or lie in a
    /// sector that was never written. An entry that *is* whole under another length has a damaged length.
    private func isUnfinished(_ offset: Int) throws(StorageError) -> Bool {
        let prefix = try reader.read(count: LogFormat.prefixSize, at: offset)
        let end = prefix.count < LogFormat.prefixSize ? reader.dataEnd : offset + LogFormat.sizeNeeded(prefix[...]) - 1
        if end < reader.dataEnd, try !isHole(at: end, from: offset) { return false }
        return try !LogSearch(reader).isWholeUnderAnotherLength(offset)
    }

    private func isHole(at end: Int, from offset: Int) throws(StorageError) -> Bool {
        guard reader.dataEnd - offset <= LogFormat.batchLimit else { return false }
        let sector = end / LogBytes.sectorSize * LogBytes.sectorSize
        let start = max(offset, sector)
        return try reader.read(count: sector + LogBytes.sectorSize - start, at: start).allSatisfy { $0 == 0 }
    }
}

/// A file and where its data ends: behind it are zeros only. Most of a preallocated file is.
struct LogBytes: Sendable {
    private let file: any OpenFile
    let size: Int
    /// Behind the last byte that is not zero. No entry and no mark ends with one that is.
    let dataEnd: Int

    /// The least that a disk writes at once.
    static let sectorSize = 512
    static let chunkSize = 1 << 18

    init(_ file: any OpenFile) throws(StorageError) {
        self.file = file
        size = try file.size()
        var end = size
        let zeros = [UInt8](repeating: 0, count: LogBytes.chunkSize)
        while end > 0 {
            let start = max(0, end - LogBytes.chunkSize)
            let chunk = try file.read(count: end - start, at: start)
            // By memcmp: a byte at a time costs seconds per file in a build for debugging.
            let isZero = memcmp(chunk, zeros, chunk.count) == 0
            if !isZero, let last = chunk.lastIndex(where: { $0 != 0 }) {
                end = start + last + 1
                break
            }
            end = start
        }
        dataEnd = end
    }

    /// Of a file that is being written: its zeros belong to what is there.
    init(growing file: any OpenFile) throws(StorageError) {
        self.file = file
        size = try file.size()
        dataEnd = size
    }

    func read(count: Int, at offset: Int) throws(StorageError) -> [UInt8] { try file.read(count: count, at: offset) }
}

/// Bytes of a log by offset, read a chunk at a time.
struct LogWindow {
    private let source: LogBytes
    private var bytes: [UInt8] = []
    private var start = 0

    init(_ source: LogBytes) { self.source = source }

    /// Fewer only at the end of the data and the zeros that a prefix there needs.
    mutating func bytes(at offset: Int, count: Int) throws(StorageError) -> ArraySlice<UInt8> {
        let available = min(source.size, source.dataEnd + LogFormat.prefixSize)
        let end = min(offset + count, available)
        if offset < start || end > start + bytes.count {
            bytes = []
            start = offset
            bytes = try source.read(count: max(min(max(count, LogBytes.chunkSize), available - offset), 0), at: offset)
        }
        return bytes.dropFirst(offset - start).prefix(count)
    }
}

/// Looks for entries where the chain of lengths is broken. Cost: each byte once, and the checksums of what looks like an
/// entry, within a budget.
struct LogSearch {
    private let source: LogBytes

    init(_ source: LogBytes) { self.source = source }

    /// Bytes of which checksums are computed at most: data that only looks like entries must not hold up a start.
    private static let budget = 1 << 30

    /// The first offset behind `offset` where a whole entry later than `last` stands. With the budget used up, the place
    /// where it ended: what looks so much like entries is kept.
    func wholeEntry(behind offset: Int, after last: Zxid) throws(StorageError) -> Int? {
        let overlap = LogFormat.prefixSize + 20
        var budget = LogSearch.budget
        var start = offset + 1
        while start + overlap < source.dataEnd {
            let chunk = try source.read(count: LogBytes.chunkSize + overlap, at: start)
            for index in 0..<max(chunk.count - overlap, 0) where looksLikeEntry(chunk, index, last) {
                let size = LogFormat.sizeNeeded(chunk[index..<(index + LogFormat.prefixSize)])
                guard start + index + size <= source.dataEnd else { continue }
                let end = try source.read(count: 1, at: start + index + size - 1)
                guard end == [LogFormat.endOfRecord] else { continue }
                budget -= size
                if budget < 0 { return start + index }
                let record = try source.read(count: size, at: start + index)
                if case .entry? = try? LogFormat.record(record[...], at: 0) { return start + index }
            }
            start += LogBytes.chunkSize
        }
        return nil
    }

    /// The checksum's upper half is zero, the length possible, and the zxid (TxnHeader{long clientId, int cxid, long zxid,
    /// …}: reference/zookeeper.md, 2.3) one that may come.
    private func looksLikeEntry(_ bytes: [UInt8], _ index: Int, _ last: Zxid) -> Bool {
        guard bytes[index] == 0, bytes[index + 1] == 0, bytes[index + 2] == 0, bytes[index + 3] == 0 else { return false }
        let length = Int(Int32(bitPattern: bytes[...].bigEndian32(at: index + 8)))
        guard (LogEntry.headerSize...LogFormat.payloadLimit).contains(length) else { return false }
        return Int64(bitPattern: bytes[...].bigEndian64(at: index + LogFormat.prefixSize + 12)) > last.rawValue
    }

    /// Whether the entry's checksum is right up to some end that is not where its length says.
    func isWholeUnderAnotherLength(_ offset: Int) throws(StorageError) -> Bool {
        let prefix = try source.read(count: LogFormat.prefixSize, at: offset)
        guard prefix.count == LogFormat.prefixSize else { return false }
        let stored = prefix[...].bigEndian64(at: 0)
        var sum = Adler32()
        var position = offset + LogFormat.prefixSize
        let limit = min(source.dataEnd, position + LogFormat.payloadLimit + 1)
        while position < limit {
            let chunk = try source.read(count: min(LogBytes.chunkSize, limit - position), at: position)
            for byte in chunk {
                if byte == LogFormat.endOfRecord, sum.value == stored { return true }
                sum.update(byte)
            }
            position += chunk.count
            if chunk.isEmpty { return false }
        }
        return false
    }
}
