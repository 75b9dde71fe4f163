import KeeperCore

/// `acceptedEpoch` and `currentEpoch` of the snapshot `version-2` (reference/zookeeper.md, 2.1).
///
/// A member that forgot an epoch it accepted could follow two leaders, so both are written atomically and durably
/// (ZOOKEEPER-4394 and its kin).
package struct EpochFiles: Sendable {
    private let directory: String
    private let files: any FileSystem

    /// - Parameter directory: the snapshot `version-2`.
    package init(directory: String, files: any FileSystem = SystemFiles.shared) {
        self.directory = directory
        self.files = files
    }

    package struct Epochs: Hashable, Sendable {
        package var accepted: Int64
        package var current: Int64

        package init(accepted: Int64, current: Int64) {
            self.accepted = accepted
            self.current = current
        }
    }

    private var acceptedPath: String { directory + "/acceptedEpoch" }
    private var currentPath: String { directory + "/currentEpoch" }
    /// What a server, Apache's or this one, leaves when it dies between writing an epoch and renaming it.
    private var pendingPath: String { directory + "/currentEpoch.tmp" }

    /// Reads both files.
    ///
    /// - Parameter lastZxid: of the recovered state. A file that isn't there stands for its epoch.
    /// - Throws: if a file is no number, or the epochs contradict each other or the state.
    package func load(lastZxid: Zxid) throws(StorageError) -> Epochs {
        if let pending = try Installation.pendingEpochs(in: directory, files) { return pending }
        let ofState = max(lastZxid.epoch, 0)
        let promised = try number(in: acceptedPath)
        var current = try number(in: currentPath) ?? ofState
        if ofState > current {
            // A learner logs the history that its leader sends, then takes over the leader's epoch, then acknowledges
            // (reference/zookeeper.md, 7.1: 4643, 4646). If it died in between, it had promised that epoch, and
            // nobody counts on what it logged: it goes on with the epoch that it acknowledged last, which makes its
            // vote weaker than that of any member which had the history before it.
            // A pending file says that it was taken over; yet no more is claimed than the log shows: Apache's server writes it
            // before the history behind it (4643).
            if let pending = pendingEpoch, pending >= ofState {
                current = ofState
            } else if promised ?? 0 < ofState {
                throw .inconsistent(
                    currentPath, "the current epoch is \(current), but the data is of epoch \(ofState)")
            }
        }
        let accepted = promised ?? current
        guard accepted >= current else {
            throw .inconsistent(acceptedPath, "the accepted epoch \(accepted) is before the current epoch \(current)")
        }
        return Epochs(accepted: accepted, current: current)
    }

    /// Replaces what differs. Durable on return; the accepted epoch first, so that it is never before the current one.
    package func save(_ epochs: Epochs) throws(StorageError) {
        try save(epochs.accepted, to: acceptedPath)
        try save(epochs.current, to: currentPath)
    }

    /// Half-written is as good as absent: it never got its name.
    private var pendingEpoch: Int64? { try? number(in: pendingPath) }

    private func save(_ epoch: Int64, to path: String) throws(StorageError) {
        let bytes = Array(String(epoch).utf8)
        if try files.content(of: path) == bytes { return }
        try files.replace(path, with: bytes)
    }

    private func number(in path: String) throws(StorageError) -> Int64? {
        guard let bytes = try files.content(of: path) else { return nil }
        guard let number = parseDecimal(bytes), number >= 0 else {
            throw .damaged(path, offset: 0, "\"\(String(decoding: bytes.prefix(40), as: UTF8.self))\" is no epoch")
        }
        return number
    }
}

/// A decimal number, perhaps with white space around it, as people and Apache's server write them.
func parseDecimal(_ bytes: [UInt8]) -> Int64? {
    let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0d).contains($0) }
    let text = bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
    guard text.count <= 20 else { return nil }
    return Int64(String(decoding: text, as: UTF8.self))
}
