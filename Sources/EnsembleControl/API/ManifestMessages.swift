/// Answer to `GET /v1/diff` and `POST /v1/apply`: what lies between the manifest in force and its file.
package struct DiffResponse: Hashable, Sendable, Codable {
    /// The manifest's file.
    package var file: String
    /// Names this change: `apply` with it does this or nothing.
    package var plan: String
    package var differences: [ManifestDifference.Entry]
    /// Why it can't be applied while the cluster lives; when not empty nothing of it is.
    package var refusals: [String]
    /// Parts of the manifest that take effect at once.
    package var live: [String]
    /// Members, ascending, that are restarted for it, one at a time.
    package var restarts: [Int]
    /// The restarts in their order, each with what holds it back at this moment.
    package var steps: [PlanResponse.Step]

    /// Whether applying it would change nothing.
    package var isEmpty: Bool { refusals.isEmpty && live.isEmpty && restarts.isEmpty }

    package init(
        file: String, plan: String, differences: [ManifestDifference.Entry], refusals: [String], live: [String], restarts: [Int],
        steps: [PlanResponse.Step]
    ) {
        self.file = file
        self.plan = plan
        self.differences = differences
        self.refusals = refusals
        self.live = live
        self.restarts = restarts
        self.steps = steps
    }
}

/// `POST /v1/apply`: make the manifest's file the manifest in force.
package struct ApplyRequest: Hashable, Sendable, Codable {
    /// Of the change that was looked at; nil: whatever the file says.
    package var plan: String?

    package init(plan: String?) { self.plan = plan }
}
