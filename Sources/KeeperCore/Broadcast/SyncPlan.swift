import EnsembleBase

/// How a leader brings a learner to its own history (reference/zookeeper.md, 3.3; ZOOKEEPER-3104, 3642, 4785).
enum SyncPlan: Hashable, Sendable {
    /// Send these committed entries of the window: from this position on. Empty if the learner has all.
    case diff(from: Int)
    /// Cut the learner's log behind `to`, the last committed transaction; there is nothing else to send.
    case trunc(to: Zxid)
    case snap

    /// Decides from the learner's last logged zxid. What it has may come from an Apache server: then it may be the mark of
    /// a fresh epoch (low word 0), which its tree got from a SNAP, and which no log has an entry of.
    ///
    /// - It is in this run: whatever ends there is a part of this history, since one leader alone makes an epoch's
    ///   transactions, each behind the same ones.
    /// - It is behind this history's end, and of the same epoch: the learner has all of this history and then what was
    ///   never committed. Across an epoch it may lack what precedes the cut, and Apache's learner dies of such a cut. A
    ///   mark is never cut: it is no log's entry.
    /// - It lies in the window's range and is not in it: an epoch's uncommitted end, or an epoch whose transactions were
    ///   never committed. The cut would cross an epoch.
    /// - It is older than the window: the log may have what is missing; the tree always does.
    init(peer: Zxid, history: History) {
        let last = history.lastCommitted
        if let position = history.windowPosition(behind: peer) {
            self = .diff(from: position)
        } else if peer > last, peer.epoch == last.epoch, last.counter > 0 {
            self = .trunc(to: last)
        } else {
            self = .snap
        }
    }
}
