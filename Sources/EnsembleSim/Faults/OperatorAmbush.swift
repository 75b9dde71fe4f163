import EnsembleBase
import EnsembleControl
import KeeperCore

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
    }
}

extension OperatorAmbush.Moment {
    /// What may change the meaning of this step.
    var strikes: [OperatorAmbush.Strike] {
        switch self {
        case .asksToStop, .kills, .starts:
            [.daemonCrashes, .memberCrashes, .memberStandsStill, .memberLosesDirectory, .otherCrashes, .otherStandsStill, .otherLosesDirectory]
        case .quarantines, .seeds, .joins:
            [.daemonCrashes, .memberLosesDirectory, .memberGetsOldDirectory, .mountIsLate, .mountIsLate, .otherLosesDirectory, .personReseedsOther]
        case .soaks: [.memberCrashes, .memberStandsStill, .memberLosesDirectory, .otherCrashes, .otherLosesDirectory, .daemonCrashes]
        case .hearsOfLoss: [.personReseedsOther, .personReseedsOther, .personRestartsOther, .personReseedsMember, .daemonCrashes, .otherStandsStill]
        case .restores: [.memberLosesDirectory, .otherLosesDirectory, .daemonCrashes, .memberGetsOldDirectory]
        }
    }

    /// nil for an action that nobody waits for.
    static func of(_ action: ReconcilerAction) -> (moment: Self, member: MemberID)? {
        switch action {
        case .terminate(let id): return (.asksToStop, id)
        case .kill(let id): return (.kills, id)
        case .quarantine(let id, _, _): return (.quarantines, id)
        case .seed(let id, .restored, _): return (.restores, id)
        case .seed(let id, _, _): return (.seeds, id)
        case .launch(let id, .recovering, _, _): return (.joins, id)
        case .launch(let id, .existing, _, _): return (.starts, id)
        case .saveIntents(let intents):
            guard case .rolling(let rolling) = intents.operation?.kind, case .soaking(let id) = rolling.phase else { return nil }
            return (.soaks, id)
        default: return nil
        }
    }
}

extension World {
    /// The operator does something: is it what the plan waits for?
    mutating func spring(on action: ReconcilerAction) {
        guard let (moment, member) = OperatorAmbush.Moment.of(action) else { return }
        spring(on: moment, of: ServerID(member))
    }

    mutating func spring(on moment: OperatorAmbush.Moment, of id: ServerID) {
        guard faultsEnabled, plan.operatorMoment == moment, Bool.random(using: &daemon!.ambushRandom),
            let strike = moment.strikes.randomElement(using: &daemon!.ambushRandom)
        else { return }
        // At once, while it goes on, or when it is about to be over; a restore is over when the ensemble serves again.
        let pauses: [ClosedRange<Int64>] = moment == .restores ? [0...400, 400...3_000, 1_000...8_000] : [0...5, 0...400, 400...4_000]
        let pause = Int64.random(in: pauses[Int.random(in: 0..<3, using: &daemon!.ambushRandom)], using: &daemon!.ambushRandom)
        schedule(.ambush(strike, id), in: .milliseconds(pause))
    }

    mutating func strike(_ strike: OperatorAmbush.Strike, _ id: ServerID) {
        guard faultsEnabled, let other = servers.filter({ $0.id != id }).randomElement(using: &daemon!.ambushRandom)?.id else { return }
        switch strike {
        case .daemonCrashes: crashDaemon()
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
        }
    }
}
