import EnsembleBase
import KeeperCore

/// A sleep of the host with all that runs on it.
struct HostSleep: Sendable {
    /// When the last of its processes goes on.
    var end: Instant
    /// Whether all was well before, and nothing but the sleep could end a role.
    var isAlone: Bool
    /// Of each server: nobody has died since.
    var incarnations: [Int]
}

/// A host that sleeps, and clients that come to a leader that is none any more.
extension World {
    /// Everyone on it stands still, the daemon as well, for longer than a session may last; what was sent meanwhile waits in
    /// their sockets.
    mutating func sleepHost() {
        let pause = Int64.random(in: 500...9_000, using: &sleepRandom)
        record("the host sleeps")
        hostSleep = HostSleep(
            end: now + .milliseconds(pause + 30), isAlone: servers.allSatisfy(\.serves) && isUndisturbed,
            incarnations: servers.map(\.incarnation))
        for server in servers where server.machine != nil && !server.isFrozen {
            servers[index(server.id)].isFrozen = true
            checkers.oversight.stoodStill(index(server.id), at: now)
            schedule(.thaw(server.id), in: .milliseconds(pause + Int64.random(in: 0...30, using: &sleepRandom)))
        }
        guard daemon?.machine != nil, daemon?.isFrozen == false else { return }
        daemon!.isFrozen = true
        schedule(.goesOn, in: .milliseconds(pause))
    }

    private var isUndisturbed: Bool {
        cuts.isEmpty && slowPairs.isEmpty && plan.bandwidth == nil && links.allSatisfy { !$0.isOpen || !$0.isBroken }
            && servers.allSatisfy { !$0.isFrozen && $0.diskStalledUntil <= now && $0.silentUntil <= now }
    }

    /// Issue 8, A8: nobody has been silent for longer than the host slept, and nobody's time ran meanwhile.
    mutating func judgeAwake(_ id: ServerID, gives reason: String) {
        guard let sleep = hostSleep, sleep.isAlone, now >= sleep.end - .milliseconds(30), now <= sleep.end + .milliseconds(100),
            sleep.incarnations == servers.map(\.incarnation), !isOperated, bug == nil, cuts.isEmpty, slowPairs.isEmpty,
            reason == "the leader was silent for too long" || reason == "fewer than a quorum of voters is synced"
        else { return }
        checkers.fail(.sessions, "\(id) gives up its role as the host wakes: \(reason)")
    }

    /// `leader` is cut off from its peers and doesn't know it: clients that see what a newer one commits come to it then.
    mutating func lureClients(to leader: ServerID) {
        guard plan.luresClients else { return }
        for client in clients.indices where Bool.random(using: &sleepRandom) {
            schedule(.lured(client, leader), in: .milliseconds(Int64.random(in: 200...1_200, using: &sleepRandom)))
        }
    }

    /// Time and again, where clients come to such a leader.
    mutating func deposeSomeLeader() {
        guard faultsEnabled else { return }
        schedule(.depose, in: .milliseconds(Int64.random(in: 3_000...12_000, using: &sleepRandom)))
        if let leader = servers.first(where: { $0.machine?.isLeading ?? false && !$0.isFrozen })?.id { depose(leader) }
    }

    /// It stands still as well, and finds nothing new when it goes on: time in which it hears nobody begins anew then.
    mutating func pauseDeposed(_ leader: ServerID) {
        guard plan.luresClients, Bool.random(using: &sleepRandom), !servers[index(leader)].isFrozen else { return }
        let pause = Int64.random(in: 700...2_500, using: &sleepRandom)
        record("\(leader) stands still")
        servers[index(leader)].isFrozen = true
        checkers.oversight.stoodStill(index(leader), at: now)
        schedule(.thaw(leader), in: .milliseconds(pause))
        for client in clients.indices where Bool.random(using: &sleepRandom) {
            schedule(.lured(client, leader), in: .milliseconds(pause + Int64.random(in: -200...400, using: &sleepRandom)))
        }
    }

    /// A leader is established, and another doesn't know it yet: those that see what the new one commits come to the old one.
    mutating func lureClients(behind leader: ServerID) {
        guard plan.luresClients, faultsEnabled, let old = servers.first(where: { $0.id != leader && $0.machine?.isLeading ?? false })?.id
        else { return }
        for client in clients.indices where Bool.random(using: &sleepRandom) {
            schedule(.lured(client, old), in: .milliseconds(Int64.random(in: 20...300, using: &sleepRandom)))
        }
    }

    mutating func lure(_ c: Int, to leader: ServerID) {
        guard faultsEnabled, clients[c].state == .connected, clients[c].server != leader else { return }
        record("client \(c) comes to \(leader)")
        clients[c].nextServer = leader
        abandonConnection(c, politely: true)
    }
}
