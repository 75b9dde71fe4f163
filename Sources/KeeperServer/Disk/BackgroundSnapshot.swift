import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore

/// A snapshot that is written while the tree goes on changing: the loop serialises short slices between its other work,
/// a thread writes them. Loop-bound.
final class BackgroundSnapshot {
    private let turn: LoopTurn
    private let tree: () -> DataTree
    private let isDurable: (Zxid) -> Bool
    private let writer: SnapshotWriter
    private var encoder: TreeEncoder
    private var isAbandoned = false

    /// Names the file.
    var start: Zxid { encoder.start }

    /// Bytes that may wait for the disk.
    private static let queueLimit = 4 << 20
    private static let pause = TimeAmount.milliseconds(2)
    private let nodesPerSlice: Int

    /// - Parameters:
    ///   - isDurable: whether the log has this transaction on disk.
    ///   - ended: called on the loop, unless the snapshot is abandoned.
    init(
        turn: LoopTurn, layout: DataLayout, lane: any Lane, nodesPerSlice: Int, tree: @escaping () -> DataTree,
        isDurable: @escaping (Zxid) -> Bool,
        ended: @escaping (Zxid, Result<NumberedFile, StorageError>) -> Void
    ) throws(StorageError) {
        self.turn = turn
        self.tree = tree
        self.isDurable = isDurable
        self.nodesPerSlice = nodesPerSlice
        let encoder = TreeEncoder(of: tree())
        self.encoder = encoder
        let start = encoder.start
        let eventLoop = turn.eventLoop
        let completion = NIOLoopBound(ended, eventLoop: eventLoop)
        writer = SnapshotWriter(directory: layout.snapshotDirectory, zxid: start, files: layout.files, lane: lane) { outcome in
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
        writer.write(encoder.next(from: tree, nodeLimit: nodesPerSlice))
        guard encoder.isEnded else {
            return turn.eventLoop.assumeIsolated().execute { [self] in advance() }
        }
        finish(SnapshotDigest(zxid: tree.lastProcessedZxid, digest: tree.digest))
    }

    /// S1: the walk shows effects of transactions up to its end. A quorum has those, but this member's own log may not
    /// have them on disk yet; a snapshot that outlived a crash without them could not be completed by replay. So the
    /// file gets its name only behind its log (KeeperAction.takeSnapshot).
    private func finish(_ digest: SnapshotDigest) {
        guard !isAbandoned else { return }
        guard isDurable(digest.zxid) else {
            turn.eventLoop.assumeIsolated().scheduleTask(in: BackgroundSnapshot.pause) { [self] in finish(digest) }
            return
        }
        writer.finish(digest: digest)
    }
}
