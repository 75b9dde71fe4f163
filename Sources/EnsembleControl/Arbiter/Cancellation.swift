/// What a person's `cancel` means for what is at work, in its present phase.
package enum Cancellation: Sendable, Hashable {
    /// It ends now. `returning`: was, or may have been, taken out of service for it, and comes back by itself (S4). `came`: what
    /// came of it before, a sentence or nothing.
    case atOnce(returning: MemberID?, came: String)
    /// What is being done is finished first.
    case afterwards
    /// It goes on, for this reason.
    case impossible(String)
}
