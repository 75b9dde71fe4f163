import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOConcurrencyHelpers
import NIOCore

/// Writes one snapshot on a lane of its own, from chunks that an event loop makes of its tree (`TreeEncoder`).
///
/// The file bears a temporary name until every byte is on disk: under its final name it is always whole.
package final class SnapshotWriter: Sendable {
    private enum Item: Sendable {
        case chunk(ByteBuffer)
        case finish(SnapshotDigest)
        case abandon
    }

    private struct Queue: Sendable {
        var items: [Item] = []
        var queuedBytes = 0
        var isDraining = false
        var isOver = false
    }

    private let queue = NIOLockedValueBox(Queue())
    private let lane: any Lane
    private let files: any FileSystem
    /// The lane's alone; nil before the first chunk and after the end.
    private let output = NIOLockedValueBox<SnapshotOutput?>(nil)
    private let file: NumberedFile
    private let report: @Sendable (Result<NumberedFile, StorageError>) -> Void

    /// `report` is called on the lane once: with the file, or with why there is none. After `abandon` it is not called.
    ///
    /// - Parameters:
    ///   - directory: the snapshot `version-2`, which exists.
    ///   - zxid: `TreeEncoder.start`.
    ///   - lane: this writer's alone; it ends it.
    package init(
        directory: String, zxid: Zxid, files: any FileSystem = SystemFiles.shared, lane: any Lane,
        report: @escaping @Sendable (Result<NumberedFile, StorageError>) -> Void
    ) {
        file = NumberedFile(zxid: zxid, path: directory + "/snapshot." + zxid.hex)
        self.files = files
        self.lane = lane
        self.report = report
    }

    /// What waits to be written: a loop that makes chunks faster than the disk takes them looks here and pauses.
    package var queuedBytes: Int { queue.withLockedValue { $0.queuedBytes } }

    package func write(_ chunk: ByteBuffer) { put(.chunk(chunk), size: chunk.readableBytes) }

    /// Call this only once the log is durable up to `digest.zxid`: a snapshot that holds effects of transactions which
    /// a crash takes out of the log is refused by `Recovery`.
    ///
    /// - Parameter digest: the tree's digest at the end of the walk and the last transaction in it then.
    package func finish(digest: SnapshotDigest) { put(.finish(digest), size: 0) }

    /// Removes the unfinished file.
    package func abandon() { put(.abandon, size: 0) }

    /// Waits for the lane's end, after `finish` or `abandon`.
    package func join() { lane.end() }

    private func put(_ item: Item, size: Int) {
        let mustDrain = queue.withLockedValue { queue in
            if queue.isOver { return false }
            queue.items.append(item)
            queue.queuedBytes += size
            defer { queue.isDraining = true }
            return !queue.isDraining
        }
        if mustDrain { lane.run { [self] in drain() } }
    }

    // MARK: On the lane

    private func drain() {
        let items = queue.withLockedValue { queue in
            defer { queue = Queue(isOver: queue.isOver) }
            return queue.items
        }
        do throws(StorageError) {
            for item in items where try write(item) {
                queue.withLockedValue { $0 = Queue(isOver: true) }
                return
            }
        } catch {
            queue.withLockedValue { $0 = Queue(isOver: true) }
            report(.failure(error))
        }
    }

    /// - Returns: whether that was the end.
    private func write(_ item: Item) throws(StorageError) -> Bool {
        var output: SnapshotOutput
        if let open = self.output.withLockedValue({ $0 }) {
            output = open
        } else {
            if case .abandon = item { return true }
            output = try SnapshotOutput.create(for: file.path, in: files)
        }
        do throws(StorageError) {
            switch item {
            case .chunk(let chunk):
                try output.write(chunk)
                self.output.withLockedValue { $0 = output }
                return false
            case .finish(let digest):
                try output.finish(digest: digest)
                report(.success(file))
            case .abandon: try output.discard()
            }
        } catch {
            // The half-written file has no final name; what is wrong with the disk is already being reported.
            try? output.discard()
            throw error
        }
        self.output.withLockedValue { $0 = nil }
        return true
    }
}

/// A snapshot file in the making.
struct SnapshotOutput: Sendable {
    private let file: any OpenFile
    private let files: any FileSystem
    private let path: String
    private var sealer = SnapshotSealer()
    private var position = 0
    private var writtenBack = 0

    /// Were a large snapshot left to its last sync, the log's syncs would wait behind all of it: clients would notice.
    private static let writeBackSize = 8 << 20

    static func create(for path: String, in files: any FileSystem) throws(StorageError) -> SnapshotOutput {
        var output = SnapshotOutput(
            file: try files.open(NumberedFile.unfinished(path), .replacing), files: files, path: path)
        do throws(StorageError) { try output.put(output.sealer.header()) } catch {
            // A full disk must not fill with names of snapshots that never began.
            try? output.discard()
            throw error
        }
        return output
    }

    private init(file: any OpenFile, files: any FileSystem, path: String) {
        self.file = file
        self.files = files
        self.path = path
    }

    private var temporaryPath: String { NumberedFile.unfinished(path) }

    mutating func write(_ chunk: ByteBuffer) throws(StorageError) {
        sealer.cover(chunk)
        let offset = position
        try chunk.withUnsafeReadableBytes { bytes -> Result<Void, StorageError> in
            do throws(StorageError) { return .success(try file.write(bytes, at: offset)) } catch {
                return .failure(error)
            }
        }.get()
        position += chunk.readableBytes
        if position - writtenBack >= SnapshotOutput.writeBackSize {
            try file.writeBack(writtenBack..<position)
            writtenBack = position
        }
    }

    private mutating func put(_ bytes: [UInt8]) throws(StorageError) {
        try file.write(bytes, at: position)
        position += bytes.count
    }

    mutating func finish(digest: SnapshotDigest?) throws(StorageError) {
        try put(sealer.trailer(digest: digest))
        try file.sync()
        try files.move(temporaryPath, to: path)
        try files.syncDirectory(Directory.parent(of: path))
    }

    func discard() throws(StorageError) { try files.remove(temporaryPath) }
}
