import KeeperCodec
import KeeperCore

/// A snapshot's tree and what the log's entries make of it, judged at every step (reference/zookeeper.md, 2.5). Servers
/// recover and backups are verified by the same judgement; where the bytes come from is the caller's.
package struct ReplayedTree: Sendable {
    package private(set) var tree: DataTree
    package let snapshotZxid: Zxid
    private let digest: SnapshotDigest?
    /// What the entries' digests have said so far.
    package private(set) var digests: DigestJudgement
    /// Digests that were announced wrongly: the tree is right, and the log need not agree with it there.
    package private(set) var wrongAnnouncements: [Zxid] = []
    /// From which transaction on the tree's digest is exact; nil: the snapshot doesn't say.
    private var exactFrom: Zxid?
    private let isJudged: Bool
    /// The snapshot's trailer contradicts the tree, and no entry behind it has explained that yet.
    private var trailerMismatch: String?
    private var applied = AppliedEntries()
    /// The last epoch that began behind another's transactions while no digest has agreed since: nothing in the zxids says
    /// how far the earlier one went.
    package private(set) var unprovedBeginning: Zxid?

    /// - Parameters:
    ///   - zxid: the snapshot's, from its name.
    ///   - digest: the snapshot's trailer; nil where its writer had none.
    ///   - isJudged: false: what digests say of the tree is known, and let pass.
    package init(_ tree: DataTree, snapshotZxid zxid: Zxid, digest: SnapshotDigest?, isJudged: Bool = true) {
        self.tree = tree
        snapshotZxid = zxid
        digests = DigestJudgement(isBehindSnapshot: zxid > .zero)
        self.digest = digest
        self.isJudged = isJudged
        exactFrom = digest.map { max($0.zxid, zxid) }
        compareSnapshotDigest(at: zxid)
    }

    /// - Returns: false if the tree has the entry already; then nothing was done.
    /// - Throws: if entries are missing before it, or the snapshot is not what its writer had.
    package mutating func apply(_ entry: LogEntry) throws(ReplayProblem) -> Bool {
        if entry.zxid <= snapshotZxid { return false }
        if try isRepetition(entry) { return false }
        let last = tree.lastProcessedZxid
        guard entry.zxid.follows(last) else {
            throw .missing("entry \(entry.zxid) does not follow \(last): entries between are missing")
        }
        if !entry.zxid.isNext(after: last), last > .zero || entry.zxid.epoch > 1 { unprovedBeginning = entry.zxid }
        var changes: [TreeChange] = []
        _ = tree.apply(entry, changes: &changes)
        applied.append(entry.zxid, entry.payload[...])
        compareSnapshotDigest(at: entry.zxid)
        try compareDigest(of: entry)
        return true
    }

    /// Whether the entry was applied before: Apache's learner logs what was proposed while it was brought up by SNAP more
    /// than once (`AppliedEntries`).
    package func isRepetition(_ entry: LogEntry) throws(ReplayProblem) -> Bool {
        let last = tree.lastProcessedZxid
        guard entry.zxid > snapshotZxid, entry.zxid <= last else { return false }
        switch applied.compare(entry.zxid, entry.payload[...]) {
        case .same: return true
        case .another: throw .entry("entry \(entry.zxid) comes again behind \(last), and is not the same: two histories are mixed")
        case .unknown: throw .entry("entry \(entry.zxid) comes again behind \(last), too late to tell whether it is the same")
        }
    }

    /// A fuzzy snapshot that the logs don't complete is no state that ever was: transactions behind the end may have
    /// left some of their effects in it.
    package func checkComplete() throws(ReplayProblem) {
        if let end = digest?.zxid, end > tree.lastProcessedZxid {
            throw .snapshot("it may hold effects of transactions up to \(end), but the logs end at \(tree.lastProcessedZxid)")
        }
        if let trailerMismatch { throw .snapshot(trailerMismatch) }
    }

    /// Whether the tree is what every member had behind the last entry.
    package var isExact: Bool { exactFrom.map { $0 <= tree.lastProcessedZxid } ?? false }

    /// The leaders' digests prove that the tree is not what the ensemble had, and nothing that came behind says otherwise
    /// (a leader may have been the one whose tree was wrong: then the next one's agree again).
    package func checkAgreement() throws(ReplayProblem) {
        guard let divergence = digests.divergence, isJudged else { return }
        throw .entry(
            "the tree's digest after \(divergence.zxid) is \(hex(divergence.actual)), the leader's was \(hex(divergence.announced)), and an entry before differed, too")
    }

    /// The snapshot was fuzzy up to its digest's zxid; there the tree should be what the writer had. But Apache's server
    /// changes nodes before it notes digest and zxid, so that a snapshot which it took while it served may hold effects of
    /// the one transaction behind its trailer's: then that one's digest, the first behind the trailer's, agrees.
    private mutating func compareSnapshotDigest(at zxid: Zxid) {
        // Apache's server writes (0, 0) until it has applied a transaction.
        guard let digest, digest.zxid == zxid, zxid > .zero, digest.version == 2, let stated = digest.digest,
            stated != tree.digest, isJudged
        else { return }
        trailerMismatch = """
            the tree's digest at \(zxid) is \(hex(tree.digest)), the snapshot's trailer has \(hex(stated)), and no transaction behind \
            it explains that
            """
        exactFrom = Zxid(rawValue: zxid.rawValue + 1)
    }

    /// The leader's expectation, in every entry (reference/zookeeper.md, 2.4). A mismatch in the very last entry is not
    /// proved: the suspicion goes with the state.
    private mutating func compareDigest(of entry: LogEntry) throws(ReplayProblem) {
        guard let exactFrom, entry.zxid >= exactFrom else { return }
        switch digests.judge(entry, in: tree) {
        case .agrees:
            trailerMismatch = nil
            unprovedBeginning = nil
        // A row of wrong announcements may stand before the first that proves something; the log's end decides
        // (`checkComplete`).
        case .undecided: break
        // What has diverged may agree again (`checkAgreement`).
        case .suspected, .diverged:
            if digests.objection != nil, let trailerMismatch { throw .snapshot(trailerMismatch) }
        case .wronglyAnnounced(let mismatch):
            if digests.objection == nil { trailerMismatch = nil }
            if wrongAnnouncements.count < 100 { wrongAnnouncements.append(mismatch.zxid) }
        }
    }

    private func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}

/// What is wrong, and with which of the two.
package enum ReplayProblem: Error, Hashable, Sendable {
    case snapshot(String)
    /// The entry that was applied last, or the log in which it stands.
    case entry(String)
    /// Entries before one, in the logs that were read.
    case missing(String)
}
