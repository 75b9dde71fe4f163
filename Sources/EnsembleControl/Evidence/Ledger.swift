import EnsembleBase

/// What the daemon durably knows of each member: the highest transaction and the highest epoch it is known to have
/// acknowledged, and which data directory it did that with. Rule S2 rests on it: a directory that knows less than the
/// ledger has lost votes.
package struct Ledger: Sendable, Hashable, Codable {
    package var cluster: String
    /// Made once per cluster: a backup of another cluster of that name isn't ours. Empty until the hands have made it.
    package var clusterIdentity = ""
    /// By rising id.
    package private(set) var entries: [LedgerEntry] = []
    /// The highest epoch that any member was ever seen in. It only rises: a restore goes above it (S8).
    package var highestEpoch: Int64 = 0
    /// S2: a server of this cluster has run for long enough to promise and acknowledge, whether or not anything was heard of it:
    /// that there is nothing anywhere is then no first start that came to nothing. Nil in files of before this was known.
    package var hasRun: Bool?
    /// Members that a person has stopped, and that therefore stay stopped.
    package var stoppedByPerson: [MemberID] = []
    /// Reseeds of the last day, oldest first: what the budget is counted from, also by the next daemon. Otherwise a
    /// member on a dying disk and a daemon that is restarted would reseed for ever.
    package var reseeds: [ReseedRecord] = []

    /// What restores have undone, by rising epoch.
    package private(set) var undone: [UndoneHistory] = []

    package init(cluster: String) { self.cluster = cluster }

    /// The cluster is a backup again that ends at `zxid`: what came behind it never happened.
    ///
    /// - Parameter epoch: S8: no later transaction is of this epoch or of one before it.
    package mutating func restored(to zxid: Int64, epoch: Int64) {
        // What an earlier restore undid from within this backup is true again; all else of it is behind the backup.
        undone.removeAll { $0.epoch >= zxid >> 32 }
        undone.append(UndoneHistory(after: zxid, epoch: epoch))
    }

    /// Whether a backup is of this cluster's history, and not of one that a restore has undone.
    package func isOfThisHistory(_ backup: BackupReference) -> Bool {
        !undone.contains { backup.endZxid > $0.after && backup.endZxid >> 32 <= $0.epoch }
    }

    /// True once any member of the cluster was started. Only a cluster that isn't bootstrapped gets `initialize`
    /// files.
    package var isBootstrapped: Bool { !entries.isEmpty }

    package subscript(id: MemberID) -> LedgerEntry? { entries.first { $0.id == id } }

    package mutating func set(_ entry: LedgerEntry) {
        highestEpoch = max(highestEpoch, entry.acceptedEpoch, entry.zxid >> 32)
        if let index = entries.firstIndex(where: { $0.id == entry.id }) {
            entries[index] = entry
        } else {
            entries.append(entry)
            entries.sort { $0.id < $1.id }
        }
    }

    /// Takes note of what a voter in good standing holds durably. Returns whether anything rose.
    ///
    /// - Parameters:
    ///   - epoch: one that it serves in, so it has promised it.
    ///   - zxid: a transaction that its log has; nil: none is known to be there.
    ///   - isAlone: no peer counts on its epochs, and its zxids run on into the next one.
    package mutating func raise(_ id: MemberID, epoch: Int64, zxid: Int64?, isAlone: Bool = false) -> Bool {
        guard var entry = self[id], entry.standing == .voter else { return false }
        let before = entry
        entry.zxid = max(entry.zxid, zxid ?? 0)
        entry.acceptedEpoch = max(entry.acceptedEpoch, epoch)
        if !isAlone { entry.servedEpoch = max(entry.servedEpoch ?? 0, epoch) }
        set(entry)
        return entry != before
    }
}

/// Transactions behind `after`, up to the last of `epoch`.
package struct UndoneHistory: Sendable, Hashable, Codable {
    package var after: Int64
    package var epoch: Int64
}

/// A reseed that was begun.
package struct ReseedRecord: Sendable, Hashable, Codable {
    package var member: MemberID
    package var at: WallTime

    package init(member: MemberID, at: WallTime) {
        self.member = member
        self.at = at
    }
}

/// The ledger's word on one member.
package struct LedgerEntry: Sendable, Hashable, Codable {
    package enum Standing: String, Sendable, Hashable, Codable {
        /// To be prepared with an `initialize` file, and never launched: it has acknowledged nothing. → `voter`
        case bootstrapping
        /// It was launched, and may have voted at once: its data directory must hold at least what this entry says. → `recovering`
        case voter
        /// Being reseeded: its directory may know less than the ledger, and it is started only in ways that abstain.
        /// → `voter`, once it was seen participating
        case recovering
    }

    package var id: MemberID
    package var standing: Standing
    package var zxid: Int64
    package var acceptedEpoch: Int64
    /// The epoch that it was last seen serving in, whose history it has acknowledged; nil: none is known.
    package var servedEpoch: Int64?
    /// The identity of its data directory.
    package var identity: String?
    /// Where the file systems are mounted on which its directories were when it served, but for the root's; nil: not known.
    package var mounts: [String]?

    package init(id: MemberID, standing: Standing, zxid: Int64, acceptedEpoch: Int64, identity: String?) {
        self.id = id
        self.standing = standing
        self.zxid = zxid
        self.acceptedEpoch = acceptedEpoch
        self.identity = identity
    }

    /// Nothing was ever heard or seen of a server of this member.
    package var isUnheard: Bool { zxid == 0 && acceptedEpoch == 0 && servedEpoch == nil && mounts == nil }
}
