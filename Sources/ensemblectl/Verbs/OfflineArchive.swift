import ArgumentParser
import EnsembleBackup
import EnsembleBase
import EnsembleControl
import Glibc

struct ArchiveOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Read this archive itself, without a daemon.", valueName: "directory"))
    var archive: String?

    /// - Returns: nil without the option.
    func opened() throws(CommandFailure) -> OfflineArchive? {
        guard let archive else { return nil }
        return try OfflineArchive(archive)
    }
}

/// An archive on a disk: for whoever has nothing left but that.
struct OfflineArchive {
    private let archive: BackupArchive

    init(_ path: String) throws(CommandFailure) {
        archive = try attempt { () throws(BackupError) in try BackupArchive.existing(absolute(path)) }
    }

    /// Of all clusters, the newest first.
    func list() throws(CommandFailure) -> [ListedBackup] {
        try attempt { () throws(BackupError) in try archive.list() }.reversed().map { ListedBackup($0) }
    }

    func details(of id: String) throws(CommandFailure) -> BackupDetails {
        let id = try backupID(id)
        return try attempt { () throws(BackupError) in
            guard let backup = try archive.backup(id) else { throw missing(id) }
            return try backup.details()
        }
    }

    /// The proof is written beside the backup where the archive can be written.
    func verify(_ text: String) throws(CommandFailure) -> VerifiedRecord {
        let id = try backupID(text)
        let progress = OfflineProgress("reading \(text)")
        defer { progress.end() }
        return try attempt { () throws(BackupError) in
            try Verification.run(id, in: archive, now: wallClock(), toolVersion: toolVersion, progress: progress.backup) { error in
                StandardStream.error.write(printable("ensemblectl: the proof is not kept: \(error.file): \(error.problem)") + "\n")
            }
        }
    }

    /// - Parameters:
    ///   - recovering: for a member of an ensemble that lives: its vote counts only when it has synced (S2).
    ///   - highestEpoch: that any server of the ensemble was ever in; nil: what the backup knows.
    func restore(
        _ text: String, into data: String, logs: String?, recovering: Bool, highestEpoch: Int64?
    ) throws(CommandFailure) -> OfflineRestore {
        let id = try backupID(text)
        let details = try details(of: text)
        // S7: only what is proved is used; what was proved before may have rotted since.
        _ = try verify(text)
        let known = max(details.summary.lastZxid.value >> 32, details.acceptedEpoch ?? 0, highestEpoch ?? 0)
        let purpose: RestorePurpose = recovering
            ? .reseed(reason: "restored by ensemblectl from \(text)") : .cluster(highestEpochSeen: known)
        let progress = OfflineProgress("writing \(data)")
        defer { progress.end() }
        _ = try attempt { () throws(BackupError) in
            try EnsembleBackup.Restore.materialise(
                id, from: archive, dataDirectory: absolute(data), logDirectory: absolute(logs ?? data),
                options: .init(purpose: purpose, clusterIdentity: nil, allowUnverified: true, now: wallClock()),
                progress: progress.backup)
        }
        return OfflineRestore(
            backup: text, into: absolute(data), lastZxid: details.summary.lastZxid, acceptedEpoch: recovering ? nil : known + 1)
    }

    private func backupID(_ text: String) throws(CommandFailure) -> BackupID {
        guard let id = BackupID(text) else {
            throw CommandFailure(.usage, "\(printable(text)) is no id of a backup", remedy: "list the archive: ensemblectl backup list --archive DIRECTORY")
        }
        return id
    }

    private func missing(_ id: BackupID) -> BackupError {
        BackupError(.missing, file: archive.path, problem: "holds no backup \(id)", remedy: "list it: ensemblectl backup list --archive DIRECTORY")
    }
}

/// A line of `backup list --archive`: an archive may be several clusters'.
struct ListedBackup: Encodable {
    /// Nil: it can't be read.
    var cluster: String?
    var clusterIdentity: String?
    var summary: BackupDescription

    init(_ backup: ArchivedBackup) {
        summary = backup.summary
        if case .success(let manifest) = backup.content {
            cluster = manifest.cluster
            clusterIdentity = manifest.clusterIdentity
        }
    }
}

/// What `backup restore` has made.
struct OfflineRestore: Encodable {
    var backup: String
    var into: String
    var lastZxid: HexZxid
    /// S8: below which the server follows nobody; nil: its leader tells.
    var acceptedEpoch: Int64?
}

/// How far long work is, on standard error where that is a terminal.
private struct OfflineProgress {
    private let what: String
    private let isShown = StandardStream.error.isTerminal
    private let start = wallClock()

    init(_ what: String) { self.what = printable(what) }

    var backup: BackupProgress {
        guard isShown else { return .silent }
        let (what, start) = (what, start)
        return BackupProgress(report: { done, total in
            let elapsed = max((wallClock() - start).inMilliseconds, 1)
            let status = OperationStatus(
                id: "", kind: what, state: .running, done: done, total: total, unit: .bytes,
                rate: Double(done) * 1000 / Double(elapsed))
            StandardStream.error.write("\r\u{1B}[K\(status.line.prefix((StandardStream.error.terminalWidth ?? 160) - 1))")
        })
    }

    func end() { if isShown { StandardStream.error.write("\r\u{1B}[K") } }
}

private let toolVersion = "ensemblectl 0.1.0"

private func attempt<Result>(_ body: () throws(BackupError) -> Result) throws(CommandFailure) -> Result {
    do throws(BackupError) { return try body() } catch { throw CommandFailure(error) }
}

extension CommandFailure {
    init(_ error: BackupError) {
        let status: CommandStatus =
            switch error.kind {
            case .busy, .unstable: .held
            case .missing: .notFound
            case .inputOutput, .otherFileSystem, .damaged, .refused, .unsupported, .cancelled: .failure
            }
        self.init(status, printable("\(error.file): \(error.problem)"), remedy: error.remedy)
    }
}

private func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let directory = getcwd(nil, 0) else { return path }
    defer { free(directory) }
    return String(cString: directory) + "/" + path
}
