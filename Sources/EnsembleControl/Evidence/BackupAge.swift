import EnsembleBase

/// From when on the newest backup that counts is too old: an archive that quietly stopped growing is found when it is needed,
/// unless somebody is told before (issue 9, B27).
package enum BackupAge {
    /// How long behind its date a backup may be, where the manifest says nothing.
    package static let grace: Duration = .seconds(3600)

    /// - Parameters:
    ///   - newest: when the newest backup that counts was begun; nil: there is none.
    ///   - start: when the daemon began, from which a cluster without backups is counted.
    package static func isOverdue(from settings: BackupSettings, newest: WallTime?, since start: WallTime) -> WallTime {
        let base = newest ?? start
        return settings.maximumAge.map { base + $0 } ?? settings.schedule.next(after: base) + grace
    }
}
