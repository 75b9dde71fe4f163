import ArgumentParser
import EnsembleSim

struct Swarm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run many seeds, on all cores, and stop at the first violation.")

    @Option(help: "The first seed.") var from: UInt64 = 1
    @Option(help: "How many seeds; without end if only --minutes is given.") var count: UInt64?
    @Option(help: "Stop after so many minutes.") var minutes: Double?
    @Option(help: "How many seeds run at once.") var jobs = 2
    @Option(help: "A deliberate bug, to see that it is found.") var bug: DeliberateBug?
    @Flag(help: "Leave out the rules that look inside of members.") var outsideOnly = false

    func validate() throws {
        guard jobs >= 1 else { throw ValidationError("--jobs must be 1 or more") }
        if let minutes, minutes <= 0 { throw ValidationError("--minutes must be more than 0") }
    }

    func run() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let deadline = minutes.map { start + .seconds($0 * 60) }
        let end = count ?? (minutes == nil ? 100 : UInt64.max - from)
        var tally = SwarmTally()
        var next = from
        await withTaskGroup(of: Campaign.Result.self) { group in
            func launch() {
                guard tally.failure == nil, next - from < end, deadline.map({ clock.now < $0 }) ?? true else { return }
                var plan = Plan(seed: next, bug: bug)
                plan.outsideOnly = outsideOnly
                next += 1
                group.addTask { [plan] in Campaign.run(plan) }
            }
            for _ in 0..<jobs { launch() }
            while let result = await group.next() {
                tally.add(result)
                if tally.seeds % 100 == 0 { print(tally.line(elapsed: clock.now - start)) }
                launch()
            }
        }
        print(tally.line(elapsed: clock.now - start))
        if let failure = tally.failure, let violation = failure.violation {
            print("seed \(failure.plan.seed): violation of \(violation)")
            throw ExitCode(1)
        }
        print("clean: seeds \(from) to \(next - 1)")
    }
}

/// What a swarm has done so far.
struct SwarmTally {
    private(set) var seeds = 0
    private var steps = 0
    private var operations = 0
    private var stalled = 0
    /// Of the failing runs that were under way together, the one with the lowest seed.
    private(set) var failure: Campaign.Result?

    mutating func add(_ result: Campaign.Result) {
        seeds += 1
        steps += result.steps
        operations += result.operations
        stalled += result.isStalled ? 1 : 0
        guard result.violation != nil else { return }
        if failure.map({ result.plan.seed < $0.plan.seed }) ?? true { failure = result }
    }

    func line(elapsed: Duration) -> String {
        let milliseconds = max(elapsed.components.seconds * 1000 + elapsed.components.attoseconds / 1_000_000_000_000_000, 1)
        return
            "\(seeds) seeds in \(milliseconds / 1000) s: \(steps * 1000 / Int(milliseconds)) steps/s, \(operations) operations, \(operations * 60_000 / Int(milliseconds)) operations/min\(stalled > 0 ? ", \(stalled) stalled safely" : "")"
    }
}
