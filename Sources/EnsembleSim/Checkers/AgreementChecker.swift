import EnsembleBase
import KeeperCore

/// `agreement` and `digest`: every member that serves has applied a prefix of the one committed sequence, and has the
/// tree that the prefix makes.
struct AgreementChecker: Sendable {
    private struct Member: Sendable {
        /// Appended to the log, not yet applied.
        var tail = FIFO<LogEntry>()
        /// How much of the committed history it has applied; nil while it doesn't serve.
        var applied: Int?
    }

    private var members: [Member]

    init(count: Int) { members = Array(repeating: Member(), count: count) }

    mutating func appended(_ entry: LogEntry, at member: Int) { members[member].tail.append(entry) }

    /// Its process has ended, or its log was replaced.
    mutating func reset(_ member: Int) { members[member] = Member() }

    /// What a directory recovers to is the tree of its zxid, whoever may use it then: a server, or a backup.
    ///
    /// - Parameter what: in words, the directory.
    func recovered(_ tree: DataTree, _ history: CommittedHistory, _ what: String, _ verdict: inout Verdict) {
        guard let expected = history.digest(at: tree.lastProcessedZxid), expected != tree.digest else { return }
        verdict.fail(.digest, "\(what) recovers to another tree at \(tree.lastProcessedZxid)")
    }

    /// Whether it served after its last step.
    func isServing(_ member: Int) -> Bool { members[member].applied != nil }

    mutating func stopsServing(_ member: Int) { members[member].applied = nil }

    /// Looks at a member that serves after a step.
    ///
    /// - Parameter log: what led to its tree, and then what its log holds, durable or not; needed when it begins to serve.
    mutating func observe(
        _ member: Int, tree: DataTree, isLeading: Bool, log: [LogEntry], history: inout CommittedHistory,
        _ verdict: inout Verdict
    ) {
        let end = tree.lastProcessedZxid
        if let applied = members[member].applied {
            let known = applied > 0 ? history.entries[applied - 1].zxid : .zero
            guard end != known else { return }
            follow(member, from: applied, to: end, history: &history, &verdict)
        } else {
            begin(member, at: end, log: log, isLeading: isLeading, history: &history, &verdict)
            if verdict.violation == nil, let path = history.otherRights(in: tree) {
                verdict.fail(.digest, "\(member + 1) serves at \(end) with other rights on \(path): \(tree.acl(path) ?? [])")
            }
        }
        guard let expected = history.digest(at: end), expected != tree.digest else { return }
        verdict.fail(.digest, "\(member + 1) has another tree at \(end)")
    }

    private mutating func begin(
        _ member: Int, at end: Zxid, log: [LogEntry], isLeading: Bool, history: inout CommittedHistory,
        _ verdict: inout Verdict
    ) {
        for entry in log where entry.zxid <= end {
            if entry.zxid > history.last {
                history.extend(entry, &verdict)
            } else if history.entry(at: entry.zxid) != entry {
                verdict.fail(.agreement, "\(member + 1) serves with another transaction at \(entry.zxid)")
            }
        }
        guard verdict.violation == nil else { return }
        if isLeading, end < history.last {
            verdict.fail(.quorum, "S1: \(member + 1) leads from \(end), and \(history.last) is committed")
        }
        guard let position = history.position(of: end) else {
            return verdict.fail(.agreement, "\(member + 1) serves at \(end), which was never committed")
        }
        members[member].applied = position
        while let first = members[member].tail.first, first.zxid <= end { _ = members[member].tail.popFirst() }
    }

    private mutating func follow(
        _ member: Int, from applied: Int, to end: Zxid, history: inout CommittedHistory, _ verdict: inout Verdict
    ) {
        var position = applied
        while let entry = members[member].tail.first, entry.zxid <= end {
            _ = members[member].tail.popFirst()
            if position == history.entries.count {
                history.extend(entry, &verdict)
            } else if position > history.entries.count {
                // Another rule than this one was broken before, and is not asked for (`Plan.only`).
                verdict.fail(.agreement, "\(member + 1) applies \(entry.zxid) behind what is committed")
                break
            } else if history.entries[position] != entry {
                verdict.fail(
                    .agreement,
                    "\(member + 1) applies \(entry.zxid) where \(history.entries[position].zxid) is committed, or another content")
            }
            position += 1
        }
        if verdict.violation == nil, position == 0 || position > history.entries.count || history.entries[position - 1].zxid != end {
            verdict.fail(.agreement, "\(member + 1) is at \(end) without having applied what precedes it")
        }
        members[member].applied = min(position, history.entries.count)
    }
}
