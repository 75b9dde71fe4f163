import Crypto

extension BackupArchive {
    /// Streams an object's file content. Every byte is counted and hashed, stored and raw; an error means that what
    /// was emitted so far must be thrown away.
    func read(
        _ object: BackupObject, emit: (UnsafeRawBufferPointer) throws(BackupError) -> Void
    ) throws(BackupError) {
        let path = objectPath(object.storedSHA256)
        guard let file = try FileHandle.open(path) else { throw damaged(object, "is missing") }
        guard file.size == object.storedSize else {
            throw damaged(object, "has \(file.size) bytes, the manifest says \(object.storedSize)")
        }
        var stored = SHA256()
        var raw = SHA256()
        var size: Int64 = 0
        func pass(_ bytes: UnsafeRawBufferPointer) throws(BackupError) {
            size += Int64(bytes.count)
            // Before anything is handed on: a damaged frame must not fill the disk.
            guard size <= object.size else { throw damaged(object, "expands beyond its \(object.size) bytes") }
            raw.update(bufferPointer: bytes)
            try emit(bytes)
        }
        var decompressor: Decompressor? = object.compression == .zstd ? try Decompressor(path: path) : nil
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)
        defer { chunk.deallocate() }
        var isComplete = object.compression == .none
        while true {
            let count = try file.read(into: chunk)
            if count == 0 { break }
            let bytes = UnsafeRawBufferPointer(rebasing: chunk[..<count])
            stored.update(bufferPointer: bytes)
            if object.compression == .zstd {
                try decompressor?.feed(bytes) { (out) throws(BackupError) in try pass(out) }
                isComplete = decompressor?.isComplete ?? false
            } else {
                try pass(bytes)
            }
        }
        guard ContentHash(stored) == object.storedSHA256 else { throw damaged(object, "differs from its SHA-256") }
        guard isComplete, size == object.size, ContentHash(raw) == object.sha256 else {
            throw damaged(object, "does not expand to the file that the manifest describes")
        }
    }

    private func damaged(_ object: BackupObject, _ problem: String) -> BackupError {
        BackupError(
            .damaged, file: objectPath(object.storedSHA256), problem: "the object of '\(object.name)' \(problem)",
            remedy: "use another backup; the next capture of the same bytes replaces a damaged object")
    }
}
