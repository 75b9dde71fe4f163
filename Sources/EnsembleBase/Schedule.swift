/// When something recurs: a fixed interval, or a cron expression. Times are UTC.
package enum Schedule: Hashable, Sendable {
    /// At every multiple of the interval since 1970-01-01T00:00:00Z, so that a restart of the daemon neither delays
    /// nor repeats a firing. One second to 366 days.
    case every(Duration)
    case cron(CronExpression)

    /// Reads `every 15m` (units s, m, h, d) or five cron fields.
    package init(parsing text: String) throws(ScheduleError) {
        let words = SyntaxWord.split(text)
        guard let first = words.first else {
            throw ScheduleError(column: 1, problem: "the schedule is empty", remedy: ScheduleError.forms)
        }
        guard first.text == "every" else {
            self = .cron(try CronExpression(words: words, endColumn: text.unicodeScalars.count + 1))
            return
        }
        guard words.count == 2 else {
            let column = words.count > 2 ? words[2].column : text.unicodeScalars.count + 1
            throw ScheduleError(
                column: column, problem: "'every' takes exactly one interval", remedy: "write for example 'every 15m'")
        }
        let interval = try Duration.parsed(words[1].text, startColumn: words[1].column)
        guard interval >= .seconds(1), interval <= .seconds(366 * 86_400) else {
            throw ScheduleError(
                column: words[1].column, problem: "the interval '\(words[1].text)' is out of range",
                remedy: "use 1s to 366d")
        }
        self = .every(interval)
    }

    /// The first firing strictly after `time`.
    package func next(after time: WallTime) -> WallTime {
        switch self {
        case .every(let interval):
            let step = max(interval.inMilliseconds, 1)
            let remainder = ((time.milliseconds % step) + step) % step
            return WallTime(milliseconds: time.milliseconds - remainder + step)
        case .cron(let expression):
            return expression.next(after: time)
        }
    }
}

/// Why a schedule or an interval cannot be read.
package struct ScheduleError: Error, Hashable, CustomStringConvertible {
    /// Counted from 1, in Unicode scalars of the text given.
    package var column: Int
    package var problem: String
    /// What would be right.
    package var remedy: String

    package init(column: Int, problem: String, remedy: String) {
        self.column = column
        self.problem = problem
        self.remedy = remedy
    }

    package var description: String { "column \(column): \(problem); \(remedy)" }

    static let forms = "write 'every 15m' or five cron fields: minute hour day month weekday (UTC)"
}

extension Duration {
    /// Reads a whole number and a unit: `10s`, `15m`, `6h`, `1d`, and `500ms`. Columns of errors count from
    /// `startColumn`.
    package static func parsed(_ text: String, startColumn: Int = 1) throws(ScheduleError) -> Duration {
        let digits = text.utf8.prefix { (0x30...0x39).contains($0) }
        let unit = String(text.dropFirst(digits.count))
        guard !digits.isEmpty else {
            throw ScheduleError(
                column: startColumn, problem: "'\(text)' does not begin with a number", remedy: "write for example '15m'")
        }
        let milliseconds: Int64
        switch unit {
        case "ms": milliseconds = 1
        case "s": milliseconds = 1000
        case "m": milliseconds = 60_000
        case "h": milliseconds = 3_600_000
        case "d": milliseconds = 86_400_000
        default:
            throw ScheduleError(
                column: startColumn + digits.count,
                problem: unit.isEmpty ? "'\(text)' has no unit" : "'\(unit)' is not a unit of time",
                remedy: "use ms, s, m, h or d")
        }
        // A thousand years: far beyond any use, and far from overflow in nanoseconds arithmetic of callers.
        guard let count = Int64(String(decoding: Array(digits), as: UTF8.self)), count <= 31_536_000_000_000 / milliseconds
        else {
            throw ScheduleError(column: startColumn, problem: "'\(text)' is too long", remedy: "use at most 365000d")
        }
        return .milliseconds(count * milliseconds)
    }
}

/// A word of a schedule and where it begins.
struct SyntaxWord {
    var text: String
    /// Counted from 1, in Unicode scalars.
    var column: Int

    static func split(_ text: String) -> [SyntaxWord] {
        var words: [SyntaxWord] = []
        var current = String.UnicodeScalarView()
        var start = 1
        var column = 1
        for scalar in text.unicodeScalars {
            if scalar == " " || scalar == "\t" {
                if !current.isEmpty { words.append(SyntaxWord(text: String(current), column: start)) }
                current = String.UnicodeScalarView()
            } else {
                if current.isEmpty { start = column }
                current.append(scalar)
            }
            column += 1
        }
        if !current.isEmpty { words.append(SyntaxWord(text: String(current), column: start)) }
        return words
    }
}
