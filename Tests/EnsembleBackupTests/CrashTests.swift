import EnsembleBackup
import EnsembleBase
import KeeperCore
import NIOConcurrencyHelpers
import Testing

/// A disk that dies at the n-th change: that one and all after it fail, as if the process had been killed there.
final class DyingDisk: Sendable {
    private let left: NIOLockedValueBox<Int>
    init(after changes: Int) { left = NIOLockedValueBox(changes) }

    var survived: Bool { left.withLockedValue { $0 >= 0 } }

    var disk: Disk {
        Disk { (change) throws(BackupError) in
            let isDead = self.left.withLockedValue { left in
                left -= 1
                return left < 0
            }
            if isDead { throw BackupError(.inputOutput, file: "\(change)", problem: "the disk died", remedy: "none") }
        }
    }
}

@Suite struct CrashTests {
    /// A capture that dies anywhere leaves no listed backup or the whole one, and the next capture succeeds.
    @Test func captureAtEveryStep() throws {
        let scratch = try Scratch()
        let files = try MemberFiles(in: scratch.path)
        let path = scratch.path + "/archive"
        let whole = try BackupArchive.open(path)
        for step in 0..<1000 {
            let dying = DyingDisk(after: step)
            let request = files.request(random: UInt32(step))
            do {
                _ = try Capture.run(request, into: try BackupArchive.open(path, disk: dying.disk))
            } catch {
                #expect(error.problem == "the disk died")
            }
            let id = BackupID(time: request.now, random: request.random)
            let backup = try whole.backup(id)
            if dying.survived { #expect(backup != nil) }
            // Listed means whole: it verifies.
            if backup != nil { #expect(try whole.verify(id).digest.value == files.tree.digest) }
            if dying.survived {
                #expect(step > 10)
                break
            }
        }
        // The remains of the dead ones are swept, and nothing that is needed goes with them.
        let later = WallTime(milliseconds: 4_000_000_000_000)
        _ = try whole.prune(of: MemberFiles.identity, policy: try RetentionPolicy(keepLast: 1), now: later)
        #expect(names(path + "/staging").isEmpty)
        let kept = try whole.list()
        #expect(kept.count == 1 && names(path + "/backups") == kept.map(\.id.text))
        #expect(try whole.verify(#require(kept.last).id).digest.value == files.tree.digest)
    }

    /// A restore that dies anywhere leaves no `version-2` with a snapshot, or a whole one with its mark (S2).
    @Test(arguments: [true, false]) func restoreAtEveryStep(splitLog: Bool) throws {
        let scratch = try Scratch()
        let files = try MemberFiles(in: scratch.path)
        let archive = try BackupArchive.open(scratch.path + "/archive")
        let manifest = try Capture.run(files.request(), into: archive)
        _ = try archive.verify(manifest.id)
        for step in 0..<1000 {
            let dying = DyingDisk(after: step)
            let data = "\(scratch.path)/restored-\(step)/data"
            let log = splitLog ? "\(scratch.path)/restored-\(step)/log" : data
            let options = Restore.Options(
                purpose: .reseed(reason: "lost"), clusterIdentity: MemberFiles.identity, now: testTime)
            func restore(_ disk: Disk) throws {
                try Restore.materialise(
                    manifest.id, from: archive, dataDirectory: data, logDirectory: log, options: options, disk: disk)
            }
            do { try restore(dying.disk) } catch { #expect((error as? BackupError)?.problem == "the disk died") }
            // S2: what a server would read is nothing, or marked and whole.
            if exists(data + "/version-2") {
                #expect(exists(data + "/version-2/recovering") && exists(data + "/version-2/restored.json"))
                #expect(exists(log + "/version-2/log.200000006"))
                #expect(try read(log + "/version-2/log.200000006").count == Int(manifest.objects[1].size))
            } else if !exists(log + "/version-2") {
                // The next attempt clears its own remains and succeeds.
                try restore(.real)
                #expect(exists(data + "/version-2/snapshot.200000005"))
            } else {
                // Logs without a snapshot: refused by servers, and by a restore until they are moved aside.
                #expect(throws: BackupError.self) { try restore(.real) }
            }
            if dying.survived { return #expect(step > 10) }
        }
    }

    /// S2: the mark is synced before the first data file is made.
    @Test func theMarkComesFirst() throws {
        let scratch = try Scratch()
        let files = try MemberFiles(in: scratch.path)
        let archive = try BackupArchive.open(scratch.path + "/archive")
        let manifest = try Capture.run(files.request(), into: archive)
        _ = try archive.verify(manifest.id)
        let changes = NIOLockedValueBox<[Disk.Change]>([])
        let target = scratch.path + "/restored"
        let disk = Disk { (change) throws(BackupError) in changes.withLockedValue { $0.append(change) } }
        try Restore.materialise(
            manifest.id, from: archive, dataDirectory: target, logDirectory: target,
            options: .init(purpose: .reseed(reason: "lost"), clusterIdentity: nil, now: testTime), disk: disk)
        let staging = target + "/version-2.restoring"
        let order = changes.withLockedValue { $0 }
        let marked = order.firstIndex(of: .rename(staging + "/recovering.tmp", to: staging + "/recovering"))
        let synced = marked.flatMap { order[$0...].firstIndex(of: .sync(staging)) }
        let data = order.firstIndex(of: .create(staging + "/snapshot.200000005"))
        #expect(marked != nil && synced != nil && data != nil)
        #expect((synced ?? .max) < (data ?? .min))
    }
}
