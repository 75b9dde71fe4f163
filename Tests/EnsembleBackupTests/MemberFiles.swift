import EnsembleBackup
import EnsembleBase
import FoundationEssentials
import KeeperCodec
import KeeperCore
import KeeperStorage

/// A directory of its own for one test, removed at the end.
final class Scratch {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/ensemble-backup-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A member's data directory with a snapshot in the middle of its history, as a server leaves it: the log preallocated
/// with zeros, rolled at the snapshot.
struct MemberFiles {
    static let identity = "5f1c0d7e"
    var data: String
    var log: String
    var entries: [LogEntry] = []
    var tree = DataTree()

    init(in root: String, count: Int = 40, snapshotAfter: Int = 15, splitLog: Bool = true) throws {
        data = root + "/data"
        log = splitLog ? root + "/log" : data
        for directory in [data, log] {
            try FileManager.default.createDirectory(atPath: directory + "/version-2", withIntermediateDirectories: true)
        }
        try SnapshotFile.write(tree, in: data + "/version-2")
        var segment: [LogEntry] = []
        for index in 1...count {
            segment.append(apply(index))
            if index == snapshotAfter || index == count {
                try writeLog(segment)
                segment = []
            }
            if index == snapshotAfter { try SnapshotFile.write(tree, in: data + "/version-2") }
        }
        try EpochFiles(directory: data + "/version-2").save(.init(accepted: 2, current: 2))
    }

    /// Epoch 1 up to the tenth, then epoch 2; every seventh is a failed write, without a digest.
    static func zxid(_ index: Int) -> Zxid {
        index <= 10 ? Zxid(epoch: 1, counter: UInt32(index)) : Zxid(epoch: 2, counter: UInt32(index - 10))
    }

    var lastZxid: Zxid { entries.last?.zxid ?? .zero }

    private mutating func apply(_ index: Int) -> LogEntry {
        let transaction: Transaction =
            if index % 7 == 0 {
                .error(-101)
            } else {
                .create(
                    op: .create, path: NodePath("/node-\(index)"), data: Array(repeating: UInt8(index), count: 300),
                    acl: [], ephemeral: false, parentCVersion: Int32(index), ttl: 0)
            }
        var entry = LogEntry(
            session: 7, cxid: Int32(index), zxid: Self.zxid(index), time: 1_700_000_000_000 + Int64(index), transaction: transaction)
        var changes: [TreeChange] = []
        _ = tree.apply(entry, changes: &changes)
        if index % 7 != 0 { entry.digest = TransactionDigest(treeDigest: tree.digest) }
        entries.append(entry)
        return entry
    }

    private func writeLog(_ segment: [LogEntry]) throws {
        var bytes = FileHeader.log.encoded()
        for entry in segment { LogFormat.append(payload: entry.payload, to: &bytes) }
        bytes += [UInt8](repeating: 0, count: 65_536 - bytes.count % 65_536)
        try write(bytes, logPath(segment[0].zxid))
    }

    func logPath(_ first: Zxid) -> String { log + "/version-2/log." + first.hex }
    func snapshotPath(_ zxid: Zxid) -> String { data + "/version-2/snapshot." + zxid.hex }

    func request(
        committedUpTo: Zxid? = nil, at seconds: Int64 = 1_800_000_000, random: UInt32 = 1,
        compression: CaptureRequest.Compression = .zstd(level: 3)
    ) -> CaptureRequest {
        CaptureRequest(
            cluster: "orders", clusterIdentity: Self.identity, member: 1, engine: .bundled, kind: .live, dataDirectory: data,
            logDirectory: log, committedUpTo: committedUpTo ?? lastZxid, configuration: "tickTime=2000\n",
            compression: compression, now: WallTime(milliseconds: seconds * 1000), random: random, toolVersion: "test")
    }
}

func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
func write(_ bytes: [UInt8], _ path: String) throws { try Data(bytes).write(to: URL(filePath: path)) }
func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
func names(_ path: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

let testTime = WallTime(milliseconds: 1_800_000_000_000)

extension BackupArchive {
    func verify(_ id: BackupID) throws -> VerifiedRecord {
        try Verification.run(id, in: self, now: testTime, toolVersion: "test")
    }

    /// The files that hold the objects of a backup.
    func objectPath(_ object: BackupObject) -> String {
        "\(path)/objects/sha256/\(object.storedSHA256.hex.prefix(2))/\(object.storedSHA256.hex)"
    }
}

func writeSnapshot(_ tree: DataTree, in directory: String) throws { try SnapshotFile.write(tree, in: directory) }
