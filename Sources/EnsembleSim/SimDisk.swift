import EnsembleBase
import EnsembleControl
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOConcurrencyHelpers

/// A member's directory: files on a disk that fails, and what no file says. What the checkers ask of it is answered from
/// what a power cut would surely leave, not from what the product has reported.
struct SimDisk: Sendable {
    static let dataDir = "/data"

    let drive: FaultyDisk
    /// Written by an operator that made the directory.
    var identity: String?
    /// Some file in it does not parse.
    var isDamaged = false
    /// A tree that came from a leader shows effects of transactions up to here, which come behind it: before, it is no state.
    var exactFrom = Zxid.zero
    /// A log is missing among its others.
    var lacksLog = false
    /// S1: what was durable when it was last looked at, less what a leader has had cut or replaced since: a start must find it.
    var vouched = Zxid.zero
    /// What the process has appended and not been told of, oldest first.
    var appended: [Zxid] = []

    /// An empty directory, which nothing permits to become an empty database.
    init(seed: UInt64) { drive = FaultyDisk(seed: seed) }

    private init(_ drive: FaultyDisk) { self.drive = drive }

    var layout: DataLayout { DataLayout(dataDir: SimDisk.dataDir, files: drive) }

    // MARK: As a power cut would leave it

    /// The last transaction.
    var end: Zxid { drive.durableEnd }
    var acceptedEpoch: Int64 { drive.durableEpochs.accepted }
    var currentEpoch: Int64 { drive.durableEpochs.current }
    /// The `recovering` mark.
    var marked: Bool { drive.isDurablyMarked }

    func hasUnsynced(before zxid: Zxid) -> Bool {
        let end = end
        return appended.contains { $0 > end && $0 < zxid }
    }

    // MARK: As whoever looks finds it

    /// The `initialize` file: an empty directory may become an empty database.
    var initialize: Bool { drive.sees(SimDisk.dataDir + "/initialize") }

    /// Whether it holds a history that may be counted on.
    var isWhole: Bool { !marked && !isBlank && !isSpoiled }

    /// What a server reads is not all that was written.
    var isSpoiled: Bool { drive.hasRot || lacksLog }

    /// Whether it holds no files of a server.
    var isBlank: Bool { !drive.seesHistory }

    /// The epoch files are not of the log beside them.
    var epochsContradict: Bool { (try? layout.epochs.load(lastZxid: end)) == nil }

    func isAbove(_ floor: DataFloor) -> Bool {
        !isBlank && floor.isMet(zxid: end.rawValue, acceptedEpoch: acceptedEpoch, currentEpoch: currentEpoch, isMarked: marked)
    }

    // MARK: Changes by others than its server

    /// A copy, of what is durable.
    func copied() -> SimDisk { copied(seed: drive.nextSeed()) }

    /// - Parameter seed: the copy's own.
    func copied(seed: UInt64) -> SimDisk {
        var copy = SimDisk(FaultyDisk(seed: seed))
        copy.drive.replace(with: drive.image(isDurable: true))
        (copy.identity, copy.isDamaged, copy.exactFrom, copy.vouched) = (identity, isDamaged, exactFrom, vouched)
        return copy
    }

    /// The directory is lost with everything in it (rule S2: it must not become a voter's empty database).
    mutating func lose() {
        drive.replace(with: DiskImage())
        self = SimDisk(drive)
    }

    func setInitialize(_ isSet: Bool) throws(StorageError) {
        if isSet { return try layout.initializeFile.create() }
        if try layout.initializeFile.exists { try layout.initializeFile.consume() }
    }

    func mark() throws(StorageError) { try layout.recoveringMark.set(reason: "an operator knows better") }

    /// The newest snapshot that is a state by itself at `end`, and the entries behind it up to there.
    func contents(
        upTo end: Zxid
    ) throws(StorageError) -> (tree: DataTree, trailer: SnapshotDigest?, entries: [LogEntry])? {
        for file in try layout.snapshots() where file.zxid <= end {
            let snapshot = try SnapshotFile.read(file, in: drive)
            guard snapshot.digest.map({ $0.zxid <= end }) ?? (exactFrom <= end || exactFrom <= file.zxid) else { continue }
            return (snapshot.tree, snapshot.digest, try entries(behind: file.zxid, upTo: end))
        }
        return nil
    }

    func entries(behind start: Zxid, upTo end: Zxid) throws(StorageError) -> [LogEntry] {
        var entries: [LogEntry] = []
        for log in try layout.logs() {
            _ = try LogFileContent(log, in: drive).forEachEntry { entry, _ throws(StorageError) in
                if entry.zxid > start, entry.zxid <= end { entries.append(entry) }
                return true
            }
        }
        return entries
    }

    /// Fills an empty directory.
    func fill(_ tree: DataTree, _ entries: [LogEntry], accepted: Int64, current: Int64) throws(StorageError) {
        try layout.create()
        try SnapshotFile.write(tree, in: layout.snapshotDirectory, isFuzzy: true, files: drive)
        let failure = NIOLockedValueBox<StorageError?>(nil)
        let writer = LogWriter(
            directory: layout.logDirectory, lastZxid: tree.lastProcessedZxid, files: drive, lane: CallingThread()
        ) { if case .failed(let error) = $0 { failure.withLockedValue { $0 = error } } }
        for entry in entries { try writer.append(entry) }
        writer.close()
        if let error = failure.withLockedValue({ $0 }) { throw error }
        try layout.epochs.save(EpochFiles.Epochs(accepted: accepted, current: current))
    }
}
