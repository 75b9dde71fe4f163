/// A leader's announcement that this member's tree contradicts.
package struct DigestMismatch: Hashable, Sendable {
    package var zxid: Zxid
    /// What the leader announced for the tree behind that transaction.
    package var announced: UInt64
    /// What the tree has.
    package var actual: UInt64

    package init(zxid: Zxid, announced: UInt64, actual: UInt64) {
        self.zxid = zxid
        self.announced = announced
        self.actual = actual
    }
}

/// Tells a tree that differs from the ensemble's from a digest that was announced wrongly: one rule, for entries that a
/// leader sends and for those that a log is replayed from.
///
/// *Divergence is a mismatch that the next digest repeats.* One that the next digest contradicts, because it agrees with
/// the tree, was a wrong announcement. Until then it is a suspicion, which outlives a restart with the log: the state
/// behind recovery goes on with this value.
///
/// One wrong announcement is known by its form: for a create (op 1 or 15) with container flags Apache's server announces
/// the digest of a container and makes a plain node (its request processor, 3.6 to 3.9). It reckons the digests of what
/// follows from its *announcements* as long as any are in flight, so all of those are wrong as well, in a row, and prove
/// nothing; the first that finds nothing in flight is reckoned from the tree. Such a row may have begun before the snapshot
/// that a tree was read from, in entries that nobody has any more. So the first difference behind a snapshot is a row's,
/// as long as it stays the same but for what containers add, and no longer than a row can be.
package struct DigestJudgement: Hashable, Sendable {
    package enum Verdict: Hashable, Sendable {
        /// The tree is what the leader says.
        case agrees
        /// The entry carries no digest, or one that was reckoned from a wrong announcement in flight.
        case undecided
        /// The first mismatch: the next digest decides.
        case suspected(DigestMismatch)
        /// What was suspected, or this entry itself, was announced wrongly; the tree is right.
        case wronglyAnnounced(DigestMismatch)
        /// The tree is not the ensemble's: the member must neither acknowledge nor serve it.
        case diverged(DigestMismatch)
    }

    /// Announced minus actual, as long as what was reckoned from it may come.
    private struct Debt: Hashable, Sendable {
        var difference: UInt64
        var epoch: Int64
        var entriesLeft: Int
        /// Where it was met, if the announcement that it comes from would stand before the snapshot, and was not seen.
        var unexplained: DigestMismatch?
    }

    /// Not yet decided.
    package private(set) var suspicion: DigestMismatch?
    /// The tree is proved not to be the ensemble's, and nothing has agreed with it since: an agreement refutes the proof,
    /// because it was the leader of then whose tree was wrong.
    package private(set) var divergence: DigestMismatch?
    package private(set) var wrongAnnouncements = 0
    private var debt: Debt?
    /// The tree is a snapshot's, and nothing behind it was judged yet.
    private var isBehindSnapshot: Bool

    /// What an Apache leader has in flight at most (`globalOutstandingLimit`).
    static let inFlightLimit = 1000

    /// - Parameter isBehindSnapshot: the tree was read or received as a whole, and its last entries were not judged.
    package init(isBehindSnapshot: Bool = false) {
        self.isBehindSnapshot = isBehindSnapshot
    }

    /// What speaks against the tree, though it may be refuted yet.
    package var objection: DigestMismatch? { divergence ?? suspicion ?? debt?.unexplained }

    /// - Parameter tree: behind the entry, and exact: while a fuzzy snapshot is being completed there is nothing to judge.
    package mutating func judge(_ entry: LogEntry, in tree: DataTree) -> Verdict {
        guard let digest = entry.digest, digest.version == 2 else { return .undecided }
        let mismatch = DigestMismatch(zxid: entry.zxid, announced: digest.treeDigest, actual: tree.digest)
        let difference = mismatch.announced &- mismatch.actual
        if difference == 0 { return agreed() }
        var owed = debt?.epoch == entry.zxid.epoch ? debt : nil
        debt = nil
        // An epoch's first entry is reckoned from the new leader's tree.
        if isBehindSnapshot, entry.zxid.counter > 1 {
            owed = Debt(
                difference: difference, epoch: entry.zxid.epoch, entriesLeft: DigestJudgement.inFlightLimit, unexplained: mismatch)
        }
        isBehindSnapshot = false
        let errors = DigestJudgement.containerErrors(of: entry, in: tree)
        let isReckonedFromTree = errors.contains(difference)
        if isReckonedFromTree || owed.map({ errors.contains(difference &- $0.difference) }) ?? false {
            debt = Debt(
                difference: difference, epoch: entry.zxid.epoch, entriesLeft: DigestJudgement.inFlightLimit,
                unexplained: isReckonedFromTree ? nil : owed?.unexplained)
            wrongAnnouncements += 1
            return .wronglyAnnounced(mismatch)
        }
        if var owed, owed.entriesLeft > 0, owed.unexplained == nil || owed.difference == difference || errors.count > 2 {
            owed.entriesLeft -= 1
            owed.difference = difference
            debt = owed
            return .undecided
        }
        if suspicion != nil {
            divergence = mismatch
            return .diverged(mismatch)
        }
        suspicion = mismatch
        return .suspected(mismatch)
    }

    private mutating func agreed() -> Verdict {
        debt = nil
        isBehindSnapshot = false
        divergence = nil
        guard let refuted = suspicion else { return .agrees }
        suspicion = nil
        wrongAnnouncements += 1
        return .wronglyAnnounced(refuted)
    }

    /// By how much the announcement is wrong if one of the entry's creates, or all, had container flags.
    private static func containerErrors(of entry: LogEntry, in tree: DataTree) -> [UInt64] {
        var errors: [UInt64] = []
        let parts: [Transaction] = if case .multi(let parts) = entry.transaction { parts } else { [entry.transaction] }
        for part in parts {
            guard case .create(let op, let path, _, _, false, _, _) = part, op == .create || op == .create2,
                var stat = tree.storedStat(path), stat.czxid == entry.zxid, let data = tree.data(path)
            else { continue }
            let plain = NodeDigest(path: path, data: data[...], stat: stat).value
            stat.ephemeralOwner = StoredStat.containerMarker
            errors.append(NodeDigest(path: path, data: data[...], stat: stat).value &- plain)
        }
        if errors.count > 1 { errors.append(errors.reduce(0, &+)) }
        return errors
    }
}
