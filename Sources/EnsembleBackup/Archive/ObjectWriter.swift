import Crypto
import Glibc

/// Streams one file into the archive: hashed raw, compressed, hashed as stored, and published under the latter hash
/// when `finish` succeeds. Memory is bounded by the compressor's window.
final class ObjectWriter {
    private let archive: BackupArchive
    private let temporary: String
    private let file: FileHandle
    private let compressor: Compressor?
    private let compression: BackupObject.Compression
    private var raw = SHA256()
    private var stored = SHA256()
    private(set) var size: Int64 = 0
    private var storedSize: Int64 = 0
    private var isFinished = false

    /// `staging` must be unique among the captures that run now.
    init(archive: BackupArchive, staging: String, compression: CaptureRequest.Compression) throws(BackupError) {
        self.archive = archive
        temporary = "\(archive.stagingPath)/\(staging)"
        switch compression {
        case .none:
            compressor = nil
            self.compression = .none
        case .zstd(let level):
            compressor = try Compressor(level: level)
            self.compression = .zstd
        }
        file = try archive.disk.create(temporary)
    }

    deinit {
        // What stays behind after a failure here is swept by the next prune.
        if !isFinished { try? archive.disk.remove(temporary) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(BackupError) {
        raw.update(bufferPointer: bytes)
        size += Int64(bytes.count)
        try compress(bytes, ending: false)
    }

    /// Ends the object, makes it durable and publishes it. An equal object that is there already is kept, unless its
    /// bytes are damaged: then this copy takes its place and heals every backup that shares it.
    func finish(name: String, role: BackupObject.Role) throws(BackupError) -> BackupObject {
        try compress(UnsafeRawBufferPointer(start: nil, count: 0), ending: true)
        try archive.disk.sync(file)
        let object = BackupObject(
            name: name, role: role, size: size, sha256: ContentHash(raw), compression: compression,
            storedSize: storedSize, storedSHA256: ContentHash(stored))
        let target = archive.objectPath(object.storedSHA256)
        if try archive.holds(object) {
            try archive.touch(object)
            try archive.disk.remove(temporary)
        } else {
            try archive.disk.makeDirectories(parentPath(target))
            try archive.disk.rename(temporary, to: target)
        }
        isFinished = true
        return object
    }

    private func compress(_ bytes: UnsafeRawBufferPointer, ending: Bool) throws(BackupError) {
        switch compressor {
        case .some(let compressor):
            try compressor.feed(bytes, ending: ending) { (chunk) throws(BackupError) in try store(chunk) }
        case .none:
            try store(bytes)
        }
    }

    private func store(_ bytes: UnsafeRawBufferPointer) throws(BackupError) {
        guard !bytes.isEmpty else { return }
        stored.update(bufferPointer: bytes)
        storedSize += Int64(bytes.count)
        try archive.disk.write(bytes, to: file)
    }
}

extension BackupArchive {
    /// Whether the object's stored bytes are there and whole. Reads all of them.
    func holds(_ object: BackupObject) throws(BackupError) -> Bool {
        guard let file = try FileHandle.open(objectPath(object.storedSHA256)), file.size == object.storedSize else {
            return false
        }
        var hasher = SHA256()
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { chunk.deallocate() }
        while true {
            let count = try file.read(into: chunk)
            if count == 0 { return ContentHash(hasher) == object.storedSHA256 }
            hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: chunk[..<count]))
        }
    }

    /// Makes an object young again, so that the grace period covers the capture that is about to name it.
    func touch(_ object: BackupObject) throws(BackupError) {
        let file = objectPath(object.storedSHA256)
        if utimensat(AT_FDCWD, file, nil, 0) != 0 { throw systemError("utimensat", file) }
    }
}
