import EnsembleBase
import EnsembleControl
import KeeperCore

/// One seed's run: faults for a while, then peace, then the checks that need it.
package struct Campaign: Sendable {
    package struct Result: Sendable {
        package var plan: Plan
        /// nil if nothing was found.
        package var violation: Violation?
        /// Virtual milliseconds.
        package var end: Int64
        package var steps: Int
        /// Requests answered to clients.
        package var operations: Int
        package var fingerprint: UInt64
        package var trace: [String]
        /// The operator leaves the cluster to a person (DESIGN.md, S10), so nothing is said about convergence.
        package var isStalled: Bool
    }

    /// `convergence`: this long after the last fault everyone serves, and every client is answered. Lost promises are
    /// waited out for 4 s; then the longest backoff of the election, and the time to connect and sync, twice.
    private static let convergenceBound = Duration.seconds(20)
    /// The same where an operator repairs: each of several members may need a reseed, and an operation its turn.
    private static let operatorsBound = Duration.seconds(150)
    /// A rolling restart of five members with a soak of a second each, and twice that.
    private static let rollBound = Duration.seconds(100)
    private static let sessionTimeout = Duration.seconds(4)

    package static func run(_ plan: Plan) -> Result {
        if plan.isWired { return WiredRun.run(plan) }
        var world = World(plan)
        world.run(until: .origin + .milliseconds(plan.faultTime))
        if world.checkers.verdict.violation == nil {
            if plan.isOperated { leaveItToTheOperator(&world) } else { makePeace(&world) }
        }
        return Result(
            plan: plan, violation: world.checkers.verdict.violation, end: world.now.nanoseconds / 1_000_000,
            steps: world.stepCount, operations: world.checkers.clients.operations, fingerprint: world.fingerprint,
            trace: world.trace.lines, isStalled: world.isStalled)
    }

    private static func makePeace(_ world: inout World) {
        world.stopFaults()
        let bound = world.now + convergenceBound
        while world.now < bound, !world.hasConverged, world.checkers.verdict.violation == nil {
            world.run(until: world.now + .milliseconds(500))
        }
        world.checkConvergence()
        conclude(&world)
    }

    /// S9: the operator finishes or undoes what it was at, and brings everyone back.
    private static func leaveItToTheOperator(_ world: inout World) {
        world.stopFaults()
        // Disks take up what they have left, and whoever waits for them too long lets go (operated seed 134): no peace yet.
        world.run(until: world.now + .seconds(2))
        let end = world.now + operatorsBound
        while world.checkers.verdict.violation == nil, !world.isWholeAgain, !world.isStalled {
            guard world.now < end else {
                let missing = world.whatIsMissing
                return world.checkers.fail(.convergence, "\(operatorsBound) after the last fault: \(missing)")
            }
            world.takeBackWhatWasAsked()
            world.run(until: world.now + .seconds(1))
        }
        roll(&world)
        conclude(&world)
    }

    /// Faults are over, and everyone is well: here a roll is what it is on most days. Half of them survive their daemon.
    private static func roll(_ world: inout World) {
        guard world.checkers.verdict.violation == nil, !world.isStalled else { return }
        let end = world.now + rollBound
        var daemons = world.drawDaemonsOfRoll()
        world.askForRoll()
        repeat {
            world.run(until: world.now + .seconds(1))
            if daemons > 1, world.replaceDaemonAmidRoll() { daemons -= 1 }
            guard world.now < end else {
                let missing = world.whatIsMissing
                return world.checkers.fail(.rolls, "\(rollBound) after it was asked for: \(missing)")
            }
        } while world.checkers.verdict.violation == nil && !world.isWholeAgain
        world.checkers.rolls.ends(&world.checkers.verdict)
    }

    private static func conclude(_ world: inout World) {
        world.isPeaceful = true
        world.run(until: world.now + .seconds(5))
        world.stopClients()
        // Their end is a transaction as well: where it is the last of an epoch, the next leader gives the others their whole
        // time anew (seed 443).
        var established: Int64
        repeat {
            established = world.checkers.quorum.highestEstablished
            world.run(until: world.now + sessionTimeout * 2)
        } while world.checkers.quorum.highestEstablished != established && world.checkers.verdict.violation == nil
        world.judge()
    }
}

extension World {
    mutating func stopClients() {
        clientsEnabled = false
        isPeaceful = false
    }

    /// A daemon that dies between the ledger's word on a member and its first launch leaves one that looks lost, since
    /// nothing tells the two apart (S10). With a majority of such members the operator leaves the new cluster to a person.
    var isStalled: Bool {
        guard checkers.history.entries.isEmpty, let machine = daemon?.machine else { return false }
        for held in machine.holds { if case .majorityLost = held.reason { return true } }
        return false
    }

    var hasConverged: Bool {
        servers.indices.allSatisfy { servers[$0].machine?.isServing ?? false }
            && clients.allSatisfy { $0.state == .connected && now - $0.lastHeard < .milliseconds(200) }
    }

    /// Everyone serves, and every client has been answered lately.
    mutating func checkConvergence() {
        guard !isStalled else { return }
        let whyNot = hasConverged ? "" : whyNotWhole
        for server in servers where server.machine?.status.serving != true {
            return checkers.fail(.convergence, "\(server.id) does not serve long after the last fault: \(whyNot)")
        }
        for client in clients where client.state != .connected && now - client.lastHeard > .seconds(1) {
            checkers.fail(
                .convergence,
                "client \(client.index) is not served long after the last fault: it is \(client.state), at \(client.server), session \(client.session), has seen \(client.lastZxid); \(whyNot)")
        }
    }

    /// What each member is at, in words.
    private var whyNotWhole: String {
        servers.map { server in
            guard let status = server.machine?.status else {
                let wait = server.startsNotBefore > now ? ", waits for \((server.startsNotBefore - now).inMilliseconds) ms" : ""
                return "\(server.id) is down\(wait)"
            }
            let leader = status.leader.map { " with \($0)" } ?? ""
            let traits = (status.serving ? "" : ", not serving") + (status.recovering ? ", recovering" : "")
            return
                "\(server.id) is \(status.role.rawValue)\(leader)\(traits), promised \(status.acceptedEpoch), in \(status.currentEpoch), logged \(status.lastLogged), committed \(status.lastCommitted), round \(status.electionRound), \(status.syncedFollowers) of \(status.learners) learners synced"
        }.joined(separator: "; ")
    }

    /// At the end, when all is quiet.
    mutating func judge() {
        guard checkers.verdict.violation == nil, !isStalled else { return }
        checkEqualTrees()
        for server in servers {
            guard let tree = server.machine?.tree else { continue }
            // S2: it would abstain for as long as it runs.
            if server.machine?.status.recovering == true {
                return checkers.fail(.convergence, "\(server.id) serves and still takes itself for one that has lost its history")
            }
            checkers.clients.checkDurability(of: tree, at: server.id, &checkers.verdict)
            checkers.sessions.checkAllEnded(tree, at: server.id, &checkers.verdict)
            if let kept = server.machine?.keptForClients, kept != KeptForClients() {
                checkers.fail(.leftovers, "\(server.id) keeps for clients that have gone: \(kept)")
            }
        }
    }

    private mutating func checkEqualTrees() {
        guard let first = servers[0].machine?.tree else { return }
        for server in servers {
            guard let machine = server.machine, machine.status.serving else {
                return checkers.fail(.convergence, "\(server.id) does not serve at the end")
            }
            if machine.tree.lastProcessedZxid != first.lastProcessedZxid || machine.tree.digest != first.digest {
                checkers.fail(.convergence, "\(server.id) and \(servers[0].id) have different trees at the end")
            }
        }
    }
}
