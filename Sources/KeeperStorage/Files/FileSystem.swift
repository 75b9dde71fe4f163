/// The one door between storage and a disk: every byte that recovery, logs, snapshots, epochs and marks read or write
/// passes here. The server has the system's files behind it (`SystemFiles`), a simulated world a disk that fails.
///
/// What is durable: a file's bytes after its `sync` (or `syncData`), a name after `syncDirectory` of the directory that it
/// stands in. Of anything else a crash may keep any part.
package protocol FileSystem: AnyObject, Sendable {
    func open(_ path: String, _ mode: OpenMode) throws(StorageError) -> any OpenFile

    /// The names in it, sorted, without "." and "..".
    func names(_ directory: String) throws(StorageError) -> [String]

    /// S10: "it can't be looked at" is an error, not absence.
    func exists(_ path: String) throws(StorageError) -> Bool

    /// One level; one that exists is no error. Not durable before `syncDirectory` of its parent.
    func makeDirectory(_ path: String) throws(StorageError)

    /// Makes creations, renames and removals in it durable.
    func syncDirectory(_ path: String) throws(StorageError)

    /// Not durable before `syncDirectory` of both directories.
    func move(_ source: String, to target: String) throws(StorageError)

    /// Not durable before `syncDirectory`. A file that isn't there is no error.
    func remove(_ path: String) throws(StorageError)

    /// Takes directories, which exist, for this process: for as long as the lock is referred to and the process lives, no
    /// other gets them. Two paths to one directory are one.
    ///
    /// - Throws: `.held` if another has one of them.
    func lock(_ directories: [String]) throws(StorageError) -> any DirectoryLock
}

/// Holds directories until nobody refers to it.
package protocol DirectoryLock: AnyObject, Sendable {}

package enum OpenMode: Hashable, Sendable {
    case reading
    /// One that exists, also for reading.
    case writing
    /// A new one, also for reading; fails if there is one.
    case creating
    /// A new, empty one in place of any that is there.
    case replacing
    /// As `replacing`; nobody but the owner may read it.
    case replacingPrivately
}

/// An open file: closed when nobody refers to it. Every error names its path.
package protocol OpenFile: AnyObject, Sendable {
    /// In bytes.
    func size() throws(StorageError) -> Int

    /// Writes all of it, or throws.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError)

    /// Up to `count` bytes; fewer only at the end of the file.
    func read(count: Int, at offset: Int) throws(StorageError) -> [UInt8]

    /// Reserves blocks up to `size`, so that writing there changes no metadata. Where that can't be done nothing is: the
    /// write itself will tell.
    func reserve(upTo size: Int)

    func truncate(to size: Int) throws(StorageError)

    /// Never call again after it threw: the kernel forgets pages whose write failed, so a second fsync would lie.
    func sync() throws(StorageError)

    /// As `sync`, without metadata that reading doesn't need.
    func syncData() throws(StorageError)

    /// Has the bytes of a range written and waits for it, without making anything durable: a `sync` that comes later then
    /// finds little to do. Where that can't be done nothing is.
    func writeBack(_ range: Range<Int>) throws(StorageError)
}

extension OpenFile {
    package func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try bytes.withUnsafeBytes { bytes -> Result<Void, StorageError> in
            do throws(StorageError) { return .success(try write(bytes, at: offset)) } catch { return .failure(error) }
        }.get()
    }

    /// The whole file: for small ones.
    package func readAll() throws(StorageError) -> [UInt8] { try read(count: try size(), at: 0) }
}

extension FileSystem {
    /// Makes the directory and those above it, each durably.
    package func createDirectory(_ path: String) throws(StorageError) {
        if try exists(path) { return }
        let parent = Directory.parent(of: path)
        if parent != path { try createDirectory(parent) }
        try makeDirectory(path)
        try syncDirectory(parent)
    }

    /// Replaces a small file as a whole: at every moment, also after a crash, it holds the old content or the new.
    package func replace(_ path: String, with bytes: [UInt8], _ mode: OpenMode = .replacing) throws(StorageError) {
        let temporary = path + ".tmp"
        let file = try open(temporary, mode)
        try file.write(bytes, at: 0)
        try file.sync()
        try move(temporary, to: path)
        try syncDirectory(Directory.parent(of: path))
    }

    /// Makes sure that files can be written in the directory, by writing one.
    package func tryWriting(in directory: String) throws(StorageError) {
        let path = directory + "/writable.tmp"
        let file = try open(path, .replacing)
        try file.write([1], at: 0)
        try file.sync()
        try remove(path)
    }

    /// The content of a small file; nil if there is none. S10: one that can't be reached is an error, not absent.
    package func content(of path: String) throws(StorageError) -> [UInt8]? {
        let file: any OpenFile
        do throws(StorageError) {
            file = try open(path, .reading)
        } catch {
            if error.isAbsence { return nil }
            throw error
        }
        return try file.readAll()
    }
}
