import EnsembleBase
import KeeperCore

/// A member's directory: what is durable, and what a crash may still take.
struct SimDisk: Sendable {
    /// The newest snapshot; nil in an empty directory.
    var snapshot: DataTree?
    /// The one before, for when the newest shows effects that are cut off.
    var previous: DataTree?
    /// Durable entries behind the previous snapshot; ascending.
    var log: [LogEntry] = []
    /// Written and not yet synced.
    var unsynced: [LogEntry] = []
    var acceptedEpoch: Int64 = 0
    var currentEpoch: Int64 = 0
    /// The `recovering` mark.
    var marked = false
    /// The `initialize` file: an empty directory may become an empty database.
    var initialize = true
    /// The newest snapshot shows effects of transactions up to here, which come behind it: before, it is no state.
    var exactFrom = Zxid.zero
    /// Whether it came from a leader: then what it shows too early comes from there as well.
    var isReceived = false
    /// Bytes of this entry, or of the snapshot where it is that old, are not what was written. Nobody knows before they
    /// are read.
    var damage: Zxid?
    /// Written by an operator that made the directory.
    var identity: String?
    /// Some file in it does not parse.
    var isDamaged = false

    /// The last durable transaction.
    var end: Zxid { max(log.last?.zxid ?? .zero, snapshot?.lastProcessedZxid ?? .zero) }

    /// Whether it holds a history that may be counted on.
    var isWhole: Bool { !marked && damage == nil && (snapshot != nil || !log.isEmpty) }

    /// Whether it holds no files of a server.
    var isBlank: Bool { snapshot == nil && log.isEmpty && unsynced.isEmpty }

    func isAbove(_ floor: DataFloor) -> Bool {
        !isBlank && floor.isMet(zxid: end.rawValue, acceptedEpoch: acceptedEpoch)
    }

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

    /// What the server reads. Damage is for the caller to look at first.
    ///
    /// - Parameter isReplayed: whether an entry's effects are brought back; all are, but for a deliberate bug.
    func recover(windowCount: Int, isReplayed: (Int) -> Bool = { _ in true }) -> RecoveredState {
        let isEmpty = snapshot == nil && log.isEmpty
        var tree = snapshot ?? DataTree()
        let start = tree.lastProcessedZxid
        var changes: [TreeChange] = []
        for (position, entry) in log.enumerated() where entry.zxid > tree.lastProcessedZxid && isReplayed(position) {
            changes.removeAll(keepingCapacity: true)
            _ = tree.apply(entry, changes: &changes)
        }
        let contiguous = log.filter { $0.zxid > start && $0.zxid <= tree.lastProcessedZxid }
        return RecoveredState(
            tree: tree, recent: Array(contiguous.suffix(windowCount)), acceptedEpoch: acceptedEpoch,
            currentEpoch: currentEpoch, recovering: marked || (isEmpty && !initialize))
    }

    mutating func truncate(to zxid: Zxid) {
        log.removeAll { $0.zxid > zxid }
        // A snapshot that was finished between two roles shows what was logged and never committed.
        guard exactFrom > zxid || snapshot.map({ $0.lastProcessedZxid > zxid }) ?? false else { return }
        snapshot = previous
        previous = nil
        exactFrom = .zero
    }

    /// The received tree and what follows it replace everything, at one moment.
    mutating func install(_ tree: DataTree, exactFrom: Zxid, entries: [LogEntry]) {
        log = entries
        snapshot = tree
        previous = nil
        damage = nil
        isDamaged = false
        self.exactFrom = exactFrom
        isReceived = true
    }

    /// - Parameters:
    ///   - start: the last transaction that it shows wholly.
    ///   - shown: the last of which it shows anything.
    mutating func take(_ tree: DataTree, start: Zxid, shows shown: Zxid) {
        previous = snapshot
        snapshot = tree
        exactFrom = shown
        isReceived = false
        let needed = previous?.lastProcessedZxid ?? .zero
        log.removeAll { $0.zxid <= needed }
        // What nobody reads any more harms nobody.
        if let damage, damage <= start { self.damage = nil }
    }

    /// Changes bytes of some entry, or of the snapshot.
    mutating func rot(using random: inout SeededRandom) {
        damage = log.randomElement(using: &random)?.zxid ?? snapshot?.lastProcessedZxid
    }

    /// What is left if damage passes for the torn end of the log: a deliberate bug.
    mutating func endAtDamage() {
        if let damage { log.removeAll { $0.zxid >= damage } }
        damage = nil
    }
}
