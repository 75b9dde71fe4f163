import EnsembleBase

/// The transactions that a member has appended to its log, split at the commit point.
///
/// Invariant: `window` (committed) and then `outstanding` (appended, not committed) are one run of ascending zxids,
/// within an epoch without a gap (ZOOKEEPER-4925: a hole would spread by DIFF).
struct History: Sendable {
    /// Appended and not yet committed, oldest first.
    private(set) var outstanding = FIFO<LogEntry>()
    /// The last committed ones, oldest first, at most `capacity` and, but for the last, of at most
    /// `KeeperConfiguration.windowSize`: what DIFF can send.
    private(set) var window = FIFO<LogEntry>()
    private(set) var lastAppended: Zxid
    private(set) var lastCommitted: Zxid
    /// Durable up to here.
    private(set) var lastSynced: Zxid
    private let capacity: Int
    /// Bytes of the window's transactions.
    private var windowSize = 0

    init(recent: [LogEntry], last: Zxid, capacity: Int) {
        self.capacity = max(capacity, 1)
        lastAppended = last
        lastCommitted = last
        lastSynced = last
        for entry in recent { enterWindow(entry) }
    }

    var isSynced: Bool { lastSynced >= lastAppended }

    /// Whether `zxid` may follow what is there: the next of its epoch, or the beginning of a later one.
    func mayFollow(_ zxid: Zxid) -> Bool {
        if zxid.epoch == lastAppended.epoch { return zxid == lastAppended.next }
        return zxid.epoch > lastAppended.epoch && zxid.counter <= 1
    }

    /// Oldest first.
    var appendedAndNotCommitted: [LogEntry] { (0..<outstanding.count).map { outstanding[$0] } }

    mutating func append(_ entry: LogEntry) {
        outstanding.append(entry)
        lastAppended = entry.zxid
    }

    mutating func synced(_ zxid: Zxid) { lastSynced = max(lastSynced, zxid) }

    /// The oldest outstanding entry, moved into the window; nil if there is none up to `zxid`.
    mutating func commitNext(upTo zxid: Zxid) -> LogEntry? {
        guard let first = outstanding.first, first.zxid <= zxid, var entry = outstanding.popFirst() else { return nil }
        lastCommitted = entry.zxid
        // The window may be long, and the wire's copy would double it.
        entry.encoded = nil
        enterWindow(entry)
        return entry
    }

    private mutating func enterWindow(_ entry: LogEntry) {
        window.append(entry)
        windowSize += entry.size
        while window.count > capacity || (windowSize > KeeperConfiguration.windowSize && window.count > 1),
            let oldest = window.popFirst()
        { windowSize -= oldest.size }
    }

    /// The smallest and largest zxid from which DIFF can start; both the last committed one if the window is empty.
    var diffRange: ClosedRange<Zxid> {
        guard let first = window.first else { return lastCommitted...lastCommitted }
        return first.zxid...lastCommitted
    }

    /// The position in the window of the first entry with a zxid ≥ `zxid`; `window.count` if there is none.
    func position(atOrAfter zxid: Zxid) -> Int {
        var low = 0
        var high = window.count
        while low < high {
            let middle = (low + high) / 2
            if window[middle].zxid < zxid { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
