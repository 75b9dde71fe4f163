import KeeperCore

/// `integrity`: what members log was proposed, once per zxid, by the one leader of the epoch, in order, without gaps.
struct ProposalChecker: Sendable {
    private struct Epoch: Sendable {
        var leader: ServerID
        var entries: [LogEntry] = []
    }

    private var epochs: [Int64: Epoch] = [:]
    /// Sessions whose end a leader has proposed.
    private(set) var closedSessions: Set<SessionID> = []

    mutating func proposed(_ entry: LogEntry, by leader: ServerID, _ verdict: inout Verdict) {
        let zxid = entry.zxid
        guard epochs[zxid.epoch, default: Epoch(leader: leader)].leader == leader else {
            return verdict.fail(.integrity, "\(leader) proposes \(zxid) in another leader's epoch")
        }
        let count = epochs[zxid.epoch]?.entries.count ?? 0
        guard Int(zxid.counter) == count + 1 else {
            return verdict.fail(.integrity, "\(leader) proposes \(zxid) behind \(count) others of its epoch")
        }
        epochs[zxid.epoch, default: Epoch(leader: leader)].entries.append(entry)
        if case .closeSession = entry.transaction { closedSessions.insert(entry.session) }
    }

    func logged(_ entry: LogEntry, by member: ServerID, _ verdict: inout Verdict) {
        let entries = epochs[entry.zxid.epoch]?.entries ?? []
        guard entry.zxid.counter >= 1, Int(entry.zxid.counter) <= entries.count,
            entries[Int(entry.zxid.counter) - 1] == entry
        else {
            return verdict.fail(.integrity, "\(member) logs something at \(entry.zxid) that was not proposed there")
        }
    }
}
