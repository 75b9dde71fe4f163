import KeeperCodec
import KeeperCore

/// What a member's files claim, told without replaying them: for whoever must know before a start which data this is,
/// and leaves it to the server to prove every byte of it.
///
/// Cost: the tail of a snapshot and the entries of one log file, whatever the size of the tree.
package struct DataGlance: Hashable, Sendable {
    /// The last whole entry of the logs, or the newest sealed snapshot where that is later.
    package var endZxid: Zxid
    package var acceptedEpoch: Int64
    package var currentEpoch: Int64

    /// - Returns: nil where the files don't tell by themselves: no snapshot is sealed, or one is packed.
    /// - Throws: for damage in the newest log, and for epochs that contradict each other or the data.
    package static func look(at layout: DataLayout) throws(StorageError) -> DataGlance? {
        guard let sealed = try newestSealed(layout) else { return nil }
        var end = sealed.zxid
        for log in try layout.logs().reversed() {
            var last: Zxid?
            _ = try LogFileContent(log, in: layout.files).forEachEntry { (entry, _) throws(StorageError) in
                last = entry.zxid
                return true
            }
            if let last {
                end = max(end, last)
                break
            }
        }
        let epochs = try layout.epochs.load(lastZxid: end)
        return DataGlance(endZxid: end, acceptedEpoch: epochs.accepted, currentEpoch: epochs.current)
    }

    private static func newestSealed(_ layout: DataLayout) throws(StorageError) -> NumberedFile? {
        for snapshot in try layout.snapshots() {
            guard SnapshotCompression(ofFile: snapshot.name) == nil else { return nil }
            if try isSealed(snapshot.path, in: layout.files) { return snapshot }
        }
        return nil
    }

    /// A whole snapshot ends with the path "/" as a string of Jute's, behind its checksum (reference/zookeeper.md, 2.2).
    private static func isSealed(_ path: String, in files: any FileSystem) throws(StorageError) -> Bool {
        let file = try files.open(path, .reading)
        let seal: [UInt8] = [0, 0, 0, 1, UInt8(ascii: "/")]
        let size = try file.size()
        guard size >= seal.count else { return false }
        return try file.read(count: seal.count, at: size - seal.count) == seal
    }
}
