import EnsembleBase
import KeeperCore
import KeeperServer

/// One seed's run of a wired world: faults for a while, then peace, then the checks that need it.
enum WiredRun {
    private static let convergenceBound = Duration.seconds(25)

    static func run(_ plan: Plan) -> Campaign.Result {
        let world = WiredWorld(plan)
        world.run(until: .origin + .milliseconds(plan.faultTime))
        if world.checkers.verdict.violation == nil { makePeace(world) }
        let result = Campaign.Result(
            plan: plan, violation: world.checkers.verdict.violation, end: world.now.nanoseconds / 1_000_000, steps: world.steps,
            operations: world.checkers.clients.operations, fingerprint: world.fingerprint, trace: world.trace.lines, isStalled: false)
        for server in world.servers { world.kill(server) }
        return result
    }

    private static func makePeace(_ world: WiredWorld) {
        world.stopFaults()
        let bound = world.now + convergenceBound
        while world.now < bound, !world.isWhole, world.checkers.verdict.violation == nil {
            world.run(until: world.now + .milliseconds(500))
        }
        if let missing = world.whatIsMissing {
            return world.checkers.fail(.convergence, "\(convergenceBound) after the last fault: \(missing)")
        }
        world.isPeaceful = true
        world.run(until: world.now + .seconds(5))
        world.isPeaceful = false
        world.clientsEnabled = false
        // The servers find out by themselves: sessions end, connections without one are overdue, and who takes nothing is
        // waited for in vain.
        for client in world.clients { client.leave() }
        world.run(until: world.now + .seconds(35))
        world.judge()
    }
}

extension WiredWorld {
    var isWhole: Bool { whatIsMissing == nil }

    /// Why the ensemble is not whole; nil when it is.
    var whatIsMissing: String? {
        for server in servers where !(server.machine?.isServing ?? false) {
            return "\(server.id) \(server.machine.map { "is \($0.status.role)" } ?? "does not run")"
        }
        return clients.first { !$0.isServed }.map { "client \($0.number) is not served" }
    }

    /// At the end, when all is quiet.
    func judge() {
        guard checkers.verdict.violation == nil, let first = servers[0].machine?.tree else { return }
        for server in servers {
            guard let process = server.process, server.machine?.isServing ?? false, let tree = server.machine?.tree else {
                return checkers.fail(.convergence, "\(server.id) does not serve at the end")
            }
            if tree.lastProcessedZxid != first.lastProcessedZxid || tree.digest != first.digest {
                checkers.fail(.convergence, "\(server.id) and \(servers[0].id) have different trees at the end")
            }
            judge {
                $0.clients.checkDurability(of: tree, at: server.id, &$0.verdict)
                $0.sessions.checkAllEnded(tree, at: server.id, &$0.verdict)
            }
            let left = process.shell.clients.count
            if left > 0 { checkers.fail(.sessions, "\(server.id) keeps \(left) connections of clients that have gone") }
            let held = process.shell.turn.budget.held
            if held > 0 { checkers.fail(.memory, "\(server.id) counts \(held) bytes that it holds for nobody") }
            let watches = process.shell.machine.watchTable.watchCount
            if watches > 0 { checkers.fail(.watches, "\(server.id) keeps \(watches) watches of clients that have gone") }
        }
    }
}
