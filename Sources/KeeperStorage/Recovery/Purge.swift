import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// Removes snapshots and logs that newer, verified snapshots supersede.
package enum Purge {
    /// The fewest snapshots that are ever kept.
    package static let minimum = 3

    /// Keeps the newest `count` sound snapshots and every log that may hold an entry behind the oldest of them; removes
    /// what is older, also from what was set aside.
    ///
    /// S6: a snapshot counts only after its bytes were read and their checksums compared. With fewer sound ones than
    /// `count`, nothing is removed.
    ///
    /// - Returns: the paths that were removed.
    @discardableResult
    package static func run(_ layout: DataLayout, keep count: Int = minimum) throws(StorageError) -> [String] {
        let snapshots = try layout.snapshots()
        guard let oldest = try oldestKept(snapshots, max(count, minimum)) else { return [] }
        let logs = try layout.logs()
        let needed = logs.lastIndex { $0.zxid <= Zxid(rawValue: oldest.zxid.rawValue + 1) } ?? 0
        var removed = snapshots.filter { $0.zxid < oldest.zxid }
        removed += logs.prefix(needed)
        for directory in Set([layout.snapshotDirectory, layout.logDirectory]).sorted() {
            removed += try setAside(in: directory).filter { $0.zxid < oldest.zxid }
        }
        for file in removed { try Directory.remove(file: file.path) }
        return removed.map(\.path)
    }

    /// The last of the newest `count` sound snapshots; nil if there are fewer.
    private static func oldestKept(_ snapshots: [NumberedFile], _ count: Int) throws(StorageError) -> NumberedFile? {
        var sound = 0
        for snapshot in snapshots where try isSound(snapshot) {
            sound += 1
            if sound == count { return snapshot }
        }
        return nil
    }

    private static func isSound(_ snapshot: NumberedFile) throws(StorageError) -> Bool {
        do throws(StorageError) {
            try SnapshotFile.check(snapshot)
            return true
        } catch {
            if case .damaged = error.cause { return false }
            throw error
        }
    }

    private static func setAside(in directory: String) throws(StorageError) -> [NumberedFile] {
        let place = directory + "/" + DataLayout.setAsideName
        return try NumberedFile.list(place, prefix: "snapshot.", repeated: true)
            + NumberedFile.list(place, prefix: "log.", repeated: true)
    }
}
