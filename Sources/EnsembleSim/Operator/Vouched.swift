import EnsembleBase
import KeeperCore

/// What a member's own answers have told the daemon of its directory: the least that S2 can ask of the ledger, known by the
/// world itself, whatever the ledger says.
///
/// An inspection vouches for nothing beyond the launch that it is made for (`DataFloor`): it sees what was written, and a
/// ledger that asked for as much would take a power cut of the host for the loss of everything.
struct Vouched: Sendable {
    /// The next daemon knows it as well.
    private(set) var kept = Zxid.zero
    /// What this daemon alone may know, oldest first.
    private var heard: [(zxid: Zxid, at: Instant)] = []

    /// The ledger is written once a second: what is as old as that survives its daemon.
    private static let age = Duration.seconds(1)

    mutating func hears(_ zxid: Zxid, at now: Instant) {
        if zxid > max(kept, heard.last?.zxid ?? .zero) { heard.append((zxid, now)) }
    }

    /// The daemon has done all of a step.
    mutating func stepped(at now: Instant) {
        while let first = heard.first, now - first.at >= Vouched.age {
            kept = first.zxid
            heard.removeFirst()
        }
    }

    mutating func daemonDied() { heard.removeAll() }

    /// It writes the ledger before it ends.
    mutating func daemonEnds() {
        if let last = heard.last { kept = last.zxid }
        heard.removeAll()
    }
}
