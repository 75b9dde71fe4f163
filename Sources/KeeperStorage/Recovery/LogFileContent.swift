import EnsembleBase
import Glibc
import KeeperCodec
import KeeperCore

/// One log file's records, read from the disk.
struct LogFileContent: Sendable {
    enum End: Hashable, Sendable {
        case clean
        /// Part of an entry stands behind the last whole one: a crash interrupted its write.
        case torn
    }

    let file: NumberedFile
    private let bytes: [UInt8]

    init(_ file: NumberedFile, in files: any FileSystem) throws(StorageError) {
        self.file = file
        bytes = try LogFileContent.withoutTrailingZeros(files.open(file.path, .reading))
    }

    /// Calls `body` with each entry and the offset of its end, until it returns false.
    ///
    /// - Returns: how the file ends, and where the last entry read ends.
    /// - Throws: for damage, naming file and offset, and whatever `body` throws.
    func forEachEntry(
        _ body: (LogEntry, _ end: Int) throws(StorageError) -> Bool
    ) throws(StorageError) -> (end: End, offset: Int) {
        try bytes.withUnsafeBytes { bytes -> Result<(End, Int), StorageError> in
            do throws(StorageError) { return .success(try scan(bytes, body)) } catch { return .failure(error) }
        }.get()
    }

    private func scan(
        _ bytes: UnsafeRawBufferPointer, _ body: (LogEntry, Int) throws(StorageError) -> Bool
    ) throws(StorageError) -> (End, Int) {
        var reader = try damage { () throws(CodecError) in try LogReader(bytes) }
        while true {
            let start = reader.offset
            switch try damage({ () throws(CodecError) in try reader.next() }) {
            case .entry(let entry, _):
                guard try body(entry, reader.offset) else { return (.clean, start) }
            case .end: return (.clean, start)
            case .torn: return (.torn, start)
            }
        }
    }

    private func damage<R>(_ body: () throws(CodecError) -> R) throws(StorageError) -> R {
        do throws(CodecError) { return try body() } catch { throw .damaged(file.path, error) }
    }

    /// Most of a preallocated file is zeros. No record ends with one, so the reader misses nothing.
    private static func withoutTrailingZeros(_ file: any OpenFile) throws(StorageError) -> [UInt8] {
        var end = try file.size()
        let chunkSize = 1 << 18
        let zeros = [UInt8](repeating: 0, count: chunkSize)
        while end > 0 {
            let start = max(0, end - chunkSize)
            let chunk = try file.read(count: end - start, at: start)
            // By memcmp: a byte at a time costs seconds per file in a build for debugging.
            let isZero = memcmp(chunk, zeros, chunk.count) == 0
            if !isZero, let last = chunk.lastIndex(where: { $0 != 0 }) {
                end = start + last + 1
                break
            }
            end = start
        }
        return try file.read(count: end, at: 0)
    }
}
