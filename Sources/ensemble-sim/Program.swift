import ArgumentParser
import EnsembleSim

/// The deterministic simulator: real server cores in a world that follows from a seed.
@main
struct Program: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ensemble-sim", abstract: "Run server cores in a simulated world.",
        subcommands: [Run.self, Swarm.self])
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run one seed and print what happened.")

    @Option(help: "The seed that everything follows from.") var seed: UInt64
    @Option(help: "A deliberate bug: \(DeliberateBug.allCases.map(\.rawValue).joined(separator: ", ")).") var bug: DeliberateBug?
    @Option(help: "How many of the last happenings to print.") var lines = 60

    func run() throws {
        let result = Campaign.run(seed: seed, bug: bug)
        for line in result.trace.suffix(lines) { print(line) }
        print("\(result.steps) steps, \(result.acknowledged) acknowledged, fingerprint \(String(result.fingerprint, radix: 16))")
        if let violation = result.violation {
            print("violation: \(violation)")
            throw ExitCode(1)
        }
    }
}

struct Swarm: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run many seeds and stop at the first violation.")

    @Option(help: "The first seed.") var from: UInt64 = 1
    @Option(help: "How many seeds.") var count: UInt64 = 100
    @Option(help: "A deliberate bug, to see that it is found.") var bug: DeliberateBug?

    func run() throws {
        var steps = 0
        var acknowledged = 0
        let clock = ContinuousClock()
        let start = clock.now
        for seed in from..<(from + count) {
            let result = Campaign.run(seed: seed, bug: bug)
            steps += result.steps
            acknowledged += result.acknowledged
            if let violation = result.violation {
                print("seed \(seed): \(violation)")
                throw ExitCode(1)
            }
        }
        let seconds = max(Double((clock.now - start).components.seconds), 1)
        print("\(count) seeds, \(steps) steps, \(acknowledged) acknowledged writes and reads, \(Int(Double(steps) / seconds)) steps/s: clean")
    }
}

extension DeliberateBug: ExpressibleByArgument {}
