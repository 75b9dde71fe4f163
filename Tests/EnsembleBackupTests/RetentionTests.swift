import EnsembleBackup
import EnsembleBase
import KeeperCore
import Testing

@Suite struct RetentionTests {
    private static let day: Int64 = 86_400_000

    private func candidates(_ random: inout SeededRandom) -> [Retention.Candidate] {
        (0..<Int.random(in: 0...12, using: &random)).map { index in
            let time = WallTime(milliseconds: Int64.random(in: 0...40, using: &random) * Self.day)
            return .init(
                id: BackupID(time: time, random: UInt32(index)), capturedAt: time, isVerified: Bool.random(using: &random))
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
            let verified = all.filter(\.isVerified).sorted { ($0.capturedAt, $0.id) > ($1.capturedAt, $1.id) }
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
            id: BackupID(time: WallTime(milliseconds: 0), random: 0), capturedAt: WallTime(milliseconds: 0), isVerified: true)
        let failed = (1...20).map { day in
            let time = WallTime(milliseconds: Int64(day) * Self.day)
            return Retention.Candidate(id: BackupID(time: time, random: 0), capturedAt: time, isVerified: false)
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

        let dry = try archive.prune(policy: policy, now: now, dryRun: true)
        #expect(dry.objectsRemoved == [old.objects[1].storedSHA256] && dry.bytesFreed == old.objects[1].storedSize)
        #expect(try archive.list().count == 2)
        // Within the grace period an unnamed object stays: a capture may be about to name it.
        let young = try archive.prune(policy: policy, now: now, grace: .seconds(200 * 365 * 86_400), dryRun: true)
        #expect(young.objectsRemoved.isEmpty)

        // S10: while a manifest cannot be read, nothing goes.
        let path = "\(archive.path)/backups/\(old.id)/manifest.json"
        let bytes = try read(path)
        try write(Array(bytes.dropLast(20)), path)
        #expect { _ = try archive.prune(policy: policy, now: now) } throws: { ($0 as? BackupError)?.file == path }
        #expect(exists(archive.objectPath(old.objects[1])))
        try write(bytes, path)

        let report = try archive.prune(policy: policy, now: now)
        #expect(report.objectsRemoved == dry.objectsRemoved)
        #expect(try archive.list().map(\.id) == [new.id])
        #expect(try archive.verify(new.id).digest.value == files.tree.digest)
    }

    @Test func pruneWaitsForNobody() throws {
        let scratch = try Scratch()
        let files = try MemberFiles(in: scratch.path)
        let archive = try BackupArchive.open(scratch.path + "/archive")
        let policy = try RetentionPolicy(keepLast: 1)
        // Asked from within a capture, which holds the archive.
        let progress = BackupProgress(report: { _, _ in
            #expect { _ = try archive.prune(policy: policy, now: testTime) } throws: { ($0 as? BackupError)?.kind == .busy }
        })
        _ = try Capture.run(files.request(), into: archive, progress: progress)
        #expect(try archive.prune(policy: policy, now: testTime).objectsRemoved.isEmpty)
    }
}
