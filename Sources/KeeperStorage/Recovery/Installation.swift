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

    private var files: any FileSystem { layout.files }

    package init(_ layout: DataLayout) { self.layout = layout }

    private static let recordName = "installation"
    package var recordPath: String { layout.snapshotDirectory + "/" + Installation.recordName }
    package var incomingSnapshots: String { layout.snapshotDirectory + "/incoming" }
    package var incomingLogs: String { layout.logDirectory + "/incoming" }

    // MARK: What counts

    /// The epochs of an installation that counts and is not finished; nil if there is none.
    package static func pendingEpochs(
        in snapshotDirectory: String, _ files: any FileSystem
    ) throws(StorageError) -> EpochFiles.Epochs? {
        let path = snapshotDirectory + "/" + recordName
        guard let bytes = try files.content(of: path) else { return nil }
        let numbers = String(decoding: bytes.prefix(80), as: UTF8.self).split(separator: " ").map { Int64($0) ?? -1 }
        guard numbers.count == 2, numbers[1] >= 0, numbers[0] >= numbers[1] else {
            throw .damaged(path, offset: 0, "not an accepted and a current epoch")
        }
        return EpochFiles.Epochs(accepted: numbers[0], current: numbers[1])
    }

    private func pendingEpochs() throws(StorageError) -> EpochFiles.Epochs? {
        try Installation.pendingEpochs(in: layout.snapshotDirectory, files)
    }

    /// The snapshot that replaces all others, and is not in its place yet.
    func pendingSnapshot() throws(StorageError) -> NumberedFile? {
        guard try pendingEpochs() != nil else { return nil }
        return try NumberedFile.list(incomingSnapshots, prefix: NumberedFile.snapshotPrefix, in: files).last
    }

    /// Its log, if that is not in its place yet.
    func pendingLogs() throws(StorageError) -> [NumberedFile] {
        guard try pendingEpochs() != nil else { return [] }
        return try NumberedFile.list(incomingLogs, prefix: NumberedFile.logPrefix, in: files)
    }

    // MARK: Making it

    /// Writes the new files and then the record, from which on they count.
    package func prepare(
        _ tree: DataTree, _ entries: [LogEntry], _ epochs: EpochFiles.Epochs
    ) throws(StorageError) {
        try discard()
        try files.createDirectory(incomingSnapshots)
        try files.createDirectory(incomingLogs)
        try SnapshotFile.write(tree, in: incomingSnapshots, isFuzzy: true, files: files)
        try write(entries, after: tree.lastProcessedZxid)
        try files.replace(recordPath, with: Array("\(epochs.accepted) \(epochs.current)".utf8))
    }

    private func write(_ entries: [LogEntry], after zxid: Zxid) throws(StorageError) {
        if entries.isEmpty { return }
        let failure = NIOLockedValueBox<StorageError?>(nil)
        let writer = LogWriter(
            directory: incomingLogs, lastZxid: zxid, configuration: .init(preallocation: 1 << 16, zeroChunk: 1 << 16),
            files: files, lane: CallingThread()
        ) { outcome in
            if case .failed(let error) = outcome { failure.withLockedValue { $0 = $0 ?? error } }
        }
        for entry in entries { try writer.append(entry) }
        writer.close()
        if let error = failure.withLockedValue({ $0 }) { throw error }
    }

    /// Finishes an installation that counts, and removes one that doesn't. May be interrupted, and called again.
    package func complete() throws(StorageError) {
        guard let epochs = try pendingEpochs() else { return try discard() }
        if let snapshot = try pendingSnapshot() {
            try SetAside.move(try layout.placedSnapshots(), of: layout.snapshotDirectory, in: files)
            try SetAside.move(try layout.placedLogs(), of: layout.logDirectory, in: files)
            try place(snapshot, in: layout.snapshotDirectory, from: incomingSnapshots)
        }
        // The snapshot is in its place durably, so from here on a log in its place is the new one.
        for log in try pendingLogs() { try place(log, in: layout.logDirectory, from: incomingLogs) }
        try layout.epochs.save(epochs)
        try files.remove(recordPath)
        try files.syncDirectory(layout.snapshotDirectory)
    }

    private func place(
        _ file: NumberedFile, in directory: String, from incoming: String
    ) throws(StorageError) {
        try files.move(file.path, to: directory + "/" + file.name)
        try files.syncDirectory(directory)
        try files.syncDirectory(incoming)
    }

    /// What never counted.
    private func discard() throws(StorageError) {
        for directory in Set([incomingSnapshots, incomingLogs]).sorted() where try files.exists(directory) {
            for name in try files.names(directory) { try files.remove(directory + "/" + name) }
        }
    }
}
