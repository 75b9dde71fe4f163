import EnsembleBackup
import EnsembleBase
import KeeperCore
import Testing

@Suite struct VerificationTests {
    let scratch: Scratch
    let files: MemberFiles
    let archive: BackupArchive

    init() throws {
        scratch = try Scratch()
        files = try MemberFiles(in: scratch.path, splitLog: false)
        archive = try BackupArchive.open(scratch.path + "/archive")
    }

    /// S7: a flipped bit anywhere in any object is found, named, and takes the proof back.
    @Test(arguments: [CaptureRequest.Compression.none, .zstd(level: 3)])
    func everyFlippedBitIsFound(_ compression: CaptureRequest.Compression) throws {
        let manifest = try Capture.run(files.request(compression: compression), into: archive)
        var random = SeededRandom(seed: 3)
        for object in manifest.objects {
            let path = archive.objectPath(object)
            let whole = try read(path)
            for position in [0, whole.count - 1] + (0..<12).map({ _ in Int.random(in: 0..<whole.count, using: &random) }) {
                _ = try archive.verify(manifest.id)
                var bytes = whole
                bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                try write(bytes, path)
                #expect { _ = try archive.verify(manifest.id) } throws: {
                    ($0 as? BackupError)?.kind == .damaged && ($0 as? BackupError)?.file == path
                }
                #expect(try archive.backup(manifest.id)?.verified == nil)
                try write(whole, path)
            }
            try write(Array(whole.dropLast()), path)
            #expect(throws: BackupError.self) { try archive.verify(manifest.id) }
            try write(whole, path)
        }
        // The next capture of the same bytes heals a damaged object.
        try write([1, 2, 3], archive.objectPath(manifest.objects[0]))
        _ = try Capture.run(files.request(random: 9, compression: compression), into: archive)
        #expect(try archive.verify(manifest.id).digest.value == files.tree.digest)
    }

    /// S7: whole bytes of a wrong history. The log says what the ensemble's digest was; a lost effect shows.
    @Test func aReplayThatDiffersIsNoVerifiedBackup() throws {
        var other = try MemberFiles(in: scratch.path + "/other", count: 40, snapshotAfter: 15, splitLog: false)
        other.data = files.data
        // A snapshot of another tree under the same zxid, whole in itself.
        var tree = DataTree()
        for entry in other.entries.prefix(15) where entry.zxid != MemberFiles.zxid(3) {
            var changes: [TreeChange] = []
            _ = tree.apply(entry, changes: &changes)
        }
        try writeSnapshot(tree, in: files.data + "/version-2")
        let manifest = try Capture.run(files.request(), into: archive)
        #expect { _ = try archive.verify(manifest.id) } throws: { ($0 as? BackupError)?.kind == .damaged }
        #expect(try archive.backup(manifest.id)?.verified == nil)
    }

    /// S7: a record counts for the manifest that it was made for and no other.
    @Test func aRecordOfAnotherManifestProvesNothing() throws {
        let first = try Capture.run(files.request(), into: archive)
        let second = try Capture.run(files.request(committedUpTo: MemberFiles.zxid(30), random: 2), into: archive)
        _ = try archive.verify(first.id)
        let record = try read("\(archive.path)/backups/\(first.id)/verified.json")
        try write(record, "\(archive.path)/backups/\(second.id)/verified.json")
        #expect(try archive.backup(second.id)?.verified == nil)
        var manifest = try read("\(archive.path)/backups/\(first.id)/manifest.json")
        manifest.append(UInt8(ascii: "\n"))
        try write(manifest, "\(archive.path)/backups/\(first.id)/manifest.json")
        #expect(try archive.backup(first.id)?.verified == nil)
    }

    @Test func manifestsFromOutsideAreChecked() throws {
        let manifest = try Capture.run(files.request(), into: archive)
        let path = "\(archive.path)/backups/\(manifest.id)/manifest.json"
        let text = String(decoding: try read(path), as: UTF8.self)
        for (old, new) in [
            ("\"snapshot.200000005\"", "\"../snapshot.200000005\""), ("\"format\" : 1", "\"format\" : 2"),
            ("\"log.200000006\"", "\"log.0200000006\""), ("\"role\" : \"log\"", "\"role\" : \"snapshot\""),
            // Ages and sums are made of these, and must not overflow.
            ("\"capturedAt\" : ", "\"capturedAt\" : 99"), ("\"capturedAt\" : ", "\"capturedAt\" : -"),
            ("\"size\" : ", "\"size\" : 99999999999999"), ("\"storedSize\" : ", "\"storedSize\" : 99999999999999"),
        ] {
            #expect(text.contains(old))
            try write(Array(text.split(separator: old, omittingEmptySubsequences: false).joined(separator: new).utf8), path)
            guard let backup = try archive.backup(manifest.id) else { throw BackupError(.missing, file: path, problem: "", remedy: "") }
            #expect(throws: BackupError.self) { try backup.content.get() }
        }
    }
}
