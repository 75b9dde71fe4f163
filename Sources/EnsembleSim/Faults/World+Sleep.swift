import EnsembleBase
import KeeperCore

/// A host that sleeps, and clients that come to a leader that is none any more.
extension World {
    /// Everyone on it stands still, the daemon as well, for longer than a session may last; what was sent meanwhile waits in
    /// their sockets.
    mutating func sleepHost() {
        let pause = Int64.random(in: 500...9_000, using: &sleepRandom)
        record("the host sleeps")
        for server in servers where server.machine != nil && !server.isFrozen {
            servers[index(server.id)].isFrozen = true
            checkers.oversight.stoodStill(index(server.id), at: now)
            schedule(.thaw(server.id), in: .milliseconds(pause + Int64.random(in: 0...30, using: &sleepRandom)))
        }
        guard daemon?.machine != nil, daemon?.isFrozen == false else { return }
        daemon!.isFrozen = true
        schedule(.goesOn, in: .milliseconds(pause))
    }

    /// `leader` is cut off from its peers and doesn't know it: clients that see what a newer one commits come to it then.
    mutating func lureClients(to leader: ServerID) {
        guard plan.luresClients else { return }
        for client in clients.indices where Bool.random(using: &sleepRandom) {
            schedule(.lured(client, leader), in: .milliseconds(Int64.random(in: 200...1_200, using: &sleepRandom)))
        }
    }

    mutating func lure(_ c: Int, to leader: ServerID) {
        guard faultsEnabled, clients[c].state == .connected, clients[c].server != leader else { return }
        clients[c].nextServer = leader
        abandonConnection(c, politely: true)
    }
}
