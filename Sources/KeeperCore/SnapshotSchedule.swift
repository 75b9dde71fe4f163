import EnsembleBase

/// Transactions and their bytes, as a log holds them.
package struct LogExtent: Hashable, Sendable {
    package var transactions: Int
    package var bytes: Int

    package init(transactions: Int = 0, bytes: Int = 0) {
        self.transactions = transactions
        self.bytes = bytes
    }

    /// Of these entries.
    package init(_ entries: [LogEntry]) {
        self.init()
        for entry in entries { add(entry) }
    }

    package mutating func add(_ entry: LogEntry) {
        transactions += 1
        bytes += entry.size
    }
}

/// When a snapshot is due: by what the log holds behind the newest one, for that is what a restart replays.
///
/// Neither a restart nor an election shortens it; a snapshot that was taken does, and nothing else. Each time the limits
/// are drawn anew between their half and their whole, so that members don't take their snapshots together.
struct SnapshotSchedule: Sendable {
    /// What the log holds behind the newest snapshot.
    private(set) var behind = LogExtent()
    private var limit = LogExtent()
    /// What was behind the newest snapshot when the one that is under way began.
    private var underWay: LogExtent?
    /// After a failure: not before.
    private var retryAt = Instant.origin
    private var backoff = Backoff(initial: .seconds(10), ceiling: .seconds(600))
    private var patience: LogPatience
    /// Whatever the log holds.
    private var isWanted = false

    init(_ configuration: KeeperConfiguration, _ random: inout SeededRandom) {
        patience = LogPatience(bytes: configuration.snapSizeLimit)
        draw(configuration, &random)
    }

    /// No log behind an earlier transaction is kept for learners.
    var patienceEnds: Zxid { patience.end }

    /// The directory was read, or rewritten. A snapshot that was under way is given up for that, which is no failure; and
    /// what had failed before says nothing of a disk on which a whole directory was just written or read.
    mutating func found(_ extent: LogExtent) {
        behind = extent
        underWay = nil
        retryAt = .origin
        backoff.reset()
    }

    mutating func applied(_ entry: LogEntry) {
        let size = entry.size
        behind.transactions += 1
        behind.bytes += size
        patience.applied += size
    }

    /// One is due as soon as there is something for it to cover.
    mutating func want() { isWanted = true }

    /// Whether one is to be begun now.
    func isDue(at now: Instant) -> Bool {
        guard isWanted || behind.transactions >= limit.transactions || behind.bytes >= limit.bytes else { return false }
        return underWay == nil && now >= retryAt
    }

    /// - Parameter start: the tree's last transaction.
    mutating func begun(at start: Zxid) {
        underWay = behind
        isWanted = false
        patience.snapshot(at: start)
    }

    mutating func saved(_ configuration: KeeperConfiguration, _ random: inout SeededRandom) {
        guard let covered = underWay.take() else { return }
        behind.transactions = max(behind.transactions - covered.transactions, 0)
        behind.bytes = max(behind.bytes - covered.bytes, 0)
        backoff.reset()
        draw(configuration, &random)
    }

    /// It is due as before; what prevented it (a full disk) may last, so each attempt waits longer than the one before.
    mutating func failed(at now: Instant, _ random: inout SeededRandom) {
        guard underWay.take() != nil else { return }
        retryAt = now + backoff.next(using: &random)
    }

    private mutating func draw(_ configuration: KeeperConfiguration, _ random: inout SeededRandom) {
        let count = max(configuration.snapCount / 2, 1)
        let size = max(configuration.snapSizeLimit / 2, 1)
        limit = LogExtent(
            transactions: count + Int.random(in: 0...count, using: &random),
            bytes: size + Int.random(in: 0...size, using: &random))
    }
}
