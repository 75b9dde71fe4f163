import EnsembleBackup
import EnsembleBase
import EnsembleControl
import KeeperStorage

/// Something that the daemon has done by a process of its own: what touches the archive, which may hang for ever, and what
/// needs memory by the size of a tree. A job says all that is needed to do it; its answer is all that becomes of it.
package protocol WorkerJob: Codable, Sendable {
    associatedtype Answer: Codable & Sendable
    /// Whether everything else on the host goes before it.
    static var isInBackground: Bool { get }
    /// Blocks.
    func perform(_ progress: BackupProgress) throws -> Answer
}

package enum WorkerJobs {
    /// What `ensembled work` can be told to do, each by its type's name.
    static let all: [any WorkerJob.Type] = [
        ListBackups.self, FindIdentity.self, CaptureMember.self, VerifyBackup.self, PruneArchive.self, SizeBackup.self, SeedMember.self,
        ReplayMember.self,
    ]
}

package struct ListBackups: WorkerJob {
    package static let isInBackground = false
    package var effects: BackupEffects

    package struct Answer: Codable, Sendable {
        package var backups: [ArchivedBackup]
        package var place: ArchivePlace
    }

    package func perform(_ progress: BackupProgress) throws -> Answer {
        let backups = try effects.list()
        // What can't be told leaves what was known.
        let mounts = MountTable.points(of: [effects.archivePath]) ?? effects.archiveMounts
        return Answer(backups: backups, place: ArchivePlace(path: effects.archivePath, mounts: mounts))
    }
}

/// Whose backups of a name the archive holds, for a daemon whose ledger is lost.
package struct FindIdentity: WorkerJob {
    package static let isInBackground = false
    package var cluster: String
    package var place: ArchivePlace

    package func perform(_ progress: BackupProgress) throws -> String? {
        try BackupEffects.identity(ofCluster: cluster, in: place)
    }
}

package struct CaptureMember: WorkerJob {
    package static let isInBackground = true
    package var effects: BackupEffects
    package var member: RenderedMember
    package var mode: CaptureMode
    /// A transaction that the ensemble has committed: the backup ends exactly there.
    package var end: Int64
    package var now: WallTime

    package func perform(_ progress: BackupProgress) throws -> BackupReference {
        try effects.capture(member, mode, upTo: end, now: now, progress: progress)
    }
}

package struct VerifyBackup: WorkerJob {
    package static let isInBackground = true
    package var effects: BackupEffects
    package var backup: String
    package var now: WallTime

    package func perform(_ progress: BackupProgress) throws -> Nothing {
        try effects.verify(backup, now: now, progress: progress)
        return Nothing()
    }
}

package struct PruneArchive: WorkerJob {
    package static let isInBackground = true
    package var effects: BackupEffects
    /// What a reseed or a restore is made from.
    package var inUse: String?
    package var now: WallTime
    package var dryRun: Bool

    package func perform(_ progress: BackupProgress) throws -> PruneReport? {
        try effects.prune(keeping: inUse, now: now, dryRun: dryRun)
    }
}

package struct SizeBackup: WorkerJob {
    package static let isInBackground = false
    package var effects: BackupEffects
    package var backup: String

    package func perform(_ progress: BackupProgress) throws -> BackupEffects.Size { try effects.size(of: backup) }
}

package struct SeedMember: WorkerJob {
    package static let isInBackground = false
    package var effects: BackupEffects
    package var member: RenderedMember
    package var seed: Seed
    package var reason: String
    package var now: WallTime

    package func perform(_ progress: BackupProgress) throws -> DataDirectoryContents {
        try effects.seed(member, seed, reason: reason, now: now, progress: progress)
    }
}

/// A look at a member's directories that reads and replays everything.
package struct ReplayMember: WorkerJob {
    package static let isInBackground = false
    package var member: RenderedMember

    package func perform(_ progress: BackupProgress) throws -> DataDirectoryCondition { DataProbe.replay(member) }
}

package struct Nothing: Codable, Sendable {}

/// What a worker writes to its output, a line each: how far it is, and at last its answer or its failure.
enum WorkerMessage<Answer: Codable>: Codable {
    /// Bytes.
    case progress(done: Int64, total: Int64)
    case answer(Answer)
    case failed(WorkerFailure)
}

enum WorkerFailure: Codable {
    case backup(BackupError)
    case host(HostError)
    case other(String)

    init(_ error: any Error) {
        switch error {
        case let error as BackupError: self = .backup(error)
        case let error as HostError: self = .host(error)
        default: self = .other("\(error)")
        }
    }

    var error: any Error {
        switch self {
        case .backup(let error): error
        case .host(let error): error
        case .other(let text): HostError("the work", text, remedy: "see the daemon's journal")
        }
    }
}

/// What a worker reads from its input, one line. The input stays open for as long as the work is wanted.
struct WorkerOrder<Job: WorkerJob>: Codable {
    var job: Job
}
