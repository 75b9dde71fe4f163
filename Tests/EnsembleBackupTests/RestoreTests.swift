import EnsembleBackup
import EnsembleBase
import KeeperCore
import Testing

@Suite struct RestoreTests {
    let scratch: Scratch
    let files: MemberFiles
    let archive: BackupArchive
    let manifest: BackupManifest

    init() throws {
        scratch = try Scratch()
        files = try MemberFiles(in: scratch.path)
        archive = try BackupArchive.open(scratch.path + "/archive")
        manifest = try Capture.run(files.request(), into: archive)
    }

    private func restore(
        _ purpose: RestorePurpose, identity: String? = MemberFiles.identity, allowUnverified: Bool = false,
        into name: String = "restored"
    ) throws {
        let directory = scratch.path + "/" + name
        try Restore.materialise(
            manifest.id, from: archive, dataDirectory: directory, logDirectory: directory,
            options: .init(purpose: purpose, clusterIdentity: identity, allowUnverified: allowUnverified, now: testTime))
    }

    private func isRefused(_ purpose: RestorePurpose, identity: String? = MemberFiles.identity) -> Bool {
        do {
            try restore(purpose, identity: identity)
            return false
        } catch {
            return (error as? BackupError)?.kind == .refused && !exists(scratch.path + "/restored/version-2")
        }
    }

    /// S7: an unverified backup is used only by a person who says so.
    @Test func unverifiedIsRefused() throws {
        #expect(isRefused(.reseed(reason: "lost")))
        try restore(.reseed(reason: "lost"), allowUnverified: true)
    }

    @Test func anotherClustersBackupIsRefused() throws {
        _ = try archive.verify(manifest.id)
        #expect(isRefused(.reseed(reason: "lost"), identity: "another"))
        try restore(.reseed(reason: "new cluster"), identity: nil)
    }

    /// S2, R4: without the barrier the backup may lack what the lost member acknowledged.
    @Test func fencedReseedNeedsTheBarrier() throws {
        _ = try archive.verify(manifest.id)
        #expect(isRefused(.fencedReseed(barrier: manifest.lastZxid.next)))
        try restore(.fencedReseed(barrier: manifest.lastZxid))
        // No mark and nobody's epochs.
        #expect(names(scratch.path + "/restored/version-2") == ["log.200000006", "restored.json", "snapshot.200000005"])
    }

    /// S8: the accepted epoch is above every epoch ever seen.
    @Test func clusterRestoreRaisesTheEpoch() throws {
        _ = try archive.verify(manifest.id)
        #expect(isRefused(.cluster(highestEpochSeen: 1)))
        try restore(.cluster(highestEpochSeen: 41))
        let directory = scratch.path + "/restored/version-2"
        #expect(String(decoding: try read(directory + "/acceptedEpoch"), as: UTF8.self) == "42")
        #expect(String(decoding: try read(directory + "/currentEpoch"), as: UTF8.self) == "2")
        #expect(!exists(directory + "/recovering"))
    }

    @Test func nothingIsOverwritten() throws {
        _ = try archive.verify(manifest.id)
        try restore(.reseed(reason: "lost"))
        let before = names(scratch.path + "/restored/version-2")
        #expect { try restore(.cluster(highestEpochSeen: 9)) } throws: { ($0 as? BackupError)?.kind == .refused }
        #expect(names(scratch.path + "/restored/version-2") == before)
    }

    @Test func damageLeavesNoDirectory() throws {
        _ = try archive.verify(manifest.id)
        let path = archive.objectPath(manifest.objects[1])
        var bytes = try read(path)
        bytes[bytes.count / 2] ^= 4
        try write(bytes, path)
        #expect { try restore(.reseed(reason: "lost")) } throws: { ($0 as? BackupError)?.file == path }
        #expect(!exists(scratch.path + "/restored/version-2"))
    }

    /// S6: moved whole, with the reason; nothing is deleted, and equal times do not collide.
    @Test func quarantine() throws {
        let root = scratch.path + "/quarantine"
        let before = names(files.data + "/version-2")
        let reason = Quarantine.Reason(
            cluster: "orders", member: 1, path: files.data + "/version-2", cause: "a log is damaged", movedAt: testTime)
        let moved = try Quarantine.move(reason, into: root)
        #expect(moved == root + "/20270115T080000Z-000/version-2")
        #expect(names(moved) == before && !exists(reason.path))
        #expect { _ = try Quarantine.move(reason, into: root) } throws: { ($0 as? BackupError)?.kind == .missing }
        var second = reason
        second.path = files.log + "/version-2"
        _ = try Quarantine.move(second, into: root)
        #expect(try Quarantine.list(root).map(\.reason) == [second, reason])
        #expect(try Quarantine.list(root, limit: 1).count == 1)
        // A move that fails leaves the data where it is and no entry.
        let dying = DyingDisk(after: 7)
        #expect(throws: BackupError.self) {
            try Quarantine.move(
                .init(cluster: "orders", member: 1, path: scratch.path + "/archive", cause: "test", movedAt: testTime),
                into: root, disk: dying.disk)
        }
        #expect(exists(scratch.path + "/archive"))
        #expect(try Quarantine.list(root).count == 2)
    }
}
