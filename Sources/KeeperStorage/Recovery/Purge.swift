import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// Removes snapshots and logs that newer, verified snapshots supersede: read first, which takes its time, then removed.
package struct Purge: Sendable {
    /// The fewest snapshots that are ever kept.
    package static let minimum = 3

    private let layout: DataLayout
    /// Snapshots that were found sound, newest first.
    private let kept: [NumberedFile]

    /// Keeps the newest `count` sound snapshots and every log that may hold an entry behind the oldest of them.
    ///
    /// S6: a snapshot counts only after its bytes were read and their checksums compared.
    ///
    /// - Returns: nil with fewer sound ones than `count`: then nothing is removed.
    package init?(_ layout: DataLayout, keep count: Int = minimum) throws(StorageError) {
        self.layout = layout
        kept = try Purge.newestSound(layout, max(count, Purge.minimum))
        if kept.count < max(count, Purge.minimum) { return nil }
    }

    /// Removes what is older, also from what was set aside. Not to be called while the directories are rewritten.
    ///
    /// - Parameter needed: every log that may hold an entry behind it stays as well.
    /// - Returns: the paths that were removed.
    @discardableResult
    package func remove(needed: Zxid? = nil) throws(StorageError) -> [String] {
        let snapshots = try layout.snapshots()
        // S6: if the data was cut back or replaced meanwhile, what was superseded then may be all there is now.
        guard let oldest = kept.last, kept.allSatisfy(snapshots.contains) else { return [] }
        let logs = try layout.logs()
        let first = Zxid(rawValue: min(oldest.zxid, needed ?? oldest.zxid).rawValue + 1)
        var removed = snapshots.filter { $0.zxid < oldest.zxid }
        removed += logs.prefix(logs.lastIndex { $0.zxid <= first } ?? 0)
        for directory in Set([layout.snapshotDirectory, layout.logDirectory]).sorted() {
            removed += try setAside(in: directory).filter { $0.zxid < oldest.zxid }
        }
        for file in removed { try layout.files.remove(file.path) }
        return removed.map(\.path)
    }

    private static func newestSound(_ layout: DataLayout, _ count: Int) throws(StorageError) -> [NumberedFile] {
        var sound: [NumberedFile] = []
        for snapshot in try layout.snapshots() where sound.count < count {
            if try isSound(snapshot, in: layout.files) { sound.append(snapshot) }
        }
        return sound
    }

    private static func isSound(_ snapshot: NumberedFile, in files: any FileSystem) throws(StorageError) -> Bool {
        do throws(StorageError) {
            try SnapshotFile.check(snapshot, in: files)
            return true
        } catch {
            switch error.cause {
            case .damaged, .cutShort: return false
            case .system, .inconsistent, .held: throw error
            }
        }
    }

    private func setAside(in directory: String) throws(StorageError) -> [NumberedFile] {
        let place = directory + "/" + DataLayout.setAsideName
        return try NumberedFile.list(place, prefix: NumberedFile.snapshotPrefix, repeated: true, in: layout.files)
            + NumberedFile.list(place, prefix: NumberedFile.logPrefix, repeated: true, in: layout.files)
    }
}
