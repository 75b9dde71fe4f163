import EnsembleBase
import KeeperCore

/// A fault that waits for its moment: it strikes whoever next does a certain thing, within the few milliseconds in
/// which disk and peers have not heard of it. Chance alone hits these moments once in thousands of runs, and the bugs
/// of NEWLEADER (reference/zookeeper.md, section 7) live there.
package struct Ambush: Sendable {
    package enum Moment: String, CaseIterable, Sendable {
        case promises
        case savesEpochs
        case truncates
        case installs
        case acknowledgesNewLeader
        case clearsMark
        case namesSnapshot
        case appends
        case acknowledges
        case announcesEpoch
        case syncsLearner
        case establishesLearner
        case proposes
        case commits
    }

    var moment: Moment
    var fault: FaultAtlas
    /// Whether it strikes the leader of the one that was waited for.
    var atLeader: Bool

    /// Faults that may wait.
    static let suited: FaultAtlas = [
        .crashes, .partitions, .oneWayCuts, .isolatedLeaders, .freezes, .lostDisks, .rolledBackDisks, .resets, .bitRot,
        .failedSyncs,
    ]
}

extension Ambush.Moment {
    /// nil for an action that nobody waits for.
    init?(_ action: KeeperAction) {
        switch action {
        case .sendToLeader(.ackEpoch): self = .promises
        case .saveEpochs: self = .savesEpochs
        case .truncateLog: self = .truncates
        case .installSnapshot: self = .installs
        case .sendToLeader(.ack(let zxid)): self = zxid.counter == 0 ? .acknowledgesNewLeader : .acknowledges
        case .clearRecoveringMark: self = .clearsMark
        case .append: self = .appends
        case .sendToLearner(_, .leaderInfo): self = .announcesEpoch
        case .sendToLearner(_, .newLeader): self = .syncsLearner
        case .sendToLearner(_, .upToDate): self = .establishesLearner
        case .propose: self = .proposes
        case .commit: self = .commits
        default: return nil
        }
    }
}

extension World {
    /// Lays an ambush in place of striking now, now and then.
    mutating func lieInWait(with fault: FaultAtlas) -> Bool {
        guard Ambush.suited.contains(fault), Int.random(in: 0..<3, using: &faultRandom) < (plan.moment == nil ? 1 : 2),
            let moment = plan.moment ?? Ambush.Moment.allCases.randomElement(using: &faultRandom)
        else { return false }
        ambush = Ambush(moment: moment, fault: fault, atLeader: Int.random(in: 0..<3, using: &faultRandom) == 0)
        return true
    }

    /// A member does these things: is one of them waited for?
    mutating func spring(on actions: [KeeperAction], of id: ServerID) {
        guard let ambush, actions.contains(where: { Ambush.Moment($0) == ambush.moment }) else { return }
        spring(on: ambush.moment, of: id)
    }

    mutating func spring(on moment: Ambush.Moment, of id: ServerID) {
        guard let ambush, ambush.moment == moment else { return }
        self.ambush = nil
        let victim = ambush.atLeader ? servers[index(id)].machine?.status.leader ?? id : id
        record("an ambush for one that \(moment): \(ambush.fault.names[0]) for \(victim)")
        schedule(.blow(ambush.fault, victim), in: .microseconds(Int64.random(in: 0...3_000, using: &faultRandom)))
    }
}
