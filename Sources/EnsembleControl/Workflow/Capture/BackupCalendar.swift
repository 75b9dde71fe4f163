import EnsembleBase

/// When the next scheduled backup is due: at each date of the schedule, and behind a date that came to nothing (the daemon
/// was down, the backup failed, another operation stood in its way) as soon as it can be made up for. A nightly schedule
/// must not lose a day to a reboot at the wrong minute.
package struct BackupCalendar: Sendable, Hashable {
    /// Between two attempts to make up for a date.
    package static let retry: Duration = .seconds(300)

    package let schedule: Schedule
    /// The next date.
    package private(set) var next: WallTime
    private var attemptedAt: WallTime?
    private var seenAt: WallTime

    package init(_ schedule: Schedule, now: WallTime) {
        self.schedule = schedule
        next = schedule.next(after: now)
        seenAt = now
    }

    /// Whether a backup is due now. To be asked at least every second.
    ///
    /// - Parameters:
    ///   - newest: when the newest backup that counts was begun; nil: there is none, or the archive could not be read.
    ///   - canCatchUp: the ensemble serves: a date that was missed is made up for when that can succeed.
    package mutating func isDue(newest: WallTime?, canCatchUp: Bool, now: WallTime) -> Bool {
        // When the wall clock is set back, the next date is not a day later for it.
        if now < seenAt {
            next = schedule.next(after: now)
            attemptedAt = nil
        }
        seenAt = now
        if now >= next {
            next = schedule.next(after: now)
            attemptedAt = now
            return true
        }
        // A backup from the future says nothing of when one is due.
        guard canCatchUp, let newest, newest <= now, schedule.next(after: newest) <= now else { return false }
        if let attemptedAt, now - attemptedAt < Self.retry { return false }
        attemptedAt = now
        return true
    }
}
