/// A golden run: a plan in words, why it is kept, and what must come of it.
///
/// Lines of `key value`; `#` begins a comment, and the first comment is the intent. `expect clean` or
/// `expect <rule>`; each `see <text>` must be part of a happening, in this order.
package struct Scenario: Sendable {
    package var intent: String
    package var plan: Plan
    /// nil for a clean run.
    package var expected: Rule?
    package var transcript: [String]

    package struct ParseError: Error, CustomStringConvertible {
        package var line: Int
        package var problem: String
        package var description: String { "line \(line): \(problem)" }
    }

    package init(parsing text: String) throws(ParseError) {
        var plan = Plan(seed: 0)
        var intent: String?
        var transcript: [String] = []
        var expected: Rule?
        var isExpectationSet = false
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.first == "#" {
                if intent == nil { intent = String(line.dropFirst().drop { $0 == " " }) }
                continue
            }
            guard let space = line.firstIndex(of: " ") else {
                if line.isEmpty { continue }
                throw ParseError(line: number + 1, problem: "'\(line)' has no value")
            }
            let (key, value) = (line[..<space], String(line[line.index(after: space)...]))
            switch key {
            case "see": transcript.append(value)
            case "expect":
                isExpectationSet = true
                expected = Rule(rawValue: value)
                if expected == nil, value != "clean" { throw ParseError(line: number + 1, problem: "'\(value)' is no rule") }
            default:
                guard plan.set(String(key), value) else {
                    throw ParseError(line: number + 1, problem: "'\(key) \(value)' is no part of a plan")
                }
            }
        }
        guard let intent, isExpectationSet else {
            throw ParseError(line: 1, problem: "a scenario has an intent ('# …') and an 'expect' line")
        }
        self.intent = intent
        self.plan = plan
        self.expected = expected
        self.transcript = transcript
    }

    /// What differs from the expectation; nil if nothing does.
    package func run() -> String? { difference(of: Campaign.run(plan)) }

    package func difference(of result: Campaign.Result) -> String? {
        guard result.violation?.rule == expected else {
            return "expected \(expected?.rawValue ?? "clean"), got \(result.violation.map { "\($0)" } ?? "clean")"
        }
        var rest = result.trace[...]
        for line in transcript {
            guard let found = rest.firstIndex(where: { contains($0, line) }) else { return "nothing says '\(line)' in its turn" }
            rest = rest[rest.index(after: found)...]
        }
        return nil
    }

    private func contains(_ happening: String, _ part: String) -> Bool {
        let (bytes, wanted) = (Array(happening.utf8), Array(part.utf8))
        guard bytes.count >= wanted.count else { return false }
        return (0...(bytes.count - wanted.count)).contains { bytes[$0..<($0 + wanted.count)].elementsEqual(wanted) }
    }
}

extension Plan {
    /// Sets one field by its name in a scenario; `seed`, or `operated` for one with an operator, comes first, since it sets
    /// all; `wide yes` behind it. False if that is no field.
    fileprivate mutating func set(_ key: String, _ value: String) -> Bool {
        switch key {
        case "seed":
            guard let seed = UInt64(value) else { return false }
            self = Plan(seed: seed)
        case "operated":
            guard let seed = UInt64(value) else { return false }
            self = Plan.operated(seed: seed)
        case "bug":
            guard let bug = DeliberateBug(rawValue: value) else { return false }
            self.bug = bug
        case "provoked": bug?.provoke(&self)
        case "faults":
            atlas = .none
            for name in value.split(separator: " ") where name != "none" {
                guard let fault = FaultAtlas(name: String(name)) else { return false }
                atlas.insert(fault)
            }
        case "operatorFaults":
            operatorFaults = .none
            for name in value.split(separator: " ") where name != "none" {
                guard let fault = OperatorFaults(name: String(name)) else { return false }
                operatorFaults.insert(fault)
            }
        case "wide":
            guard value == "yes" else { return false }
            self = widened()
        case "apaches": wasApaches = value == "yes"
        case "bytes": usesBytes = value == "yes"
        case "lulls": lulls = value == "yes"
        case "smallFiles": smallFiles = value == "yes"
        case "moment":
            moment = Ambush.Moment(rawValue: value)
            return moment != nil || value == "any"
        case "servers", "clients", "milliseconds", "snapCount", "window", "pause", "turnsPerMove", "epochs", "bandwidth", "apachePeer":
            guard let number = Int(value), number > 0 else { return false }
            switch key {
            case "servers": servers = number
            case "clients": clients = number
            case "milliseconds": faultTime = Int64(number)
            case "snapCount": snapCount = number
            case "pause": faultPause = Int64(number)
            case "turnsPerMove": turnsPerMove = number
            case "bandwidth": bandwidth = number
            case "apachePeer": apachePeer = Int64(number)
            case "epochs": epochLength = UInt32(clamping: number)
            default: windowCount = number
            }
        default: return false
        }
        return true
    }
}
