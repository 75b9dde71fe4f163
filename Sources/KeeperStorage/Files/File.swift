import CLinux
import Glibc

/// An open file: closed when it goes out of scope. Every error names the path.
package struct File: ~Copyable {
    package let path: String
    private let descriptor: Int32

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// A new file; fails if there is one.
    package static func create(_ path: String) throws(StorageError) -> File {
        try open(path, O_CREAT | O_EXCL | O_RDWR, "create")
    }

    /// A new file in place of any that is there.
    package static func replace(_ path: String) throws(StorageError) -> File {
        try open(path, O_CREAT | O_TRUNC | O_RDWR, "create")
    }

    package static func openForReading(_ path: String) throws(StorageError) -> File { try open(path, O_RDONLY, "open") }

    package static func openForWriting(_ path: String) throws(StorageError) -> File { try open(path, O_RDWR, "open") }

    private static func open(_ path: String, _ flags: Int32, _ operation: String) throws(StorageError) -> File {
        let descriptor = clx_open(path, flags, 0o640)
        guard descriptor >= 0 else { throw .system(operation, path) }
        return File(path: path, descriptor: descriptor)
    }

    /// In bytes.
    package func size() throws(StorageError) -> Int {
        let end = lseek(descriptor, 0, SEEK_END)
        guard end >= 0 else { throw .system("seek", path) }
        return Int(end)
    }

    /// Writes all of it, or throws.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let written = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw .system("write", path, errno: written == 0 ? EIO : errno) }
            done += written
        }
    }

    package func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try bytes.withUnsafeBytes { bytes -> Result<Void, StorageError> in
            do throws(StorageError) { return .success(try write(bytes, at: offset)) } catch { return .failure(error) }
        }.get()
    }

    /// Up to `count` bytes; fewer only at the end of the file.
    package func read(count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
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

    /// The whole file.
    package func readAll() throws(StorageError) -> [UInt8] { try read(count: try size(), at: 0) }

    /// Reserves blocks up to `size`, so that writing there changes no metadata. Where the file system can't, or has no
    /// room, nothing is done: the write itself will tell.
    package func reserve(upTo size: Int) { _ = posix_fallocate(descriptor, 0, off_t(size)) }

    package func truncate(to size: Int) throws(StorageError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw .system("truncate", path) }
    }

    /// Never call again after it threw: the kernel forgets pages whose write failed, so a second fsync would lie.
    package func sync() throws(StorageError) {
        guard fsync(descriptor) == 0 else { throw .system("fsync", path) }
    }

    /// Has the pages of a range written and waits for it, without making anything durable: a `sync` that comes later then
    /// finds little to do. Where the system can't, nothing is done.
    package func writeBack(_ range: Range<Int>) throws(StorageError) {
        let flags = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER
        guard sync_file_range(descriptor, off_t(range.lowerBound), off_t(range.count), UInt32(flags)) != 0 else { return }
        // Waiting takes note of a failed write for this descriptor, and the kernel tells it once: `sync` may not tell it
        // again.
        if [EIO, ENOSPC, EDQUOT].contains(errno) { throw .system("sync_file_range", path) }
    }

    /// As `sync`, without metadata that reading doesn't need.
    package func syncData() throws(StorageError) {
        guard fdatasync(descriptor) == 0 else { throw .system("fdatasync", path) }
    }
}
