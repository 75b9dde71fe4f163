import ArgumentParser
import EnsembleSim
import Glibc

/// Makes `docs/proof.md`: of each bug that servers of this kind have had, how it is planted and what finds it.
struct ProofCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proof", abstract: "Plant each historical bug, look for it, and write the table of what found it.")

    @Option(help: "Where the table goes; without this, to standard output.") var output: String?
    @Option(help: "How many seeds are tried for each bug.") var limit: UInt64 = 100
    @Option(help: "How many bugs are looked for at once.") var jobs = 2

    private struct Outcome: Sendable {
        var finding: Sensitivity.Finding
        var seconds: Double
    }

    func run() async throws {
        let outcomes = await find(DeliberateBug.allCases.filter { bug in HistoricalBug.all.contains { $0.planted == bug } })
        let rows = HistoricalBug.all.map { bug in
            let outcome = bug.planted.flatMap { outcomes[$0] }
            return bug.row(outcome?.finding, seconds: outcome?.seconds ?? 0)
        }
        let text = ProofCommand.head + rows.joined(separator: "\n") + "\n"
        if let output { try write(text, to: output) } else { print(text, terminator: "") }
        let missed = outcomes.values.count { $0.finding.seed == nil }
        say("\(HistoricalBug.all.count) bugs, \(HistoricalBug.all.count { $0.planted != nil }) planted, \(missed) searches in vain")
        if missed > 0 { throw ExitCode(1) }
    }

    private static let head = """
        # Historical bugs, planted

        Made by `ensemble-sim proof --output docs/proof.md`; the bugs are listed in
        `Sources/EnsembleSim/Sabotage/HistoricalBug.swift`. Each is a lie that the world tells to correct code, or about it
        (`DeliberateBug`), in runs with the faults that provoke it. The seed is the first whose run breaks a rule;
        `ensemble-sim run --provoked --bug BUG --seed SEED` shows it. The time is that of the whole search on one core of a
        shared machine.

        | bug | what went wrong | planted as | found by rule | seed | time |
        |---|---|---|---|---|---|

        """

    private func find(_ bugs: [DeliberateBug]) async -> [DeliberateBug: Outcome] {
        let limit = limit
        var waiting = bugs[...]
        var outcomes: [DeliberateBug: Outcome] = [:]
        await withTaskGroup(of: Outcome.self) { group in
            func launch() {
                guard let bug = waiting.popFirst() else { return }
                group.addTask {
                    let clock = ContinuousClock()
                    let start = clock.now
                    let finding = Sensitivity.find(bug, limit: limit)
                    return Outcome(finding: finding, seconds: (clock.now - start) / .seconds(1))
                }
            }
            for _ in 0..<max(jobs, 1) { launch() }
            while let outcome = await group.next() {
                outcomes[outcome.finding.bug] = outcome
                say("  " + outcome.finding.line)
                launch()
            }
        }
        return outcomes
    }

    private func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else { throw ValidationError("\(path): \(String(cString: strerror(errno)))") }
        let isWritten = fputs(text, file) >= 0
        guard fclose(file) == 0, isWritten else { throw ValidationError("\(path): \(String(cString: strerror(errno)))") }
    }
}
