import EnsembleBase
import EnsembleControl
import KeeperCore

/// Backups as the control API, and those who look into an archive without it, describe them.
extension ArchivedBackup {
    /// One that can't be read is shown with what is wrong with it: who looks for a backup must not think that it never was.
    package var summary: BackupDescription {
        let manifest: BackupManifest
        switch content {
        case .success(let content): manifest = content
        case .failure(let error):
            return BackupDescription(
                id: id.description, createdAt: capturedAt, mode: .live, member: 0, lastZxid: HexZxid(0), size: 0, storedSize: 0,
                damage: "\(error.file): \(error.problem)")
        }
        return BackupDescription(
            id: id.description, createdAt: manifest.capturedAt, mode: manifest.kind == .live ? .live : .cold,
            member: Int(manifest.member), firstZxid: HexZxid(manifest.snapshotZxid.rawValue),
            lastZxid: HexZxid(manifest.lastZxid.rawValue), epoch: manifest.epochs?.current, size: manifest.size,
            storedSize: manifest.storedSize, verifiedAt: verified?.verifiedAt)
    }

    /// - Throws: what is wrong with its manifest.
    package func details() throws(BackupError) -> BackupDetails {
        let manifest = try content.get()
        return BackupDetails(
            summary: summary, cluster: manifest.cluster, clusterIdentity: manifest.clusterIdentity,
            engine: manifest.engine == .bundled ? .bundled : .apache, firstTransactionAt: manifest.firstTransactionAt,
            lastTransactionAt: manifest.lastTransactionAt, acceptedEpoch: manifest.epochs?.accepted,
            digest: manifest.digest?.value.description, nodeCount: verified?.nodeCount, toolVersion: manifest.toolVersion,
            objects: manifest.objects.map {
                BackupDetails.Object(
                    name: $0.name, size: $0.size, storedSize: $0.storedSize, storedSHA256: $0.storedSHA256.description)
            },
            configuration: manifest.configuration)
    }
}
