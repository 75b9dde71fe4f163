import EnsembleBase
import KeeperCore

/// Proves a backup from its stored bytes (S7).
package enum Verification {
    /// Reads every stored byte back, checks all hashes and checksums, replays to the end and compares the digests; then,
    /// and only then, writes the verified record. Blocks as long as that takes; needs memory for the tree, no disk.
    ///
    /// - Parameter unkept: told why the record could not be written, of an archive that is only to be read; nil: that is a
    ///   failure.
    /// - Throws: `.damaged` naming the object; an earlier proof of this backup is withdrawn first.
    @discardableResult
    package static func run(
        _ id: BackupID, in archive: BackupArchive, now: WallTime, toolVersion: String,
        progress: BackupProgress = .silent, unkept: ((BackupError) -> Void)? = nil
    ) throws(BackupError) -> VerifiedRecord {
        let lock = try archive.lock(exclusively: false)
        defer { _ = lock }
        do throws(BackupError) {
            let record = try prove(id, in: archive, now: now, toolVersion: toolVersion, progress: progress)
            do throws(BackupError) { try archive.publish(record) } catch {
                guard let unkept else { throw error }
                unkept(error)
            }
            return record
        } catch {
            guard error.kind == .damaged else { throw error }
            // S7: what was proved once and is damaged now is no verified backup any more.
            do throws(BackupError) { try archive.withdrawVerified(id) } catch let failure {
                throw BackupError(
                    .damaged, file: error.file, problem: "\(error.problem); its former proof could not be withdrawn: \(failure.problem)",
                    remedy: error.remedy)
            }
            throw error
        }
    }

    private static func prove(
        _ id: BackupID, in archive: BackupArchive, now: WallTime, toolVersion: String, progress: BackupProgress
    ) throws(BackupError) -> VerifiedRecord {
        guard let backup = try archive.backup(id) else {
            throw BackupError(
                .missing, file: archive.directory(of: id), problem: "there is no such backup", remedy: "list the backups")
        }
        let manifest = try backup.content.get()
        var replay = Replay(of: manifest, in: archive, progress: progress)
        let tree = try replay.run()
        try compare(tree, with: manifest, in: archive)
        return VerifiedRecord(
            format: 1, id: id, manifestSHA256: backup.manifestSHA256, verifiedAt: now, lastZxid: manifest.lastZxid,
            digest: HexadecimalDigest(tree.digest), digestWitnessed: manifest.digest != nil,
            nodeCount: tree.nodeCount, toolVersion: toolVersion)
    }

    private static func compare(
        _ tree: DataTree, with manifest: BackupManifest, in archive: BackupArchive
    ) throws(BackupError) {
        guard let digest = manifest.digest, digest.value.value != tree.digest else { return }
        throw BackupError(
            .damaged, file: archive.manifestPath(manifest.id),
            problem: "the replayed tree's digest is \(HexadecimalDigest(tree.digest)), at \(digest.zxid) the ensemble had \(digest.value)",
            remedy: "use another backup, and compare the members: the source may have diverged")
    }
}
