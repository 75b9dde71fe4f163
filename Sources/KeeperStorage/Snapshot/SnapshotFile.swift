import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// Whole snapshots, written and read in the calling thread.
package enum SnapshotFile {
    /// Bytes read at a time.
    private static let chunkSize = 1 << 20

    /// Writes a tree that does not change meanwhile, in the calling thread. Durable on return.
    ///
    /// - Parameter isFuzzy: effects of transactions behind the tree's zxid may be in it; then no digest is stated.
    @discardableResult
    package static func write(
        _ tree: DataTree, in directory: String, isFuzzy: Bool = false, files: any FileSystem = SystemFiles.shared
    ) throws(StorageError) -> NumberedFile {
        var encoder = TreeEncoder(of: tree)
        let path = directory + "/snapshot." + encoder.start.hex
        var output = try SnapshotOutput.create(for: path, in: files)
        do throws(StorageError) {
            while !encoder.isEnded { try output.write(encoder.next(from: tree)) }
            try output.finish(digest: isFuzzy ? nil : SnapshotDigest(zxid: tree.lastProcessedZxid, digest: tree.digest))
        } catch {
            // As in SnapshotWriter: the cause is thrown, the half-written file has no final name.
            try? output.discard()
            throw error
        }
        return NumberedFile(zxid: encoder.start, path: path)
    }

    /// Reads and checks a snapshot wholly.
    package static func read(
        _ snapshot: NumberedFile, in files: any FileSystem = SystemFiles.shared
    ) throws(StorageError) -> LoadedSnapshot {
        var loader = DataTreeLoader()
        let (digest, size) = try scan(snapshot, files) { item throws(CodecError) in try loader.add(item) }
        do throws(CodecError) {
            return LoadedSnapshot(tree: try loader.complete(zxid: snapshot.zxid), digest: digest, size: size)
        } catch {
            throw .damaged(snapshot.path, error)
        }
    }

    /// Reads the file and compares its checksums, without building its tree.
    package static func check(_ snapshot: NumberedFile, in files: any FileSystem) throws(StorageError) {
        _ = try scan(snapshot, files) { _ in }
    }

    private static func scan(
        _ snapshot: NumberedFile, _ files: any FileSystem, _ body: (SnapshotItem) throws(CodecError) -> Void
    ) throws(StorageError) -> (digest: SnapshotDigest?, size: Int) {
        let file = try files.open(snapshot.path, .reading)
        let compression = SnapshotCompression(ofFile: snapshot.name)
        var unpacker = SnapshotUnpacker(compression)
        var reader = SnapshotFileReader()
        var position = 0
        while true {
            let bytes = try file.read(count: chunkSize, at: position)
            do throws(CodecError) {
                func read(_ content: ArraySlice<UInt8>) throws(CodecError) {
                    do throws(CodecError) { try reader.feed(ByteBuffer(bytes: content), body) } catch {
                        throw compression == nil ? error : error.inUnpackedContent(behind: position)
                    }
                }
                if bytes.isEmpty {
                    try unpacker.finish(read)
                    try reader.finish()
                    return (reader.digest, position)
                }
                try unpacker.feed(bytes[...], read)
            } catch {
                guard !bytes.isEmpty else {
                    throw StorageError(
                        path: snapshot.path, cause: .cutShort("the snapshot ends at \(position), in the middle of its content"),
                        remedy: StorageError.keepAndReseed)
                }
                throw .damaged(snapshot.path, error)
            }
            position += bytes.count
        }
    }
}

extension CodecError {
    /// Offsets in a packed file's content are none in the file.
    ///
    /// - Parameter offset: how far the file was read.
    fileprivate func inUnpackedContent(behind offset: Int) -> CodecError {
        CodecError(.content("\(problem), at offset \(self.offset) of the unpacked content"), what: what, offset: offset)
    }
}

/// A snapshot's content.
package struct LoadedSnapshot: Sendable {
    /// Fuzzy: effects of transactions behind its zxid may show until they are replayed.
    package var tree: DataTree
    package var digest: SnapshotDigest?
    /// Of the file, in bytes.
    package var size: Int
}
