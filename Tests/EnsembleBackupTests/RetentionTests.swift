import EnsembleBackup
import EnsembleBase
import FoundationEssentials
import KeeperCore
import Testing

@Suite struct RetentionTests {
    private static let day: Int64 = 86_400_000

    private func candidates(_ random: inout SeededRandom) -> [Retention.Candidate] {
        (0..<Int.random(in: 0...12, using: &random)).map { index in
            let time = WallTime(milliseconds: Int64.random(in: 0...40, using: &random) * Self.day)
            // A clock that says anything at all.
            let end = Zxid(epoch: Int64.random(in: 1...3, using: &random), counter: UInt32.random(in: 1...5, using: &random))
            return .init(
                id: BackupID(time: time, random: UInt32(index)), end: end, capturedAt: time,
                isVerified: Bool.random(using: &random))
        }
    }

    /// S6 over random archives, policies and clocks.
    @Test func properties() throws {
        var random = SeededRandom(seed: 20)
        for _ in 0..<5000 {
            let all = candidates(&random)
            let now = WallTime(milliseconds: Int64.random(in: 0...60, using: &random) * Self.day)
            let policy = try RetentionPolicy(
                keepLast: Int.random(in: 1...5, using: &random),
                keepFor: Bool.random(using: &random) ? .seconds(86_400 * Int64.random(in: 1...30, using: &random)) : nil)
            let decisions = Retention.decide(all, policy: policy, now: now)
            #expect(Set(decisions.map(\.id)) == Set(all.map(\.id)) && decisions.count == all.count)
            let deleted = Set(decisions.filter { !$0.isKept }.map(\.id))
            let verified = all.filter(\.isVerified).sorted { ($0.end, $0.capturedAt, $0.id) > ($1.end, $1.capturedAt, $1.id) }
            guard let newest = verified.first else {
                #expect(deleted.isEmpty)
                continue
            }
            // S6: whatever the policy says.
            #expect(!deleted.contains(newest.id))
            #expect(deleted.isDisjoint(with: verified.prefix(policy.keepLast).map(\.id)))
            for candidate in all where deleted.contains(candidate.id) {
                #expect(candidate.capturedAt <= now)
                if let keepFor = policy.keepFor { #expect(now - candidate.capturedAt >= keepFor) }
            }
            if policy.keepFor == nil {
                let past = all.filter { $0.capturedAt <= now && !deleted.contains($0.id) }
                #expect(past.count <= 2 * policy.keepLast + 1)
            }
        }
    }

    @Test func failingCapturesDoNotPushTheGoodOneOut() throws {
        let good = Retention.Candidate(
            id: BackupID(time: WallTime(milliseconds: 0), random: 0), end: Zxid(epoch: 1, counter: 1),
            capturedAt: WallTime(milliseconds: 0), isVerified: true)
        let failed = (1...20).map { day in
            let time = WallTime(milliseconds: Int64(day) * Self.day)
            return Retention.Candidate(
                id: BackupID(time: time, random: 0), end: Zxid(epoch: 1, counter: UInt32(day) + 1), capturedAt: time,
                isVerified: false)
        }
        let decisions = Retention.decide(
            failed + [good], policy: try RetentionPolicy(keepLast: 3), now: WallTime(milliseconds: 30 * Self.day))
        #expect(decisions.filter(\.isKept).map(\.reason) == [.awaitsVerification, .awaitsVerification, .awaitsVerification, .newestVerified])
    }

    @Test func pruneKeepsWhatKeptBackupsNeed() throws {
        let scratch = try Scratch()
        let files = try MemberFiles(in: scratch.path)
        let archive = try BackupArchive.open(scratch.path + "/archive")
        // The snapshot is shared; the logs differ.
        let old = try Capture.run(files.request(committedUpTo: MemberFiles.zxid(30), at: 1_800_000_000), into: archive)
        let new = try Capture.run(files.request(at: 1_800_000_100), into: archive)
        _ = try archive.verify(new.id)
        let now = WallTime(milliseconds: 4_000_000_000_000)
        let policy = try RetentionPolicy(keepLast: 1)

        let dry = try archive.prune(of: MemberFiles.identity, policy: policy, now: now, dryRun: true)
        #expect(dry.objectsRemoved == [old.objects[1].storedSHA256] && dry.bytesFreed == old.objects[1].storedSize)
        #expect(try archive.list().count == 2)
        // Within the grace period an unnamed object stays: a capture may be about to name it.
        let young = try archive.prune(of: MemberFiles.identity, policy: policy, now: now, grace: .seconds(200 * 365 * 86_400), dryRun: true)
        #expect(young.objectsRemoved.isEmpty)

        // S10: while a manifest cannot be read, nothing goes.
        let path = "\(archive.path)/backups/\(old.id)/manifest.json"
        let bytes = try read(path)
        try write(Array(bytes.dropLast(20)), path)
        #expect { _ = try archive.prune(of: MemberFiles.identity, policy: policy, now: now) } throws: { ($0 as? BackupError)?.file == path }
        #expect(exists(archive.objectPath(old.objects[1])))
        try write(bytes, path)

        let report = try archive.prune(of: MemberFiles.identity, policy: policy, now: now)
        #expect(report.objectsRemoved == dry.objectsRemoved)
        #expect(try archive.list().map(\.id) == [new.id])
        #expect(try archive.verify(new.id).digest.value == files.tree.digest)
    }

    /// The clock was once a year ahead: what was captured then is no newer than what came after it, and keeps nothing
    /// else from being kept.
    @Test func theNewestIsTheOneThatHoldsMost() throws {
        func backup(_ number: Int, day: Int64) -> Retention.Candidate {
            let time = WallTime(milliseconds: day * Self.day)
            return .init(
                id: BackupID(time: time, random: UInt32(number)), end: Zxid(epoch: 1, counter: UInt32(number)),
                capturedAt: time, isVerified: true)
        }
        let ahead = (1...3).map { backup($0, day: 365 + Int64($0)) }
        let since = (4...6).map { backup($0, day: Int64($0)) }
        let now = WallTime(milliseconds: 7 * Self.day)
        let decisions = Retention.decide(ahead + since, policy: try RetentionPolicy(keepLast: 2), now: now)
        #expect(decisions.prefix(2).map(\.id) == [since[2].id, since[1].id])
        #expect(decisions.prefix(2).map(\.reason) == [.newestVerified, .withinKeepLast])
        #expect(decisions[2].id == since[0].id && decisions[2].reason == .outlived)
        #expect(decisions.suffix(3).allSatisfy { $0.reason == .fromTheFuture })
    }

    /// S6: two clusters share an archive, and the policy of one is none of the other's business.
    @Test func anotherClustersBackupsStay() throws {
        let scratch = try Scratch()
        let archive = try BackupArchive.open(scratch.path + "/archive")
        let (ours, theirs) = (try MemberFiles(in: scratch.path + "/a"), try MemberFiles(in: scratch.path + "/b"))
        var foreign: [BackupID] = []
        for second in 0..<3 {
            var request = theirs.request(committedUpTo: MemberFiles.zxid(20 + second), at: 1_800_000_000 + Int64(second))
            request.clusterIdentity = "another"
            let backup = try Capture.run(request, into: archive)
            foreign.append(backup.id)
            _ = try archive.verify(backup.id)
            _ = try Capture.run(ours.request(committedUpTo: MemberFiles.zxid(30 + second), at: 1_800_000_010 + Int64(second)), into: archive)
        }
        for backup in try archive.list() where backup.verified == nil { _ = try archive.verify(backup.id) }
        let later = WallTime(milliseconds: 4_000_000_000_000)
        let report = try archive.prune(of: MemberFiles.identity, policy: try RetentionPolicy(keepLast: 1), now: later)
        #expect(report.decisions.count == 3)
        let left = try archive.list().map(\.id)
        #expect(left.count == 4 && Set(left).isSuperset(of: foreign))
        for id in foreign { _ = try archive.verify(id) }
    }

    /// An object that was copied to a second place, and files that are none: what lies where it belongs counts.
    @Test func whatElseLiesAmongTheObjectsIsLeftAlone() throws {
        let scratch = try Scratch()
        let files = try MemberFiles(in: scratch.path)
        let archive = try BackupArchive.open(scratch.path + "/archive")
        let backup = try Capture.run(files.request(), into: archive)
        _ = try archive.verify(backup.id)
        let object = archive.objectPath(backup.objects[0])
        let strays = ["\(archive.path)/objects/sha256/zz/\(backup.objects[0].storedSHA256)", "\(archive.path)/objects/sha256/note.txt"]
        try FileManager.default.createDirectory(atPath: "\(archive.path)/objects/sha256/zz", withIntermediateDirectories: false)
        for stray in strays { try write(try read(object), stray) }
        let later = WallTime(milliseconds: 4_000_000_000_000)
        _ = try archive.prune(of: MemberFiles.identity, policy: try RetentionPolicy(keepLast: 1), now: later)
        #expect(strays.allSatisfy(exists) && exists(object))
        _ = try archive.verify(backup.id)
    }

    @Test func pruneWaitsForNobody() throws {
        let scratch = try Scratch()
        let files = try MemberFiles(in: scratch.path)
        let archive = try BackupArchive.open(scratch.path + "/archive")
        let policy = try RetentionPolicy(keepLast: 1)
        // Asked from within a capture, which holds the archive.
        let progress = BackupProgress(report: { _, _ in
            #expect { _ = try archive.prune(of: MemberFiles.identity, policy: policy, now: testTime) } throws: { ($0 as? BackupError)?.kind == .busy }
        })
        _ = try Capture.run(files.request(), into: archive, progress: progress)
        #expect(try archive.prune(of: MemberFiles.identity, policy: policy, now: testTime).objectsRemoved.isEmpty)
    }
}
