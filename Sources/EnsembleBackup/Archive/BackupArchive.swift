import EnsembleBase
import Glibc
import KeeperCore

/// A directory that holds backups:
///
///     objects/sha256/ab/<sha256 of the stored bytes>   immutable, shared by backups
///     backups/<id>/manifest.json                       written last: it makes the backup exist
///     backups/<id>/verified.json                       the proof (S7), bound to the manifest's hash
///     staging/                                         what is being written; never read
///     lock                                             shared by additions, exclusive for deletions
package struct BackupArchive: Sendable {
    package let path: String
    let disk: Disk

    private init(path: String, disk: Disk) {
        self.path = path
        self.disk = disk
    }

    /// Opens the archive, making its directories if they are missing.
    package static func open(_ path: String, disk: Disk = .real) throws(BackupError) -> BackupArchive {
        guard path.hasPrefix("/") else {
            throw BackupError(.refused, file: path, problem: "is not an absolute path", remedy: "write it from the root on")
        }
        let archive = BackupArchive(path: path, disk: disk)
        for directory in [archive.objectsPath, archive.backupsPath, archive.stagingPath] {
            try disk.makeDirectories(directory)
        }
        return archive
    }

    /// One that is there: nothing is made, so that a mistyped path stays one.
    package static func existing(_ path: String) throws(BackupError) -> BackupArchive {
        let archive = BackupArchive(path: path, disk: .real)
        for directory in [archive.objectsPath, archive.backupsPath] where fileKind(directory) != .directory {
            throw BackupError(.missing, file: path, problem: "is no archive: it has no \(directory)", remedy: "name the directory that holds `backups` and `objects`")
        }
        return archive
    }

    var objectsPath: String { path + "/objects/sha256" }
    var backupsPath: String { path + "/backups" }
    var stagingPath: String { path + "/staging" }

    func directory(of id: BackupID) -> String { "\(backupsPath)/\(id)" }
    func manifestPath(_ id: BackupID) -> String { directory(of: id) + "/manifest.json" }
    func verifiedPath(_ id: BackupID) -> String { directory(of: id) + "/verified.json" }
    func objectPath(_ hash: ContentHash) -> String { "\(objectsPath)/\(hash.hex.prefix(2))/\(hash)" }

    // MARK: Reading

    /// Every backup, by what it holds, the earliest first; before all others those whose manifest cannot be read, by the
    /// second that their id names.
    package func list() throws(BackupError) -> [ArchivedBackup] {
        var backups: [ArchivedBackup] = []
        for name in try directoryEntries(backupsPath) {
            guard let id = BackupID(name), let backup = try backup(id) else { continue }
            backups.append(backup)
        }
        return backups.sorted { ($0.end ?? .none, $0.capturedAt, $0.id) < ($1.end ?? .none, $1.capturedAt, $1.id) }
    }

    /// Nil if there is no such backup: a directory without a manifest is what a crash left of one.
    package func backup(_ id: BackupID) throws(BackupError) -> ArchivedBackup? {
        let file = manifestPath(id)
        guard let bytes = try readSmallFile(file, limit: CatalogJSON.sizeLimit) else { return nil }
        let hash = ContentHash(of: bytes)
        let content: Result<BackupManifest, BackupError>
        do throws(BackupError) {
            let manifest = try BackupManifest.read(bytes, file: file)
            guard manifest.id == id else {
                throw BackupError(
                    .damaged, file: file, problem: "belongs to backup \(manifest.id)", remedy: "move it to where it belongs")
            }
            content = .success(manifest)
        } catch {
            content = .failure(error)
        }
        return ArchivedBackup(id: id, content: content, manifestSHA256: hash, verified: try verifiedRecord(id, of: hash))
    }

    /// The manifest of a backup that must exist and be readable.
    package func manifest(_ id: BackupID) throws(BackupError) -> BackupManifest {
        guard let backup = try backup(id) else {
            throw BackupError(.missing, file: directory(of: id), problem: "there is no such backup", remedy: "list the backups")
        }
        return try backup.content.get()
    }

    /// S7: a record that does not name this very manifest proves nothing.
    private func verifiedRecord(_ id: BackupID, of manifest: ContentHash) throws(BackupError) -> VerifiedRecord? {
        let file = verifiedPath(id)
        guard let bytes = try readSmallFile(file, limit: CatalogJSON.sizeLimit) else { return nil }
        guard let record = try? VerifiedRecord.read(bytes, file: file), record.format == 1,
            record.id == id, record.manifestSHA256 == manifest
        else { return nil }
        return record
    }

    // MARK: Writing

    /// Makes the backup exist. Its objects are in the archive already.
    func publish(_ manifest: BackupManifest) throws(BackupError) {
        if let problem = manifest.contradiction {
            throw BackupError(.refused, file: manifestPath(manifest.id), problem: problem, remedy: "report this")
        }
        guard fileKind(manifestPath(manifest.id)) == .absent else {
            throw BackupError(
                .refused, file: manifestPath(manifest.id), problem: "exists already, and a manifest never changes",
                remedy: "capture again under another id")
        }
        try disk.makeDirectories(directory(of: manifest.id))
        try disk.publish(try CatalogJSON.encode(manifest), as: manifestPath(manifest.id))
    }

    func publish(_ record: VerifiedRecord) throws(BackupError) {
        try disk.publish(try CatalogJSON.encode(record), as: verifiedPath(record.id))
    }

    /// Takes back the proof of a backup whose bytes turned out damaged.
    func withdrawVerified(_ id: BackupID) throws(BackupError) {
        guard fileKind(verifiedPath(id)) != .absent else { return }
        try disk.remove(verifiedPath(id))
        try disk.syncDirectory(directory(of: id))
    }

    // MARK: Locking

    /// Additions are idempotent and may run side by side; a deletion runs alone. Does not wait.
    func lock(exclusively: Bool) throws(BackupError) -> ArchiveLock {
        let file = path + "/lock"
        var descriptor = Glibc.open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o640)
        if descriptor < 0, errno == EROFS, !exclusively {
            // What nobody can write to, nobody prunes.
            descriptor = Glibc.open(file, O_RDONLY | O_CLOEXEC)
            if descriptor < 0, errno == ENOENT { return ArchiveLock(handle: nil) }
        }
        guard descriptor >= 0 else { throw systemError("open", file) }
        let handle = FileHandle(descriptor: descriptor, path: file)
        if flock(descriptor, (exclusively ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK else { throw systemError("flock", file) }
            throw BackupError(
                .busy, file: file, problem: exclusively ? "the archive is in use" : "the archive is being pruned",
                remedy: "try again when that has ended")
        }
        return ArchiveLock(handle: handle)
    }
}

/// Holds the archive until it is let go.
struct ArchiveLock: ~Copyable {
    /// Nil: there is nothing to hold it against.
    let handle: FileHandle?
}

/// A backup as it stands in an archive.
package struct ArchivedBackup: Sendable {
    package var id: BackupID
    package var content: Result<BackupManifest, BackupError>
    package var manifestSHA256: ContentHash
    /// S7: nil unless the proof belongs to this manifest.
    package var verified: VerifiedRecord?

    /// The last transaction that it holds; nil if the manifest cannot be read.
    package var end: Zxid? {
        if case .success(let manifest) = content { return manifest.lastZxid }
        return nil
    }

    /// When the capture began; the second that the id names if the manifest cannot be read.
    package var capturedAt: WallTime {
        if case .success(let manifest) = content { return manifest.capturedAt }
        return id.second
    }
}

/// For a process that lists an archive for another.
extension ArchivedBackup: Codable {
    private enum CodingKeys: CodingKey { case id, manifest, damage, manifestSHA256, verified }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let damage = try container.decodeIfPresent(BackupError.self, forKey: .damage)
        self.init(
            id: try container.decode(BackupID.self, forKey: .id),
            content: try damage.map { .failure($0) } ?? .success(container.decode(BackupManifest.self, forKey: .manifest)),
            manifestSHA256: try container.decode(ContentHash.self, forKey: .manifestSHA256),
            verified: try container.decodeIfPresent(VerifiedRecord.self, forKey: .verified))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        switch content {
        case .success(let manifest): try container.encode(manifest, forKey: .manifest)
        case .failure(let damage): try container.encode(damage, forKey: .damage)
        }
        try container.encode(manifestSHA256, forKey: .manifestSHA256)
        try container.encodeIfPresent(verified, forKey: .verified)
    }
}
