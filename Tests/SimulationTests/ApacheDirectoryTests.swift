import EnsembleBase
import KeeperCore
import KeeperStorage
import Testing

@testable import EnsembleSim

/// What Apache's servers leave, as the simulator makes it up: storage reads it as what happened, whatever its shape.
@Suite struct ApacheDirectoryTests {
    private static func recovered(_ image: DiskImage, isAlone: Bool) throws -> RecoveredState {
        let disk = FaultyDisk(seed: 1)
        disk.replace(with: image)
        return try Recovery(layout: DataLayout(dataDir: SimDisk.dataDir, files: disk), isStandalone: isAlone).recover()
    }

    /// All of one history, whose digests are those that the leader's tree had.
    @Test func everyMemberRecoversWhatItKnows() throws {
        var (shapes, wrong, holes, candidates, ahead) = (Set<Substring>(), 0, 0, 0, 0)
        for seed in UInt64(1)...24 {
            var random = SeededRandom(seed: seed)
            let count = [1, 2, 3, 5][Int(seed % 4)]
            let directories = ApacheDirectories(count: count, announcesDigests: seed % 5 > 0, using: &random)
            let past = directories.past
            var history = CommittedHistory()
            history.begins(with: past.committed)
            for member in directories.members {
                let state = try Self.recovered(member.image, isAlone: count == 1)
                let (end, known) = (state.tree.lastProcessedZxid, past.committed[member.known - 1].zxid)
                #expect(end == known || end > known && past.epochs.contains { $0.abandoned.last?.zxid == end })
                #expect(history.digest(at: end).map { $0 == state.tree.digest } ?? (end > known), "seed \(seed): \(member.shape)")
                #expect(state.currentEpoch == member.currentEpoch && state.acceptedEpoch == member.acceptedEpoch)
                #expect(state.judgement.divergence == nil && !state.recovering, "seed \(seed): \(member.shape)")
                shapes.insert(member.shape.prefix { $0 != " " && $0 != "," })
                if state.judgement.wrongAnnouncements > 0 { wrong += 1 }
                if member.shape.contains("away") { holes += 1 }
                if member.shape.contains("candidate") { candidates += 1 }
                if member.shape.contains("ahead") { ahead += 1 }
            }
            #expect(directories.members.count { $0.known == past.committed.count } * 2 > count)
        }
        #expect(shapes == ["whole", "left", "deposed"])
        #expect(wrong > 2 && holes > 2 && candidates > 2 && ahead > 2)
    }
}
