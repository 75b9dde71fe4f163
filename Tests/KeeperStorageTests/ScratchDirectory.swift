import EnsembleBase
import Glibc
import KeeperCodec
import KeeperCore
import KeeperStorage

/// A directory that vanishes with its owner.
final class ScratchDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/keeper-storage-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp/keeper-storage"
    }

    deinit { ScratchDirectory.removeTree(path) }

    var layout: DataLayout { DataLayout(dataDir: path) }

    func recovery(isStandalone: Bool = true) -> Recovery { Recovery(layout: layout, isStandalone: isStandalone) }

    static func removeTree(_ path: String) {
        for name in (try? Directory.names(path)) ?? [] { removeTree(path + "/" + name) }
        if rmdir(path) != 0 { unlink(path) }
    }

    static func copyTree(_ source: String, to target: String) throws {
        guard let names = try? Directory.names(source) else {
            try Directory.replace(file: target, with: try SystemFiles.shared.open(source, .reading).readAll())
            return
        }
        try Directory.create(target)
        for name in names { try copyTree(source + "/" + name, to: target + "/" + name) }
    }
}

/// A leader's history in small: a tree, and entries with the digests that it expects.
struct SampleHistory {
    private(set) var tree = DataTree()
    private(set) var entries: [LogEntry] = []

    mutating func add(_ transaction: Transaction, epoch: Int64 = 0) {
        let last = tree.lastProcessedZxid
        let zxid = last.epoch == epoch ? last.next : Zxid(epoch: epoch, counter: 1)
        var entry = LogEntry(session: 7, cxid: 1, zxid: zxid, time: 1_000, transaction: transaction)
        var changes: [TreeChange] = []
        _ = tree.apply(entry, changes: &changes)
        entry.digest = TransactionDigest(treeDigest: tree.digest)
        entries.append(entry)
    }

    mutating func create(_ path: NodePath, _ data: [UInt8] = [1, 2, 3], epoch: Int64 = 0) {
        add(
            .create(
                op: .create, path: path, data: data, acl: AccessRight.openToAll, ephemeral: false,
                parentCVersion: Int32(entries.count + 1), ttl: 0), epoch: epoch)
    }

    /// `count` creates.
    init(_ count: Int) {
        for number in 0..<count { create(NodePath("/n\(number)")) }
    }

    init(continuing other: SampleHistory) {
        tree = other.tree
    }

    static func write(_ entries: [LogEntry], in directory: String) throws {
        guard let first = entries.first else { return }
        var bytes = FileHeader.log.encoded()
        for entry in entries { LogFormat.append(payload: entry.payload, to: &bytes) }
        let name = directory + "/log." + String(UInt64(first.zxid.rawValue), radix: 16)
        try Directory.replace(file: name, with: bytes + [UInt8](repeating: 0, count: 200))
    }
}
