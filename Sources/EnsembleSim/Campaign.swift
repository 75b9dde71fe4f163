import EnsembleBase
import KeeperCore

/// One seed's run: faults for a while, then peace, then the checks that need it.
package struct Campaign: Sendable {
    package struct Result: Sendable {
        package var seed: UInt64
        /// nil if nothing was found.
        package var violation: String?
        package var steps: Int
        package var acknowledged: Int
        package var fingerprint: UInt64
        package var trace: [String]
    }

    /// - Parameters:
    ///   - seed: everything follows from it, the number of servers and the faults included.
    ///   - bug: a deliberate one, for sensitivity.
    package static func run(seed: UInt64, bug: DeliberateBug? = nil, atlas: FaultAtlas? = nil) -> Result {
        var random = SeededRandom(seed: seed)
        let drawn = FaultAtlas.drawn(using: &random)
        let count = [3, 3, 3, 5][Int.random(in: 0..<4, using: &random)]
        var world = World(seed: seed, servers: count, clients: 4, atlas: atlas ?? drawn, bug: bug)
        world.run(until: .origin + .seconds(40))
        if world.checker.violation == nil {
            world.stopFaults()
            // Convergence has a bound: a minute of virtual time is three hundred ticks.
            world.run(until: world.now + .seconds(50))
            world.stopClients()
            world.run(until: world.now + .seconds(10))
            world.judge()
        }
        return Result(
            seed: seed, violation: world.checker.violation, steps: world.stepCount,
            acknowledged: world.checker.operations, fingerprint: world.fingerprint, trace: world.trace.lines)
    }
}

extension World {
    /// What was sent is answered; nothing new is asked.
    mutating func stopClients() { clientsEnabled = false }

    /// After the faults: everyone serves, and has everything.
    mutating func judge() {
        guard checker.violation == nil else { return }
        for server in servers {
            guard let machine = server.machine, machine.status.serving else {
                return checker.fail("liveness: \(server.id) does not serve a minute after the last fault")
            }
            checker.checkDurability(of: machine.tree, at: server.id)
        }
    }
}
