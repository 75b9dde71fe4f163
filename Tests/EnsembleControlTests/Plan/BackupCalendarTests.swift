import EnsembleBase
import EnsembleControl
import Testing

@Suite struct BackupCalendarTests {
    private static let day: Int64 = 86_400_000
    private func time(_ day: Int64, _ hour: Int64 = 0, _ minute: Int64 = 0) -> WallTime {
        WallTime(milliseconds: day * Self.day + hour * 3_600_000 + minute * 60_000)
    }

    private final class Asked {
        var calendar: BackupCalendar
        init(_ calendar: BackupCalendar) { self.calendar = calendar }
        var next: WallTime { calendar.next }
        func isDue(newest: WallTime?, canCatchUp: Bool, now: WallTime) -> Bool {
            calendar.isDue(newest: newest, canCatchUp: canCatchUp, now: now)
        }
    }

    private func nightly(now: WallTime) throws -> Asked { Asked(BackupCalendar(try Schedule(parsing: "0 2 * * *"), now: now)) }

    @Test func eachDateIsDueOnce() throws {
        let calendar = try nightly(now: time(10, 1))
        #expect(calendar.next == time(10, 2))
        #expect(!calendar.isDue(newest: time(9, 2), canCatchUp: true, now: time(10, 1, 59)))
        #expect(calendar.isDue(newest: time(9, 2), canCatchUp: true, now: time(10, 2)))
        #expect(calendar.next == time(11, 2))
        // It is being taken.
        #expect(!calendar.isDue(newest: time(9, 2), canCatchUp: true, now: time(10, 2, 1)))
        #expect(!calendar.isDue(newest: time(10, 2), canCatchUp: true, now: time(10, 9)))
    }

    /// Issue 9, B21: the daemon was down at the date, or it failed.
    @Test func aDateThatCameToNothingIsMadeUpFor() throws {
        let calendar = try nightly(now: time(10, 3))
        #expect(!calendar.isDue(newest: time(9, 2), canCatchUp: false, now: time(10, 3)), "nobody serves yet")
        #expect(calendar.isDue(newest: time(9, 2), canCatchUp: true, now: time(10, 3, 1)))
        #expect(!calendar.isDue(newest: time(9, 2), canCatchUp: true, now: time(10, 3, 5)))
        #expect(calendar.isDue(newest: time(9, 2), canCatchUp: true, now: time(10, 3, 6)), "that one failed as well")
        #expect(!calendar.isDue(newest: time(10, 3, 6), canCatchUp: true, now: time(10, 23)))
        #expect(calendar.next == time(11, 2))
    }

    @Test func withoutABackupThereIsNothingToMakeUpFor() throws {
        let calendar = try nightly(now: time(10, 3))
        #expect(!calendar.isDue(newest: nil, canCatchUp: true, now: time(10, 4)))
    }

    @Test func aClockThatIsSetBackSkipsNoDate() throws {
        let calendar = try nightly(now: time(10, 3))
        #expect(calendar.next == time(11, 2))
        #expect(!calendar.isDue(newest: time(10, 2), canCatchUp: true, now: time(9, 23)))
        #expect(calendar.next == time(10, 2))
        #expect(calendar.isDue(newest: time(9, 2), canCatchUp: true, now: time(10, 2)))
    }
}
