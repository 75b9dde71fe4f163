import KeeperCore

/// `replay`: of one member, by its own count of what its log holds behind its newest snapshot.
///
/// A server takes a snapshot as soon as that is `snapCount`, whatever it has been through since the one before (issue 8, A7).
/// One that fails is tried again after a while, in which the rule says nothing.
struct ReplayChecker: Sendable {
    private var behind = 0
    /// What was behind the newest snapshot when the one that is under way began.
    private var underWay: Int?
    private var hasFailed = false
    /// What was behind it, applied or not, when it was first seen that none had begun.
    private var overdueSince: Int?

    /// What one packet may bring.
    private static let slack = 50

    /// The directory was read, or rewritten.
    mutating func found(_ count: Int) {
        self = ReplayChecker()
        behind = count
    }

    mutating func appended() { behind += 1 }

    /// - Parameter waiting: appended, and not applied yet.
    mutating func begins(waiting: Int) { underWay = behind - waiting }

    mutating func saved() {
        behind -= underWay.take() ?? 0
        hasFailed = false
        overdueSince = nil
    }

    mutating func failed() {
        underWay = nil
        hasFailed = true
    }

    /// Cheap as long as there is little behind the snapshot.
    func mayBeOverdue(_ snapCount: Int) -> Bool { behind > snapCount && underWay == nil && !hasFailed }

    /// What is applied until it serves again takes no snapshot.
    mutating func doesNotServe() { overdueSince = nil }

    /// It serves, and may be overdue.
    mutating func serves(_ id: ServerID, waiting: Int, snapCount: Int, _ verdict: inout Verdict) {
        let applied = behind - waiting
        guard applied > snapCount else { return overdueSince = nil }
        // What has come by then may be what a tree waits for to be exact.
        let since = overdueSince ?? behind
        overdueSince = since
        if applied > since + ReplayChecker.slack {
            verdict.fail(.replay, "a restart of \(id) would replay \(applied) transactions, a snapshot is due every \(snapCount), and none is under way")
        }
    }
}
