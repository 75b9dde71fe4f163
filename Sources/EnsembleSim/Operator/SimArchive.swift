import EnsembleControl
import KeeperCore

/// Backups, as the archive holds them.
struct SimBackup: Sendable {
    var reference: BackupReference
    /// The objects that it is made of: the snapshot, by its content. Backups share it.
    var base: Object
    var log: [LogEntry]
    /// Its record of verification is there.
    var isVerified = false
    /// Its bytes are not what was written, whatever the record says.
    var isDamaged = false

    struct Object: Hashable, Sendable {
        var zxid: Zxid
        var digest: UInt64
    }

    var end: Zxid { Zxid(rawValue: reference.endZxid) }
}

/// The store of backups on another disk.
///
/// It keeps the two rules that backups' own code keeps and their tests prove (EnsembleBackup): a backup is verified by
/// reading it back and replaying it (S7), and pruning keeps the newest verified one and what kept ones need (S6).
struct SimArchive: Sendable {
    var isReachable = true
    /// Oldest first.
    var backups: [SimBackup] = []
    var objects: [SimBackup.Object: DataTree] = [:]
    var count = 0
    static let keepLast = 2

    func backup(_ id: String) -> SimBackup? { backups.first { $0.reference.id == id } }

    mutating func change(_ id: String, _ body: (inout SimBackup) -> Void) {
        guard let index = backups.firstIndex(where: { $0.reference.id == id }) else { return }
        body(&backups[index])
    }

    /// The newest that is listed as verified.
    var newestVerified: SimBackup? { backups.last { $0.isVerified } }

    /// The tree that a backup holds; nil if a part is missing or damaged.
    func replay(_ backup: SimBackup) -> DataTree? {
        guard !backup.isDamaged, var tree = objects[backup.base] else { return nil }
        var changes: [TreeChange] = []
        for entry in backup.log where entry.zxid > tree.lastProcessedZxid {
            changes.removeAll(keepingCapacity: true)
            _ = tree.apply(entry, changes: &changes)
        }
        return tree
    }

    /// S7: read back, replayed to its end, and compared with the digest that the ensemble itself logged.
    func passesVerification(_ backup: SimBackup) -> Bool {
        guard let tree = replay(backup), tree.lastProcessedZxid == backup.end else { return false }
        guard let digest = backup.log.last?.digest else { return true }
        return digest.treeDigest == tree.digest
    }

    /// S6: the newest verified stays, and the last few; what kept backups need stays with them.
    mutating func prune() {
        let verified = backups.filter(\.isVerified)
        guard let newest = verified.last else { return }
        let kept = Set(verified.suffix(SimArchive.keepLast).map(\.reference.id))
        backups.removeAll { $0.reference.takenAt <= newest.reference.takenAt && !kept.contains($0.reference.id) }
        dropUnneeded()
    }

    mutating func dropUnneeded() {
        let needed = Set(backups.map(\.base))
        objects = objects.filter { needed.contains($0.key) }
    }
}
