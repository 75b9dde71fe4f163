import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOConcurrencyHelpers
import NIOCore

/// Writes one snapshot on a thread of its own, from chunks that an event loop makes of its tree (`TreeEncoder`).
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
        var isOver = false
    }

    private let queue = NIOLockedValueBox(Queue())
    private let wakeUp: WakeUp
    private let thread: NIOLockedValueBox<DedicatedThread?>
    private let path: String

    /// Starts the thread. `report` is called on it once: with the file's path, or with why there is none. After
    /// `abandon` it is not called.
    ///
    /// - Parameters:
    ///   - directory: the snapshot `version-2`, which exists.
    ///   - zxid: `TreeEncoder.start`.
    package init(
        directory: String, zxid: Zxid, report: @escaping @Sendable (Result<NumberedFile, StorageError>) -> Void
    ) throws(StorageError) {
        path = directory + "/snapshot." + zxid.hex
        wakeUp = try WakeUp()
        thread = NIOLockedValueBox(nil)
        let started = try DedicatedThread(name: "snapshot") { [self] in
            do throws(StorageError) {
                if try run() { report(.success(NumberedFile(zxid: zxid, path: path))) }
            } catch {
                queue.withLockedValue { queue in queue = Queue(isOver: true) }
                report(.failure(error))
            }
        }
        thread.withLockedValue { $0 = started }
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

    /// Waits for the thread's end, after `finish` or `abandon`.
    package func join() { thread.withLockedValue { $0.take() }?.join() }

    private func put(_ item: Item, size: Int) {
        queue.withLockedValue { queue in
            if queue.isOver { return }
            queue.items.append(item)
            queue.queuedBytes += size
        }
        wakeUp.signal()
    }

    // MARK: On the thread

    /// Whether the snapshot was finished, not abandoned.
    private func run() throws(StorageError) -> Bool {
        var output = try SnapshotOutput.create(for: path)
        do throws(StorageError) {
            while true {
                wakeUp.wait()
                for item in takeItems() {
                    switch item {
                    case .chunk(let chunk): try output.write(chunk)
                    case .finish(let digest):
                        try output.finish(digest: digest)
                        return true
                    case .abandon:
                        try output.discard()
                        return false
                    }
                }
            }
        } catch {
            // The half-written file has no final name; what is wrong with the disk is already being reported.
            try? output.discard()
            throw error
        }
    }

    private func takeItems() -> [Item] {
        queue.withLockedValue { queue in
            defer { queue = Queue() }
            return queue.items
        }
    }
}

/// A snapshot file in the making.
struct SnapshotOutput: ~Copyable {
    private let file: File
    private let path: String
    private var sealer = SnapshotSealer()
    private var position = 0
    private var writtenBack = 0

    /// Were a large snapshot left to its last sync, the log's syncs would wait behind all of it: clients would notice.
    private static let writeBackSize = 8 << 20

    static func create(for path: String) throws(StorageError) -> SnapshotOutput {
        var output = SnapshotOutput(file: try File.replace(path + ".writing"), path: path)
        do throws(StorageError) { try output.put(output.sealer.header()) } catch {
            // A full disk must not fill with names of snapshots that never began.
            try? output.discard()
            throw error
        }
        return output
    }

    private init(file: consuming File, path: String) {
        self.file = file
        self.path = path
    }

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
        try Directory.move(file.path, to: path)
        try Directory.sync(Directory.parent(of: path))
    }

    func discard() throws(StorageError) { try Directory.remove(file: file.path) }
}
