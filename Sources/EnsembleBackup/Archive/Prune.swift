import EnsembleBase
import Glibc

/// What a prune did, or would do.
package struct PruneReport: Sendable, Codable {
    package var decisions: [Retention.Decision]
    package var objectsRemoved: [ContentHash]
    package var bytesFreed: Int64
}

extension BackupArchive {
    /// Objects younger than this stay even if no manifest names them.
    package static let defaultGrace: Duration = .seconds(3600)

    /// Applies `policy` to the backups of one cluster, then removes the objects that no backup needs, whosever it is.
    /// S6: another cluster's backups in the same archive are for its own daemon to judge, by its own policy. The backup
    /// `inUse` stays whatever the policy says.
    ///
    /// - Parameter cluster: the identity that its backups carry.
    /// - Throws: `.busy` while anything uses the archive; S10: `.damaged` or `.unsupported`, before anything is
    ///   deleted, if a manifest cannot be read, because what it needs is not known.
    package func prune(
        of cluster: String, policy: RetentionPolicy, inUse: BackupID? = nil, now: WallTime,
        grace: Duration = defaultGrace, dryRun: Bool = false
    ) throws(BackupError) -> PruneReport {
        let lock = try lock(exclusively: true)
        defer { _ = lock }
        let backups = try readableBackups()
        let candidates = backups.filter { $0.manifest.clusterIdentity == cluster }.map {
            Retention.Candidate(
                id: $0.manifest.id, end: $0.manifest.lastZxid, capturedAt: $0.manifest.capturedAt, isVerified: $0.isVerified)
        }
        let decisions = Retention.decide(candidates, policy: policy, inUse: inUse, now: now)
        let leaving = Set(decisions.filter { !$0.isKept }.map(\.id))
        let objects = try objects()
        let unneeded = ObjectCollection.unneeded(
            objects.map(\.candidate), manifests: backups.map(\.manifest).filter { !leaving.contains($0.id) }, grace: grace,
            now: now)
        let sizes = Dictionary(objects.map { ($0.candidate.hash, $0.size) }, uniquingKeysWith: { first, _ in first })
        let report = PruneReport(
            decisions: decisions, objectsRemoved: unneeded, bytesFreed: unneeded.reduce(0) { $0 + (sizes[$1] ?? 0) })
        if dryRun { return report }
        // Manifests go first: an object without a backup is waste, a backup without an object is a lie.
        for decision in decisions where !decision.isKept { try delete(decision.id) }
        for hash in unneeded { try disk.remove(objectPath(hash)) }
        try sweep(grace: grace, now: now)
        return report
    }

    /// Every backup with its manifest, or an error naming the first that cannot be read.
    private func readableBackups() throws(BackupError) -> [(manifest: BackupManifest, isVerified: Bool)] {
        var backups: [(manifest: BackupManifest, isVerified: Bool)] = []
        for name in try directoryEntries(backupsPath) {
            guard let id = BackupID(name) else {
                // S10: it may be a backup that somebody renamed.
                throw BackupError(
                    .damaged, file: "\(backupsPath)/\(name)", problem: "is no backup id, so what it needs is unknown",
                    remedy: "move it out of the archive; nothing is deleted until then")
            }
            guard let backup = try backup(id) else { continue }
            backups.append((try backup.content.get(), backup.verified != nil))
        }
        return backups
    }

    /// Those that lie where their name belongs. What else is there is nobody's object: it stays, and keeps nothing from
    /// being pruned.
    private func objects() throws(BackupError) -> [(candidate: ObjectCollection.Candidate, size: Int64)] {
        var objects: [(candidate: ObjectCollection.Candidate, size: Int64)] = []
        for folder in try directoryEntries(objectsPath) where fileKind("\(objectsPath)/\(folder)") == .directory {
            for name in try directoryEntries("\(objectsPath)/\(folder)") {
                guard let hash = ContentHash(hex: name), let status = status("\(objectsPath)/\(folder)/\(name)"),
                    objectPath(hash) == "\(objectsPath)/\(folder)/\(name)"
                else { continue }
                objects.append((ObjectCollection.Candidate(hash: hash, writtenAt: status.modified), status.size))
            }
        }
        return objects
    }

    /// The proof goes first: a crash between leaves an unverified backup, never a proof without one.
    private func delete(_ id: BackupID) throws(BackupError) {
        try withdrawVerified(id)
        try disk.remove(manifestPath(id))
        try disk.syncDirectory(directory(of: id))
        try removeRemains(of: id)
    }

    /// What crashed captures left: directories without a manifest, staged files. Nothing is being written, since the
    /// lock is held alone; the grace period covers hosts whose file system does not carry locks.
    private func sweep(grace: Duration, now: WallTime) throws(BackupError) {
        for name in try directoryEntries(backupsPath) {
            guard let id = BackupID(name), fileKind(manifestPath(id)) == .absent,
                let status = status(directory(of: id)), now - status.modified >= grace
            else { continue }
            try removeRemains(of: id)
        }
        for name in try directoryEntries(stagingPath) {
            let file = "\(stagingPath)/\(name)"
            if let status = status(file), now - status.modified >= grace { try disk.removeTree(file) }
        }
    }

    private func removeRemains(of id: BackupID) throws(BackupError) {
        for file in [manifestPath(id) + ".tmp", verifiedPath(id) + ".tmp", verifiedPath(id)] { try disk.remove(file) }
        // A file of another's making keeps the directory, which is then no backup and stays.
        guard try directoryEntries(directory(of: id)).isEmpty else { return }
        try disk.remove(directory(of: id))
        try disk.syncDirectory(backupsPath)
    }

    private func status(_ path: String) -> (modified: WallTime, size: Int64)? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        let modified = WallTime(milliseconds: Int64(status.st_mtim.tv_sec) * 1000 + Int64(status.st_mtim.tv_nsec) / 1_000_000)
        return (modified, Int64(status.st_size))
    }
}
