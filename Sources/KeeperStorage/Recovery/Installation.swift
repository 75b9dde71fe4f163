import KeeperCore
import NIOConcurrencyHelpers

/// The replacement of a member's data by what a leader sent, at one moment.
///
/// S1, S2: a crash must leave the history that the member has acknowledged, or the leader's whole initial history with
/// the leader's epoch: never a part of either, and never neither. So the new files are made beside the old ones, in
/// `incoming`; the record, which holds the epochs, is the moment; then the files go to their places in an order that can
/// be taken up again wherever it was left: old files aside, snapshot, log, epochs, and the record goes last. Until then
/// whoever reads the directory reads it as if it were finished (`pendingSnapshot`, `pendingLogs`, `pendingEpochs`).
package struct Installation: Sendable {
    private let layout: DataLayout

    package init(_ layout: DataLayout) { self.layout = layout }

    private static let recordName = "installation"
    package var recordPath: String { layout.snapshotDirectory + "/" + Installation.recordName }
    package var incomingSnapshots: String { layout.snapshotDirectory + "/incoming" }
    package var incomingLogs: String { layout.logDirectory + "/incoming" }

    // MARK: What counts

    /// The epochs of an installation that counts and is not finished; nil if there is none.
    package static func pendingEpochs(in snapshotDirectory: String) throws(StorageError) -> EpochFiles.Epochs? {
        let path = snapshotDirectory + "/" + recordName
        guard let bytes = try Directory.content(of: path) else { return nil }
        let numbers = String(decoding: bytes.prefix(80), as: UTF8.self).split(separator: " ").map { Int64($0) ?? -1 }
        guard numbers.count == 2, numbers[1] >= 0, numbers[0] >= numbers[1] else {
            throw .damaged(path, offset: 0, "not an accepted and a current epoch")
        }
        return EpochFiles.Epochs(accepted: numbers[0], current: numbers[1])
    }

    /// The snapshot that replaces all others, and is not in its place yet.
    func pendingSnapshot() throws(StorageError) -> NumberedFile? {
        guard try Installation.pendingEpochs(in: layout.snapshotDirectory) != nil else { return nil }
        return try NumberedFile.list(incomingSnapshots, prefix: "snapshot.").last
    }

    /// Its log, if that is not in its place yet.
    func pendingLogs() throws(StorageError) -> [NumberedFile] {
        guard try Installation.pendingEpochs(in: layout.snapshotDirectory) != nil else { return [] }
        return try NumberedFile.list(incomingLogs, prefix: "log.")
    }

    // MARK: Making it

    /// Writes the new files and then the record, from which on they count.
    package func prepare(
        _ tree: DataTree, _ entries: [LogEntry], _ epochs: EpochFiles.Epochs
    ) throws(StorageError) {
        try discard()
        try Directory.create(incomingSnapshots)
        try Directory.create(incomingLogs)
        try SnapshotFile.write(tree, in: incomingSnapshots, isFuzzy: true)
        try write(entries, after: tree.lastProcessedZxid)
        try Directory.replace(file: recordPath, with: Array("\(epochs.accepted) \(epochs.current)".utf8))
    }

    private func write(_ entries: [LogEntry], after zxid: Zxid) throws(StorageError) {
        if entries.isEmpty { return }
        let failure = NIOLockedValueBox<StorageError?>(nil)
        let writer = try LogWriter(
            directory: incomingLogs, lastZxid: zxid, configuration: .init(preallocation: 1 << 16, zeroChunk: 1 << 16)
        ) { outcome in
            if case .failed(let error) = outcome { failure.withLockedValue { $0 = $0 ?? error } }
        }
        for entry in entries { try writer.append(entry) }
        writer.close()
        if let error = failure.withLockedValue({ $0 }) { throw error }
    }

    /// Finishes an installation that counts, and removes one that doesn't. May be interrupted, and called again.
    package func complete() throws(StorageError) {
        guard let epochs = try Installation.pendingEpochs(in: layout.snapshotDirectory) else { return try discard() }
        if let snapshot = try pendingSnapshot() {
            try SetAside.move(try layout.placedSnapshots(), of: layout.snapshotDirectory)
            try SetAside.move(try layout.placedLogs(), of: layout.logDirectory)
            try place(snapshot, in: layout.snapshotDirectory, from: incomingSnapshots)
        }
        // The snapshot is in its place durably, so from here on a log in its place is the new one.
        for log in try pendingLogs() { try place(log, in: layout.logDirectory, from: incomingLogs) }
        try EpochFiles(directory: layout.snapshotDirectory).save(epochs)
        try Directory.remove(file: recordPath)
        try Directory.sync(layout.snapshotDirectory)
    }

    private func place(
        _ file: NumberedFile, in directory: String, from incoming: String
    ) throws(StorageError) {
        try Directory.move(file.path, to: directory + "/" + file.name)
        try Directory.sync(directory)
        try Directory.sync(incoming)
    }

    /// What never counted.
    private func discard() throws(StorageError) {
        for directory in Set([incomingSnapshots, incomingLogs]).sorted() where Directory.exists(directory) {
            for name in try Directory.names(directory) { try Directory.remove(file: directory + "/" + name) }
        }
    }
}
