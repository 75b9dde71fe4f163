import EnsembleBase
import KeeperCore

/// A member's directory: what is durable, and what a crash may still take.
struct SimDisk: Sendable {
    /// The newest snapshot; nil in an empty directory.
    var snapshot: DataTree?
    /// Durable entries behind older snapshots too; ascending.
    var log: [LogEntry] = []
    /// Written and not yet synced.
    var unsynced: [LogEntry] = []
    var acceptedEpoch: Int64 = 0
    var currentEpoch: Int64 = 0
    /// The `recovering` mark.
    var marked = false
    /// The `initialize` file: an empty directory may become an empty database.
    var initialize = true

    /// The last durable transaction.
    var end: Zxid { max(log.last?.zxid ?? .zero, snapshot?.lastProcessedZxid ?? .zero) }

    /// Whether it holds a history that may be counted on.
    var isWhole: Bool { !marked && (snapshot != nil || !log.isEmpty) }

    /// A crash keeps what was synced, and of the rest a prefix that chance decides: a torn record fails its checksum,
    /// and the log ends before it.
    mutating func crash(using random: inout SeededRandom) {
        let kept = unsynced.isEmpty ? 0 : Int.random(in: 0...unsynced.count, using: &random)
        log.append(contentsOf: unsynced.prefix(kept))
        unsynced.removeAll()
    }

    mutating func sync() {
        log.append(contentsOf: unsynced)
        unsynced.removeAll()
    }

    /// The directory is lost with everything in it (rule S2: it must not become a voter's empty database).
    mutating func lose() {
        self = SimDisk()
        initialize = false
    }

    /// - Parameter omitted: how many of the last entries are overlooked; 0 but for a deliberate bug.
    func recover(windowCount: Int, omitted: Int = 0) -> RecoveredState {
        let log = log.dropLast(omitted)
        let isEmpty = snapshot == nil && log.isEmpty
        var tree = snapshot ?? DataTree()
        let start = tree.lastProcessedZxid
        var changes: [TreeChange] = []
        for entry in log where entry.zxid > tree.lastProcessedZxid {
            changes.removeAll(keepingCapacity: true)
            _ = tree.apply(entry, changes: &changes)
        }
        let contiguous = log.filter { $0.zxid > start }
        return RecoveredState(
            tree: tree, recent: Array(contiguous.suffix(windowCount)), acceptedEpoch: acceptedEpoch,
            currentEpoch: currentEpoch, recovering: marked || (isEmpty && !initialize))
    }

    mutating func truncate(to zxid: Zxid) {
        log.removeAll { $0.zxid > zxid }
        if let snapshot, snapshot.lastProcessedZxid > zxid { self.snapshot = nil }
    }

    /// The received tree replaces everything; the mark stays until NEWLEADER is acknowledged.
    mutating func install(_ tree: DataTree) {
        log.removeAll()
        snapshot = tree
    }
}
