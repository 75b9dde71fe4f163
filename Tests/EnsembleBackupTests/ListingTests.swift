import EnsembleBase
import EnsembleControl
import FoundationEssentials
import KeeperCore
import Testing

@testable import EnsembleBackup

/// A listing that one process makes for another.
@Suite struct ListingTests {
    @Test func itArrivesAsItWasMade() throws {
        let hash = try #require(ContentHash(hex: String(repeating: "a", count: 64)))
        let id = try #require(BackupID("20261121T022817Z-1f3a9c20"))
        let damaged = ArchivedBackup(
            id: id, content: .failure(BackupError(.damaged, file: "/m", problem: "is torn", remedy: "none")), manifestSHA256: hash,
            verified: nil)
        let manifest = BackupManifest(
            format: 1, id: id, cluster: "orders", clusterIdentity: "5f1c", member: 2, engine: .apache, kind: .cold,
            capturedAt: WallTime(milliseconds: 5), snapshotZxid: .init(rawValue: 3), lastZxid: .init(rawValue: 0x1_0000_0009),
            firstTransactionAt: nil, lastTransactionAt: WallTime(milliseconds: 4), barrier: nil, epochs: .init(accepted: 2, current: 1),
            digest: nil, configuration: "clientPort=2181\n", toolVersion: "test", objects: [])
        let whole = ArchivedBackup(
            id: id, content: .success(manifest), manifestSHA256: hash,
            verified: VerifiedRecord(
                format: 1, id: id, manifestSHA256: hash, verifiedAt: WallTime(milliseconds: 9), lastZxid: manifest.lastZxid,
                digest: HexadecimalDigest(7), digestWitnessed: false, nodeCount: 12, toolVersion: "test"))
        for backup in [damaged, whole] {
            let back = try JSONDecoder().decode(ArchivedBackup.self, from: JSONEncoder().encode(backup))
            #expect(back.id == backup.id && back.content == backup.content && back.verified == backup.verified)
            #expect(back.manifestSHA256 == backup.manifestSHA256)
        }
        #expect(throws: BackupError.self) { try damaged.details() }
        #expect(try whole.details().nodeCount == 12)
    }
}
