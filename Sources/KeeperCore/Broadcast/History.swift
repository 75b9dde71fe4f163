import EnsembleBase

/// The transactions that a member has appended to its log, split at the commit point.
///
/// Invariant: `windowBase`, `window` (committed) and then `outstanding` (appended, not committed) are one run: between
/// two neighbours nothing was ever committed (ZOOKEEPER-4925: a hole would spread by DIFF). A zxid proves that within an
/// epoch only (`Zxid.isNext`). That an epoch's first transaction is next to an earlier epoch's last is known to the
/// member that was at the leader's side when it came, because a leader's history ends where its own epoch begins; so it
/// holds for what this process appended since it started, and what it found on its disk is cut at such a place: a log
/// may go on behind a tree that came from a leader, or behind another server's work (issue 8, A1).
struct History: Sendable {
    /// Right before the window's first entry; the last committed one if the window is empty.
    private(set) var windowBase: Zxid
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
        windowBase = last
        // Only what provably leads up to `last` without a gap.
        guard recent.last?.zxid == last else { return }
        var first = recent.count - 1
        while first > 0, recent[first].zxid.isNext(after: recent[first - 1].zxid) { first -= 1 }
        // The number before an epoch's first transaction is no transaction; what came before it is not known.
        windowBase = Zxid(rawValue: recent[first].zxid.rawValue - 1)
        for entry in recent[first...] { enterWindow(entry) }
    }

    var isSynced: Bool { lastSynced >= lastAppended }

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
        {
            windowSize -= oldest.size
            windowBase = oldest.zxid
        }
    }

    /// Where the window's entries behind `zxid` begin, if it is in this run: then they are all that was committed since.
    /// A fresh epoch's mark (low word 0, no transaction) stands right before the epoch's first one, and only there: of
    /// an epoch without a transaction here nobody knows where it began.
    func windowPosition(behind zxid: Zxid) -> Int? {
        if zxid == lastCommitted { return window.count }
        if zxid == windowBase { return 0 }
        let position = position(atOrAfter: zxid)
        guard position < window.count else { return nil }
        let found = window[position].zxid
        if found == zxid { return position + 1 }
        return zxid.counter == 0 && found.isNext(after: zxid) ? position : nil
    }

    /// Whether a member whose history ends at `zxid` has nothing that this one lacks, as far as zxids tell: it is one of
    /// this run's, or older than all of them.
    func contains(_ zxid: Zxid) -> Bool {
        if zxid <= windowBase || windowPosition(behind: zxid) != nil { return true }
        return (0..<outstanding.count).contains { outstanding[$0].zxid == zxid }
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
