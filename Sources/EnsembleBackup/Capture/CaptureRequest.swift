import EnsembleBase
import KeeperCore

/// What to capture, and all that the files do not tell.
package struct CaptureRequest: Sendable {
    package enum Compression: Hashable, Sendable {
        case none
        /// 1...19; 3 is a good choice.
        case zstd(level: Int)
    }

    package var cluster: String
    package var clusterIdentity: String
    package var member: ServerID
    package var engine: BackupManifest.Engine
    package var kind: BackupManifest.Kind
    /// `dataDir` and `dataLogDir` of the member: the parents of `version-2`.
    package var dataDirectory: String
    package var logDirectory: String
    /// A zxid that the ensemble has committed, asked of it before the capture. What the logs hold beyond it is cut: it
    /// may never be committed. Of an ensemble that is stopped as a whole, the highest zxid of the member that would
    /// lead it.
    package var committedUpTo: Zxid
    /// A committed transaction that must be in the backup: without it there is none. Nil: whatever the files hold.
    package var barrier: Zxid?
    package var configuration: String
    package var compression: Compression
    package var now: WallTime
    package var random: UInt32
    package var toolVersion: String

    package init(
        cluster: String, clusterIdentity: String, member: ServerID, engine: BackupManifest.Engine,
        kind: BackupManifest.Kind, dataDirectory: String, logDirectory: String, committedUpTo: Zxid, barrier: Zxid? = nil,
        configuration: String, compression: Compression = .zstd(level: 3), now: WallTime, random: UInt32,
        toolVersion: String
    ) {
        self.cluster = cluster
        self.clusterIdentity = clusterIdentity
        self.member = member
        self.engine = engine
        self.kind = kind
        self.dataDirectory = dataDirectory
        self.logDirectory = logDirectory
        self.committedUpTo = committedUpTo
        self.barrier = barrier
        self.configuration = configuration
        self.compression = compression
        self.now = now
        self.random = random
        self.toolVersion = toolVersion
    }
}

/// Told while long work goes on, and asked whether to go on. Called on the thread that does the work.
package struct BackupProgress: Sendable {
    /// Bytes done and the best guess of the total.
    package var report: @Sendable (_ done: Int64, _ total: Int64) -> Void
    package var isCancelled: @Sendable () -> Bool

    package init(
        report: @escaping @Sendable (Int64, Int64) -> Void = { _, _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.report = report
        self.isCancelled = isCancelled
    }

    package static let silent = BackupProgress()

    func check(_ what: String) throws(BackupError) {
        if isCancelled() {
            throw BackupError(.cancelled, file: what, problem: "was cancelled", remedy: "start it again when wanted")
        }
    }
}
