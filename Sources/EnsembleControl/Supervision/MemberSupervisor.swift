import EnsembleBase

/// Watches one member's process: launches it, restarts it by the cause of its death, kills it when it is frozen. The
/// table of what follows from what is in `MemberSupervisor+Table.swift`.
package struct MemberSupervisor: Sendable {
    package enum State: Sendable, Hashable {
        /// No process. → inspecting, when wanted
        case stopped
        /// Its data is being looked at before a launch (S2). → launching, untrusted, doubtful, stopped
        case inspecting
        /// → running, backingOff, gaveUp, untrusted
        case launching
        /// → stopping, killing, backingOff, gaveUp, untrusted
        case running
        /// SIGTERM was sent. → stopped, killing
        case stopping(deadline: Instant)
        /// SIGKILL was sent; the kernel ends it when it can, and is asked anew while it can't. → stopped, backingOff
        case killing(since: Instant, again: Instant)
        /// → inspecting, stopped
        case backingOff(until: Instant)
        /// Waits for a reseed. → stopped
        case untrusted(UntrustedReason)
        /// Nothing is known of its data (S10). → inspecting
        case doubtful(String, until: Instant)
        /// Waits for a person or a manifest. → inspecting, stopped
        case gaveUp(String)

        /// Whether a process may exist in this state: false is the proof that S3 asks for.
        package var mayHaveProcess: Bool {
            switch self {
            case .launching, .running, .stopping, .killing: true
            case .stopped, .inspecting, .backingOff, .untrusted, .doubtful, .gaveUp: false
            }
        }
    }

    package enum Event: Sendable, Hashable {
        case wanted
        case unwanted
        /// No longer wanted, and not to be asked politely: its data is gone (S3).
        case fenced
        case dataTrusted
        case dataUntrusted(UntrustedReason)
        case dataUnknown(String)
        case launched
        case launchFailed(LaunchFailure)
        case exited(ExitCause)
        /// Its process is there and does nothing (S11: `Verdict`).
        case frozen(Verdict.Reason)
        /// It has participated for the soak time.
        case proved
        /// A person or a new manifest asks to try again.
        case revived
        /// Its data directory was made anew.
        case reseeded
        case timePassed
    }

    package enum Action: Sendable, Hashable {
        case inspect
        case launch
        case terminate
        case kill
        case note(Note)
    }

    package let id: MemberID
    package internal(set) var state: State = .stopped
    package internal(set) var isWanted = false
    /// Deaths that nobody asked for, since the daemon began.
    package internal(set) var deaths = 0
    /// Those within the policy's window, oldest first.
    var recentDeaths: [Instant] = []
    var backoff: Backoff
    var policy: RestartPolicy
    var stopTimeout: Duration
    var random: SeededRandom
    package internal(set) var lastExit: ExitCause?
    /// What the last server found wrong with its configuration, until it is known that its directory is there.
    var complaint: String?

    package init(id: MemberID, policy: RestartPolicy, stopTimeout: Duration, seed: UInt64) {
        self.id = id
        self.policy = policy
        self.stopTimeout = stopTimeout
        backoff = Backoff(initial: policy.initialDelay, ceiling: policy.maximumDelay)
        random = SeededRandom(seed: seed)
    }

    /// When `timePassed` will change something; nil: not by itself.
    package var deadline: Instant? {
        switch state {
        case .stopping(let deadline), .killing(_, let deadline): deadline
        case .backingOff(let until), .doubtful(_, let until): until
        case .stopped, .inspecting, .launching, .running, .untrusted, .gaveUp: nil
        }
    }

    package mutating func adopt() {
        state = .running
        isWanted = true
    }

    package mutating func change(policy: RestartPolicy, stopTimeout: Duration) {
        self.stopTimeout = stopTimeout
        guard policy != self.policy else { return }
        self.policy = policy
        backoff = Backoff(initial: policy.initialDelay, ceiling: policy.maximumDelay)
    }
}
