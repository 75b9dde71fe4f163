import EnsembleBase

/// What is to be done: the outputs of `OperatorMachine.step`.
///
/// The hands' contract: actions are performed in order; `saveLedger` and `saveIntents` are durable before the next
/// action begins (S9: written down before it starts), and if they fail the daemon ends. Each action with a token is
/// answered by exactly one `effectFinished` with that token.
package enum OperatorAction: Sendable, Hashable {
    /// Look at the data directory; answered by `dataInspected`.
    case inspectData(MemberID, InspectionDepth)
    /// Make a blank directory one of this identity that a first start may begin in, or fail; answered by `dataInspected`.
    case prepare(MemberID, identity: String)
    /// Write `zoo.cfg` and `myid` as the manifest has them now, and spawn; answered by `launched` or `launchFailed`.
    /// `identity` is written into a data directory that has none. S2: a server that finds less than `floor` ends again,
    /// with its data as it was; nil: nothing was there.
    case launch(MemberID, LaunchMode, identity: String?, floor: DataFloor?)
    case terminate(MemberID)
    case kill(MemberID)

    case saveLedger(Ledger)
    case saveIntents(Intents)
    /// As durable as those, before the next action begins.
    case saveHistory(History)

    /// Move whatever is in the member's data and log directories to quarantine with a reason file (S6). Doing it again
    /// is harmless.
    case quarantine(MemberID, reason: String, EffectToken)
    /// Make the member's data directory, complete or not at all.
    case seed(MemberID, Seed, EffectToken)
    /// Hold the ensemble's lock for disruptions, or prove that it is still held (S5).
    case acquireLock(EffectToken)
    case releaseLock
    /// Commit a transaction; answered with its zxid.
    case writeBarrier(EffectToken)
    /// Copy the member's files, up to exactly this zxid: it is committed and must be there, else the capture fails.
    case capture(MemberID, CaptureMode, upTo: Int64, EffectToken)
    case verify(backup: String, EffectToken)
    /// Whether every member's disks can take what this backup restores to: fails before anything is touched where one can't.
    case checkRoom(backup: String, EffectToken)
    /// Apply the retention policy (S6 is its own).
    case prune(EffectToken)

    case answer(request: String, RequestAnswer)
    case note(Note)
    /// Everything that termination asked for is done: the daemon may end.
    case finish
}

/// Ties an effect to its outcome.
package typealias EffectToken = UInt64

package enum LaunchMode: String, Sendable, Hashable, Codable {
    /// From the data it has.
    case existing
    /// The first start of a new cluster, in a directory that was prepared: its `initialize` file lets an empty tree vote.
    case bootstrap
    /// Never with an `initialize` file: it abstains until it has synced (S2).
    case recovering
}

/// What a data directory is made from.
package enum Seed: Sendable, Hashable, Codable {
    /// Nothing but `myid` and the identity file: Apache's server abstains with it (reference/operators.md, R1).
    case empty
    /// The files of a backup and the `recovering` mark (R5).
    case recovering(backup: String)
    /// The files of a backup, the same for every member, with this accepted epoch (S8).
    case restored(backup: String, acceptedEpoch: Int64)
}

package enum EffectOutcome: Sendable, Hashable {
    case done
    case barrier(zxid: Int64)
    case seeded(DataDirectoryContents)
    case captured(BackupReference)
    case failed(String)
}

package enum RequestAnswer: Sendable, Hashable {
    case accepted
    case refused(ControlError)
}

/// What happened, said by the core and logged by the hands. `code` is a word for programs.
package struct Note: Sendable, Hashable {
    package var severity: EventRecord.Severity
    package var code: NoteCode
    package var member: MemberID?
    package var message: String

    package init(_ severity: EventRecord.Severity, _ code: NoteCode, member: MemberID? = nil, _ message: String) {
        self.severity = severity
        self.code = code
        self.member = member
        self.message = message
    }
}

package enum NoteCode: String, Sendable, Hashable, CaseIterable {
    case memberLaunched, memberDied, memberSilent, memberParticipates, memberGaveUp, memberStopped
    case dataUntrusted, reseedStarted, reseedPhase, reseedFinished
    case operationStarted, operationStep, operationFinished, operationFailed, operationCancelled
    case backupTaken, backupFailed
    case held, released
    case paused, resumed
    case terminating, adopted, manifestChanged
}
