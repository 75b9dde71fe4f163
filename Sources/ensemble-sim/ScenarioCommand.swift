import ArgumentParser
import EnsembleSim
import Glibc

/// Scenarios are golden runs: when the world changes, a seed stands for another run, and the story needs a new one.
struct ScenarioCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scenario", abstract: "Run scenario files; with --search, find the first seeds whose runs tell their stories.")

    @Argument(help: "Scenario files.") var files: [String]
    @Option(help: "Try these seeds, as FIRST-LAST, instead of the file's own, and print the first that does.") var search: SeedRange?

    @Option(help: "How many of the last happenings of a run to print that is not as expected.") var lines = 0

    func run() async throws {
        var failed = 0
        for file in files {
            guard let text = ScenarioCommand.read(file) else { throw ValidationError("\(file): \(String(cString: strerror(errno)))") }
            if let search {
                say("\(file): \(await ScenarioCommand.find(text, search).map { "seed \($0)" } ?? "no seed of \(search.first)-\(search.last)")")
            } else {
                let scenario = try Scenario(parsing: text)
                let result = Campaign.run(scenario.plan)
                let difference = scenario.difference(of: result)
                if difference != nil {
                    failed += 1
                    for line in result.trace.suffix(lines) { print(line) }
                }
                say("\(file): \(difference ?? "as expected")")
            }
        }
        if failed > 0 { throw ExitCode(1) }
    }

    /// The lowest of a batch wins, so that the same search finds the same seed.
    private static func find(_ text: String, _ range: SeedRange) async -> UInt64? {
        var next = range.first
        while next <= range.last {
            let batch = next...min(next + 7, range.last)
            let found = await withTaskGroup(of: UInt64?.self) { group in
                for seed in batch {
                    group.addTask {
                        guard let scenario = try? Scenario(parsing: withSeed(seed, text)) else { return nil }
                        return scenario.run() == nil ? seed : nil
                    }
                }
                var best: UInt64?
                for await seed in group { if let seed { best = min(best ?? seed, seed) } }
                return best
            }
            if let found { return found }
            next = batch.upperBound + 1
        }
        return nil
    }

    /// The text with another seed in the line that names it.
    private static func withSeed(_ seed: UInt64, _ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            for key in ["seed ", "operated "] where line.hasPrefix(key) { return key + String(seed) }
            return String(line)
        }.joined(separator: "\n")
    }

    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { text += buffer[..<count] }
        return String(decoding: text, as: UTF8.self)
    }
}
