import EnsembleBackup
import EnsembleBase
import EnsembleControl
import EnsembleHost
import FoundationEssentials
import Glibc
import KeeperCodec
import KeeperCore
import KeeperStorage
import Testing

/// A member whose log directory is apart from its data directory, and an archive with one verified backup of it.
private struct MemberOnDisk {
    let root: String
    let member: RenderedMember
    let effects: BackupEffects
    let backup: BackupReference

    init(logRoot: String? = nil) throws {
        root = FileManager.default.temporaryDirectory.path + "/ensemble-host-" + UUID().uuidString
        let declaration = MemberDeclaration(
            id: 1, host: "127.0.0.1", clientPort: 2181, quorumPort: 2881, electionPort: 3881,
            logDirectory: (logRoot ?? root) + "/log")
        let manifest = Manifest(
            cluster: "orders", dataDirectory: root, members: [declaration],
            backups: BackupSettings(
                archive: root + "/archive", schedule: .every(.seconds(60)), retention: try RetentionPolicy(keepLast: 1)))
        let desired = DesiredCluster(
            manifest: manifest, layout: HostLayout(stateDirectory: root, bundledServer: "/usr/bin/ensemble-server"),
            clusterIdentity: "5f1c0d7e", version: "test")
        member = desired.members[0]
        effects = desired.backups
        for directory in [member.dataDirectory, member.logDirectory] {
            try FileManager.default.createDirectory(atPath: directory + "/version-2", withIntermediateDirectories: true)
        }
        try SnapshotFile.write(DataTree(), in: member.dataDirectory + "/version-2")
        backup = try effects.capture(member, .live, upTo: 0, now: WallTime(milliseconds: 1_800_000_000_000), progress: .silent)
        try effects.verify(backup.id, now: WallTime(milliseconds: 1_800_000_000_000), progress: .silent)
    }

    var observation: BackupObservation { effects.observation(of: Result { try effects.list() }) }
    func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
    func remove() { try? FileManager.default.removeItem(atPath: root) }
    var now: WallTime { WallTime(milliseconds: 1_800_000_100_000) }
}

@Suite struct BackupEffectsTests {
    /// S6: production.yaml puts logs on disks of their own: what is there can't be renamed into the cluster's quarantine.
    @Test func aLogOnAnotherDiskGoesToQuarantineThere() throws {
        var template = Array("/dev/shm/ensemble-host-XXXXXX".utf8CString)
        let other = try #require(mkdtemp(&template).map { String(cString: $0) })
        defer { try? FileManager.default.removeItem(atPath: other) }
        let disk = try MemberOnDisk(logRoot: other)
        defer { disk.remove() }
        try disk.effects.quarantine(disk.member, cause: "a test", now: disk.now)
        #expect(!disk.exists(disk.member.dataDirectory + "/version-2"))
        #expect(!disk.exists(disk.member.logDirectory + "/version-2"))
        #expect(try Quarantine.list(disk.effects.quarantinePath).count == 1)
        let moved = try Quarantine.list(disk.member.logDirectory + "/quarantine")
        #expect(moved.map(\.reason?.path) == [disk.member.logDirectory + "/version-2"])
        // The attempt that could not be made left nothing: a hold that is tried again each second fills no disk.
        #expect(try FileManager.default.contentsOfDirectory(atPath: disk.effects.quarantinePath).count == 1)
    }

    /// S9: power fails between the renames of the two directories of a seed.
    @Test func aSeedThatEndedBetweenItsRenamesIsMadeAgain() throws {
        let disk = try MemberOnDisk()
        defer { disk.remove() }
        try disk.effects.quarantine(disk.member, cause: "a test", now: disk.now)
        let seed = Seed.recovering(backup: disk.backup.id)
        _ = try disk.effects.seed(disk.member, seed, reason: "a test", now: disk.now, progress: .silent)
        try FileManager.default.removeItem(atPath: disk.member.dataDirectory + "/version-2")
        _ = try disk.effects.seed(disk.member, seed, reason: "a test", now: disk.now, progress: .silent)
        #expect(disk.exists(disk.member.dataDirectory + "/version-2/recovering"))
    }

    /// S2, S6: a seed that was made, and of which the daemon that made it did not live to know, is not what an empty one is.
    @Test func anEmptySeedIsEmptyBehindAnInterruptedOne() throws {
        let disk = try MemberOnDisk()
        defer { disk.remove() }
        try disk.effects.quarantine(disk.member, cause: "a test", now: disk.now)
        let seed = Seed.recovering(backup: disk.backup.id)
        _ = try disk.effects.seed(disk.member, seed, reason: "a test", now: disk.now, progress: .silent)
        _ = try disk.effects.seed(disk.member, .empty, reason: "a test", now: disk.now, progress: .silent)
        #expect(!disk.exists(disk.member.dataDirectory + "/version-2"))
    }

    /// S7: the bytes of a verified backup rot. The next choice is another backup.
    @Test func aBackupThatTurnsOutDamagedIsNoVerifiedOneAnyMore() throws {
        let disk = try MemberOnDisk()
        defer { disk.remove() }
        try disk.effects.quarantine(disk.member, cause: "a test", now: disk.now)
        #expect(disk.observation.verified.last?.id == disk.backup.id)
        let objects = disk.root + "/archive/objects/sha256"
        for folder in try FileManager.default.contentsOfDirectory(atPath: objects) {
            for name in try FileManager.default.contentsOfDirectory(atPath: "\(objects)/\(folder)") {
                truncate("\(objects)/\(folder)/\(name)", 3)
            }
        }
        #expect(throws: BackupError.self) {
            try disk.effects.seed(
                disk.member, .recovering(backup: disk.backup.id), reason: "a test", now: disk.now, progress: .silent)
        }
        #expect(disk.observation.verified.isEmpty)
        #expect(disk.observation.count == 1, "it is kept for a person to look at")
    }

    /// S6: a backup that a reseed or a restore is made from is not pruned under it.
    @Test func aBackupInUseIsNotPruned() throws {
        let disk = try MemberOnDisk()
        defer { disk.remove() }
        for minute in 1...2 {
            let time = WallTime(milliseconds: disk.now.milliseconds + Int64(minute) * 60_000)
            let newer = try disk.effects.capture(disk.member, .live, upTo: 0, now: time, progress: .silent)
            try disk.effects.verify(newer.id, now: time, progress: .silent)
        }
        let later = WallTime(milliseconds: disk.now.milliseconds + 600_000)
        _ = try disk.effects.prune(keeping: disk.backup.id, now: later, dryRun: false)
        #expect(try disk.effects.list().map(\.id.description).contains(disk.backup.id))
        _ = try disk.effects.prune(now: later, dryRun: false)
        #expect(disk.observation.count == 1)
    }
}
