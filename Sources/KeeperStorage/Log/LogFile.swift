import KeeperCodec
import KeeperCore

/// The file that is being written.
struct LogFile: Sendable {
    private var file: any OpenFile
    /// Where the next record goes.
    private var position = 0
    /// Zeros are written up to here.
    private var zeroed = 0
    /// Blocks are reserved up to here.
    private var reserved = 0

    var size: Int { position }

    /// Makes the file durably: header, first zeros, directory entry. It has its name when it has all of that: Apache's server,
    /// which may be given the directory of one that was killed here, refuses a log without a header.
    static func create(
        in directory: String, first: Zxid, _ configuration: LogWriter.Configuration, _ files: any FileSystem
    ) throws(StorageError) -> LogFile {
        let path = directory + "/log." + first.hex
        // S1: another log is never replaced.
        guard try !files.exists(path) else { throw .inconsistent(path, "a log of this name is there already") }
        let unfinished = NumberedFile.unfinished(path)
        var log = LogFile(file: try files.open(unfinished, .replacing))
        log.position = FileHeader.size
        var bytes = FileHeader.markedLog(log.mark).encoded()
        LogFormat.appendTrailer(log.mark, to: &bytes)
        try log.file.write(bytes, at: 0)
        log.zeroed = bytes.count
        try log.extend(past: bytes.count, configuration)
        try log.file.sync()
        try files.move(unfinished, to: path)
        try files.syncDirectory(directory)
        // By the name that errors are to give.
        log.file = try files.open(path, .writing)
        return log
    }

    private init(file: any OpenFile) { self.file = file }

    /// Everything that is in the file is durable.
    private var mark: LogMark { LogMark(durableEnd: position) }

    /// Writes and syncs. What is in the file when this throws is unknown; nothing may be written behind it.
    mutating func write(_ records: inout [UInt8], _ configuration: LogWriter.Configuration) throws(StorageError) {
        let end = position + records.count
        try extend(past: end + LogFormat.trailerSize, configuration)
        LogFormat.appendTrailer(mark, to: &records)
        try file.write(records, at: position)
        try file.syncData()
        position = end
    }

    /// Says at the end of the log that all of it is durable. In idle time: each batch brings the mark of the one before it
    /// (`write`), so that it is the last one's that is missing, and nobody waits for it. It is not synced: it shares its
    /// page with the next batch. A kill keeps it, a power cut perhaps (`LogMark`).
    func markEnd() throws(StorageError) { try file.write(mark.bytes, at: position) }

    /// In idle time: keeps at least half a chunk of zeros ahead, so that no entry waits for them.
    mutating func zeroAhead(_ configuration: LogWriter.Configuration) throws(StorageError) {
        guard zeroed - position < configuration.zeroChunk / 2 else { return }
        try extend(past: zeroed, configuration)
        // Whatever becomes of the trailers behind it, what is before this point stays known to be durable.
        try file.write(mark.bytes, at: FileHeader.databaseOffset)
        try file.sync()
    }

    /// Writes zeros until there are some behind `end`.
    private mutating func extend(past end: Int, _ configuration: LogWriter.Configuration) throws(StorageError) {
        while zeroed <= end {
            while reserved < zeroed + configuration.zeroChunk {
                reserved += configuration.preallocation
                file.reserve(upTo: reserved)
            }
            let chunkEnd = zeroed + configuration.zeroChunk
            while zeroed < chunkEnd {
                let zeros = chunkEnd - zeroed < LogFile.zeros.count ? Array(LogFile.zeros[..<(chunkEnd - zeroed)]) : LogFile.zeros
                try file.write(zeros, at: zeroed)
                zeroed += zeros.count
            }
        }
    }

    /// Small and kept: a buffer of a whole chunk, made and let go each time, stays with the allocator for good.
    private static let zeros = [UInt8](repeating: 0, count: 1 << 16)

    /// Gives unused preallocated space back, and says that all of the file is durable.
    func end() throws(StorageError) { try LogFile.end(file, with: mark) }

    /// Cuts a file of ours that nobody writes any more at `offset`, the end of an entry, and says that all of it is
    /// durable. A crash on the way leaves a mark that is true.
    static func seal(_ log: NumberedFile, at offset: Int, in files: any FileSystem) throws(StorageError) {
        let file = try files.open(log.path, .writing)
        // What a killed process had written and not synced must be durable before a mark says so.
        try file.sync()
        try end(file, with: LogMark(durableEnd: offset))
    }

    private static func end(_ file: any OpenFile, with mark: LogMark) throws(StorageError) {
        try file.write(mark.bytes, at: FileHeader.databaseOffset)
        // Before the cut: a greater mark over a file that ends earlier would be damage.
        try file.sync()
        try file.truncate(to: mark.durableEnd)
        var trailer: [UInt8] = []
        LogFormat.appendTrailer(mark, to: &trailer)
        try file.write(trailer, at: mark.durableEnd)
        try file.sync()
    }
}
