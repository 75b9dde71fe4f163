/// Five fields: minute, hour, day of month, month, day of week (crontab(5)). Lists, ranges, steps, English names; 7 is
/// Sunday too. Evaluated in UTC, so no firing is skipped or doubled by daylight saving.
///
/// As in crontab(5), when day of month and day of week are both restricted (neither begins with `*`) a day matches if
/// either does; otherwise both must.
package struct CronExpression: Hashable, Sendable {
    /// Bit n set: value n fires.
    private var minutes: UInt64
    private var hours: UInt64
    private var days: UInt64
    private var months: UInt64
    private var weekdays: UInt64
    private var eitherDay: Bool

    init(words: [SyntaxWord], endColumn: Int) throws(ScheduleError) {
        guard words.count == 5 else {
            let column = words.count > 5 ? words[5].column : endColumn
            throw ScheduleError(
                column: column, problem: "a cron schedule has 5 fields, not \(words.count)", remedy: ScheduleError.forms)
        }
        minutes = try CronField.minute.parse(words[0])
        hours = try CronField.hour.parse(words[1])
        days = try CronField.day.parse(words[2])
        months = try CronField.month.parse(words[3])
        weekdays = try CronField.weekday.parse(words[4])
        if weekdays & (1 << 7) != 0 { weekdays = (weekdays | 1) & 0x7F }
        eitherDay = !words[2].text.hasPrefix("*") && !words[4].text.hasPrefix("*")

        // Without this `next` would search for ever for the 30th of February. 2000 has a leap day.
        let (days, months) = (days, months)
        let possible = eitherDay
            || (1...12).contains { month in
                months >> UInt64(month) & 1 == 1
                    && (1...CivilTime.daysIn(month: month, year: 2000)).contains { days >> UInt64($0) & 1 == 1 }
            }
        guard possible else {
            throw ScheduleError(
                column: words[2].column, problem: "no month of '\(words[3].text)' has a day of '\(words[2].text)'",
                remedy: "choose a day that exists")
        }
    }

    /// The first matching minute that begins strictly after `time`. There always is one: the rarest expression, a leap
    /// day on a given weekday, recurs within 40 years.
    package func next(after time: WallTime) -> WallTime {
        var at = CivilTime(WallTime(milliseconds: CivilTime(time).startOfMinute.milliseconds + 60_000))
        while true {
            if months >> UInt64(at.month) & 1 == 0 {
                at = at.month == 12 ? CivilTime(year: at.year + 1, month: 1, day: 1) : CivilTime(year: at.year, month: at.month + 1, day: 1)
            } else if !matchesDay(at) {
                let midnight = CivilTime(year: at.year, month: at.month, day: at.day).wallTime
                at = CivilTime(midnight + .seconds(86_400))
            } else if hours >> UInt64(at.hour) & 1 == 0 {
                let hour = CivilTime(year: at.year, month: at.month, day: at.day, hour: at.hour).wallTime
                at = CivilTime(hour + .seconds(3600))
            } else if minutes >> UInt64(at.minute) & 1 == 0 {
                at = CivilTime(at.wallTime + .seconds(60))
            } else {
                return at.wallTime
            }
        }
    }

    private func matchesDay(_ at: CivilTime) -> Bool {
        let day = days >> UInt64(at.day) & 1 == 1
        let weekday = weekdays >> UInt64(at.weekday) & 1 == 1
        return eitherDay ? day || weekday : day && weekday
    }
}

extension CivilTime {
    fileprivate var startOfMinute: WallTime {
        CivilTime(year: year, month: month, day: day, hour: hour, minute: minute).wallTime
    }
}

/// One position of a cron expression: its range and the names that it accepts.
private struct CronField {
    var name: String
    var range: ClosedRange<Int>
    /// Names stand for `range.lowerBound` onwards.
    var names: [String] = []

    static let minute = CronField(name: "minute", range: 0...59)
    static let hour = CronField(name: "hour", range: 0...23)
    static let day = CronField(name: "day of month", range: 1...31)
    static let month = CronField(
        name: "month", range: 1...12,
        names: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
    static let weekday = CronField(
        name: "day of week", range: 0...7, names: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"])

    func parse(_ word: SyntaxWord) throws(ScheduleError) -> UInt64 {
        var bits: UInt64 = 0
        var column = word.column
        for item in word.text.split(separator: ",", omittingEmptySubsequences: false) {
            bits |= try parseItem(String(item), column: column)
            column += item.unicodeScalars.count + 1
        }
        return bits
    }

    private func parseItem(_ item: String, column: Int) throws(ScheduleError) -> UInt64 {
        let parts = item.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let span = try parseSpan(parts[0], column: column)
        var step = 1
        if parts.count == 2 {
            let stepColumn = column + parts[0].unicodeScalars.count + 1
            guard parts[0] == "*" || parts[0].contains("-") else {
                throw ScheduleError(
                    column: stepColumn, problem: "a step needs '*' or a range before it",
                    remedy: "write for example '\(parts[0])-\(range.upperBound)/\(parts[1])'")
            }
            guard let value = plainNumber(parts[1]), value >= 1, value <= range.upperBound else {
                throw ScheduleError(
                    column: stepColumn, problem: "'\(parts[1])' is not a step for \(name)",
                    remedy: "use 1 to \(range.upperBound)")
            }
            step = value
        }
        var bits: UInt64 = 0
        for value in stride(from: span.lowerBound, through: span.upperBound, by: step) { bits |= 1 << UInt64(value) }
        return bits
    }

    private func parseSpan(_ text: String, column: Int) throws(ScheduleError) -> ClosedRange<Int> {
        // The second Sunday, 7, would make every third day of `*/3` depend on which of the two is counted.
        if text == "*" { return range.lowerBound...(range.upperBound == 7 ? 6 : range.upperBound) }
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let low = try parseValue(ends[0], column: column)
        guard ends.count == 2 else { return low...low }
        let highColumn = column + ends[0].unicodeScalars.count + 1
        let high = try parseValue(ends[1], column: highColumn)
        guard low <= high else {
            throw ScheduleError(
                column: highColumn, problem: "the range '\(text)' ends before it begins",
                remedy: "write two ranges separated by a comma")
        }
        return low...high
    }

    private func parseValue(_ text: String, column: Int) throws(ScheduleError) -> Int {
        if let index = names.firstIndex(of: text.lowercased()) { return range.lowerBound + index }
        guard let value = plainNumber(text), range.contains(value) else {
            let orName = names.isEmpty ? "" : " or a name such as '\(names[0])'"
            throw ScheduleError(
                column: column, problem: text.isEmpty ? "a value is missing" : "'\(text)' is not a \(name)",
                remedy: "use \(range.lowerBound) to \(range.upperBound)\(orName)")
        }
        return value
    }

    /// Digits only: `Int("+5")` would accept a sign.
    private func plainNumber(_ text: String) -> Int? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(text)
    }
}
