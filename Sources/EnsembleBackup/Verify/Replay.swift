import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore

/// Rebuilds the tree from a backup's stored bytes, streamed: no scratch directory, one entry in memory beside the tree.
struct Replay {
    private(set) var tree = DataTree()
    private var fuzzEnd: Zxid?
    private let archive: BackupArchive
    private let manifest: BackupManifest
    private let progress: BackupProgress
    private var done: Int64 = 0

    init(of manifest: BackupManifest, in archive: BackupArchive, progress: BackupProgress) {
        self.archive = archive
        self.manifest = manifest
        self.progress = progress
    }

    mutating func run() throws(BackupError) {
        for object in manifest.objects {
            switch object.role {
            case .snapshot: try load(object)
            case .log: try replay(object)
            }
        }
        guard tree.lastProcessedZxid == manifest.lastZxid else {
            throw damaged(manifest.objects[manifest.objects.count - 1],
                "the replay ends at \(tree.lastProcessedZxid), the manifest says \(manifest.lastZxid)")
        }
    }

    private mutating func load(_ object: BackupObject) throws(BackupError) {
        var reader = SnapshotFileReader()
        var loader = DataTreeLoader()
        try archive.read(object) { (bytes) throws(BackupError) in
            try advance(bytes.count, object)
            try decoding(object) { () throws(CodecError) in
                try reader.feed(ByteBuffer(bytes: bytes)) { item throws(CodecError) in try loader.add(item) }
            }
        }
        try decoding(object) { () throws(CodecError) in try reader.finish() }
        let zxid = manifest.snapshotZxid
        tree = try decoding(object) { () throws(CodecError) in try loader.complete(zxid: zxid) }
        fuzzEnd = reader.digest?.zxid
        // The snapshot's digest is that of a tree at rest only if nothing was written while it was taken.
        // Apache's server writes (0, 0) until it has applied a transaction.
        guard let digest = reader.digest, digest.version == 2, digest.zxid == zxid, zxid > .zero, let value = digest.digest
        else { return }
        guard value == tree.digest else {
            let (own, stated) = (HexadecimalDigest(tree.digest), HexadecimalDigest(value))
            throw damaged(object, "the tree's digest is \(own), its trailer says \(stated)")
        }
    }

    private mutating func replay(_ object: BackupObject) throws(BackupError) {
        var scan = LogScan(path: archive.objectPath(object.storedSHA256), upTo: Zxid(rawValue: .max))
        try archive.read(object) { (bytes) throws(BackupError) in
            try advance(bytes.count, object)
            try scan.feed(bytes) { (_, payload) throws(BackupError) in
                if let payload { try apply([UInt8](payload), of: object) }
            }
        }
        scan.finish()
        if case .broken(let offset, let problem) = scan.ending { throw damaged(object, "at offset \(offset): \(problem)") }
    }

    private mutating func apply(_ payload: [UInt8], of object: BackupObject) throws(BackupError) {
        let entry = try decoding(object) { () throws(CodecError) in try LogEntry(payload: payload) }
        guard entry.zxid > tree.lastProcessedZxid else {
            // In the snapshot already; behind it zxids only rise.
            guard entry.zxid <= manifest.snapshotZxid else { throw damaged(object, "\(entry.zxid) comes twice") }
            return
        }
        guard entry.zxid.follows(tree.lastProcessedZxid) else {
            throw damaged(object, "\(entry.zxid) follows \(tree.lastProcessedZxid): transactions are missing")
        }
        var changes: [TreeChange] = []
        _ = tree.apply(entry, changes: &changes)
        // Until the replay has passed the snapshot's end the tree is fuzzy (reference/zookeeper.md, 2.5, item 3).
        guard let fuzzEnd, entry.zxid >= fuzzEnd, let digest = entry.digest, digest.version == 2 else { return }
        guard digest.treeDigest == tree.digest else {
            throw damaged(
                object,
                "after \(entry.zxid) the tree's digest is \(HexadecimalDigest(tree.digest)), the ensemble had \(HexadecimalDigest(digest.treeDigest))")
        }
    }

    private func decoding<Value>(
        _ object: BackupObject, _ body: () throws(CodecError) -> Value
    ) throws(BackupError) -> Value {
        do throws(CodecError) { return try body() } catch { throw damaged(object, "\(error)") }
    }

    private mutating func advance(_ count: Int, _ object: BackupObject) throws(BackupError) {
        try progress.check(object.name)
        done += Int64(count)
        progress.report(done, manifest.size)
    }

    private func damaged(_ object: BackupObject, _ problem: String) -> BackupError {
        BackupError(
            .damaged, file: archive.objectPath(object.storedSHA256), problem: "'\(object.name)': \(problem)",
            remedy: "use another backup")
    }
}
