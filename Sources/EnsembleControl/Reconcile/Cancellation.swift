import EnsembleBase

/// What a person's `cancel` means for what is at work, in its present phase.
package enum Cancellation: Sendable, Hashable {
    /// It ends now. `returning`: was, or may have been, taken out of service for it, and comes back by itself (S4).
    case atOnce(returning: MemberID?)
    /// What is being done is finished first.
    case afterwards
    /// It goes on, for this reason.
    case impossible(String)
}

extension RollingRestart {
    /// A member that was asked to stop starts again, as it would have; nobody behind it is taken.
    package var cancellation: Cancellation { .atOnce(returning: phase.member) }
}

extension ColdBackup {
    package var cancellation: Cancellation {
        switch phase {
        case .choosing: .atOnce(returning: nil)
        case .stopping: .atOnce(returning: member)
        // S3: its files are in use. What was copied is a backup that nobody has verified.
        case .copying: .afterwards
        case .joining: .afterwards
        }
    }
}

extension Restore {
    package var cancellation: Cancellation {
        switch phase {
        // Nothing was changed: the members start again from what they have.
        case .verifying, .checkingRoom, .stopping: .atOnce(returning: nil)
        // S8: some members have the backup, others what was.
        case .quarantining, .seeding:
            .impossible("the data of the members is being replaced, and the cluster is whole again only behind that")
        // It only waits for what the members do by themselves.
        case .starting: .atOnce(returning: nil)
        }
    }
}

extension Reseed {
    /// - Parameter isUntouched: nothing of a whole member's data was moved.
    package func cancellation(isUntouched: Bool) -> Cancellation {
        switch (reason, phase) {
        case (.askedFor, .fencing) where isUntouched, (.askedFor, .quarantining) where isUntouched: .atOnce(returning: member)
        case (.askedFor, _): .impossible("what member \(member) had is in quarantine by now, and it comes back only by this")
        case (_, _): .impossible("member \(member) has lost its data, and comes back only by this")
        }
    }
}
