import ArgumentParser
import EnsembleSim

struct SensitivityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sensitivity",
        abstract: "Find each deliberate bug: with all rules, with those that need no look inside, and each rule by itself.")

    @Option(help: "How many seeds are tried for each bug.") var limit: UInt64 = 60
    @Option(help: "How many bugs are looked for at once.") var jobs = 2
    @Flag(help: "Leave out what clients and final trees alone would find.") var insideOnly = false
    @Option(help: "Only this bug; may be repeated.") var bug: [DeliberateBug] = []

    private var bugs: [DeliberateBug] { bug.isEmpty ? DeliberateBug.allCases : bug }

    func run() async throws {
        say("by all rules:")
        let found = await find(bugs.map { Search(bug: $0) })
        var missed = found.count { $0.seed == nil }
        if !insideOnly {
            say("by clients and final trees alone:")
            _ = await find(bugs.map { Search(bug: $0, outsideOnly: true) })
        }
        say("by one rule alone:")
        let alone = await find(bugs.flatMap { bug in bug.aims.map { Search(bug: bug, only: $0) } })
        missed += alone.count { $0.seed == nil }
        report(alone)
        say("\(bugs.count) bugs, \(missed) searches in vain")
        if missed > 0 { throw ExitCode(1) }
    }

    private struct Search: Sendable {
        var bug: DeliberateBug
        var outsideOnly = false
        var only: Rule?
    }

    /// Which rules were shown to find something.
    private func report(_ findings: [Sensitivity.Finding]) {
        say("rules, and the bugs that each has found by itself:")
        for rule in Rule.allCases {
            let bugs = findings.filter { $0.only == rule && $0.seed != nil }.map(\.bug.rawValue).sorted()
            say("  \(rule.rawValue): \(bugs.isEmpty ? "NONE" : bugs.joined(separator: ", "))")
        }
    }

    private func find(_ searches: [Search]) async -> [Sensitivity.Finding] {
        let limit = limit
        var waiting = searches[...]
        var findings: [Sensitivity.Finding] = []
        await withTaskGroup(of: Sensitivity.Finding.self) { group in
            func launch() {
                guard let search = waiting.popFirst() else { return }
                group.addTask {
                    Sensitivity.find(search.bug, outsideOnly: search.outsideOnly, only: search.only, limit: limit)
                }
            }
            for _ in 0..<max(jobs, 1) { launch() }
            while let finding = await group.next() {
                findings.append(finding)
                say("  " + finding.line)
                launch()
            }
        }
        return findings
    }
}
