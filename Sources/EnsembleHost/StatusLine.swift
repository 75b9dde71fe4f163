import EnsembleBase
import EnsembleControl

/// One line for people: systemd's STATUS= and the head of `ensemblectl status`.
package enum StatusLine {
    package static func text(_ machine: OperatorMachine, at now: Instant) -> String {
        let observed = machine.observed
        let participating = observed.certainParticipants(at: now)
        var parts: [String] = []
        if let leader = observed.leader(at: now), participating >= observed.quorum {
            parts.append("serving, \(participating) of \(observed.voters.count) members, leader \(leader)")
        } else {
            parts.append("not serving, \(participating) of \(observed.voters.count) members participate")
        }
        if machine.termination != nil { parts.append("stopping") }
        if machine.intents.pausedSince != nil { parts.append("paused") }
        if let reseed = machine.intents.reseed {
            parts.append("reseed of member \(reseed.member): \(reseed.phase.description)")
        }
        if let operation = machine.intents.operation { parts.append(operation.title) }
        if let held = machine.holds.first(where: { $0.reason.isWorthSaying }) {
            parts.append("\(held.what) waits: \(held.reason.description)")
        }
        return parts.joined(separator: "; ")
    }
}

extension HoldReason {
    /// Passing states of a step that goes well aren't warnings.
    var isWorthSaying: Bool { gravity != .step }
}
