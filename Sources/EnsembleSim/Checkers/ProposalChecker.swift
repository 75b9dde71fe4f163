import KeeperCore

/// `integrity`: what members log was proposed, once per zxid, by the one leader of the epoch, in order, without gaps.
struct ProposalChecker: Sendable {
    private struct Epoch: Sendable {
        var leader: ServerID
        /// What the leader's history ends at before its own entries.
        var predecessor: Zxid
        var entries: [LogEntry] = []
    }

    /// No zxid of an epoch goes beyond (ZOOKEEPER-1277).
    var epochLength = UInt32.max
    private var epochs: [Int64: Epoch] = [:]
    /// Sessions whose end a leader has proposed.
    private(set) var closedSessions: Set<SessionID> = []

    /// Who led then makes a difference only where one server goes on in the same epoch.
    mutating func begins(with past: ApachePast) {
        for epoch in past.epochs {
            epochs[epoch.number] = Epoch(leader: 1, predecessor: epoch.predecessor, entries: epoch.committed + epoch.abandoned)
        }
    }

    /// - Parameter predecessor: the entry before it in the leader's history.
    mutating func proposed(_ entry: LogEntry, behind predecessor: Zxid, by leader: ServerID, _ verdict: inout Verdict) {
        let zxid = entry.zxid
        var epoch = epochs[zxid.epoch] ?? Epoch(leader: leader, predecessor: predecessor)
        guard epoch.leader == leader else {
            return verdict.fail(.integrity, "\(leader) proposes \(zxid) in another leader's epoch")
        }
        guard Int(zxid.counter) == epoch.entries.count + 1 else {
            return verdict.fail(.integrity, "\(leader) proposes \(zxid) behind \(epoch.entries.count) others of its epoch")
        }
        guard zxid.counter <= epochLength else {
            return verdict.fail(.integrity, "\(leader) proposes \(zxid), and an epoch has \(epochLength) zxids")
        }
        epochs[zxid.epoch] = nil  // So that its entries are not copied.
        epoch.entries.append(entry)
        epochs[zxid.epoch] = epoch
        if case .closeSession = entry.transaction { closedSessions.insert(entry.session) }
    }

    /// The entries behind `last` that lead to `end`: whoever has the tree of `end` has applied these, though its log may
    /// lack them, since it received the tree as a whole.
    func path(to end: Zxid, behind last: Zxid) -> [LogEntry] {
        var parts: [ArraySlice<LogEntry>] = []
        var end = end
        while end > last, let epoch = epochs[end.epoch], Int(end.counter) <= epoch.entries.count {
            let from = last.epoch == end.epoch ? Int(last.counter) : 0
            parts.append(epoch.entries[from..<Int(end.counter)])
            end = epoch.predecessor
        }
        return parts.reversed().flatMap { $0 }
    }

    /// The entries that lead from `last` to `end`; nil if `last` is not on the way.
    func path(to end: Zxid, rightBehind last: Zxid) -> [LogEntry]? {
        var parts: [ArraySlice<LogEntry>] = []
        var end = end
        while end != last {
            guard end > last, let epoch = epochs[end.epoch], Int(end.counter) <= epoch.entries.count else { return nil }
            let isWithin = last.epoch == end.epoch
            parts.append(epoch.entries[(isWithin ? Int(last.counter) : 0)..<Int(end.counter)])
            end = isWithin ? last : epoch.predecessor
        }
        return parts.reversed().flatMap { $0 }
    }

    /// How many transactions are between the two.
    func count(to end: Zxid, behind last: Zxid) -> Int {
        var (count, end) = (0, end)
        while end > last, let epoch = epochs[end.epoch] {
            count += Int(end.counter) - (last.epoch == end.epoch ? Int(last.counter) : 0)
            end = epoch.predecessor
        }
        return count
    }

    /// Whether nothing was ever committed between the two: within an epoch their numbers say it, and an epoch begins where its
    /// leader's history ended.
    func isNext(_ zxid: Zxid, behind previous: Zxid) -> Bool {
        if zxid.epoch == previous.epoch { return zxid.isNext(after: previous) }
        guard zxid.counter == 1, let predecessor = epochs[zxid.epoch]?.predecessor else { return false }
        return predecessor == previous || predecessor.counter == 0 && predecessor < previous
    }

    func isUnbroken(_ path: [Zxid]) -> Bool { zip(path, path.dropFirst()).allSatisfy { isNext($1, behind: $0) } }

    /// A server without peers has lost what it proposed behind `end`.
    mutating func cut(behind end: Zxid) {
        for number in epochs.keys.sorted() where number >= end.epoch {
            let kept = number == end.epoch ? Int(end.counter) : 0
            guard let count = epochs[number]?.entries.count, count > kept else { continue }
            epochs[number]?.entries.removeLast(count - kept)
        }
    }

    func logged(_ entry: LogEntry, by member: ServerID, _ verdict: inout Verdict) {
        guard !wasProposed(entry) else { return }
        verdict.fail(.integrity, "\(member) logs something at \(entry.zxid) that was not proposed there")
    }

    func wasProposed(_ entry: LogEntry) -> Bool {
        let entries = epochs[entry.zxid.epoch]?.entries ?? []
        return entry.zxid.counter >= 1 && Int(entry.zxid.counter) <= entries.count && entries[Int(entry.zxid.counter) - 1] == entry
    }
}
