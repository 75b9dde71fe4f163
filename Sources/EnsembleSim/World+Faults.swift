import EnsembleBase
import KeeperCore

/// Faults by chance, within `FaultAtlas`.
extension World {
    mutating func injectFault() {
        guard faultsEnabled else { return }
        schedule(.fault, in: .milliseconds(Int64.random(in: 100...3_000, using: &random)))
        guard let victim = servers.randomElement(using: &random)?.id else { return }
        switch Int.random(in: 0..<7, using: &random) {
        case 0 where atlas.crashes: crashAndRestart(victim)
        case 1 where atlas.partitions: partition()
        case 2 where atlas.freezes: freeze(victim)
        case 3 where atlas.lostDisks: loseDisk(victim)
        case 4 where atlas.resets:
            let open = links.indices.filter { links[$0].isOpen && !links[$0].isBroken }
            if let link = open.randomElement(using: &random) {
                let broken = links[link]
                record("the link of \(broken.learner) to \(broken.leader) breaks")
                breakLink(link)
            }
        case 5 where atlas.clockSteps:
            servers[index(victim)].clockOffset += Int64.random(in: -3_600_000...3_600_000, using: &random)
        case 6 where atlas.crashes:
            record("all crash")
            for server in servers { crashAndRestart(server.id) }
        default: break
        }
    }

    private mutating func crashAndRestart(_ id: ServerID) {
        guard servers[index(id)].machine != nil else { return }
        crash(id)
        schedule(.restart(id), in: .milliseconds(Int64.random(in: 10...4_000, using: &random)))
    }

    private mutating func freeze(_ id: ServerID) {
        guard servers[index(id)].machine != nil, !servers[index(id)].isFrozen else { return }
        record("\(id) stands still")
        servers[index(id)].isFrozen = true
        schedule(.thaw(id), in: .milliseconds(Int64.random(in: 100...4_000, using: &random)))
    }

    /// One member's directory is gone. Only while every other member's is whole and trusted, which is what S1 promises:
    /// a majority of disks stays.
    private mutating func loseDisk(_ id: ServerID) {
        let others = servers.filter { $0.id != id }
        let whole = others.allSatisfy { !$0.disk.marked && ($0.disk.snapshot != nil || !$0.disk.log.isEmpty) }
        guard whole, !servers[index(id)].disk.initialize else { return }
        crash(id)
        record("\(id) loses its directory")
        servers[index(id)].disk.lose()
        // S2's second half: lost promises are waited out (operators.md, section 3: three times initLimit).
        let wait = servers[index(id)].configuration.initTimeout * 3
        schedule(.restart(id), in: wait + .milliseconds(Int64.random(in: 0...1_000, using: &random)))
    }

    private mutating func partition() {
        guard cuts.isEmpty else { return }
        let ids = servers.map(\.id)
        if Bool.random(using: &random), let from = ids.randomElement(using: &random) {
            let to = ids.filter { $0 != from }.randomElement(using: &random) ?? from
            cuts.insert(ServerPair(from: from, to: to))
            record("cut from \(from) to \(to)")
        } else {
            let side = ids.filter { _ in Bool.random(using: &random) }
            for a in side {
                for b in ids where !side.contains(b) {
                    cuts.insert(ServerPair(from: a, to: b))
                    cuts.insert(ServerPair(from: b, to: a))
                }
            }
            record("cut around \(side)")
        }
        schedule(.heal, in: .milliseconds(Int64.random(in: 200...6_000, using: &random)))
    }

    mutating func heal() {
        guard !cuts.isEmpty else { return }
        record("healed")
        cuts.removeAll()
    }

    /// Ends all faults: what is down comes up, what is cut is whole.
    package mutating func stopFaults() {
        faultsEnabled = false
        cuts.removeAll()
        for server in servers {
            if server.isFrozen { thaw(server.id) }
            if server.machine == nil, server.disk.initialize || !server.disk.marked {
                schedule(.restart(server.id), in: .seconds(4))
            }
        }
    }
}
