import EnsembleBase
import KeeperCodec
import KeeperCore

/// What a set of snapshots and logs holds, established by reading and replaying all of it.
package struct VerificationReport: Hashable, Sendable {
    package struct File: Hashable, Sendable {
        package var path: String
        /// Bytes.
        package var size: Int
    }

    /// The snapshot's zxid: the set starts there. Zero without a snapshot: the logs lack nothing.
    package var startZxid: Zxid
    /// The last transaction.
    package var endZxid: Zxid
    /// The tree's digest at `endZxid`.
    package var endDigest: UInt64
    /// Replayed.
    package var entryCount: Int
    package var nodeCount: Int
    package var sessionCount: Int
    /// The leader's clock at the last entry; nil if nothing was replayed.
    package var endTime: WallTime?
    package var acceptedEpoch: Int64
    package var currentEpoch: Int64
    /// What was found that does no harm, for people, with file and offset: interrupted writes, which hold nothing that was
    /// acknowledged; wrongly announced digests; snapshots that the log makes up for.
    package var findings: [String]
    /// The snapshot and the logs that were used.
    package var files: [File]
}

/// S7: a backup is what was verified.
package enum Verification {
    /// Parses and replays the newest sound snapshot and the logs behind it, and compares every digest on the way.
    /// Changes nothing.
    ///
    /// - Parameters:
    ///   - limit: stop behind this zxid: entries later than it are left out.
    ///   - admitsCut: of a member of an ensemble: what `Recovery` makes it synchronise for is no fault.
    /// - Throws: for whatever `Recovery.recover` would refuse, and if `limit` is given and not reached.
    package static func verify(
        _ layout: DataLayout, upTo limit: Zxid? = nil, admitsCut: Bool = false
    ) throws(StorageError) -> VerificationReport {
        let replay = try Replay.run(
            layout, limit: limit, recent: RecentEntries(countLimit: 0, sizeLimit: 0), admitsCut: admitsCut)
        let end = replay.tree.lastProcessedZxid
        if let limit, end != limit {
            throw .inconsistent(
                layout.logDirectory, "the data ends at \(end), not at \(limit)",
                remedy: "this set is incomplete: take another one")
        }
        let epochs = try layout.epochs.load(lastZxid: end)
        var files: [VerificationReport.File] = []
        for file in [replay.snapshot].compactMap({ $0 }) + replay.logs.map(\.file) {
            let size = try layout.files.open(file.path, .reading).size()
            files.append(VerificationReport.File(path: file.path, size: size))
        }
        return VerificationReport(
            startZxid: replay.startZxid, endZxid: end, endDigest: replay.tree.digest,
            entryCount: replay.entryCount, nodeCount: replay.tree.nodeCount, sessionCount: replay.tree.sessionCount,
            endTime: replay.lastTime.map(WallTime.init(milliseconds:)), acceptedEpoch: epochs.accepted,
            currentEpoch: epochs.current, findings: replay.findings, files: files)
    }
}
