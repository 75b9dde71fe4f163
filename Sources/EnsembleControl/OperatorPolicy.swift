import EnsembleBase

/// What the reconciler needs of a manifest.
package struct OperatorPolicy: Sendable, Hashable {
    package var cluster: String
    package var engine: Engine
    /// By rising id. One daemon runs all members of its cluster.
    package var members: [MemberID]
    package var voters: [MemberID]
    package var restart: RestartPolicy
    package var reseed: ReseedPolicy
    package var stopTimeout: Duration
    /// How long lost epoch promises may matter (S2).
    package var promiseLifetime: Duration
    /// How long what must last before it means something. The leader drops a silent follower after `syncLimit` ticks.
    package var verdictBounds: VerdictBounds
    /// How old an answer may be and still count as "now".
    package var freshness: Duration
    /// A proof that the lock is held is good for this long; less than any session timeout.
    package var lockProof: Duration = .seconds(3)
    package var retry: Duration = .seconds(1)
    /// How long a capture waits for its member to have what was committed before it turns to another.
    package var captureWait: Duration = .seconds(10)
    /// How scheduled backups are taken.
    package var backupMode: CaptureMode
    package var backupSource: CaptureSource
    /// Whether each backup is verified as soon as it is complete.
    package var verifiesBackups: Bool

    package var answerTimeout: Duration { verdictBounds.silence }

    package init(_ manifest: Manifest) {
        cluster = manifest.cluster
        engine = manifest.engine
        members = manifest.members.map(\.id).sorted()
        voters = manifest.voters
        restart = manifest.restart
        reseed = manifest.reseed
        stopTimeout = manifest.limits.stopTimeout
        promiseLifetime = manifest.settings.promiseLifetime
        verdictBounds = VerdictBounds(
            stopped: manifest.limits.frozenTimeout,
            silence: max(.seconds(4), manifest.settings.tickTime * manifest.settings.syncLimit),
            start: max(.seconds(60), manifest.settings.tickTime * manifest.settings.initLimit * 2))
        freshness = .seconds(3)
        backupMode = manifest.backups?.mode ?? .live
        backupSource = manifest.backups?.source ?? .follower
        verifiesBackups = manifest.backups?.verify ?? true
    }
}
