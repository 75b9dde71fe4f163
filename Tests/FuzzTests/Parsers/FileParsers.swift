import EnsembleBase
import FoundationEssentials
import Glibc
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOConcurrencyHelpers
import NIOCore

extension FuzzedParser {
    static let files: [FuzzedParser] = [
        FuzzedParser("snapshots", "snapshot files", seeds: snapshotSeeds, check: checkSnapshot),
        FuzzedParser("logs", "log files, and what their transactions do to a tree", seeds: logSeeds, check: checkLog),
        FuzzedParser("packed-snapshots", "snapshot files packed by gzip or snappy", seeds: packedSeeds, check: checkPacked),
        FuzzedParser("data-directory", "a directory of snapshot, log and epoch files", seeds: directorySeeds, check: checkDirectory),
    ]

    // Checksums would stop the fuzzer at the door. So the first byte of an input says whether the rest is the file, or
    // what a writer would put into one: then the check seals it first.
    private enum Form {
        static let file: UInt8 = 0
        static let content: UInt8 = 1
    }

    // MARK: Snapshots

    private static func sealed(_ items: [UInt8], digest: SnapshotDigest?) -> [UInt8] {
        var sealer = SnapshotSealer()
        var file = sealer.header()
        sealer.cover(ByteBuffer(bytes: items))
        file += items
        return file + sealer.trailer(digest: digest)
    }

    private static func snapshotSeeds() -> [[UInt8]] {
        let tree = SampleTrees.withEverything
        let items = SampleTrees.serialised(tree)
        return [
            [Form.content] + items, [Form.content] + SampleTrees.serialised(SampleTrees.small),
            [Form.file] + sealed(items, digest: nil),
            [Form.file] + sealed(items, digest: SnapshotDigest(zxid: tree.lastProcessedZxid, digest: tree.digest)),
        ]
    }

    @Sendable private static func checkSnapshot(_ bytes: [UInt8]) throws(Violation) {
        guard let form = bytes.first else { return }
        var file = Array(bytes.dropFirst())
        if form == Form.content { file = sealed(file, digest: SnapshotDigest(zxid: Zxid(rawValue: 3), digest: 5)) }
        let (whole, cut) = (load(file, step: max(file.count, 1)), load(file, step: max(file.count / 5, 1)))
        try requireEqual(cut?.digest, whole?.digest, "the tree's digest, read in pieces")
        if let whole { try SampleTrees.checkSerialisation(of: whole) }
    }

    private static func load(_ file: [UInt8], step: Int) -> DataTree? {
        var reader = SnapshotFileReader()
        var loader = DataTreeLoader()
        var rest = file[...]
        do throws(CodecError) {
            while !rest.isEmpty {
                try reader.feed(ByteBuffer(bytes: rest.prefix(step))) { item throws(CodecError) in try loader.add(item) }
                rest = rest.dropFirst(step)
            }
            try reader.finish()
            return try loader.complete(zxid: SampleTrees.anyZxid)
        } catch {
            return nil
        }
    }

    // MARK: Packed snapshots: the first byte says how

    /// As a writer may that does not compress: what zlib and snappy-java make of snapshots is in the corpus.
    private static func packedSeeds() -> [[UInt8]] {
        let file = sealed(SampleTrees.serialised(SampleTrees.small), digest: nil)
        let size = [UInt8(truncatingIfNeeded: file.count), UInt8(truncatingIfNeeded: file.count >> 8)]
        let gzip: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 1] + size + size.map { ~$0 } + file
        let snappy = [0x82] + Array("SNAPPY".utf8) + [0, 0, 0, 0, 1, 0, 0, 0, 1]
        return [[0] + gzip + [0, 0, 0, 0] + size + [0, 0], [1] + snappy + [0, 0, 0, 6, 4, 3 << 2, 1, 2, 3, 4]]
    }

    @Sendable private static func checkPacked(_ bytes: [UInt8]) throws(Violation) {
        guard let kind = bytes.first else { return }
        let file = Array(bytes.dropFirst())
        let compression = SnapshotCompression.allCases[Int(kind) % SnapshotCompression.allCases.count]
        let whole = unpack(file, compression, step: max(file.count, 1))
        try requireEqual(
            unpack(file, compression, step: max(file.count / 5, 1)), whole, "a packed file's content, read in pieces")
        if let whole { _ = load(whole, step: 1 << 20) }
    }

    /// nil: it is not whole, or holds more than 16 MiB: a small file may hold very much.
    private static func unpack(_ file: [UInt8], _ compression: SnapshotCompression, step: Int) -> [UInt8]? {
        var unpacker = SnapshotUnpacker(compression)
        var content: [UInt8] = []
        var rest = file[...]
        do throws(CodecError) {
            func take(_ bytes: ArraySlice<UInt8>) throws(CodecError) {
                content += bytes
                if content.count > 1 << 24 { throw CodecError(.content("more than is looked at"), what: "content", offset: 0) }
            }
            while !rest.isEmpty {
                try unpacker.feed(rest.prefix(step), take)
                rest = rest.dropFirst(step)
            }
            try unpacker.finish(take)
            return content
        } catch {
            return nil
        }
    }

    // MARK: Logs

    private static func log(_ payloads: [[UInt8]]) -> [UInt8] {
        var file = FileHeader.log.encoded()
        for payload in payloads { LogFormat.append(payload: payload, to: &file) }
        return file
    }

    /// Payloads, each behind two bytes of length.
    private static func content(_ payloads: [[UInt8]]) -> [UInt8] {
        payloads.flatMap { [UInt8(truncatingIfNeeded: $0.count >> 8), UInt8(truncatingIfNeeded: $0.count)] + $0 }
    }

    private static func payloads(_ content: [UInt8]) -> [[UInt8]] {
        var payloads: [[UInt8]] = []
        var rest = content[...]
        while rest.count > 2 {
            let length = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1])
            payloads.append(Array(rest.dropFirst(2).prefix(length)))
            rest = rest.dropFirst(2 + length)
        }
        return payloads
    }

    private static func logSeeds() -> [[UInt8]] {
        let payloads = SampleTrees.entries.map(\.payload)
        let file = log(payloads)
        return [
            [Form.content] + content(payloads), [Form.file] + file, [Form.file] + file + Array(repeating: 0, count: 40),
            [Form.file] + Array(file.dropLast(9)) + Array(repeating: 0, count: 40), [Form.file] + log([]),
            [Form.file] + Array(repeating: 0, count: 64),
        ]
    }

    @Sendable private static func checkLog(_ bytes: [UInt8]) throws(Violation) {
        guard let form = bytes.first else { return }
        let rest = Array(bytes.dropFirst())
        let file = form == Form.content ? log(payloads(rest)) : rest
        var entries: [LogEntry] = []
        if (try? FileHeader.ofLog(Array(file.prefix(FileHeader.size)))) != nil {
            var offset = FileHeader.size
            while case .entry(let entry, let size)? = try? LogFormat.record(file[offset...], at: offset) {
                entries.append(entry)
                offset += size
            }
        }
        let again = log(entries.map(\.payload)).dropFirst(FileHeader.size)
        try requireEqual(file.dropFirst(FileHeader.size).prefix(again.count), again, "a log's entries, written again")
        var tree = DataTree()
        var changes: [TreeChange] = []
        for entry in entries { _ = tree.apply(entry, changes: &changes) }
        try SampleTrees.checkSerialisation(of: tree)
    }

    // MARK: A member's directory: acceptedEpoch, NUL, currentEpoch, NUL, currentEpoch.tmp, NUL, the log as above

    private static func directorySeeds() -> [[UInt8]] {
        let payloads = SampleTrees.entries.map(\.payload)
        let logs = [[Form.content] + content(payloads), [Form.file] + log(payloads) + [0, 0], [Form.file] + Array(log(payloads).dropLast(3))]
        let epochs = [["1", "1", ""], [" 2\n", "1", ""], ["5", "0", "5"], ["-1", "x", ""], ["99999999999999999999", "1", "1"]]
        return logs.map { Array("1\u{0}1\u{0}\u{0}".utf8) + $0 }
            + epochs.map { texts in texts.flatMap { Array($0.utf8) + [0] } + logs[0] }
    }

    @Sendable private static func checkDirectory(_ bytes: [UInt8]) throws(Violation) {
        let parts = bytes.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, let form = parts[3].first else { return }
        let rest = Array(parts[3].dropFirst())
        let scratch = ScratchFiles.shared
        scratch.inUse.lock()
        defer { scratch.inUse.unlock() }
        scratch.write(form == Form.content ? log(payloads(rest)) : rest, to: "log.1")
        for (name, content) in zip(["acceptedEpoch", "currentEpoch", "currentEpoch.tmp"], parts) {
            scratch.write(Array(content), to: name)
        }
        let glance = try? DataGlance.look(at: scratch.layout)
        guard let report = try? Verification.verify(scratch.layout) else { return }
        try requireEqual(glance?.endZxid, report.endZxid, "where the data ends, at a glance")
        try requireEqual(glance?.currentEpoch, report.currentEpoch, "the current epoch, at a glance")
        try require(report.acceptedEpoch >= report.currentEpoch, "an epoch that was not accepted")
        try require(report.currentEpoch >= report.endZxid.epoch, "data of a later epoch than the current")
    }
}

/// A data directory whose files are replaced again and again. It holds the snapshot of an empty database.
private struct ScratchFiles: Sendable {
    let layout: DataLayout
    /// Tests run beside each other.
    let inUse = NIOLock()

    static let shared = ScratchFiles()

    private init() {
        // In memory where there is such a place: thousands of files a second.
        let place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(place)/ensemble-fuzz-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { fatalError("no directory can be made in \(place)") }
        layout = DataLayout(dataDir: String(cString: made))
        mkdir(layout.snapshotDirectory, 0o700)
        guard (try? SnapshotFile.write(DataTree(), in: layout.snapshotDirectory)) != nil else {
            fatalError("no snapshot can be written in \(place)")
        }
        atexit { try? FileManager.default.removeItem(atPath: ScratchFiles.shared.layout.dataDir) }
    }

    /// An empty file is no file.
    func write(_ bytes: [UInt8], to name: String) {
        let path = layout.snapshotDirectory + "/" + name
        unlink(path)
        guard !bytes.isEmpty, let file = fopen(path, "w") else { return }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}
