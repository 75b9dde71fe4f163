/// Bugs that a test switches on to show that the checkers see them.
package enum DeliberateBug: String, CaseIterable, Sendable {
    /// The log reports entries as durable before they are.
    case ackBeforeSync
    /// A member whose directory was lost votes as if it had its history (rule S2).
    case ignoreRecovering
}
