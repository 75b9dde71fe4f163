import EnsembleBackup
import EnsembleBase
import KeeperCore
import KeeperStorage
import Testing

@Suite struct CaptureTests {
    let scratch: Scratch
    let files: MemberFiles
    let archive: BackupArchive

    init() throws {
        scratch = try Scratch()
        files = try MemberFiles(in: scratch.path)
        archive = try BackupArchive.open(scratch.path + "/archive")
    }

    @Test func roundTrip() throws {
        let manifest = try Capture.run(files.request(), into: archive)
        #expect(manifest.snapshotZxid == MemberFiles.zxid(15))
        #expect(manifest.lastZxid == files.lastZxid)
        #expect(manifest.objects.map(\.name) == ["snapshot.200000005", "log.200000006"])
        #expect(manifest.digest?.value.value == files.tree.digest)
        #expect(manifest.epochs == .init(accepted: 2, current: 2))
        #expect(manifest.firstTransactionAt == WallTime(milliseconds: 1_700_000_000_016))
        let listed = try archive.list()
        #expect(try listed.map { try $0.content.get() } == [manifest])
        // S7: captured is not verified.
        #expect(listed[0].verified == nil)

        let record = try archive.verify(manifest.id)
        #expect(record.digest.value == files.tree.digest)
        #expect(record.digestWitnessed && record.lastZxid == files.lastZxid)

        let target = scratch.path + "/restored"
        try Restore.materialise(
            manifest.id, from: archive, dataDirectory: target + "/data", logDirectory: target + "/log",
            options: .init(purpose: .reseed(reason: "disk lost"), clusterIdentity: MemberFiles.identity, now: testTime))
        #expect(names(target + "/data/version-2") == ["recovering", "restored.json", "snapshot.200000005"])
        #expect(names(target + "/log/version-2") == ["log.200000006", "restored.json"])
        #expect(try read(target + "/data/version-2/snapshot.200000005") == read(files.snapshotPath(MemberFiles.zxid(15))))

        // What was restored is a member's directory again: captured from there, it proves to be the same tree.
        var again = files.request(random: 2)
        again.dataDirectory = target + "/data"
        again.logDirectory = target + "/log"
        let second = try Capture.run(again, into: archive)
        #expect(try archive.verify(second.id).digest == record.digest)
        #expect(second.objects.map(\.sha256) == manifest.objects.map(\.sha256))
    }

    /// The newest verified one is what seeds a lost member. The random half of an id says nothing about time.
    @Test func capturesOfOneSecondAreListedInTheirOrder() throws {
        var ids: [BackupID] = []
        for (milliseconds, random) in [(100, UInt32(9)), (250, 1), (900, 5)] {
            var request = files.request(random: random)
            request.now = WallTime(milliseconds: 1_800_000_000_000 + Int64(milliseconds))
            ids.append(try Capture.run(request, into: archive).id)
        }
        #expect(try archive.list().map(\.id) == ids)

        // Without its manifest a backup's time is that of its id, to the second.
        try write([], "\(archive.path)/backups/\(ids[1])/manifest.json")
        #expect(try archive.list().map(\.id) == [ids[1], ids[0], ids[2]])
    }

    @Test(arguments: [16, 20, 21, 27, 39]) func uncommittedTailIsCut(_ index: Int) throws {
        let manifest = try Capture.run(files.request(committedUpTo: MemberFiles.zxid(index)), into: archive)
        #expect(manifest.lastZxid == MemberFiles.zxid(index))
        #expect(try archive.verify(manifest.id).lastZxid == MemberFiles.zxid(index))
    }

    @Test func snapshotBeyondTheCommittedEndIsNotUsed() throws {
        // The snapshot after 15 holds what is not committed as of 12: the empty one and the first log serve.
        let manifest = try Capture.run(files.request(committedUpTo: MemberFiles.zxid(12)), into: archive)
        #expect(manifest.snapshotZxid == .zero)
        #expect(manifest.lastZxid == MemberFiles.zxid(12))
        #expect(try archive.verify(manifest.id).nodeCount > 0)
    }

    @Test func damagedNewestSnapshotFallsBack() throws {
        let path = files.snapshotPath(MemberFiles.zxid(15))
        var bytes = try read(path)
        bytes[bytes.count / 2] ^= 1
        try write(bytes, path)
        let manifest = try Capture.run(files.request(), into: archive)
        #expect(manifest.snapshotZxid == .zero)
        #expect(manifest.objects.count == 3)
        #expect(try archive.verify(manifest.id).digest.value == files.tree.digest)
    }

    @Test func damageInALogIsAnErrorNamingItAndNoBackup() throws {
        let path = files.logPath(MemberFiles.zxid(16))
        var bytes = try read(path)
        bytes[400] ^= 1
        try write(bytes, path)
        #expect { _ = try Capture.run(files.request(), into: archive) } throws: {
            ($0 as? BackupError)?.file == path && ($0 as? BackupError)?.kind == .unstable
        }
        #expect(try archive.list().isEmpty)
    }

    @Test func missingLogIsNotPapered() throws {
        try write([], files.logPath(MemberFiles.zxid(16)) + ".gone")
        // Only a log that begins two entries late.
        var bytes = try read(files.logPath(MemberFiles.zxid(16)))
        let length = Int(bytes[24]) << 24 | Int(bytes[25]) << 16 | Int(bytes[26]) << 8 | Int(bytes[27])
        bytes.removeSubrange(16..<(16 + 12 + length + 1))
        try write(bytes, files.logPath(MemberFiles.zxid(16)))
        #expect(throws: BackupError.self) { try Capture.run(files.request(), into: archive) }
    }

    @Test(arguments: [CaptureRequest.Compression.none, .zstd(level: 1), .zstd(level: 19)])
    func everyCompressionRestores(_ compression: CaptureRequest.Compression) throws {
        let manifest = try Capture.run(files.request(compression: compression), into: archive)
        #expect(try archive.verify(manifest.id).digest.value == files.tree.digest)
        if compression != .none { #expect(manifest.storedSize < manifest.size) }
    }

    @Test func cancelledLeavesNothing() throws {
        let progress = BackupProgress(isCancelled: { true })
        #expect { _ = try Capture.run(files.request(), into: archive, progress: progress) } throws: {
            ($0 as? BackupError)?.kind == .cancelled
        }
        #expect(try archive.list().isEmpty)
        #expect(names(archive.path + "/staging").isEmpty)
    }

    @Test func equalObjectsAreStoredOnce() throws {
        let first = try Capture.run(files.request(), into: archive)
        let second = try Capture.run(files.request(random: 2), into: archive)
        #expect(first.objects == second.objects)
        #expect(first.id != second.id)
        #expect(names(archive.path + "/objects/sha256").flatMap { names(archive.path + "/objects/sha256/" + $0) }.count == 2)
    }

    @Test func aManifestNeverChanges() throws {
        _ = try Capture.run(files.request(), into: archive)
        #expect { _ = try Capture.run(files.request(), into: archive) } throws: { ($0 as? BackupError)?.kind == .refused }
    }
}
