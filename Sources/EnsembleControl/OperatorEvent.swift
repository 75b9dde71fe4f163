import EnsembleBase

/// What has happened: the inputs of `OperatorMachine.step`.
package enum OperatorEvent: Sendable {
    /// A server of an earlier daemon was found alive and is this member's. Comes before the first `timePassed`.
    case adopted(MemberID, pid: Int32, fingerprint: Fingerprint?)
    case policyChanged(OperatorPolicy, fingerprints: [MemberFingerprint])
    case dataInspected(MemberID, DataDirectoryCondition)
    /// The data directory of a running member is gone or replaced.
    case dataVanished(MemberID, UntrustedReason)
    /// The data directory of a running member is there, and the one it was started from, as of a look begun at `at`.
    /// `mounts`: where the file systems are mounted that its directories are on; nil: it can't be told.
    case dataSeen(MemberID, at: Instant, mounts: [String]? = nil)
    /// With the settings that it was started with: the manifest may have changed since the launch was asked for.
    case launched(MemberID, pid: Int32, Fingerprint)
    case launchFailed(MemberID, LaunchFailure)
    case exited(MemberID, ExitCause)
    case answered(MemberID, MemberAnswer)
    /// The kernel's word on a member's living process.
    case processSeen(MemberID, ProcessSight)
    /// The member refused the connection, or took it and gave no answer in time.
    case unanswered(MemberID)
    /// A probe's connection was closed without an answer. Only a process that lives and works does that.
    case turnedAway(MemberID)
    /// It could not be asked, for a reason on this side.
    case notAsked(MemberID, String)
    case backupsListed(BackupObservation)
    case backupDue
    case effectFinished(EffectToken, EffectOutcome)
    /// `by`: the user id of who asks, by the kernel's word.
    case requested(id: String, OperatorRequest, by: UInt32? = nil)
    /// The answer to a request has been handed to whoever asked, or he was gone.
    case requestAnswered(id: String, isDelivered: Bool)
    case terminationRequested(leaveMembers: Bool)
    case timePassed
}

package struct MemberFingerprint: Sendable, Hashable {
    package var member: MemberID
    package var fingerprint: Fingerprint

    package init(member: MemberID, fingerprint: Fingerprint) {
        self.member = member
        self.fingerprint = fingerprint
    }
}

/// What a person, or a program for a person, asks for.
package enum OperatorRequest: Sendable, Hashable {
    case start(MemberID)
    case stop(MemberID, acceptOutage: Bool)
    case restart(MemberID, acceptOutage: Bool)
    case reseed(MemberID)
    case restartRolling(reason: String, acceptOutage: Bool)
    case backup(CaptureMode, member: MemberID?)
    case verify(backup: String)
    case restore(BackupReference)
    /// An operation's id.
    case cancel(String)
    /// Nothing voluntary is begun from here on (S4's steps), until `resume`.
    case pause
    case resume
}
