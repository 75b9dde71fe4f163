import CLinux
import Glibc

/// The files of the system.
package final class SystemFiles: FileSystem {
    package static let shared = SystemFiles()

    private init() {}

    package func open(_ path: String, _ mode: OpenMode) throws(StorageError) -> any OpenFile {
        try SystemFile(path, mode)
    }

    package func names(_ directory: String) throws(StorageError) -> [String] {
        guard let stream = opendir(directory) else { throw .system("open directory", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
            errno = 0
        }
        guard errno == 0 else { throw .system("read directory", directory) }
        return names.sorted()
    }

    package func exists(_ path: String) throws(StorageError) -> Bool {
        if access(path, F_OK) == 0 { return true }
        guard errno == ENOENT || errno == ENOTDIR else { throw .system("look for", path) }
        return false
    }

    package func makeDirectory(_ path: String) throws(StorageError) {
        guard mkdir(path, 0o750) == 0 || errno == EEXIST else { throw .system("make directory", path) }
    }

    package func syncDirectory(_ path: String) throws(StorageError) {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system("open directory", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .system("fsync of directory", path) }
    }

    package func move(_ source: String, to target: String) throws(StorageError) {
        guard rename(source, target) == 0 else { throw .system("rename to \(target)", source) }
    }

    package func remove(_ path: String) throws(StorageError) {
        guard unlink(path) == 0 || errno == ENOENT else { throw .system("remove", path) }
    }

    package func lock(_ directories: [String]) throws(StorageError) -> any DirectoryLock { try SystemLock(directories) }
}

/// flock(2) of a file in each directory: the kernel lets go of it when the process ends, however it ends. The file is left,
/// with the number of the process that had it last: removed, two processes could each have locked a file of the name.
private final class SystemLock: DirectoryLock {
    private let descriptors: [Int32]

    private static let fileName = "server.lock"

    init(_ directories: [String]) throws(StorageError) {
        var descriptors: [Int32] = []
        do throws(StorageError) {
            for directory in directories {
                if let descriptor = try SystemLock.take(directory, beside: descriptors) { descriptors.append(descriptor) }
            }
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
        self.descriptors = descriptors
    }

    deinit { for descriptor in descriptors { close(descriptor) } }

    /// - Returns: nil if one of `others` is the same file.
    private static func take(_ directory: String, beside others: [Int32]) throws(StorageError) -> Int32? {
        let path = directory + "/" + fileName
        // Not inherited by any program that the process starts (`clx_open`).
        let descriptor = clx_open(path, O_CREAT | O_RDWR, 0o640)
        guard descriptor >= 0 else { throw .system("create", path) }
        do throws(StorageError) {
            for other in others {
                guard try isSame(descriptor, other, path) else { continue }
                close(descriptor)
                return nil
            }
            try lock(descriptor, of: directory, path)
            try write(descriptor, path)
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func isSame(_ a: Int32, _ b: Int32, _ path: String) throws(StorageError) -> Bool {
        var (first, second) = (stat(), stat())
        guard fstat(a, &first) == 0, fstat(b, &second) == 0 else { throw .system("look at", path) }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    private static func lock(_ descriptor: Int32, of directory: String, _ path: String) throws(StorageError) {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            guard errno == EWOULDBLOCK else { throw .system("flock", path) }
            var text = [UInt8](repeating: 0, count: 20)
            let count = text.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
            throw .held(directory, by: parseDecimal(Array(text.prefix(max(count, 0)))).map(String.init))
        }
    }

    /// Which process it is, for whoever finds the lock taken.
    private static func write(_ descriptor: Int32, _ path: String) throws(StorageError) {
        let text = Array("\(getpid())\n".utf8)
        guard ftruncate(descriptor, 0) == 0 else { throw .system("truncate", path) }
        let count = text.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard count == text.count else { throw .system("write", path, errno: count < 0 ? errno : EIO) }
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
    }
}

private final class SystemFile: OpenFile {
    private let path: String
    private let descriptor: Int32

    init(_ path: String, _ mode: OpenMode) throws(StorageError) {
        self.path = path
        let (flags, operation): (Int32, String) =
            switch mode {
            case .reading: (O_RDONLY, "open")
            case .writing: (O_RDWR, "open")
            case .creating: (O_CREAT | O_EXCL | O_RDWR, "create")
            case .replacing, .replacingPrivately: (O_CREAT | O_TRUNC | O_RDWR, "create")
            }
        descriptor = clx_open(path, flags, 0o640)
        guard descriptor >= 0 else { throw .system(operation, path) }
        if mode == .replacingPrivately, fchmod(descriptor, 0o600) != 0 {
            let reason = errno
            close(descriptor)
            throw .system("chmod", path, errno: reason)
        }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func size() throws(StorageError) -> Int {
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else { throw .system("seek", path) }
        return Int(end)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let written = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw .system("write", path, errno: written == 0 ? EIO : errno) }
            done += written
        }
    }

    func read(count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
                let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                if got <= 0 { return }
                filled += got
            }
        }
        guard failure == 0 else { throw .system("read", path, errno: failure) }
        return bytes
    }

    func reserve(upTo size: Int) { _ = posix_fallocate(descriptor, 0, off_t(size)) }

    func truncate(to size: Int) throws(StorageError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw .system("truncate", path) }
    }

    func sync() throws(StorageError) {
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
    }

    func syncData() throws(StorageError) {
        guard fdatasync(descriptor) == 0 else { throw .system("fdatasync", path) }
    }

    func writeBack(_ range: Range<Int>) throws(StorageError) {
        let flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER
        guard sync_file_range(descriptor, off_t(range.lowerBound), off_t(range.count), UInt32(flags)) != 0 else { return }
        // Waiting takes note of a failed write for this descriptor, and the kernel tells it once: `sync` may not tell it
        // again.
        if [EIO, ENOSPC, EDQUOT].contains(errno) { throw .system("sync_file_range", path) }
    }
}
