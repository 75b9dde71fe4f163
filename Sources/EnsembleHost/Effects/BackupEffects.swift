import EnsembleBackup
import EnsembleBase
import EnsembleControl
import Glibc
import KeeperCore
import KeeperStorage

/// What touches the archive and members' directories. Everything here blocks: what needs the archive is a worker's
/// (`WorkerJob`), all else runs on lanes.
package struct BackupEffects: Sendable, Codable {
    package var cluster: String
    package var clusterIdentity: String
    package var archivePath: String
    /// Where the archive's disks were mounted when it was listed last.
    package var archiveMounts: [String] = []
    package var quarantinePath: String
    package var compressionLevel: Int
    package var retention: RetentionPolicy?
    package var version: String

    /// The identity that backups of this cluster carry, for a daemon whose ledger was lost. Nil when there are none.
    /// - Throws: when there are several: then it isn't known which is ours (S10).
    package static func identity(ofCluster name: String, in place: ArchivePlace) throws -> String? {
        let path = place.path
        try place.requireMounted()
        guard Directory.exists(path) else { return nil }
        let identities = try BackupArchive.open(path).list().compactMap { backup -> String? in
            guard case .success(let manifest) = backup.content, manifest.cluster == name else { return nil }
            return manifest.clusterIdentity
        }
        guard Set(identities).count <= 1 else {
            throw HostError(
                path, "holds backups of several clusters named \(name), and this daemon has no ledger",
                remedy: "restore ledger.json, or move the archive of the other cluster away")
        }
        return identities.first
    }

    private func archive() throws -> BackupArchive {
        try ArchivePlace(path: archivePath, mounts: archiveMounts).requireMounted()
        return try BackupArchive.open(archivePath)
    }

    // MARK: Backups

    package func list() throws -> [ArchivedBackup] {
        try archive().list().filter { backup in
            guard case .success(let manifest) = backup.content else { return true }
            return manifest.clusterIdentity == clusterIdentity
        }
    }

    package func observation(of listing: Result<[ArchivedBackup], any Error>) -> BackupObservation {
        var observation = BackupObservation()
        switch listing {
        case .success(let backups):
            observation.isListed = true
            observation.count = backups.count
            observation.verified = backups.filter { $0.verified != nil }.compactMap(reference)
        case .failure(let error):
            observation.lastFailure = "\(error)"
        }
        return observation
    }

    package func reference(_ backup: ArchivedBackup) -> BackupReference? {
        guard case .success(let manifest) = backup.content else { return nil }
        return reference(manifest)
    }

    private func reference(_ manifest: BackupManifest) -> BackupReference {
        BackupReference(
            id: manifest.id.description, endZxid: manifest.lastZxid.rawValue,
            acceptedEpoch: manifest.epochs?.accepted ?? manifest.lastZxid.epoch, takenAt: manifest.capturedAt,
            size: manifest.storedSize)
    }

    /// - Parameter end: a transaction that the ensemble has committed: the backup ends exactly there.
    package func capture(
        _ member: RenderedMember, _ mode: CaptureMode, upTo end: Int64, now: WallTime, progress: BackupProgress
    ) throws -> BackupReference {
        let request = CaptureRequest(
            cluster: cluster, clusterIdentity: clusterIdentity, member: Int64(member.id),
            engine: member.engine == .bundled ? .bundled : .apache, kind: mode == .live ? .live : .cold,
            dataDirectory: member.dataDirectory, logDirectory: member.logDirectory,
            committedUpTo: Zxid(rawValue: end), barrier: Zxid(rawValue: end), configuration: member.configuration,
            compression: .zstd(level: compressionLevel), now: now, random: UInt32.random(in: 0...UInt32.max),
            toolVersion: version)
        return reference(try Capture.run(request, into: try archive(), progress: progress))
    }

    package func verify(_ id: String, now: WallTime, progress: BackupProgress) throws {
        try EnsembleBackup.Verification.run(
            try backupID(id), in: try archive(), now: now, toolVersion: version, progress: progress)
    }

    /// - Parameter inUse: id of the backup that a reseed or restore is made from.
    package func prune(keeping inUse: String? = nil, now: WallTime, dryRun: Bool) throws -> PruneReport? {
        guard let retention else { return nil }
        return try archive().prune(
            of: clusterIdentity, policy: retention, inUse: inUse.flatMap { BackupID($0) }, now: now, dryRun: dryRun)
    }

    /// Bytes of what a backup restores to.
    package struct Size: Sendable, Codable {
        package var snapshots: Int64
        package var logs: Int64
    }

    package func size(of id: String) throws -> Size {
        let objects = try archive().manifest(try backupID(id)).objects
        func sum(_ role: BackupObject.Role) -> Int64 { objects.filter { $0.role == role }.reduce(0) { $0 + $1.size } }
        return Size(snapshots: sum(.snapshot), logs: sum(.log))
    }

    private func backupID(_ text: String) throws -> BackupID {
        guard let id = BackupID(text) else {
            throw HostError(text, "is no backup id", remedy: "take one from the list of backups")
        }
        return id
    }

    // MARK: Members' directories

    /// S6: everything that a server reads, and the identity, goes aside. What isn't there was moved before.
    package func quarantine(_ member: RenderedMember, cause: String, now: WallTime) throws {
        var directories = [member.dataDirectory]
        if member.logDirectory != member.dataDirectory { directories.append(member.logDirectory) }
        for directory in directories where Directory.exists(directory + "/version-2") {
            let reason = Quarantine.Reason(
                cluster: cluster, member: Int64(member.id), path: directory + "/version-2", cause: cause, movedAt: now)
            do throws(BackupError) {
                _ = try Quarantine.move(reason, into: quarantinePath)
            } catch {
                guard error.kind == .otherFileSystem else { throw error }
                // The manifest has put this directory on another disk, and only a rename within it loses nothing.
                _ = try Quarantine.move(reason, into: directory + "/quarantine")
            }
        }
        // S2: a leftover permission to begin empty must not meet the empty directory.
        if Directory.exists(member.initializeFile) { try Directory.remove(file: member.initializeFile) }
    }

    package func seed(
        _ member: RenderedMember, _ seed: Seed, reason: String, now: WallTime, progress: BackupProgress
    ) throws -> DataDirectoryContents {
        for path in [member.dataDirectory, member.logDirectory] { try StateDirectory.createParents(path) }
        // S9: what a former attempt left that was finished and not written down as such, or that ended between the
        // renames of its two directories.
        let left = [member.dataDirectory, member.logDirectory].contains { Directory.exists($0 + "/version-2/restored.json") }
        if left { try quarantine(member, cause: "left by an interrupted seed", now: now) }
        var contents = DataDirectoryContents(
            identity: nil, zxid: 0, acceptedEpoch: 0, currentEpoch: 0, recovering: true)
        switch seed {
        case .empty:
            break
        case .recovering(let backup):
            let manifest = try materialise(backup, member, .reseed(reason: reason), now, progress)
            contents.zxid = manifest.lastZxid.rawValue
        case .restored(let backup, let epoch):
            // `highestEpochSeen` is raised by one in the files: the given epoch is what they end up with.
            let manifest = try materialise(backup, member, .cluster(highestEpochSeen: epoch - 1), now, progress)
            contents.zxid = manifest.lastZxid.rawValue
            contents.acceptedEpoch = epoch
            contents.recovering = false
        }
        let identity = RandomName.hex(words: 2)
        try Directory.replace(
            file: member.dataDirectory + "/" + DataProbe.identityName, with: Array((identity + "\n").utf8))
        contents.identity = identity
        return contents
    }

    private func materialise(
        _ backup: String, _ member: RenderedMember, _ purpose: RestorePurpose, _ now: WallTime,
        _ progress: BackupProgress
    ) throws -> BackupManifest {
        try EnsembleBackup.Restore.materialise(
            try backupID(backup), from: try archive(), dataDirectory: member.dataDirectory, logDirectory: member.logDirectory,
            options: .init(purpose: purpose, clusterIdentity: clusterIdentity, now: now), progress: progress)
    }
}
