import KeeperCore

/// The `recovering` mark of the snapshot `version-2` (rule S2): this member's data was lost, older than it should be,
/// rolled back or restored. While the mark stands it neither votes nor acknowledges epochs.
package struct RecoveringMark: Sendable {
    private let directory: String
    private let files: any FileSystem

    /// - Parameter directory: the snapshot `version-2`.
    package init(directory: String, files: any FileSystem = SystemFiles.shared) {
        self.directory = directory
        self.files = files
    }

    package var path: String { directory + "/recovering" }

    /// S2: the file's mere presence counts: one that can't be read marks as well.
    package var isSet: Bool { get throws(StorageError) { try files.exists(path) } }

    /// Why, for people; nil if the mark isn't set.
    package var reason: String? {
        get throws(StorageError) {
            guard try isSet else { return nil }
            guard let bytes = try? files.content(of: path) else { return "unreadable" }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Durable on return.
    package func set(reason: String) throws(StorageError) {
        try files.createDirectory(directory)
        try files.replace(path, with: Array(reason.utf8))
    }

    /// Durable on return.
    package func clear() throws(StorageError) {
        try files.remove(path)
        try files.syncDirectory(directory)
    }
}

/// The `doubted` mark of the snapshot `version-2`: this member's tree differed from its leader's, and which of the two is
/// wrong is for the others to say (`KeeperCore.Doubt`). While the mark stands nothing that digests say of the tree keeps
/// the member from starting: it is known.
package struct DoubtMark: Sendable {
    private let directory: String
    private let files: any FileSystem

    /// - Parameter directory: the snapshot `version-2`.
    package init(directory: String, files: any FileSystem = SystemFiles.shared) {
        self.directory = directory
        self.files = files
    }

    package var path: String { directory + "/doubted" }

    /// The leader of that time; −1 if the file does not say. nil if there is no mark: its mere presence counts.
    package var leader: ServerID? {
        get throws(StorageError) {
            guard try files.exists(path) else { return nil }
            guard let bytes = try? files.content(of: path) else { return -1 }
            return String(decoding: bytes.prefix(20), as: UTF8.self).split(separator: " ").first.flatMap { ServerID($0) } ?? -1
        }
    }

    /// Durable on return.
    package func set(leader: ServerID) throws(StorageError) {
        let text = "\(leader) was the leader from whose tree this member's differed, twice in a row.\n"
        try files.replace(path, with: Array(text.utf8))
    }

    /// Durable on return.
    package func clear() throws(StorageError) {
        guard try files.exists(path) else { return }
        try files.remove(path)
        try files.syncDirectory(directory)
    }
}

/// The `initialize` file of `dataLogDir` (reference/zookeeper.md, 2.1): permits a member without any data to vote as one
/// whose history is empty, because the ensemble is new.
package struct InitializeFile: Sendable {
    private let directory: String
    private let files: any FileSystem

    /// - Parameter directory: `dataLogDir` itself.
    package init(directory: String, files: any FileSystem = SystemFiles.shared) {
        self.directory = directory
        self.files = files
    }

    package var path: String { directory + "/initialize" }

    package var exists: Bool { get throws(StorageError) { try files.exists(path) } }

    /// For whoever sets a new ensemble up. Durable on return.
    package func create() throws(StorageError) {
        try files.createDirectory(directory)
        try files.replace(path, with: [])
    }

    /// S2: only once the empty database is on disk. Removed earlier, a crash between would turn a new member into one
    /// without memory; left, it would let a later loss of the data pass for a new member. Durable on return.
    package func consume() throws(StorageError) {
        if try exists { try files.remove(path) }
        // Also where it is gone: a process that died behind the removal has not made it durable (seed 4402).
        try files.syncDirectory(directory)
    }
}

/// `myid` of `dataDir`.
package enum MyID {
    /// The legal ids: the high byte of a session id, less the one that marks TTL nodes (reference/zookeeper.md, 1.2).
    package static let range: ClosedRange<ServerID> = 0...254

    package static func read(dataDir: String) throws(StorageError) -> ServerID {
        let path = dataDir + "/myid"
        guard let bytes = try Directory.content(of: path) else {
            throw .inconsistent(path, "the file is missing", remedy: "write the member's number into it")
        }
        guard let id = parseDecimal(bytes), range.contains(id) else {
            throw .inconsistent(
                path, "\"\(String(decoding: bytes.prefix(40), as: UTF8.self))\" is no member number",
                remedy: "write the member's number, 0 to 254, into it")
        }
        return id
    }

    /// Durable on return.
    package static func write(_ id: ServerID, dataDir: String) throws(StorageError) {
        try Directory.create(dataDir)
        try Directory.replace(file: dataDir + "/myid", with: Array("\(id)\n".utf8))
    }
}
