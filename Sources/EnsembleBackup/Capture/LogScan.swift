import KeeperCodec
import KeeperCore
import KeeperStorage

/// Walks a log file handed over in chunks of any size: the whole, checksummed entries up to a zxid, byte for byte, with
/// the header before them and neither the uncommitted tail nor the preallocated zeros behind. Memory: one entry.
///
/// A running member may write or truncate the file meanwhile.
struct LogScan: ~Copyable {
    enum Ending: Hashable {
        /// The limit is reached or an entry beyond it follows.
        case limitReached
        /// Zeros, or the end of the file.
        case endOfData
        /// What follows is no whole entry: a write in progress, a crash's remains, or damage.
        case broken(offset: Int64, problem: String)
    }

    private let path: String
    /// A snapshot's: what is missing up to there is missing nowhere.
    private let covered: Zxid
    private let limit: Zxid
    private let window = ChunkWindow()
    private var seen = AppliedEntries()
    private var hasHeader = false
    private(set) var entryCount = 0
    private(set) var first: (zxid: Zxid, time: Int64)?
    private(set) var last: (zxid: Zxid, time: Int64)?
    /// Nil while more is wanted.
    private(set) var ending: Ending?
    /// The payload of the last entry that is not a failed write (those carry no digest and change nothing).
    private(set) var lastEffective: [UInt8]?

    init(path: String, behind snapshot: Zxid, upTo limit: Zxid) {
        self.path = path
        covered = snapshot
        self.limit = limit
    }

    /// Calls `emit` with the header (no payload) and with each entry that `bytes` completes.
    ///
    /// - Throws: `.damaged` if it is no log, or if zxids run backwards to other entries, or leave a gap.
    mutating func feed(
        _ bytes: UnsafeRawBufferPointer,
        emit: (_ record: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer?) throws(BackupError) -> Void
    ) throws(BackupError) {
        guard ending == nil else { return }
        window.append(bytes)
        if !hasHeader {
            guard window.bytes.count >= FileHeader.size else { return }
            try checkHeader()
            if ending != nil { return }
            // Without the marks of ours: what is copied ends somewhere else, and has no trailer.
            try emitHeader(emit)
            window.consume(FileHeader.size)
            hasHeader = true
        }
        while ending == nil, try step(emit) {}
    }

    /// Must be called at the end of the file.
    mutating func finish() {
        guard ending == nil else { return }
        let isClear = window.bytes.allSatisfy { $0 == 0 }
        ending = isClear ? .endOfData : .broken(offset: window.offset, problem: "the file ends inside an entry")
    }

    private func emitHeader(
        _ emit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) throws(BackupError) -> Void
    ) throws(BackupError) {
        try FileHeader.log.encoded().withUnsafeBytes { bytes -> Result<Void, BackupError> in
            do throws(BackupError) { return .success(try emit(bytes, nil)) } catch { return .failure(error) }
        }.get()
    }

    private mutating func checkHeader() throws(BackupError) {
        let header = window.bytes.prefix(FileHeader.size)
        if header.prefix(8).elementsEqual(FileHeader.log.encoded().prefix(8)) { return }
        // All zeros: created by a writer that has not written yet.
        guard header.allSatisfy({ $0 == 0 }) else {
            throw BackupError(
                .damaged, file: path, problem: "does not begin as a transaction log", remedy: "use another member's files")
        }
        ending = .endOfData
    }

    /// Takes one entry; false when more bytes are wanted or the scan has ended.
    private mutating func step(
        _ emit: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) throws(BackupError) -> Void
    ) throws(BackupError) -> Bool {
        // At the limit nothing more is looked at, so that an entry being written behind it cannot disturb.
        if let last, last.zxid >= limit { return end(.limitReached) }
        let bytes = window.bytes
        guard bytes.count >= LogFormat.prefixSize else { return false }
        let length = Int(Int32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: Int32.self)))
        if length == 0 {
            let checksum = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
            let isClear = checksum == 0 || LogMark(checksum) != nil
            return end(isClear ? .endOfData : .broken(offset: window.offset, problem: "an entry has no length"))
        }
        guard (LogEntry.headerSize...LogFormat.payloadLimit).contains(length) else {
            return end(.broken(offset: window.offset, problem: "an entry has the impossible length \(length)"))
        }
        let size = LogFormat.prefixSize + length + 1
        guard bytes.count >= size else { return false }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[LogFormat.prefixSize..<(size - 1)])
        var sum = Adler32()
        sum.update(payload)
        let stored = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self))
        guard sum.value == stored, bytes[size - 1] == LogFormat.endOfRecord else {
            return end(.broken(offset: window.offset, problem: "an entry's checksum does not match"))
        }
        // TxnHeader{long clientId, int cxid, long zxid, long time, int type}: reference/zookeeper.md, 2.3.
        let zxid = Zxid(rawValue: Int64(bigEndian: payload.loadUnaligned(fromByteOffset: 12, as: Int64.self)))
        let time = Int64(bigEndian: payload.loadUnaligned(fromByteOffset: 20, as: Int64.self))
        let type = Int32(bigEndian: payload.loadUnaligned(fromByteOffset: 28, as: Int32.self))
        if zxid > limit { return end(.limitReached) }
        if let last {
            // Apache's learner logs what was proposed while it was brought up more than once, the same bytes each time
            // (`AppliedEntries`). A backup has each once.
            if zxid <= last.zxid {
                guard seen.compare(zxid, Array(payload)[...]) == .same else {
                    throw BackupError(
                        .damaged, file: path,
                        problem: "at offset \(window.offset), \(zxid) follows \(last.zxid), and is not the same as before",
                        remedy: "use another member's files")
                }
                window.consume(size)
                return true
            }
            guard zxid <= covered || zxid.follows(max(last.zxid, covered)) else {
                throw BackupError(
                    .damaged, file: path,
                    problem: "at offset \(window.offset), \(zxid) follows \(last.zxid): transactions are missing",
                    remedy: "use another member's files")
            }
        }
        seen.append(zxid, Array(payload)[...])
        try emit(UnsafeRawBufferPointer(rebasing: bytes.prefix(size)), payload)
        entryCount += 1
        if first == nil { first = (zxid, time) }
        last = (zxid, time)
        if type != OpCode.error.rawValue { lastEffective = [UInt8](payload) }
        window.consume(size)
        return true
    }

    private mutating func end(_ ending: Ending) -> Bool {
        self.ending = ending
        return false
    }
}

/// The bytes that are not consumed yet. Grows to one chunk and the longest entry.
private final class ChunkWindow {
    private var storage = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
    private var start = 0
    private var end = 0
    /// Of the view's first byte in the file.
    private(set) var offset: Int64 = 0

    deinit { storage.deallocate() }

    /// Valid until the next `append`.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage[start..<end]) }

    func append(_ chunk: UnsafeRawBufferPointer) {
        if storage.count - end < chunk.count { makeRoom(for: chunk.count) }
        UnsafeMutableRawBufferPointer(rebasing: storage[end...]).copyMemory(from: chunk)
        end += chunk.count
    }

    func consume(_ count: Int) {
        start += count
        offset += Int64(count)
    }

    private func makeRoom(for count: Int) {
        let live = bytes
        if live.count + count <= storage.count {
            // copyMemory allows overlap.
            storage.copyMemory(from: live)
        } else {
            let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: (live.count + count) * 2, alignment: 16)
            larger.copyMemory(from: live)
            storage.deallocate()
            storage = larger
        }
        (start, end) = (0, live.count)
    }
}
