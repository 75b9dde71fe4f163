import EnsembleBase

/// What the daemon is in the middle of, as written down before each step (S9). The next daemon takes it up from here:
/// every phase of a workflow is safe to begin again.
package struct Intents: Sendable, Hashable, Codable {
    package var reseed: Reseed?
    package var operation: Operation?
    /// Reseeds that people asked for and that have not begun, in the order of asking.
    package var reseedsAskedFor: [AskedReseed] = []
    /// S4: a whole member that was stopped for a step that was then given up. It starts again, and nobody else is taken out of
    /// service before it has passed a barrier, as behind a step that was made. Nil in files of before this was known.
    package var returning: MemberID?
    /// Since when a person wants nothing voluntary done; nil: it is done.
    package var pausedSince: WallTime?

    package init(reseed: Reseed? = nil, operation: Operation? = nil) {
        self.reseed = reseed
        self.operation = operation
    }

    /// S6: the backup that data is still to be made from, whatever newer ones there are: retention must wait.
    package var backupInUse: String? { operation?.workflow.backupInUse ?? reseed?.backupInUse }
}

/// A person's word that a member is to be reseeded, kept until its turn comes.
package struct AskedReseed: Sendable, Hashable, Codable {
    package var member: MemberID
    /// The operation that ends when the member participates again.
    package var operation: String

    package init(member: MemberID, operation: String) {
        self.member = member
        self.operation = operation
    }
}
