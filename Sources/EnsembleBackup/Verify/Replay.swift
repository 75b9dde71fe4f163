import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore

/// Rebuilds the tree from a backup's stored bytes, streamed: no scratch directory, one entry in memory beside the tree.
struct Replay {
    private var replayed: ReplayedTree?
    private let archive: BackupArchive
    private let manifest: BackupManifest
    private let progress: BackupProgress
    private var done: Int64 = 0

    init(of manifest: BackupManifest, in archive: BackupArchive, progress: BackupProgress) {
        self.archive = archive
        self.manifest = manifest
        self.progress = progress
    }

    /// - Returns: the tree at the backup's last transaction.
    mutating func run() throws(BackupError) -> DataTree {
        for object in manifest.objects {
            switch object.role {
            case .snapshot: try load(object)
            case .log: try replay(object)
            }
        }
        let last = manifest.objects[manifest.objects.count - 1]
        guard let replayed else { throw damaged(last, "there is no snapshot before it") }
        do throws(ReplayProblem) {
            try replayed.checkAgreement()
            try replayed.checkComplete()
        } catch { throw damaged(last, error) }
        guard replayed.tree.lastProcessedZxid == manifest.lastZxid else {
            throw damaged(last, "the replay ends at \(replayed.tree.lastProcessedZxid), the manifest says \(manifest.lastZxid)")
        }
        return replayed.tree
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
        let tree = try decoding(object) { () throws(CodecError) in try loader.complete(zxid: zxid) }
        replayed = ReplayedTree(tree, snapshotZxid: zxid, digest: reader.digest)
    }

    private mutating func replay(_ object: BackupObject) throws(BackupError) {
        var scan = LogScan(path: archive.objectPath(object.storedSHA256), behind: manifest.snapshotZxid, upTo: Zxid(rawValue: .max))
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
        guard replayed != nil else { throw damaged(object, "there is no snapshot before it") }
        do throws(ReplayProblem) { _ = try replayed?.apply(entry) } catch { throw damaged(object, error) }
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

    private func damaged(_ object: BackupObject, _ problem: ReplayProblem) -> BackupError {
        switch problem {
        case .snapshot(let text): damaged(manifest.objects.first { $0.role == .snapshot } ?? object, text)
        case .entry(let text), .missing(let text): damaged(object, text)
        }
    }

    private func damaged(_ object: BackupObject, _ problem: String) -> BackupError {
        BackupError(
            .damaged, file: archive.objectPath(object.storedSHA256), problem: "'\(object.name)': \(problem)",
            remedy: "use another backup")
    }
}
