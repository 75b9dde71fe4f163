import EnsembleBase
import Testing

@Suite struct ScheduleTests {
    static func at(_ compact: String) -> WallTime { CivilTime(compact: compact)?.wallTime ?? WallTime(milliseconds: -1) }

    @Test(arguments: [
        ("every 10s", "20261121T022817Z", "20261121T022820Z"),
        ("every 10s", "20261121T022820Z", "20261121T022830Z"),
        ("  every\t15m ", "20261121T022817Z", "20261121T023000Z"),
        ("every 6h", "20261121T180000Z", "20261122T000000Z"),
        ("every 1d", "20261231T000001Z", "20270101T000000Z"),
        ("* * * * *", "20261121T022800Z", "20261121T022900Z"),
        ("*/15 * * * *", "20261121T235900Z", "20261122T000000Z"),
        ("5-59/20 * * * *", "20261121T020600Z", "20261121T022500Z"),
        ("0 0 1 1 *", "20261121T022817Z", "20270101T000000Z"),
        ("0 0 29 2 *", "20961121T000000Z", "21040229T000000Z"),
        ("30 4 * * sun", "20261121T022817Z", "20261122T043000Z"),
        ("30 4 * * 7", "20261121T022817Z", "20261122T043000Z"),
        ("0 12 * FEB-MAR mon-fri", "20261121T000000Z", "20270201T120000Z"),
        // Both days restricted: either matches. 2026-11-25 is a Wednesday.
        ("0 0 28 * wed", "20261121T000000Z", "20261125T000000Z"),
        ("0 0 23 * wed", "20261121T000000Z", "20261123T000000Z"),
        // A starred day field: both must match.
        ("0 0 */2 * wed", "20261121T000000Z", "20261125T000000Z"),
        ("0,59 23,0 31 * *", "20261121T000000Z", "20261231T000000Z"),
    ])
    func next(_ text: String, _ after: String, _ expected: String) throws {
        let schedule = try Schedule(parsing: text)
        let next = schedule.next(after: Self.at(after))
        #expect(CivilTime(next).compact == expected)
    }

    @Test(arguments: [
        ("", 1), ("every", 6), ("every 5", 8), ("every 5x", 8), ("every m", 7), ("every 0s", 7), ("every 367d", 7),
        ("every 500ms", 7), ("every 5m 6m", 10), ("every 99999999999999999999s", 7), ("* * * *", 8), ("* * * * * *", 11),
        ("60 * * * *", 1), ("* 24 * * *", 3), ("* * 0 * *", 5), ("* * * 13 *", 7), ("* * * * 8", 9), ("1,,2 * * * *", 3),
        ("5/10 * * * *", 3), ("*/0 * * * *", 3), ("9-5 * * * *", 3), ("1-2-3 * * * *", 3), ("* * * foo *", 7),
        ("+5 * * * *", 1), ("0 0 30 2 *", 5), ("0 0 31 4,6,9,11 *", 5), ("é * * * *", 1), ("*, * * * *", 3),
    ])
    func refused(_ text: String, column: Int) {
        #expect { _ = try Schedule(parsing: text) } throws: { error in
            (error as? ScheduleError)?.column == column && (error as? ScheduleError)?.remedy.isEmpty == false
        }
    }

    /// From any point between two firings the next is the same one: nothing is skipped, nothing fires twice.
    @Test func everyPointLeadsToTheSameFiring() throws {
        var random = SeededRandom(seed: 11)
        for text in ["17 3 29 2 *", "0 */7 1-10/3 2,3 tue", "59 23 31 12 *", "0 0 * * 1-5"] {
            let schedule = try Schedule(parsing: text)
            var time = Self.at("20270601T000000Z")
            let end = Self.at("20290601T000000Z")
            var fired: [WallTime] = []
            while true {
                time = schedule.next(after: time)
                if time >= end { break }
                if let last = fired.last {
                    let between = Int64.random(in: last.milliseconds..<time.milliseconds, using: &random)
                    #expect(schedule.next(after: WallTime(milliseconds: between)) == time)
                }
                #expect(schedule.next(after: WallTime(milliseconds: time.milliseconds - 1)) == time)
                fired.append(time)
            }
            #expect(!fired.isEmpty)
            #expect(fired == fired.sorted())
        }
    }

    @Test func civilTimeRoundTrip() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<2000 {
            let seconds = Int64.random(in: -62_000_000_000...250_000_000_000, using: &random)
            let time = WallTime(milliseconds: seconds * 1000)
            #expect(CivilTime(time).wallTime == time)
        }
        #expect(CivilTime(WallTime(milliseconds: 0)).description == "1970-01-01T00:00:00Z")
        #expect(CivilTime(WallTime(milliseconds: -1)).description == "1969-12-31T23:59:59Z")
        #expect(CivilTime(WallTime(milliseconds: 951_782_400_000)).compact == "20000229T000000Z")
        #expect(CivilTime(compact: "20260229T000000Z") == nil)
    }

    @Test func policyRefusesNothing() throws {
        #expect(throws: RetentionPolicyError.keepsNothing(keepLast: 0)) { try RetentionPolicy(keepLast: 0) }
        #expect(throws: RetentionPolicyError.emptyAge) { try RetentionPolicy(keepLast: 1, keepFor: .zero) }
        #expect(try RetentionPolicy(keepLast: 3, keepFor: .seconds(60)).keepLast == 3)
    }
}
