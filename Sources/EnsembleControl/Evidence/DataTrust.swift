import EnsembleBase

/// May a member be started from the data directory it has? Judged before every launch, from what was found on disk and
/// what the ledger says.
package enum DataTrust: Sendable, Hashable {
    /// Start it as it is.
    case trusted
    /// The directory has data and no ledger entry (the daemon's own state was lost, or the cluster was run by hand
    /// before): take the directory at its word, and enter it.
    case adopted(DataDirectoryContents)
    /// A cluster that never ran: create an empty directory whose server may vote.
    case bootstrap
    /// A reseed was under way: go on with it, in a way that abstains (S2).
    case recovering
    /// Reseed.
    case untrusted(UntrustedReason)
    /// Nothing is known, so nothing is done (S10).
    case unknown(String)

    /// Whether a quick look at this condition is too little to act on.
    package func needsCloserLook(at condition: DataDirectoryCondition) -> Bool {
        switch (self, condition) {
        case (.untrusted, .holding), (.untrusted, .damaged): true
        case (_, _): false
        }
    }

    /// - Parameters:
    ///   - isAllBlank: whether there is data of no member.
    ///   - archive: what is known of the archive, which contradicts a bootstrap when it holds backups.
    package static func judge(
        _ condition: DataDirectoryCondition, entry: LedgerEntry?, ledger: Ledger, isAllBlank: Bool, archive: BackupObservation
    ) -> DataTrust {
        switch condition {
        case .unreadable(let why):
            return .unknown(why)
        case .damaged(let why):
            return .untrusted(.damaged(why))
        case .missing, .empty, .unused:
            let reason: UntrustedReason = condition == .missing ? .missing : .emptyButWasNot
            guard let entry else {
                return judgeBlank(reason, ledger: ledger, isAllBlank: isAllBlank, archive: archive)
            }
            switch entry.standing {
            case .bootstrapping: return .bootstrap
            // S2: an empty directory of a member that may have voted is an amnesiac's, unless it is the one that was prepared
            // for it and has not been touched, or nothing is anywhere: then the first start came to nothing.
            case .voter:
                let isNothing = isAllBlank && isFirstStart(ledger, archive)
                return isPrepared(condition, for: entry) || isNothing ? .bootstrap : .untrusted(reason)
            case .recovering: return .recovering
            }
        case .holding(let contents):
            return judge(contents, entry: entry)
        }
    }

    /// S2: a member that is called a voter, and whose server has not begun yet: the daemon died between its ledger and the
    /// launch, or what was launched ended before its directory (a port that is taken, a name that is not known). One that was
    /// ever heard has begun, whatever a disk that came back shows.
    private static func isPrepared(_ condition: DataDirectoryCondition, for entry: LedgerEntry) -> Bool {
        guard case .unused(let identity?) = condition else { return false }
        return identity == entry.identity && entry.isUnheard
    }

    /// S2: servers that ran, and were perhaps not heard, may have served from what is gone (operated seed 2276).
    private static func isFirstStart(_ ledger: Ledger, _ archive: BackupObservation) -> Bool {
        ledger.highestEpoch == 0 && ledger.hasRun != true && archive.isListed && archive.count == 0
    }

    private static func judge(_ contents: DataDirectoryContents, entry: LedgerEntry?) -> DataTrust {
        // S2: a mark says that its member has forgotten promises. Since when, the ledger that is lost knew.
        guard let entry else { return contents.recovering ? .untrusted(.reseedInterrupted) : .adopted(contents) }
        switch entry.standing {
        case .recovering:
            // S2: what has no mark is the seed after it has synced, or something else that would vote. An earlier seed has its
            // mark as well, and would be found to be another directory when it serves (a late mount over the seed, seed 141).
            let isSeed = contents.identity != nil && contents.identity == entry.identity
            guard isSeed || entry.identity == nil && contents.recovering else {
                return .untrusted(.otherIdentity(expected: entry.identity ?? "none", found: contents.identity))
            }
            return .recovering
        case .bootstrapping:
            return .trusted
        case .voter:
            // S2: another directory than the one it voted with has none of its promises.
            if let was = entry.identity, contents.identity != was {
                return .untrusted(.otherIdentity(expected: was, found: contents.identity))
            }
            // S2: a directory that knows less than was acknowledged has been rolled back.
            if contents.zxid < entry.zxid {
                return .untrusted(.olderThanLedger(expected: entry.zxid, found: contents.zxid))
            }
            if max(contents.acceptedEpoch, contents.zxid >> 32) < entry.acceptedEpoch {
                return .untrusted(.epochBelowLedger(expected: entry.acceptedEpoch, found: contents.acceptedEpoch))
            }
            // S2: a vote is weighed by the current epoch first. With an older one beside the same log it is weaker than that
            // of a member which has less of the epoch, and what this one has acknowledged of it could be lost.
            if let served = entry.servedEpoch, contents.currentEpoch < served {
                return .untrusted(.currentEpochBelowLedger(expected: served, found: contents.currentEpoch))
            }
            return .trusted
        }
    }

    /// No data and no entry: a new cluster, a new member, or a loss of everything. Only the first may vote.
    private static func judgeBlank(
        _ reason: UntrustedReason, ledger: Ledger, isAllBlank: Bool, archive: BackupObservation
    ) -> DataTrust {
        // S2: others have data or are entered: this member has lost its own, or is new and must sync.
        guard !ledger.isBootstrapped, isAllBlank else { return .untrusted(reason) }
        guard archive.isListed else {
            return .unknown(
                archive.lastFailure.map { "the archive can't be read: \($0)" } ?? "the archive has not been listed yet")
        }
        // S10: backups of a cluster that never ran contradict each other.
        guard archive.count == 0 else {
            return .unknown(
                "there is no data and no ledger, yet the archive holds \(archive.count) backups of this cluster: "
                    + "restore one (ensemblectl restore), or move the archive away to begin anew")
        }
        return .bootstrap
    }
}

/// Why a data directory isn't believed.
package enum UntrustedReason: Sendable, Hashable, Codable {
    case missing
    case emptyButWasNot
    case damaged(String)
    case otherIdentity(expected: String, found: String?)
    case olderThanLedger(expected: Int64, found: Int64)
    case epochBelowLedger(expected: Int64, found: Int64)
    case currentEpochBelowLedger(expected: Int64, found: Int64)
    /// The server itself refused its files.
    case refusedByServer(String)
    /// A daemon that died had begun to reseed it and had not come further than saying so.
    case reseedInterrupted
    /// A person asked for a reseed.
    case askedFor(String)

    package var description: String {
        switch self {
        case .missing: "its data directory is missing"
        case .emptyButWasNot: "its data directory is empty, and was not"
        case .damaged(let what): "its data is damaged: \(what)"
        case .otherIdentity(let expected, let found):
            "its data directory is not the one it voted with (identity \(found ?? "none"), expected \(expected))"
        case .olderThanLedger(let expected, let found):
            "its data ends at \(hex(found)), and it had acknowledged \(hex(expected))"
        case .epochBelowLedger(let expected, let found):
            "its data promises epoch \(found), and it had accepted epoch \(expected)"
        case .currentEpochBelowLedger(let expected, let found):
            "its data is in epoch \(found), and it had served in epoch \(expected)"
        case .refusedByServer(let what): "the server refused its data: \(what)"
        case .reseedInterrupted: "a former daemon had begun to reseed it"
        case .askedFor(let who): "asked for by \(who)"
        }
    }
}

/// A zxid as people read it.
package func hex(_ zxid: Int64) -> String { "0x" + String(UInt64(bitPattern: zxid), radix: 16) }
