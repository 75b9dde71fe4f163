import EnsembleBase
import KeeperCore

/// What a restored directory is for: it decides what may be in it.
package enum RestorePurpose: Hashable, Sendable {
    /// One member of a living cluster, bundled engine: it gets the `recovering` mark (S2; reference/operators.md, R5)
    /// and no epoch files, which belong to the member that wrote them.
    case reseed(reason: String)
    /// One member of a living cluster, any engine, as a voter at once (reference/operators.md, R4). `barrier` is a
    /// transaction committed after this member's old process was fenced; the backup must contain it.
    case fencedReseed(barrier: Zxid)
    /// Every member of the cluster gets the same files. `highestEpochSeen` is the greatest epoch that any survivor,
    /// ledger or backup knows of (S8).
    case cluster(highestEpochSeen: Int64)
}

/// Turns a backup into a member's data directories.
package enum Restore {
    /// Added to the highest epoch seen, for one that was promised after anybody looked.
    static let epochMargin: Int64 = 1

    package struct Options: Sendable {
        package var purpose: RestorePurpose
        /// The cluster that the directory belongs to; a backup of another is refused. Nil: a person restores into a new
        /// cluster on purpose.
        package var clusterIdentity: String?
        /// S7: only for a person who asks for it by name.
        package var allowUnverified: Bool
        package var now: WallTime

        package init(purpose: RestorePurpose, clusterIdentity: String?, allowUnverified: Bool = false, now: WallTime) {
            self.purpose = purpose
            self.clusterIdentity = clusterIdentity
            self.allowUnverified = allowUnverified
            self.now = now
        }
    }

    /// Materialises the backup as `version-2` of both directories (which may be one). Neither `version-2` may hold
    /// anything: what is there is moved to quarantine first, by its own step (S6). Every file is written and synced in
    /// a directory that no server reads, which is then renamed: a crash leaves either nothing or the whole.
    ///
    /// `myid` and `zoo.cfg` are not touched.
    @discardableResult
    package static func materialise(
        _ id: BackupID, from archive: BackupArchive, dataDirectory: String, logDirectory: String, options: Options,
        disk: Disk = .real, progress: BackupProgress = .silent
    ) throws(BackupError) -> BackupManifest {
        let lock = try archive.lock(exclusively: false)
        defer { _ = lock }
        let manifest = try admissible(id, in: archive, options)
        let target = RestoreTarget(dataDirectory: dataDirectory, logDirectory: logDirectory, disk: disk)
        try target.requireEmpty()
        try target.clearStaging()
        try target.begin()
        if case .reseed(let reason) = options.purpose {
            // S2: the mark is durable before the first data file, and appears with it.
            try disk.publish(Array((reason + "\n").utf8), as: target.dataStaging + "/recovering")
        }
        var done: Int64 = 0
        for object in manifest.objects {
            let directory = object.role == .snapshot ? target.dataStaging : target.logStaging
            do throws(BackupError) {
                try write(object, from: archive, to: "\(directory)/\(object.name)", disk: disk) { (count) throws(BackupError) in
                    try progress.check(object.name)
                    done += Int64(count)
                    progress.report(done, manifest.size)
                }
            } catch {
                // S7: what was proved once and is damaged now is no verified backup any more: nobody chooses it again.
                if error.kind == .damaged { try archive.withdrawVerified(id) }
                throw error
            }
        }
        if case .cluster(let highest) = options.purpose {
            try writeEpochs(manifest, highestSeen: highest, in: target.dataStaging, disk: disk)
        }
        let record = RestoredRecord(
            backup: id, clusterIdentity: manifest.clusterIdentity, lastZxid: manifest.lastZxid, restoredAt: options.now)
        for directory in target.stagings { try disk.publish(try CatalogJSON.encode(record), as: directory + "/restored.json") }
        try target.finish()
        return manifest
    }

    /// The backup, if it may be used for this.
    private static func admissible(
        _ id: BackupID, in archive: BackupArchive, _ options: Options
    ) throws(BackupError) -> BackupManifest {
        let manifest = try archive.manifest(id)
        let file = archive.manifestPath(id)
        func refuse(_ problem: String, _ remedy: String) -> BackupError {
            BackupError(.refused, file: file, problem: problem, remedy: remedy)
        }
        // S7: only what was verified is used.
        let isVerified = try archive.backup(id)?.verified != nil
        guard isVerified || options.allowUnverified else {
            throw refuse("the backup is not verified", "verify it, or choose a verified one")
        }
        if let identity = options.clusterIdentity, identity != manifest.clusterIdentity {
            throw refuse(
                "the backup is of cluster '\(manifest.cluster)' (\(manifest.clusterIdentity)), not of \(identity)",
                "choose a backup of this cluster")
        }
        switch options.purpose {
        case .fencedReseed(let barrier):
            // S2, R4: whatever the lost member acknowledged precedes the barrier; a backup without it may lack that.
            guard barrier <= manifest.lastZxid else {
                throw refuse(
                    "the backup ends at \(manifest.lastZxid), before the barrier \(barrier)",
                    "capture from a living member, or let the member start empty and abstain")
            }
        case .cluster(let highest):
            // S8: below this, clients and old members would see zxids go back.
            guard highest >= manifest.lastZxid.epoch, highest < Int64(Int32.max) - epochMargin else {
                throw refuse(
                    "the highest epoch seen cannot be \(highest): the backup alone is of epoch \(manifest.lastZxid.epoch)",
                    "give the highest epoch of all members and ledgers")
            }
        case .reseed: break
        }
        return manifest
    }

    /// S8: the next leader's epoch is one above the highest accepted epoch among its quorum; so each member is made to
    /// have accepted one above all that were ever seen (reference/operators.md, "Whole-ensemble restore"; accepted >
    /// current is legal). The current epoch is the data's own.
    private static func writeEpochs(
        _ manifest: BackupManifest, highestSeen: Int64, in directory: String, disk: Disk
    ) throws(BackupError) {
        let accepted = max(highestSeen, manifest.epochs?.accepted ?? 0) + epochMargin
        try disk.publish(Array(String(accepted).utf8), as: directory + "/acceptedEpoch")
        try disk.publish(Array(String(manifest.lastZxid.epoch).utf8), as: directory + "/currentEpoch")
    }

    private static func write(
        _ object: BackupObject, from archive: BackupArchive, to path: String, disk: Disk,
        advance: (Int) throws(BackupError) -> Void
    ) throws(BackupError) {
        let file = try disk.create(path)
        try archive.read(object) { (bytes) throws(BackupError) in
            try disk.write(bytes, to: file)
            try advance(bytes.count)
        }
        try disk.sync(file)
    }
}

/// Lies in a restored `version-2`: from which backup it came.
package struct RestoredRecord: Hashable, Sendable, Codable {
    package var backup: BackupID
    package var clusterIdentity: String
    package var lastZxid: Zxid
    package var restoredAt: WallTime
}
