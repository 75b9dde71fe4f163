import ArgumentParser
import EnsembleSim

struct SensitivityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sensitivity",
        abstract: "Find each deliberate bug, once with all rules and once with those that need no look inside.")

    @Option(help: "How many seeds are tried for each bug.") var limit: UInt64 = 60
    @Option(help: "How many bugs are looked for at once.") var jobs = 2
    @Flag(help: "Only with all rules.") var insideOnly = false

    func run() async throws {
        var missed = 0
        for outsideOnly in insideOnly ? [false] : [false, true] {
            print(outsideOnly ? "by clients and final trees alone:" : "by all rules:")
            let findings = await find(outsideOnly: outsideOnly)
            if !outsideOnly { missed = findings.count { $0.seed == nil } }
        }
        if missed > 0 { throw ExitCode(1) }
    }

    private func find(outsideOnly: Bool) async -> [Sensitivity.Finding] {
        let limit = limit
        var waiting = DeliberateBug.allCases[...]
        var findings: [Sensitivity.Finding] = []
        await withTaskGroup(of: Sensitivity.Finding.self) { group in
            func launch() {
                guard let bug = waiting.popFirst() else { return }
                group.addTask { Sensitivity.find(bug, outsideOnly: outsideOnly, limit: limit) }
            }
            for _ in 0..<max(jobs, 1) { launch() }
            while let finding = await group.next() {
                findings.append(finding)
                print("  " + finding.line)
                launch()
            }
        }
        return findings
    }
}
