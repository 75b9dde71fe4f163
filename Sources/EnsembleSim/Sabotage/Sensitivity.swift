/// How soon the checkers see each deliberate bug: a checker that finds nothing proves nothing.
package struct Sensitivity: Sendable {
    package struct Finding: Sendable {
        package var bug: DeliberateBug
        /// nil if no seed within the bound showed it.
        package var seed: UInt64?
        package var steps: Int
        package var violation: Violation?

        package var line: String {
            guard let seed, let violation else { return "\(bug.rawValue): not found" }
            return "\(bug.rawValue): seed \(seed), \(steps) steps, \(violation)"
        }
    }

    /// The first seed that shows the bug.
    ///
    /// - Parameters:
    ///   - outsideOnly: whether clients and final trees alone must notice.
    ///   - limit: how many seeds are tried.
    package static func find(_ bug: DeliberateBug, outsideOnly: Bool, limit: UInt64) -> Finding {
        var steps = 0
        for seed in 1...max(limit, 1) {
            var plan = Plan(seed: seed, bug: bug)
            plan.outsideOnly = outsideOnly
            bug.provoke(&plan)
            let result = Campaign.run(plan)
            steps += result.steps
            if let violation = result.violation {
                return Finding(bug: bug, seed: seed, steps: steps, violation: violation)
            }
        }
        return Finding(bug: bug, seed: nil, steps: steps, violation: nil)
    }
}

extension DeliberateBug {
    /// Switches on the faults without which the bug does nothing, and keeps the run short.
    package func provoke(_ plan: inout Plan) {
        plan.faultTime = 20_000
        plan.usesBytes = false
        switch self {
        case .recoveringIgnored, .promisesNotWaitedOut: plan.atlas.formUnion([.lostDisks, .crashes, .partitions])
        case .rolledBackUnmarked: plan.atlas.formUnion([.rolledBackDisks, .crashes, .partitions])
        case .installWithoutMark, .truncateAcrossEpochs:
            plan.windowCount = 10
            plan.atlas.formUnion([.crashes, .freezes, .isolatedLeaders, .resets])
        case .truncateInMemoryOnly:
            plan.faultTime = 40_000
            plan.atlas.formUnion([.crashes, .massCrashes, .isolatedLeaders, .freezes, .slowDisks])
        case .snapshotBeforeLog:
            plan.snapCount = 100
            plan.atlas.formUnion([.crashes, .massCrashes, .slowDisks])
        case .ackBeforeSync, .newLeaderAckedEarly, .currentEpochNotWritten, .acceptedEpochNotWritten, .noFastForward:
            plan.atlas.formUnion([.crashes, .massCrashes, .slowDisks])
        case .commitWithoutQuorum: plan.atlas.formUnion([.isolatedLeaders, .crashes])
        case .holeInDiff, .proposalsNotResent, .ackReplayed: plan.atlas.formUnion([.crashes, .resets])
        case .clientZxidIgnored: plan.atlas.formUnion([.slowLinks, .oneWayCuts, .resets])
        case .syncWithoutLeader, .touchesLost, .watchAfterReply, .watchTwice: break
        }
    }
}
