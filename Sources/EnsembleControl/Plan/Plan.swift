/// An ordered list of steps, each with its reason and what holds it back. What `--dry-run` prints is what would be
/// done if nothing changed meanwhile: each step is judged again when its turn comes.
package struct Plan: Sendable, Hashable, Codable {
    package var title: String
    package var steps: [PlanStep]

    package init(title: String, steps: [PlanStep]) {
        self.title = title
        self.steps = steps
    }

    /// What holds the plan at this moment: the first unfinished step's reason.
    package var heldBack: HoldReason? { steps.first { $0.progress != .done }?.heldBack }
}

package struct PlanStep: Sendable, Hashable, Codable {
    package enum Progress: String, Sendable, Hashable, Codable {
        case pending
        case running
        case done
    }

    package var member: MemberID?
    /// Imperative: "restart member 2".
    package var action: String
    /// Why it is done, and why at this place.
    package var reason: String
    package var progress: Progress
    package var heldBack: HoldReason?

    package init(
        member: MemberID?, action: String, reason: String, progress: Progress = .pending, heldBack: HoldReason? = nil
    ) {
        self.member = member
        self.action = action
        self.reason = reason
        self.progress = progress
        self.heldBack = heldBack
    }
}
