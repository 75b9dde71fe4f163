import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore

/// A snapshot that is written while the tree goes on changing: the loop serialises short slices between its other work,
/// a thread writes them. Loop-bound.
final class BackgroundSnapshot {
    private let turn: LoopTurn
    private let tree: () -> DataTree
    private let writer: SnapshotWriter
    private var encoder: TreeEncoder
    private var isAbandoned = false

    /// Names the file.
    var start: Zxid { encoder.start }

    /// Bytes that may wait for the disk.
    private static let queueLimit = 4 << 20
    private static let pause = TimeAmount.milliseconds(2)
    /// A slice takes well under a millisecond.
    private static let nodesPerSlice = 128

    /// `ended` is called on the loop, unless the snapshot is abandoned.
    init(
        turn: LoopTurn, directory: String, tree: @escaping () -> DataTree,
        ended: @escaping (Zxid, Result<NumberedFile, StorageError>) -> Void
    ) throws(StorageError) {
        self.turn = turn
        self.tree = tree
        let encoder = TreeEncoder(of: tree())
        self.encoder = encoder
        let start = encoder.start
        let eventLoop = turn.eventLoop
        let completion = NIOLoopBound(ended, eventLoop: eventLoop)
        writer = try SnapshotWriter(directory: directory, zxid: start) { outcome in
            eventLoop.execute { completion.value(start, outcome) }
        }
        eventLoop.assumeIsolated().execute { [self] in advance() }
    }

    /// Removes what was written; the returned writer's thread is to be joined off the loop.
    @discardableResult
    func abandon() -> SnapshotWriter {
        isAbandoned = true
        writer.abandon()
        return writer
    }

    private func advance() {
        guard !isAbandoned else { return }
        guard writer.queuedBytes < BackgroundSnapshot.queueLimit else {
            turn.eventLoop.assumeIsolated().scheduleTask(in: BackgroundSnapshot.pause) { [self] in advance() }
            return
        }
        let tree = tree()
        writer.write(encoder.next(from: tree, nodeLimit: BackgroundSnapshot.nodesPerSlice))
        guard encoder.isEnded else {
            return turn.eventLoop.assumeIsolated().execute { [self] in advance() }
        }
        writer.finish(digest: SnapshotDigest(zxid: tree.lastProcessedZxid, digest: tree.digest))
    }
}
