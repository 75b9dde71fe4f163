/// Answer to `GET /v1/members/<id>`: a member, what is believed of it, and why.
package struct MemberDetails: Hashable, Sendable, Codable {
    package var member: MemberStatus
    /// `alive`, `frozen`, `cutOff`, `dead`, `unknown`.
    package var verdict: String
    package var reason: String
    package var evidence: [Testimony]
    /// What waits of it, and for what.
    package var held: [Hold]
    /// The latest that concern it, oldest first.
    package var events: [EventRecord]
    /// Absolute paths.
    package var logDirectory: String
    package var configurationFile: String

    package init(
        member: MemberStatus, verdict: String, reason: String, evidence: [Testimony], held: [Hold], events: [EventRecord],
        logDirectory: String, configurationFile: String
    ) {
        self.member = member
        self.verdict = verdict
        self.reason = reason
        self.evidence = evidence
        self.held = held
        self.events = events
        self.logDirectory = logDirectory
        self.configurationFile = configurationFile
    }
}
