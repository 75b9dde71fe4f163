/// Makes a failing plan smaller: fewer faults, clients and servers, less time, as long as the same rule still breaks.
package enum Shrinking {
    /// - Parameter progress: called with each smaller plan that still fails.
    package static func shrink(
        _ plan: Plan, breaking rule: Rule, progress: (Campaign.Result) -> Void = { _ in }
    ) -> Campaign.Result {
        var best = Campaign.run(plan)
        var changed = true
        while changed {
            changed = false
            for smaller in candidates(best) {
                let result = Campaign.run(smaller)
                guard result.violation?.rule == rule else { continue }
                best = result
                changed = true
                progress(result)
                break
            }
        }
        return best
    }

    private static func candidates(_ failing: Campaign.Result) -> [Plan] {
        let plan = failing.plan
        var result: [Plan] = []
        func add(_ change: (inout Plan) -> Void) {
            var smaller = plan
            change(&smaller)
            if smaller != plan { result.append(smaller) }
        }
        if plan.usesBytes { add { $0.usesBytes = false } }
        if plan.moment != nil { add { $0.moment = nil } }
        if plan.asksMore { add { $0.asksMore = false } }
        if plan.clientsMisbehave { add { $0.clientsMisbehave = false } }
        if plan.restartsXids { add { $0.restartsXids = false } }
        if plan.payload > 0 { add { $0.payload = 0 } }
        if plan.clocksDrift { add { $0.clocksDrift = false } }
        if plan.epochLength != nil { add { $0.epochLength = nil } }
        if plan.treeTime > 0 { add { $0.treeTime = 0 } }
        if plan.wasApaches { add { $0.wasApaches = false } }
        if plan.bandwidth != nil { add { $0.bandwidth = nil } }
        if plan.apachePeer != nil { add { $0.apachePeer = nil } }
        if plan.lulls { add { $0.lulls = false } }
        if failing.end < plan.faultTime { add { $0.faultTime = failing.end } }
        for (_, fault) in FaultAtlas.named where plan.atlas.contains(fault) { add { $0.atlas.remove(fault) } }
        if plan.clients > 1 {
            add { $0.clients = 1 }
            add { $0.clients -= 1 }
        }
        if plan.servers > 3 { add { $0.servers = 3 } }
        add { $0.faultTime = $0.faultTime / 2 }
        add { $0.faultTime = $0.faultTime * 9 / 10 }
        return result
    }
}
