import EnsembleBase
import EnsembleControl
import KeeperCore

/// What the daemon meets at a member's client port in place of an answer. Nobody else notices.
struct Muffling: Sendable {
    enum Kind: Sendable {
        /// The connection stands, or is on its way, and nothing comes.
        case deaf
        case turnsAway
        /// It has no address to ask at.
        case notAsked
    }

    var kind: Kind
    var until: Instant
}

/// Faults that keep the daemon from hearing members that may be well, by a stream of their own: S11 is asked here.
extension World {
    mutating func injectHearingFault() {
        guard faultsEnabled, daemon != nil else { return }
        schedule(SimOperator.Event.hearingFault, in: .milliseconds(Int64.random(in: 1_000...15_000, using: &daemon!.hearingRandom)))
        guard let victim = servers.randomElement(using: &daemon!.hearingRandom)?.id,
            let (_, fault) = OperatorFaults.named.filter({ OperatorFaults.ofHearing.intersection(plan.operatorFaults).contains($0.fault) })
                .randomElement(using: &daemon!.hearingRandom)
        else { return }
        let time = Duration.milliseconds(Int64.random(in: 500...20_000, using: &daemon!.hearingRandom))
        switch fault {
        case .deafServers: muffle([victim], .deaf, for: time)
        case .closedPorts: muffle([victim], .turnsAway, for: time)
        case .operatorCuts:
            let some = servers.map(\.id).filter { _ in Bool.random(using: &daemon!.hearingRandom) }
            if some.contains(clients[linkClient].server) { abandonConnection(linkClient, politely: false) }
            muffle(some, .deaf, for: time)
            // Where the network parts, the daemon's host is on one side of it.
            if Bool.random(using: &daemon!.hearingRandom) {
                cut(some, servers.map(\.id).filter { !some.contains($0) }, for: time)
            }
        default: muffle(Bool.random(using: &daemon!.hearingRandom) ? servers.map(\.id) : [victim], .notAsked, for: time)
        }
    }

    /// The daemon's host is up, and its network is not.
    mutating func hearNobodyAtFirst() {
        let time = Duration.milliseconds(Int64.random(in: 2_000...15_000, using: &daemon!.hearingRandom))
        muffle(servers.map(\.id), .deaf, for: time)
    }

    private mutating func muffle(_ ids: [ServerID], _ kind: Muffling.Kind, for time: Duration) {
        record("the daemon's connections to \(ids): \(kind)")
        for id in ids {
            servers[index(id)].muffling = Muffling(kind: kind, until: now + time)
            if kind == .deaf { isUnheard(id, until: now + time) }
        }
    }

    /// Whatever the reason is this time: one that is unheard already has been since before, and what is heard for less than
    /// the time between two looks nobody hears (operated seed 2985).
    mutating func isUnheard(_ id: ServerID, until end: Instant) {
        let i = index(id)
        if let unheard = servers[i].unheard, now < unheard.until + .milliseconds(600) {
            servers[i].unheard = (unheard.since, max(unheard.until, end))
        } else {
            servers[i].unheard = (now, end)
        }
    }

    mutating func hearAgain(_ id: ServerID) {
        let i = index(id)
        servers[i].muffling = nil
        let end = max(now, servers[i].silentUntil)
        if let unheard = servers[i].unheard, unheard.until > end { servers[i].unheard = (unheard.since, end) }
    }

    /// What the daemon meets in place of an answer now; nil: it may be answered.
    func muffling(at id: ServerID) -> Muffling.Kind? {
        let server = servers[index(id)]
        if let muffling = server.muffling, now < muffling.until { return muffling.kind }
        // Nobody hears it, or nobody new.
        return now < max(server.silentUntil, server.turnsAwayUntil) ? .deaf : nil
    }
}
