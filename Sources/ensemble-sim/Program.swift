import ArgumentParser
import EnsembleSim
import Glibc

/// The deterministic simulator: real server cores in a world that follows from a seed.
@main
struct Program: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ensemble-sim", abstract: "Run server cores in a simulated world.",
        subcommands: [ScenarioCommand.self, Run.self, Swarm.self, Shrink.self, SensitivityCommand.self, ProofCommand.self])
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run one seed and print what happened.")

    @Option(help: "The seed that everything follows from.") var seed: UInt64
    @Option(help: "A deliberate bug: \(DeliberateBug.allCases.map(\.rawValue).joined(separator: ", ")).") var bug: DeliberateBug?
    @Flag(help: "Leave out the rules that look inside of members.") var outsideOnly = false
    @Flag(help: "With the faults that provoke the bug, as `sensitivity` has them.") var provoked = false
    @OptionGroup var world: WorldOptions
    @Flag(help: "Without what `Plan.widened` adds, as scenarios and `sensitivity` have it.") var narrow = false
    @Option(help: "How many of the last happenings to print.") var lines = 60

    func run() throws {
        var plan = world.plan(seed: seed, bug: bug, narrow: narrow || provoked)
        plan.outsideOnly = outsideOnly
        if provoked { bug?.provoke(&plan) }
        let result = Campaign.run(plan)
        try report(result, lines: lines)
    }
}

struct Shrink: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make a failing seed's run smaller and print what is left.")

    @Option(help: "The failing seed.") var seed: UInt64
    @Option(help: "A deliberate bug.") var bug: DeliberateBug?
    @OptionGroup var world: WorldOptions
    @Flag(help: "Without what `Plan.widened` adds.") var narrow = false
    @Option(help: "How many of the last happenings to print.") var lines = 60

    func run() throws {
        let whole = Campaign.run(world.plan(seed: seed, bug: bug, narrow: narrow))
        guard let violation = whole.violation else {
            say("seed \(seed) is clean")
            return
        }
        let small = Shrinking.shrink(whole.plan, breaking: violation.rule) { say("smaller: \($0.plan.summary), \($0.end) ms") }
        try report(small, lines: lines)
    }
}

/// A line that is seen at once, also in a file that somebody follows.
func say(_ line: String) {
    print(line)
    fflush(nil)
}

/// Prints a run; a violation is the exit status.
func report(_ result: Campaign.Result, lines: Int) throws {
    for line in result.trace.suffix(lines) { print(line) }
    say(result.plan.summary)
    say("\(result.steps) steps, \(result.operations) operations, \(result.end) ms, fingerprint \(String(result.fingerprint, radix: 16))")
    if let violation = result.violation {
        say("violation of \(violation)")
        throw ExitCode(1)
    }
}

extension DeliberateBug: ExpressibleByArgument {}
