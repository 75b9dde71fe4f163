import EnsembleBase
import KeeperCore

/// `expiry` and `sessions`: neither early, by the leader's clock, nor never.
struct SessionChecker: Sendable {
    /// What each member has heard of each session while it led.
    private var heard: [[SessionID: Instant]]
    /// Sessions that some leader has found silent for too long.
    private var expired: Set<SessionID> = []
    private var closesAsked: Set<SessionID> = []

    /// Connections on which a leader has refused a session that did not know of a later one.
    var refusedByDeposed: Set<UInt64> = []

    init(count: Int) { heard = Array(repeating: [:], count: count) }

    /// Its time as a leader begins: all sessions are alive from now on.
    mutating func leads(_ id: ServerID, sessions: [TouchedSession], at now: Instant) {
        heard[Int(id) - 1] = [:]
        for session in sessions { heard[Int(id) - 1][session.session] = now }
    }

    mutating func touched(_ session: SessionID, at leader: ServerID, _ now: Instant) {
        heard[Int(leader) - 1][session] = now
    }

    /// A restore has gone back to before it began.
    mutating func isGone(_ session: SessionID) { expired.insert(session) }

    mutating func asksToClose(_ session: SessionID) { closesAsked.insert(session) }

    mutating func expires(
        _ session: SessionID, at leader: ServerID, timeout: Int32?, _ now: Instant, _ verdict: inout Verdict
    ) {
        expired.insert(session)
        guard let timeout, let last = heard[Int(leader) - 1][session] else { return }
        if now - last < .milliseconds(Int64(timeout)) {
            verdict.fail(.expiry, "\(leader) expires a session of \(timeout) ms that it heard of \((now - last).inMilliseconds) ms ago")
        }
    }

    /// A client is told that its session is over.
    func refused(
        _ session: SessionID, client: Int, over connection: UInt64, proposed: Set<SessionID>, _ verdict: inout Verdict
    ) {
        if refusedByDeposed.contains(connection) { return }
        if !expired.contains(session), !closesAsked.contains(session), !proposed.contains(session) {
            verdict.fail(.sessions, "client \(client) is told that its session is over, and nobody ended it")
        }
    }

    /// Clients have been silent for longer than any timeout.
    func checkAllEnded(_ tree: DataTree, at id: ServerID, _ verdict: inout Verdict) {
        if tree.sessionCount > 0 { verdict.fail(.sessions, "\(id) keeps \(tree.sessionCount) sessions of silent clients") }
        if tree.ephemeralCount > 0 { verdict.fail(.sessions, "\(id) keeps \(tree.ephemeralCount) ephemerals of ended sessions") }
    }
}
