import EnsembleBase

/// How a leader brings a learner to its own history (reference/zookeeper.md, 3.3; ZOOKEEPER-3104, 3642, 4785).
enum SyncPlan: Hashable, Sendable {
    /// Send these committed entries of the window: from this position on. Empty if the learner has all.
    case diff(from: Int)
    /// Cut the learner's log behind `to`, then send the window from this position on.
    case trunc(to: Zxid, from: Int)
    case snap

    /// Decides from the learner's last logged zxid.
    init(peer: Zxid, history: History) {
        let range = history.diffRange
        // Low word 0 is the mark of a fresh epoch that DIFF or SNAP left, not a transaction: never to be cut.
        let isEpochMark = peer.counter == 0
        if peer == history.lastCommitted {
            self = .diff(from: history.window.count)
        } else if peer > range.upperBound {
            self = isEpochMark ? .snap : .trunc(to: range.upperBound, from: history.window.count)
        } else if range.contains(peer) {
            self = SyncPlan.within(window: history, peer: peer, isEpochMark: isEpochMark)
        } else {
            self = .snap
        }
    }

    private static func within(window history: History, peer: Zxid, isEpochMark: Bool) -> SyncPlan {
        let position = history.position(atOrAfter: peer)
        guard position < history.window.count else { return .snap }
        let found = history.window[position].zxid
        if found == peer { return .diff(from: position + 1) }
        if isEpochMark { return .diff(from: position) }
        // The learner has something that this history lacks. Cutting back is sound only within one epoch: across a
        // boundary it may lack what precedes the cut.
        guard position > 0, found.epoch == peer.epoch else { return .snap }
        let before = history.window[position - 1].zxid
        guard before.epoch == peer.epoch else { return .snap }
        return .trunc(to: before, from: position)
    }
}
