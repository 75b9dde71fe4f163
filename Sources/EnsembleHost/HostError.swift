/// What the operator's hands could not do: the operation, the file or process, and what a person can do about it.
package struct HostError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    package var subject: String
    package var problem: String
    package var remedy: String

    /// What the daemon exits with when this ends it.
    package var exitStatus: Int32
    /// The same attempt is known to fail again until a person has changed something.
    package var isLasting = false

    package init(_ subject: String, _ problem: String, remedy: String, exitStatus: Int32 = 73, isLasting: Bool = false) {
        self.isLasting = isLasting
        self.exitStatus = exitStatus
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
    }

    package var description: String { "\(subject): \(problem); \(remedy)" }
}
