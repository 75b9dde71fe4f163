import EnsembleBase
import EnsembleControl
import KeeperCore
import KeeperServer

/// What waits for a step of the operator's: within the moments in which nothing of the step has been seen yet, something
/// happens that it must not have counted on. Chance alone hits them once in hundreds of runs.
package enum OperatorAmbush {
    package enum Moment: String, CaseIterable, Sendable {
        case asksToStop
        case kills
        case quarantines
        case seeds
        case joins
        case starts
        case soaks
        case hearsOfLoss
        case restores
    }

    /// What strikes, and whom.
    enum Strike: Sendable {
        case daemonCrashes
        /// The next one is there before what was asked for is over.
        case daemonIsReplaced
        /// The daemon stands still while another member goes, and goes on with what it knew.
        case otherCrashesBehindDaemon
        case memberCrashes
        case memberStandsStill
        case memberLosesDirectory
        case memberGetsOldDirectory
        case mountIsLate
        case otherCrashes
        case otherStandsStill
        case otherLosesDirectory
        case personReseedsMember
        case personReseedsOther
        case personRestartsOther
        /// Whatever is at work is to end, and another one is wanted restarted.
        case personCancels
        case personPauses
        /// The daemon dies, and a person starts the member's server by hand before the next one is there.
        case personStartsServer
        /// The daemon dies, and before the next one has looked, another directory is lost and a person gives the member's away.
        case lossBehindDaemon
    }
}

extension OperatorAmbush.Moment {
    /// What may change the meaning of this step.
    var strikes: [OperatorAmbush.Strike] {
        switch self {
        case .asksToStop, .kills, .starts:
            [
                .daemonCrashes, .daemonIsReplaced, .daemonIsReplaced, .memberCrashes, .memberStandsStill, .memberLosesDirectory,
                .otherCrashes, .otherCrashesBehindDaemon, .otherStandsStill, .otherLosesDirectory,
            ]
        case .quarantines:
            [
                .daemonCrashes, .personStartsServer, .personStartsServer, .personStartsServer, .otherLosesDirectory,
                .memberLosesDirectory, .personReseedsOther,
            ]
        case .seeds, .joins:
            [
                .daemonCrashes, .memberLosesDirectory, .memberGetsOldDirectory, .mountIsLate, .mountIsLate, .otherLosesDirectory,
                .personReseedsOther,
            ]
        case .soaks:
            [
                .memberCrashes, .memberStandsStill, .memberLosesDirectory, .otherCrashes, .otherCrashesBehindDaemon,
                .otherStandsStill, .otherLosesDirectory, .daemonCrashes, .lossBehindDaemon,
            ]
        case .hearsOfLoss:
            [
                .personReseedsOther, .personReseedsOther, .personRestartsOther, .personReseedsMember, .daemonCrashes,
                .otherStandsStill, .lossBehindDaemon,
            ]
        case .restores: [.memberLosesDirectory, .otherLosesDirectory, .daemonCrashes, .memberGetsOldDirectory]
        }
    }

    /// nil for an action that nobody waits for.
    static func of(_ action: OperatorAction) -> (moment: Self, member: MemberID)? {
        switch action {
        case .terminate(let id): return (.asksToStop, id)
        case .kill(let id): return (.kills, id)
        case .quarantine(let id, _, _): return (.quarantines, id)
        case .seed(let id, .restored, _): return (.restores, id)
        case .seed(let id, _, _): return (.seeds, id)
        case .launch(let id, .recovering, _, _): return (.joins, id)
        case .launch(let id, .existing, _, _): return (.starts, id)
        case .saveIntents(let intents):
            guard let roll = intents.operation?.workflow as? Roll, case .soaking(let id) = roll.phase else { return nil }
            return (.soaks, id)
        default: return nil
        }
    }
}

extension World {
    /// The operator does something: is it what the plan waits for?
    mutating func spring(on action: OperatorAction) {
        guard let (moment, member) = OperatorAmbush.Moment.of(action) else { return }
        spring(on: moment, of: ServerID(member))
    }

    mutating func spring(on moment: OperatorAmbush.Moment, of id: ServerID) {
        guard faultsEnabled, plan.operatorMoment == moment, Int.random(in: 0..<4, using: &daemon!.ambushRandom) != 0,
            var strike = moment.strikes.randomElement(using: &daemon!.ambushRandom)
        else { return }
        if plan.changesMind, Int.random(in: 0..<5, using: &daemon!.mindRandom) == 0 {
            strike = Bool.random(using: &daemon!.mindRandom) ? .personCancels : .personPauses
        }
        // At once, while it goes on, or when it is about to be over; a restore is over when the ensemble serves again.
        let pauses: [ClosedRange<Int64>] =
            switch moment {
            case .restores: [0...400, 400...3_000, 1_000...8_000]
            case .quarantines: [0...3, 0...3, 0...400]
            default: [0...5, 0...400, 400...4_000]
            }
        let pause = Int64.random(in: pauses[Int.random(in: 0..<3, using: &daemon!.ambushRandom)], using: &daemon!.ambushRandom)
        schedule(.ambush(strike, id), in: .milliseconds(pause))
    }

    mutating func strike(_ strike: OperatorAmbush.Strike, _ id: ServerID) {
        guard faultsEnabled, let other = servers.filter({ $0.id != id }).randomElement(using: &daemon!.ambushRandom)?.id else { return }
        record("a strike at \(id): \(strike)")
        switch strike {
        case .daemonCrashes: crashDaemon()
        case .daemonIsReplaced:
            guard daemon!.machine != nil else { return }
            record("the daemon crashes")
            endDaemon()
            schedule(.starts, in: .milliseconds(Int64.random(in: 5...120, using: &daemon!.ambushRandom)))
        case .otherCrashesBehindDaemon:
            guard daemon!.machine != nil, !daemon!.isFrozen else { return }
            record("the daemon stands still")
            daemon!.isFrozen = true
            schedule(.crash(other), in: .milliseconds(Int64.random(in: 0...500, using: &daemon!.ambushRandom)))
            schedule(.goesOn, in: .milliseconds(Int64.random(in: 500...4_000, using: &daemon!.ambushRandom)))
        case .memberCrashes: crashAndRestart(id)
        case .memberStandsStill: stop(id)
        case .memberLosesDirectory: loseDirectory(of: id)
        case .memberGetsOldDirectory: rollBackDirectory(of: id)
        case .mountIsLate: mountLate(id)
        case .otherCrashes: crashAndRestart(other)
        case .otherStandsStill: stop(other)
        case .otherLosesDirectory: loseDirectory(of: other)
        case .personReseedsMember: ask(.reseed(Int(id)))
        case .personReseedsOther: ask(.reseed(Int(other)))
        case .personRestartsOther: ask(.restart(Int(other), acceptOutage: false))
        case .personCancels:
            for work in daemon!.machine?.works.compactMap(\.id) ?? [] { ask(.cancel(work)) }
            ask(.restart(Int(other), acceptOutage: false))
        case .personPauses: ask(.pause)
        case .personStartsServer:
            crashDaemon()
            startByHand(id)
        case .lossBehindDaemon:
            guard daemon!.machine != nil, mayLoseDirectory(other) else { return }
            crashDaemon()
            loseDirectory(of: other)
            daemon!.askedAtStart = .reseed(Int(id))
        }
    }

    /// From what is there, as the daemon would if it knew of no reason against it.
    private mutating func startByHand(_ id: ServerID) {
        let server = servers[index(id)]
        guard server.machine == nil, isWhole(server) else { return }
        record("a person starts \(id)")
        servers[index(id)].storageConfiguration.dataFloor = nil
        servers[index(id)].isBelowFloor = false
        start(id)
    }

    /// People see to it that what the plan waits for comes about.
    mutating func provoke(_ moment: OperatorAmbush.Moment, at member: ServerID) {
        switch moment {
        case .asksToStop, .starts, .soaks: ask(.restartRolling(reason: "a person asks", acceptOutage: false))
        case .kills: stop(member)
        case .quarantines, .seeds, .joins:
            // The daemon looks at each directory once in a second, and servers run on without theirs.
            if Int.random(in: 0..<8, using: &daemon!.personRandom) == 0 {
                loseDirectory(of: member % ServerID(servers.count) + 1, underServer: true)
            }
            ask(.reseed(Int(member)))
        case .hearsOfLoss: loseDirectory(of: member)
        case .restores: askForRestore()
        }
    }
}
