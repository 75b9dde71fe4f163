import EnsembleBase

/// How much log is kept for learners at most: ten snapshots' worth, or as many bytes as a restart may have to replay, whichever
/// is more. What a learner needs that falls further behind would fill the disk that everyone's writes need, and it is better
/// served by another tree.
///
/// Snapshots alone would be too few where they come fast: a large tree takes minutes to receive, in which a busy ensemble
/// takes ten of them, and no learner would ever be synchronised (seed 238).
struct LogPatience: Sendable {
    private struct Start: Sendable {
        var zxid: Zxid
        /// `applied`, at that moment.
        var bytes: Int
    }

    private static let snapshots = 10
    private let bytes: Int
    /// Bytes of everything that this process has applied.
    var applied = 0
    /// Where snapshots began, oldest first; those that nearly no log parts from the one before are left out, so that these
    /// are few.
    private var starts = FIFO<Start>()

    /// - Parameter bytes: the limit that a snapshot is due by; there may be none.
    init(bytes: Int) { self.bytes = min(bytes, 4 << 30) }

    mutating func snapshot(at zxid: Zxid) {
        if starts.count > LogPatience.snapshots, applied - starts[starts.count - 1].bytes < bytes / 64 { return }
        starts.append(Start(zxid: zxid, bytes: applied))
        while starts.count > LogPatience.snapshots, applied - starts[1].bytes >= bytes { _ = starts.popFirst() }
    }

    /// No log behind an earlier transaction is kept.
    var end: Zxid {
        guard starts.count >= LogPatience.snapshots, let first = starts.first, applied - first.bytes >= bytes else { return .zero }
        return first.zxid
    }
}
