import EnsembleBase
import KeeperCore

/// The last entries of a log, bounded in number and bytes: the window for DIFF.
///
/// Invariant: between two neighbours no transaction is missing, and that is *known*, not assumed. Within an epoch zxids
/// show it. Across the beginning of an epoch nothing in the zxids does: behind 1:42 may stand 2:1 in a member's log
/// though 1:43 to 1:942 happened, because it was away for them and got a snapshot (a log of Apache's goes on in the same
/// file then). A file of ours shows it: a writer appends only what follows the state, and whatever replaces the state
/// (SNAP) begins with another file. Where it can't be known the window begins anew: SNAP in place of DIFF is always safe.
package struct RecentEntries: Sendable {
    private var entries = FIFO<LogEntry>()
    private var size = 0
    private var isFirstOfFile = true
    private var isOurs = false
    private let countLimit: Int
    private let sizeLimit: Int

    package init(countLimit: Int = 10_000, sizeLimit: Int = KeeperConfiguration.windowSize) {
        self.countLimit = countLimit
        self.sizeLimit = sizeLimit
    }

    /// The entries that come now stand in another file than those before.
    mutating func beginFile(isOurs: Bool) {
        isFirstOfFile = true
        self.isOurs = isOurs
    }

    /// What came so far is covered by a snapshot of `snapshot`; the next entry, `next`, is the first behind it. If the log
    /// skipped something up to the snapshot, the window must not.
    mutating func pass(_ snapshot: Zxid, to next: Zxid) {
        if entries.last?.zxid != snapshot { clear() }
        if entries.isEmpty { return }
        if !isContiguous(next, behind: snapshot) { clear() }
    }

    mutating func append(_ entry: LogEntry) {
        if let last = entries.last, !isContiguous(entry.zxid, behind: last.zxid) { clear() }
        isFirstOfFile = false
        var entry = entry
        // The window may be long, and the log's copy would double it.
        entry.encoded = nil
        entries.append(entry)
        size += entry.size
        while entries.count > countLimit || size > sizeLimit, let oldest = entries.popFirst() { size -= oldest.size }
    }

    /// The state is that of `zxid`: with a snapshot later than the last entry there is nothing that leads to it.
    mutating func end(at zxid: Zxid) {
        if entries.last?.zxid != zxid { clear() }
    }

    private func isContiguous(_ zxid: Zxid, behind previous: Zxid) -> Bool {
        zxid.isNext(after: previous) || isOurs && !isFirstOfFile && zxid.follows(previous)
    }

    private mutating func clear() {
        entries.removeAll()
        size = 0
    }

    /// Oldest first.
    var all: [LogEntry] { (0..<entries.count).map { entries[$0] } }
}

extension FIFO {
    fileprivate var last: Element? { isEmpty ? nil : self[count - 1] }
}
