import EnsembleBase
import KeeperCore

extension FaultAtlas {
    /// Those that a wired world knows.
    static let ofWires: FaultAtlas = [
        .crashes, .massCrashes, .partitions, .oneWayCuts, .isolatedLeaders, .freezes, .resets, .slowDisks, .slowProcesses,
        .fullDisks, .failedSyncs, .stalledDisks,
    ]
}

/// Faults by chance, within `FaultAtlas.ofWires`.
extension WiredWorld {
    func injectFault() {
        guard faultsEnabled else { return }
        timeline.schedule(.fault, in: .milliseconds(Int64.random(in: 100...plan.faultPause, using: &faultRandom)))
        guard let victim = servers.randomElement(using: &faultRandom), let fault = enabledFaults.randomElement(using: &faultRandom) else { return }
        switch fault {
        case .crashes: crash(victim)
        case .massCrashes:
            record("all crash")
            for server in servers { crash(server) }
        case .partitions:
            let side = servers.filter { _ in Bool.random(using: &faultRandom) }
            cut(side, servers.filter { server in !side.contains { $0 === server } })
        case .oneWayCuts: cut([victim], servers.filter { $0 !== victim }, bothWays: false)
        case .isolatedLeaders:
            guard let leader else { return }
            cut([leader], servers.filter { $0 !== leader })
        // Half of the time whoever judges others by their silence.
        case .freezes: freeze(Bool.random(using: &faultRandom) ? leader ?? victim : victim, for: .milliseconds(Int64.random(in: 100...6_000, using: &faultRandom)))
        case .slowProcesses: freeze(victim, for: .milliseconds(Int64.random(in: 20...300, using: &faultRandom)))
        case .resets: resetSomeCable()
        case .fullDisks:
            record("the disk of \(victim.id) is full")
            victim.disk.drive.faults.isFull = true
            timeline.schedule(.diskFreed(victim.id), in: .milliseconds(Int64.random(in: 100...5_000, using: &faultRandom)))
        case .failedSyncs: failNextWrite(of: victim)
        case .stalledDisks:
            record("the disk of \(victim.id) does nothing")
            victim.diskStalledUntil = now + .milliseconds(Int64.random(in: 500...6_000, using: &faultRandom))
        default: break
        }
    }

    private func failNextWrite(of server: WiredServer) {
        guard server.process != nil else { return }
        if Int.random(in: 0..<3, using: &faultRandom) == 0 {
            server.disk.drive.faults.failsNextWrite = true
        } else {
            server.disk.drive.faults.failsNextSync = true
        }
    }

    private var leader: WiredServer? { servers.first { $0.machine?.isLeading ?? false } }

    /// `kill -9`, or the host's power.
    private func crash(_ server: WiredServer) {
        guard server.process != nil else { return }
        let isPowerCut = Bool.random(using: &faultRandom)
        record("\(server.id) \(isPowerCut ? "loses its power" : "is killed")")
        kill(server)
        if isPowerCut { server.losePower() }
        timeline.schedule(.start(server.id), in: .milliseconds(Int64.random(in: 10...4_000, using: &faultRandom)))
    }

    private func freeze(_ server: WiredServer, for pause: Duration) {
        guard server.process != nil, !server.isFrozen else { return }
        record("\(server.id) stands still")
        server.isFrozen = true
        timeline.schedule(.thaw(server.id), in: pause)
    }

    private func cut(_ side: [WiredServer], _ others: [WiredServer], bothWays: Bool = true) {
        guard switchboard.cuts.isEmpty, !side.isEmpty, !others.isEmpty else { return }
        for a in side {
            for b in others {
                switchboard.cuts.insert(from: a.id, to: b.id)
                if bothWays { switchboard.cuts.insert(from: b.id, to: a.id) }
            }
        }
        record("\(side.map(\.id)) \(bothWays ? "and" : "to") \(others.map(\.id)) are cut")
        timeline.schedule(.heal, in: .milliseconds(Int64.random(in: 200...6_000, using: &faultRandom)))
    }

    func heal() {
        guard !switchboard.cuts.isEmpty else { return }
        record("the network is whole")
        switchboard.cuts.removeAll()
    }

    private func resetSomeCable() {
        guard let cable = switchboard.cables.suffix(64).randomElement(using: &faultRandom) else { return }
        record("cable \(cable.number) breaks")
        cable.reset(from: .dialler)
        cable.reset(from: .acceptor)
    }

    func stopFaults() {
        faultsEnabled = false
        heal()
        for server in servers {
            server.disk.drive.faults.isFull = false
            server.disk.drive.faults.failsNextSync = false
            server.disk.drive.faults.failsNextWrite = false
            server.diskStalledUntil = now
            if server.isFrozen { timeline.schedule(.thaw(server.id), in: .zero) }
            if server.process == nil { timeline.schedule(.start(server.id), in: .milliseconds(10)) }
        }
    }
}
