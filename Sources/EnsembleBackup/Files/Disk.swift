import CLinux
import Glibc

/// The only way by which this target changes the file system. Every change is announced to `interpose` first, so that
/// a test can stop the world at the n-th one; nothing else needs, or gets, a fake file system.
package struct Disk: Sendable {
    package enum Change: Hashable, Sendable {
        case makeDirectory(String)
        case create(String)
        case write(String)
        case sync(String)
        case rename(String, to: String)
        case remove(String)
    }

    private let interpose: @Sendable (Change) throws(BackupError) -> Void

    package init(interpose: @escaping @Sendable (Change) throws(BackupError) -> Void) { self.interpose = interpose }

    package static let real = Disk { _ throws(BackupError) in }

    /// Makes `path` and its missing parents, each durable before the next is made.
    package func makeDirectories(_ path: String) throws(BackupError) {
        if fileKind(path) == .directory { return }
        let parent = parentPath(path)
        if parent != path { try makeDirectories(parent) }
        try interpose(.makeDirectory(path))
        if mkdir(path, 0o750) != 0 && errno != EEXIST { throw systemError("mkdir", path) }
        try syncDirectory(parent)
    }

    /// Makes a directory that must not exist; false if it does.
    func makeNewDirectory(_ path: String) throws(BackupError) -> Bool {
        try interpose(.makeDirectory(path))
        if mkdir(path, 0o750) != 0 {
            guard errno == EEXIST else { throw systemError("mkdir", path) }
            return false
        }
        try syncDirectory(parentPath(path))
        return true
    }

    /// A new file for writing; one that exists is an error, so that two writers cannot share a temporary name.
    func create(_ path: String) throws(BackupError) -> FileHandle {
        try interpose(.create(path))
        let descriptor = clx_open(path, O_WRONLY | O_CREAT | O_EXCL, 0o640)
        guard descriptor >= 0 else { throw systemError("create", path) }
        return FileHandle(descriptor: descriptor, path: path)
    }

    func write(_ bytes: UnsafeRawBufferPointer, to file: borrowing FileHandle) throws(BackupError) {
        try interpose(.write(file.path))
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(file.descriptor, rest.baseAddress, rest.count)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw systemError("write", file.path) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    func write(_ bytes: [UInt8], to file: borrowing FileHandle) throws(BackupError) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        try write(UnsafeRawBufferPointer(copy), to: file)
    }

    /// After a failure the pages' state is unknown (the kernel may have dropped them), so no caller tries again on the
    /// same file: the operation fails and its file is never published.
    func sync(_ file: borrowing FileHandle) throws(BackupError) {
        try interpose(.sync(file.path))
        if fsync(file.descriptor) != 0 { throw systemError("fsync", file.path) }
    }

    func syncDirectory(_ path: String) throws(BackupError) {
        try interpose(.sync(path))
        let descriptor = clx_open(path, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else { throw systemError("open", path) }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 { throw systemError("fsync", path) }
    }

    /// Renames and makes both directories durable.
    func rename(_ from: String, to: String) throws(BackupError) {
        try interpose(.rename(from, to: to))
        if Glibc.rename(from, to) != 0 { throw systemError("rename to \(to)", from) }
        try syncDirectory(parentPath(to))
        if parentPath(from) != parentPath(to) { try syncDirectory(parentPath(from)) }
    }

    /// Removes a file or an empty directory; one that is already gone is no error.
    func remove(_ path: String) throws(BackupError) {
        try interpose(.remove(path))
        if Glibc.remove(path) != 0 && errno != ENOENT { throw systemError("remove", path) }
    }

    /// Removes a directory with everything below it, symbolic links themselves and not what they lead to. Only for
    /// scratch and staging directories, which hold copies.
    func removeTree(_ path: String) throws(BackupError) {
        if fileKind(path) == .directory {
            for name in try directoryEntries(path) { try removeTree("\(path)/\(name)") }
        }
        try remove(path)
    }

    /// Writes a small file so that a reader finds either the whole of it or nothing: temporary name, sync, rename.
    func publish(_ bytes: [UInt8], as path: String) throws(BackupError) {
        let temporary = path + ".tmp"
        try remove(temporary)
        do {
            let file = try create(temporary)
            try write(bytes, to: file)
            try sync(file)
        }
        try rename(temporary, to: path)
    }
}

/// An open descriptor, closed when its owner lets go of it.
struct FileHandle: ~Copyable {
    let descriptor: CInt
    let path: String

    init(descriptor: CInt, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Nil if there is no such file: a member may purge what was just listed.
    static func open(_ path: String) throws(BackupError) -> FileHandle? {
        let descriptor = clx_open(path, O_RDONLY, 0)
        if descriptor < 0 && errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw systemError("open", path) }
        return FileHandle(descriptor: descriptor, path: path)
    }

    /// Reads at the current position; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(BackupError) -> Int {
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw systemError("read", path) }
            return count
        }
    }

    var size: Int64 {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? Int64(status.st_size) : 0
    }
}

enum FileKind { case file, directory, other, absent }

/// S10: what can't be looked at is something, not nothing.
func fileKind(_ path: String) -> FileKind {
    var status = stat()
    guard lstat(path, &status) == 0 else { return errno == ENOENT || errno == ENOTDIR ? .absent : .other }
    return switch status.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .directory
    default: .other
    }
}

/// The names in a directory, sorted, without `.` and `..`.
func directoryEntries(_ path: String) throws(BackupError) -> [String] {
    guard let directory = opendir(path) else { throw systemError("list", path) }
    defer { closedir(directory) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(directory) {
        let name = withUnsafePointer(to: entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != "." && name != ".." { names.append(name) }
        errno = 0
    }
    if errno != 0 { throw systemError("list", path) }
    return names.sorted()
}

/// The whole of a small file; one above `limit` bytes is refused rather than read. Nil if there is none.
func readSmallFile(_ path: String, limit: Int) throws(BackupError) -> [UInt8]? {
    guard let file = try FileHandle.open(path) else { return nil }
    guard file.size <= limit else {
        throw BackupError(
            .damaged, file: path, problem: "is \(file.size) bytes long, more than the \(limit) that it may be",
            remedy: "see what wrote it; it is not read")
    }
    var bytes: [UInt8] = []
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 16_384, alignment: 1)
    defer { chunk.deallocate() }
    while true {
        let count = try file.read(into: chunk)
        if count == 0 { return bytes }
        bytes.append(contentsOf: chunk[..<count])
        guard bytes.count <= limit else {
            throw BackupError(.damaged, file: path, problem: "grew beyond \(limit) bytes", remedy: "see what writes it")
        }
    }
}

func parentPath(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// An error of the system call just made: `errno` is read here, first.
func systemError(_ call: String, _ path: String) -> BackupError {
    let code = errno
    let remedy =
        switch code {
        case ENOSPC, EDQUOT: "free some space and try again"
        case EACCES, EPERM, EROFS: "give this user the right to use it"
        case ENOENT: "check the path"
        case EXDEV: "both must be on one file system: data is moved aside by renaming, never by copying"
        default: "see the system's log for the disk"
        }
    return BackupError(
        code == EXDEV ? .otherFileSystem : .inputOutput, file: path, problem: "\(call) failed: \(String(cString: strerror(code)))", remedy: remedy)
}
