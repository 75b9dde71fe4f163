import EnsembleBase
import KeeperCore
import KeeperStorage
import Testing

@testable import EnsembleSim

/// What befalls copies of directories, and what of it storage must notice.
@Suite struct HurtCopyTests {
    /// Each seed's copies are a few of these.
    @Test func everyHurtIsTried() throws {
        var random = SeededRandom(seed: 1)
        var hurts: Set<String> = []
        for count in [1, 3, 5] {
            let directories = ApacheDirectories(count: count, announcesDigests: true, using: &random)
            var proposals = ProposalChecker()
            proposals.begins(with: directories.past)
            for member in directories.members {
                let disk = SimDisk(seed: random.next())
                disk.drive.replace(with: member.image)
                let state = try Recovery(layout: disk.layout, isStandalone: count == 1).recover()
                for _ in 0..<40 {
                    let copy = HurtCopy(of: disk, endingAt: state.tree.lastProcessedZxid, proposals, using: &random)
                    if let copy { hurts.insert(Self.kind(of: copy)) }
                }
            }
        }
        let files: Set = ["snapshot rots", "log rots", "snapshot can't be read", "log can't be read", "a log is lost"]
        #expect(hurts == files.union(["the newest are lost", "the newest are lost, and what is left rots"]))
    }

    private static func kind(of copy: HurtCopy) -> String {
        if copy.hurt.hasPrefix("all lost but ") { return "the newest are lost" + (copy.hasHurtSnapshot ? ", and what is left rots" : "") }
        if copy.hurt.hasSuffix("lost") { return "a log is lost" }
        return (copy.hasHurtSnapshot ? "snapshot" : "log") + (copy.hurt.hasSuffix("read") ? " can't be read" : " rots")
    }
}
