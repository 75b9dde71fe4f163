import ArgumentParser
import EnsembleSim
import Glibc

struct Swarm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run many seeds, on all cores, and stop at the first violation.")

    @Option(help: "The seeds, as FIRST-LAST.") var seeds: SeedRange?
    @Flag(help: "Begin at a seed that the clock gives, and print it.") var fresh = false
    @Option(help: "Stop after so many minutes.") var minutes: Double?
    @Option(help: "How many seeds run at once.") var jobs = 2
    @Option(help: "A deliberate bug, to see that it is found.") var bug: DeliberateBug?
    @OptionGroup var world: WorldOptions
    @Flag(help: "Leave out the rules that look inside of members.") var outsideOnly = false
    @Flag(help: "Go on behind a violation, and print each.") var keepGoing = false

    func validate() throws {
        guard jobs >= 1 else { throw ValidationError("--jobs must be 1 or more") }
        if let minutes, minutes <= 0 { throw ValidationError("--minutes must be more than 0") }
        if fresh, seeds != nil { throw ValidationError("--fresh and --seeds exclude each other") }
    }

    func run() async throws {
        let range = chosenSeeds
        say("seeds from \(range.first)")
        let clock = ContinuousClock()
        let start = clock.now
        let deadline = minutes.map { start + .seconds($0 * 60) }
        var tally = SwarmTally()
        var next = range.first
        await withTaskGroup(of: Campaign.Result.self) { group in
            func launch() {
                guard keepGoing || tally.failure == nil, next <= range.last, deadline.map({ clock.now < $0 }) ?? true else { return }
                var plan = world.isChosen || bug?.isWires ?? false
                    ? world.plan(seed: next, bug: bug) : Plan.drawn(seed: next, bug: bug)
                plan.outsideOnly = outsideOnly
                next += 1
                group.addTask { [plan] in Campaign.run(plan) }
            }
            for _ in 0..<jobs { launch() }
            while let result = await group.next() {
                tally.add(result)
                if keepGoing, let violation = result.violation { say("seed \(result.plan.seed): violation of \(violation)") }
                if tally.seeds % 100 == 0 { say(tally.line(elapsed: clock.now - start)) }
                launch()
            }
        }
        say(tally.line(elapsed: clock.now - start))
        if let failure = tally.failure, let violation = failure.violation {
            let options = "--seed \(failure.plan.seed)\(world.words(for: failure.plan))\(bug.map { " --bug \($0.rawValue)" } ?? "")"
            say("seed \(failure.plan.seed): violation of \(violation)")
            say("again: ensemble-sim run \(options)\nsmaller: ensemble-sim shrink \(options)")
            throw ExitCode(1)
        }
        say("clean: seeds \(range.first) to \(next - 1)")
    }

    /// Fresh ones begin at a million times the second, so that no two runs share any.
    private var chosenSeeds: SeedRange {
        if let seeds { return seeds }
        let first = fresh ? UInt64(max(time(nil), 0)) * 1_000_000 : 1
        return SeedRange(first: first, last: minutes == nil ? first + 99 : .max - 1)
    }
}

struct SeedRange: ExpressibleByArgument {
    var first: UInt64
    var last: UInt64

    init(first: UInt64, last: UInt64) { (self.first, self.last) = (first, last) }

    /// `FIRST-LAST`, or one seed.
    init?(argument: String) {
        let parts = argument.split(separator: "-", omittingEmptySubsequences: false).map { UInt64($0) }
        guard let first = parts.first ?? nil, let last = parts.last ?? nil, parts.count <= 2, first <= last, last < .max else {
            return nil
        }
        self.init(first: first, last: last)
    }
}

/// What a swarm has done so far.
struct SwarmTally {
    private(set) var seeds = 0
    private var steps = 0
    private var operations = 0
    private var stalled: [UInt64] = []
    /// Of the failing runs that were under way together, the one with the lowest seed.
    private(set) var failure: Campaign.Result?

    mutating func add(_ result: Campaign.Result) {
        seeds += 1
        steps += result.steps
        operations += result.operations
        if result.isStalled { stalled.append(result.plan.seed) }
        guard result.violation != nil else { return }
        if failure.map({ result.plan.seed < $0.plan.seed }) ?? true { failure = result }
    }

    private var stalledSafely: String {
        guard !stalled.isEmpty else { return "" }
        return ", \(stalled.count) stalled safely (seeds \(stalled.prefix(4).map(String.init).joined(separator: ", "))\(stalled.count > 4 ? " …" : ""))"
    }

    /// By the clock on the wall, and by the processor's, since a machine may have other work.
    func line(elapsed: Duration) -> String {
        let wall = max(elapsed / .milliseconds(1), 1)
        let processor = max(Double(clock()) * 1000 / Double(CLOCKS_PER_SEC), 1)
        let rates = "\(Int(Double(steps) * 1000 / wall)) steps/s, \(Int(Double(operations) * 60_000 / wall)) operations/min"
        let perProcessor = "\(Int(Double(operations) * 60_000 / processor)) operations per minute of one processor"
        return
            "\(seeds) seeds in \(Int(wall / 1000)) s: \(operations) operations, \(rates), \(perProcessor)\(stalledSafely)"
    }
}
