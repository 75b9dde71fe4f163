import KeeperCodec
import KeeperCore

/// Where a member's files are (reference/zookeeper.md, 2.1), and behind which door.
package struct DataLayout: Sendable {
    /// `dataDir`: snapshots, epochs, `myid`.
    package var dataDir: String
    /// `dataLogDir`: logs, `initialize`. The same as `dataDir` unless configured.
    package var dataLogDir: String
    package let files: any FileSystem

    package init(dataDir: String, dataLogDir: String? = nil, files: any FileSystem = SystemFiles.shared) {
        self.files = files
        self.dataDir = dataDir
        self.dataLogDir = dataLogDir ?? dataDir
    }

    package var snapshotDirectory: String { dataDir + "/version-2" }
    package var logDirectory: String { dataLogDir + "/version-2" }
    package var directoriesDiffer: Bool { snapshotDirectory != logDirectory }

    /// Where files go that a truncation, a received snapshot or a repair has replaced. Nothing reads them; nothing
    /// deletes them here (S6).
    package static let setAsideName = "set-aside"

    package func path(of snapshot: Zxid) -> String { snapshotDirectory + "/snapshot." + snapshot.hex }

    /// Makes the directories.
    package func create() throws(StorageError) {
        try files.createDirectory(snapshotDirectory)
        try files.createDirectory(logDirectory)
    }

    /// Makes the member's directories this process's, before anything in them is read, and tries whether they can be
    /// written.
    ///
    /// S1: of two servers on one directory each acknowledges what the other's files then contradict. Who only reads
    /// (backups, checks, the daemon's looks) needs no lock and is never kept out. Apache's server knows no locks: it neither
    /// minds this one nor is kept out by it.
    ///
    /// - Returns: what holds them until it is let go, or the process is gone.
    package func acquire() throws(StorageError) -> any DirectoryLock {
        let directories = dataDir == dataLogDir ? [dataDir] : [dataDir, dataLogDir]
        for directory in directories { try files.createDirectory(directory) }
        let lock = try files.lock(directories)
        try create()
        // Where the files really are: a `version-2` may be a link to another disk. A server that can't write must not begin
        // to serve, and find out at its first write.
        for directory in directoriesDiffer ? [snapshotDirectory, logDirectory] : [snapshotDirectory] {
            try files.tryWriting(in: directory)
        }
        return lock
    }

    /// The snapshots, newest first. A directory that isn't there has none.
    package func snapshots() throws(StorageError) -> [NumberedFile] {
        if let pending = try Installation(self).pendingSnapshot() { return [pending] }
        return try placedSnapshots().reversed()
    }

    /// The logs, oldest first.
    package func logs() throws(StorageError) -> [NumberedFile] {
        let installation = Installation(self)
        let placed = try installation.pendingSnapshot() == nil ? placedLogs() : []
        return try placed + installation.pendingLogs()
    }

    package var epochs: EpochFiles { EpochFiles(directory: snapshotDirectory, files: files) }
    package var recoveringMark: RecoveringMark { RecoveringMark(directory: snapshotDirectory, files: files) }
    package var doubtMark: DoubtMark { DoubtMark(directory: snapshotDirectory, files: files) }
    package var initializeFile: InitializeFile { InitializeFile(directory: dataLogDir, files: files) }

    /// Those that no unfinished installation has replaced, or in part: oldest first.
    func placedSnapshots() throws(StorageError) -> [NumberedFile] {
        try NumberedFile.list(snapshotDirectory, prefix: NumberedFile.snapshotPrefix, in: files)
    }

    func placedLogs() throws(StorageError) -> [NumberedFile] {
        try NumberedFile.list(logDirectory, prefix: NumberedFile.logPrefix, in: files)
    }
}

/// A snapshot or log, by the zxid in its name.
package struct NumberedFile: Hashable, Sendable {
    package var zxid: Zxid
    package var path: String

    package init(zxid: Zxid, path: String) {
        self.zxid = zxid
        self.path = path
    }

    static let snapshotPrefix = "snapshot."
    static let logPrefix = "log."

    /// The name under which a file is written that has its own when it is whole and durable. Apache's server, which may be
    /// given the directory of one that was killed here, takes for a log or a snapshot whatever begins as one and has a number
    /// behind that, and ends itself over one that is empty: so nothing is put behind the name, but before it.
    static func unfinished(_ path: String) -> String {
        let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        return path[..<slash] + "writing." + path[slash...]
    }

    /// Former versions wrote `log.5.writing`.
    static func isUnfinished(_ name: String, prefix: String) -> Bool {
        name.hasPrefix("writing." + prefix) || name.hasPrefix(prefix) && name.hasSuffix(".writing")
    }

    package var name: String { String(path[path.index(after: path.lastIndex(of: "/") ?? path.startIndex)...]) }

    /// The files of `directory` with names of `prefix` and a hexadecimal zxid, oldest first. Packed snapshots (`.gz`,
    /// `.snappy`) are among them.
    ///
    /// - Parameter repeated: also "log.5-1" and so on: a second one of the name, set aside. Elsewhere that is a person's
    ///   copy, and no part of the database.
    static func list(
        _ directory: String, prefix: String, repeated: Bool = false, in files: any FileSystem
    ) throws(StorageError) -> [NumberedFile] {
        if try !files.exists(directory) { return [] }
        var found: [NumberedFile] = []
        for name in try files.names(directory) where name.hasPrefix(prefix) {
            var digits = name.dropFirst(prefix.count)
            if prefix == snapshotPrefix, let packed = SnapshotCompression(ofFile: name) { digits = digits.dropLast(packed.suffix.count) }
            if repeated { digits = digits.prefix { $0 != "-" } }
            guard digits.first != "+", let number = Int64(digits, radix: 16), (0 ..< .max).contains(number) else { continue }
            found.append(NumberedFile(zxid: Zxid(rawValue: number), path: directory + "/" + name))
        }
        return found.sorted { ($0.zxid, $0.path) < ($1.zxid, $1.path) }
    }
}

extension Zxid {
    /// As in file names: without "0x".
    package var hex: String { String(UInt64(bitPattern: rawValue), radix: 16) }
}
