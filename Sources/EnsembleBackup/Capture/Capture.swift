import EnsembleBase
import Glibc
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore

/// Takes a backup of one member's files, running or stopped: the newest whole snapshot that holds nothing
/// uncommitted, and the log entries from there to the committed end.
package enum Capture {
    /// How often it starts again when the member rolls or purges files under it, or is in the middle of a write.
    static let attempts = 5

    /// Blocks for as long as reading and compressing the files takes.
    ///
    /// - Returns: the manifest, published: the backup exists.
    /// - Throws: and then there is no backup; what was written for it is swept by a later prune.
    package static func run(
        _ request: CaptureRequest, into archive: BackupArchive, progress: BackupProgress = .silent
    ) throws(BackupError) -> BackupManifest {
        let lock = try archive.lock(exclusively: false)
        defer { _ = lock }
        let id = BackupID(time: request.now, random: request.random)
        for attempt in 1... {
            do throws(BackupError) {
                var capture = CaptureAttempt(request: request, archive: archive, id: id, attempt: attempt, progress: progress)
                let manifest = try capture.run()
                try archive.publish(manifest)
                return manifest
            } catch {
                guard error.kind == .unstable, attempt < attempts else { throw error }
                usleep(UInt32(attempt) * 50_000)
            }
        }
        preconditionFailure("the loop returns or throws")
    }
}

/// One attempt at a capture.
private struct CaptureAttempt {
    let request: CaptureRequest
    let archive: BackupArchive
    let id: BackupID
    let attempt: Int
    let progress: BackupProgress
    private var staged = 0
    private var done: Int64 = 0
    private var total: Int64 = 0

    init(request: CaptureRequest, archive: BackupArchive, id: BackupID, attempt: Int, progress: BackupProgress) {
        self.request = request
        self.archive = archive
        self.id = id
        self.attempt = attempt
        self.progress = progress
    }

    private var snapshotDirectory: String { request.dataDirectory + "/version-2" }
    private var logDirectory: String { request.logDirectory + "/version-2" }

    mutating func run() throws(BackupError) -> BackupManifest {
        let (snapshot, snapshotDigest, snapshotZxid) = try captureSnapshot()
        let logs = try captureLogs(after: snapshotZxid)
        let last = max(logs.last?.zxid ?? snapshotZxid, snapshotZxid)
        if let fuzzEnd = snapshotDigest?.zxid, fuzzEnd > last {
            // The snapshot shows effects whose entries have not reached the log yet: without them it is torn.
            throw unstable(snapshotDirectory, "the snapshot reaches to \(fuzzEnd), the logs only to \(last)")
        }
        // S1, S7: what a backup says that it holds is in it. A member may apply a transaction before its log has it.
        if let barrier = request.barrier, last < barrier {
            throw unstable(logDirectory, "the logs end at \(last), before \(barrier), which is committed")
        }
        progress.report(total, total)
        return BackupManifest(
            format: BackupManifest.currentFormat, id: id, cluster: request.cluster, clusterIdentity: request.clusterIdentity,
            member: request.member, engine: request.engine, kind: request.kind, capturedAt: request.now,
            snapshotZxid: snapshotZxid, lastZxid: last,
            firstTransactionAt: logs.first.map { WallTime(milliseconds: $0.time) },
            lastTransactionAt: logs.last.map { WallTime(milliseconds: $0.time) }, barrier: request.barrier,
            epochs: try epochs(), digest: try witness(snapshotDigest, logs.lastEffective),
            configuration: request.configuration, toolVersion: request.toolVersion, objects: [snapshot] + logs.objects)
    }

    // MARK: Snapshot

    private mutating func captureSnapshot() throws(BackupError) -> (BackupObject, SnapshotDigest?, Zxid) {
        let names = try names(in: snapshotDirectory, role: .snapshot)
        var refusals: [String] = []
        for name in names.reversed() {
            // A later snapshot may hold what the ensemble has not committed as of `committedUpTo`.
            guard name.zxid <= request.committedUpTo else {
                refusals.append("\(name.fileName) is later than the committed \(request.committedUpTo)")
                continue
            }
            switch try captureSnapshot(name) {
            case .captured(let object, let digest): return (object, digest, name.zxid)
            case .refused(let why): refusals.append("\(name.fileName) \(why)")
            }
        }
        throw BackupError(
            .missing, file: snapshotDirectory,
            problem: refusals.isEmpty ? "holds no snapshot" : "holds no usable snapshot: " + refusals.joined(separator: ", "),
            remedy: "wait for the member's next snapshot or capture from another member")
    }

    private enum SnapshotOutcome {
        case captured(BackupObject, SnapshotDigest?)
        case refused(String)
    }

    /// Reads the file once: unpacked, parsed, checked against its checksums, compressed and hashed on the way.
    private mutating func captureSnapshot(_ name: DataFileName) throws(BackupError) -> SnapshotOutcome {
        let path = "\(snapshotDirectory)/\(name.fileName)"
        guard let file = try FileHandle.open(path) else { throw unstable(path, "was purged while it was captured") }
        total = file.size
        let writer = try newObject()
        var unpacker = SnapshotUnpacker(name.packing)
        var reader = SnapshotFileReader()
        var failure: BackupError?
        func take(_ content: ArraySlice<UInt8>) throws(CodecError) {
            if failure != nil { return }
            do throws(BackupError) {
                try content.withUnsafeBytes { bytes -> Result<Void, BackupError> in
                    do throws(BackupError) { return .success(try writer.write(bytes)) } catch { return .failure(error) }
                }.get()
            } catch { failure = error }
            try reader.feed(ByteBuffer(bytes: content)) { _ throws(CodecError) in }
        }
        var damage: CodecError?
        try eachChunk(of: file) { (chunk) throws(BackupError) in
            do throws(CodecError) { try unpacker.feed(Array(chunk)[...], take) } catch { damage = error }
            if let failure { throw failure }
            return damage == nil
        }
        if damage == nil {
            do throws(CodecError) {
                try unpacker.finish(take)
                try reader.finish()
            } catch { damage = error }
            if let failure { throw failure }
        }
        if let damage { return .refused("is not whole: \(damage)") }
        if let digest = reader.digest, digest.zxid > request.committedUpTo {
            return .refused("reaches to \(digest.zxid), beyond the committed \(request.committedUpTo)")
        }
        return .captured(try writer.finish(name: name.text, role: .snapshot), reader.digest)
    }

    // MARK: Logs

    private struct Logs {
        var objects: [BackupObject] = []
        var first: (zxid: Zxid, time: Int64)?
        var last: (zxid: Zxid, time: Int64)?
        var lastEffective: [UInt8]?
    }

    private mutating func captureLogs(after snapshot: Zxid) throws(BackupError) -> Logs {
        let names = try names(in: logDirectory, role: .log)
        // Earlier entries may stand in the log that began at or before the snapshot (reference/zookeeper.md, 2.5).
        let start = names.lastIndex { $0.zxid.rawValue <= snapshot.rawValue + 1 } ?? names.startIndex
        let needed = names[start...].filter { $0.zxid <= request.committedUpTo }
        var logs = Logs()
        for (index, name) in needed.enumerated() {
            let path = "\(logDirectory)/\(name.text)"
            let (object, scan) = try captureLog(name, path: path, behind: snapshot)
            if let first = scan.first {
                // Entries up to the snapshot are in it; the first beyond must continue from there.
                let reached = max(logs.last?.zxid ?? snapshot, snapshot)
                guard first.zxid <= reached || first.zxid.follows(reached) else {
                    throw unstable(path, "begins with \(first.zxid), which does not follow \(reached)")
                }
                logs.objects.append(object)
                logs.first = logs.first ?? first
                logs.last = scan.last
                logs.lastEffective = scan.lastEffective ?? logs.lastEffective
            }
            if scan.ending == .limitReached { break }
            // Before the last file a broken end is what a crash left: the next file continues, which is checked above.
            if case .broken(let offset, let problem) = scan.ending, index == needed.count - 1 {
                throw unstable(path, "at offset \(offset), before the committed end: \(problem)")
            }
        }
        return logs
    }

    private typealias ScanResult = (
        first: (zxid: Zxid, time: Int64)?, last: (zxid: Zxid, time: Int64)?, lastEffective: [UInt8]?,
        ending: LogScan.Ending?
    )

    private mutating func captureLog(
        _ name: DataFileName, path: String, behind snapshot: Zxid
    ) throws(BackupError) -> (BackupObject, ScanResult) {
        guard let file = try FileHandle.open(path) else { throw unstable(path, "was purged while it was captured") }
        total += file.size
        let writer = try newObject()
        // Uncommitted transactions must not be shipped: LinkedIn's backup does (reference/operators.md, 5, item 4).
        var scan = LogScan(path: path, behind: snapshot, upTo: request.committedUpTo)
        try eachChunk(of: file) { (chunk) throws(BackupError) in
            try scan.feed(chunk) { (record, _) throws(BackupError) in try writer.write(record) }
            return scan.ending == nil
        }
        scan.finish()
        let result = (scan.first, scan.last, scan.lastEffective, scan.ending)
        // A log without entries is not named by the manifest; its object would be an orphan.
        guard scan.entryCount > 0 else {
            return (BackupObject(name: name.text, role: .log, size: 0, sha256: ContentHash(of: []), compression: .none,
                storedSize: 0, storedSHA256: ContentHash(of: [])), result)
        }
        return (try writer.finish(name: name.text, role: .log), result)
    }

    // MARK: What goes beside

    /// The latest digest that the ensemble itself wrote.
    private func witness(_ snapshot: SnapshotDigest?, _ payload: [UInt8]?) throws(BackupError) -> BackupManifest.TreeDigest? {
        var witness: BackupManifest.TreeDigest?
        // Apache's server writes (0, 0) until it has applied a transaction.
        if let snapshot, snapshot.zxid > .zero, snapshot.version == 2, let value = snapshot.digest {
            witness = .init(zxid: snapshot.zxid, value: HexadecimalDigest(value))
        }
        guard let payload else { return witness }
        let entry: LogEntry
        do throws(CodecError) {
            entry = try LogEntry(payload: payload)
        } catch {
            throw BackupError(
                .damaged, file: logDirectory, problem: "the last transaction cannot be read: \(error)",
                remedy: "capture from another member")
        }
        if let witness, witness.zxid >= entry.zxid { return witness }
        guard let digest = entry.digest, digest.version == 2 else { return nil }
        return .init(zxid: entry.zxid, value: HexadecimalDigest(digest.treeDigest))
    }

    private func epochs() throws(BackupError) -> BackupManifest.Epochs? {
        func number(_ name: String) throws(BackupError) -> Int64? {
            guard let bytes = try readSmallFile("\(snapshotDirectory)/\(name)", limit: 64) else { return nil }
            return Int64(String(decoding: bytes.filter { $0 > 0x20 }, as: UTF8.self))
        }
        guard let current = try number("currentEpoch"), let accepted = try number("acceptedEpoch") else { return nil }
        return .init(accepted: accepted, current: current)
    }

    private func names(in directory: String, role: BackupObject.Role) throws(BackupError) -> [DataFileName] {
        guard fileKind(directory) == .directory else {
            throw BackupError(
                .missing, file: directory, problem: "is no directory", remedy: "check the member's data directories")
        }
        return try directoryEntries(directory).compactMap { DataFileName(file: $0, role: role) }.sorted { $0.zxid < $1.zxid }
    }

    // MARK: Streaming

    private mutating func newObject() throws(BackupError) -> ObjectWriter {
        staged += 1
        return try ObjectWriter(archive: archive, staging: "\(id)-\(attempt)-\(staged)", compression: request.compression)
    }

    /// Until the end of the file or until `body` wants no more.
    private mutating func eachChunk(
        of file: borrowing FileHandle, _ body: (UnsafeRawBufferPointer) throws(BackupError) -> Bool
    ) throws(BackupError) {
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 17, alignment: 16)
        defer { chunk.deallocate() }
        while true {
            try progress.check(file.path)
            let count = try file.read(into: chunk)
            guard count > 0, try body(UnsafeRawBufferPointer(rebasing: chunk[..<count])) else { return }
            done += Int64(count)
            progress.report(done, max(total, done))
        }
    }

    private func unstable(_ file: String, _ problem: String) -> BackupError {
        BackupError(.unstable, file: file, problem: problem, remedy: "capture from another member if this stays so")
    }
}
