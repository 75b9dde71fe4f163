/// What must hold of every run; each is kept by one checker.
///
/// The names in brackets are those of the invariants in Apache's TLA+ specifications of Zab (reference/zookeeper.md, 7.1).
package enum Rule: String, CaseIterable, Sendable {
    /// One committed sequence, of which every member that serves has applied a prefix [Agreement, TotalOrder,
    /// PrefixConsistency].
    case agreement
    /// What is logged at a zxid was proposed at it, once, by the leader of its epoch, in order and without gaps
    /// [Integrity, PrimaryIntegrity, LocalPrimaryOrder, GlobalPrimaryOrder].
    case integrity
    /// One established leader per epoch, epochs established in ascending order [Leadership1, Leadership2]; before that, a
    /// candidate has a quorum's promises, and a history that none of these is ahead of.
    case leadership
    /// S1 from inside: acknowledgements follow the disk, commits follow a quorum's acknowledgements, and a leader that
    /// establishes itself has everything committed.
    case quorum
    /// S2 from inside: a member that lost its history neither votes nor acknowledges epochs until it has synced, and a
    /// promise that a candidate still counts on is kept.
    case amnesia
    /// Peers that are correct, over ordered streams, never talk out of turn.
    case protocolOrder
    /// Equal trees at equal zxids, by digest.
    case digest
    /// An ephemeral node lives as long as its session and no longer.
    case ephemerals
    /// A session's requests take effect in the order in which it sent them, over all its connections, each at most once.
    case requestOrder
    /// A request comes to what the state before it makes of it: rights, versions, names, and which part of a multi fails.
    case outcomes
    /// A leader expires a session only after its timeout passed without a sign of it, by the leader's clock.
    case expiry

    /// S1 from outside: what was acknowledged to a client is there at the end.
    case durability
    /// A session's replies come in the order of its requests, and its zxids never go back, whatever it connects to.
    case sessionOrder
    /// A reply answers the request that it names, with what became of that one.
    case answers
    /// A write acknowledged before another was sent has the lower zxid; a compare-and-set succeeds once per version.
    case linearizableWrites
    /// A read shows the state at its zxid, which is at least that of the session's own last write.
    case reads
    /// What is read behind a sync is at least as new as everything acknowledged to anyone before the sync.
    case syncFreshness
    /// Each watch fires once, in order, and before any reply that shows what it tells of.
    case watches
    /// A session ends when its client asked for it or was silent, and then it does end.
    case sessions
    /// Nothing is kept for clients that have gone: connections, watches, owners, answers that are due.
    case leftovers
    /// S1, S6 from inside: storage asks nothing of a disk that some crash would make a loss of, and removes nothing that is
    /// needed (`DiskRules`); a start finds what was durable before, and nothing that is not (`World+Files`), or says that it
    /// can't (`World+HurtCopies`).
    case files
    /// Recovery reads logs in pieces, so that what a restart takes does not grow with them; and what a server holds for
    /// others has a bound.
    case memory
    /// What a restart would replay is bounded: whoever serves and has more behind its snapshot than `snapCount` is at the next.
    case replay
    /// S3: no two servers of one directory, and none of what lies in it is touched while its server may live.
    case fence
    /// S4, S5: one voluntary step at a time, under the lock, and none that takes away the last quorum.
    case disruption
    /// S6: what is replaced is in quarantine, and no backup is removed that is needed.
    case quarantine
    /// S7: only what was verified is used, and it is what was committed.
    case verifiedBackups
    /// S8: a restore goes above every epoch that was established.
    case epochs
    /// S10: what is not known is not acted on.
    case doubt
    /// S11: no process is ended that serves, but by a step that somebody wants and that S4 allows.
    case harm
    /// A rolling restart of a whole ensemble, in which nothing else happens, takes each member once and the leader last, and
    /// costs one election at most.
    case rolls
    /// Once faults stop, within a bound everyone serves the same tree and every client is answered.
    case convergence
    /// No member ends itself, and no received tree is damaged.
    case soundness

    /// Whether the rule is kept by looking into the members. The others need no more than clients, and the trees that
    /// members serve at the end.
    package var looksInside: Bool {
        switch self {
        case .agreement, .integrity, .leadership, .quorum, .amnesia, .protocolOrder, .digest, .ephemerals, .expiry,
            .requestOrder, .outcomes, .leftovers, .files, .memory, .replay:
            true
        case .fence, .disruption, .quarantine, .verifiedBackups, .epochs, .doubt, .harm, .rolls: true
        case .durability, .sessionOrder, .answers, .linearizableWrites, .reads, .syncFreshness, .watches, .sessions, .convergence,
            .soundness:
            false
        }
    }
}

/// The first rule that a run broke.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
    package var rule: Rule
    package var text: String
    package var description: String { "\(rule.rawValue): \(text)" }
}

/// Collects what the checkers find.
package struct Verdict: Sendable {
    package private(set) var violation: Violation?
    /// Rules that look inside are passed over: shows whether clients alone would notice.
    let outsideOnly: Bool
    /// All other rules are passed over: shows that this one finds something by itself.
    let only: Rule?

    init(outsideOnly: Bool = false, only: Rule? = nil) {
        self.outsideOnly = outsideOnly
        self.only = only
    }

    mutating func fail(_ rule: Rule, _ text: @autoclosure () -> String) {
        guard violation == nil, !(outsideOnly && rule.looksInside), only.map({ $0 == rule }) ?? true else { return }
        violation = Violation(rule: rule, text: text())
    }
}
