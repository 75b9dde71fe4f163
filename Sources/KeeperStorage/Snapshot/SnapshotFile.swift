import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// Whole snapshots, written and read in the calling thread.
package enum SnapshotFile {
    /// Bytes read at a time.
    private static let chunkSize = 1 << 20

    /// Writes a tree that does not change meanwhile, in the calling thread. Durable on return.
    @discardableResult
    package static func write(_ tree: DataTree, in directory: String) throws(StorageError) -> NumberedFile {
        var encoder = TreeEncoder(of: tree)
        let path = directory + "/snapshot." + encoder.start.hex
        var output = try SnapshotOutput.create(for: path)
        do throws(StorageError) {
            while !encoder.isEnded { try output.write(encoder.next(from: tree)) }
            try output.finish(digest: SnapshotDigest(zxid: tree.lastProcessedZxid, digest: tree.digest))
        } catch {
            // As in SnapshotWriter: the cause is thrown, the half-written file has no final name.
            try? output.discard()
            throw error
        }
        return NumberedFile(zxid: encoder.start, path: path)
    }

    /// Reads and checks a snapshot wholly.
    package static func read(_ snapshot: NumberedFile) throws(StorageError) -> LoadedSnapshot {
        let file = try File.openForReading(snapshot.path)
        var reader = SnapshotFileReader()
        var loader = DataTreeLoader()
        var position = 0
        while true {
            let bytes = try file.read(count: chunkSize, at: position)
            if bytes.isEmpty { break }
            position += bytes.count
            do throws(CodecError) {
                try reader.feed(ByteBuffer(bytes: bytes)) { item throws(CodecError) in try loader.add(item) }
            } catch {
                throw .damaged(snapshot.path, error)
            }
        }
        do throws(CodecError) {
            try reader.finish()
            return LoadedSnapshot(tree: try loader.complete(zxid: snapshot.zxid), digest: reader.digest, size: position)
        } catch {
            throw .damaged(snapshot.path, error)
        }
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
