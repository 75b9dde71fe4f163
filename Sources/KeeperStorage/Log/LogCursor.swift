import EnsembleBase
import KeeperCodec
import KeeperCore

/// Reads the log that this process is writing, piece after piece: what a leader sends to a learner that is behind its
/// window (`LearnerFeed`). Only what is durable is asked for, and it keeps no file open between two pieces.
package struct LogCursor: Sendable {
    private let layout: DataLayout
    /// The last entry that was read; what is not behind it is passed over.
    package private(set) var last: Zxid
    /// Where the next entry is expected; nil before the first piece.
    private var place: (file: NumberedFile, offset: Int)?

    package init(_ layout: DataLayout, behind zxid: Zxid) {
        self.layout = layout
        last = zxid
    }

    /// - Parameters:
    ///   - end: a logged entry's zxid, durable and behind `last`.
    ///   - limit: bytes of entries, as they are sent, behind which the piece ends.
    /// - Returns: at least one entry.
    /// - Throws: if the log does not lead to `end`, or can't be read; the cursor is of no use then.
    package mutating func next(upTo end: Zxid, limit: Int) throws(StorageError) -> [LogEntry] {
        var entries: [LogEntry] = []
        var size = 0
        while last < end, size < limit {
            let place: (file: NumberedFile, offset: Int)
            if let known = try goOn() { place = known } else { place = try start() }
            let bytes = try LogBytes(growing: layout.files.open(place.file.path, .reading))
            var window = LogWindow(bytes)
            var offset = place.offset
            while last < end, size < limit, case .entry(let entry, let length) = try record(&window, at: offset, of: place.file) {
                offset += length
                if entry.zxid <= last { continue }
                entries.append(entry)
                size += LearnerFeed.size(of: entry)
                last = entry.zxid
            }
            self.place = last < end && size < limit ? (try following(place.file), FileHeader.size) : (place.file, offset)
        }
        return entries
    }

    private func record(
        _ window: inout LogWindow, at offset: Int, of file: NumberedFile
    ) throws(StorageError) -> LogRecord {
        let prefix = try window.bytes(at: offset, count: LogFormat.prefixSize)
        let bytes = try window.bytes(at: offset, count: LogFormat.sizeNeeded(prefix))
        do throws(CodecError) { return try LogFormat.record(bytes, at: offset) } catch {
            throw .damaged(file.path, error)
        }
    }

    /// Where the piece before ended; nil where that was the end of its file. That one is needed no more, and may be gone by
    /// now (`Purge.remove`; seed 1270).
    private func goOn() throws(StorageError) -> (file: NumberedFile, offset: Int)? {
        guard let place else { return nil }
        let next = Zxid(rawValue: last.rawValue + 1)
        return try layout.logs().contains { $0.zxid > place.file.zxid && $0.zxid <= next } ? nil : place
    }

    /// The log with the greatest start that is not behind the next zxid may hold it.
    private func start() throws(StorageError) -> (file: NumberedFile, offset: Int) {
        let logs = try layout.logs()
        guard let file = logs.last(where: { $0.zxid <= Zxid(rawValue: last.rawValue + 1) }) ?? logs.first else {
            throw .inconsistent(layout.logDirectory, "no log holds what is behind \(last)")
        }
        return (file, FileHeader.size)
    }

    private func following(_ file: NumberedFile) throws(StorageError) -> NumberedFile {
        guard let next = try layout.logs().first(where: { $0.zxid > file.zxid }) else {
            throw .inconsistent(file.path, "its entries end at \(last), and no log goes on behind it")
        }
        return next
    }
}
