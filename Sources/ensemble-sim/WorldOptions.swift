import ArgumentParser
import EnsembleSim

/// Which kind of world every seed stands for.
struct WorldOptions: ParsableArguments {
    @Flag(help: "With a real operator that drives the processes.") var operated = false
    @Flag(help: "With whole servers over cables and files, instead of machines alone.") var wired = false
    @Flag(help: "With files that change often and are found hurt.") var smallFiles = false
    @Option(help: "With an operator, and strikes at this step of its.") var moment: OperatorAmbush.Moment?

    func validate() throws {
        guard [operated || moment != nil, wired, smallFiles].count(where: { $0 }) <= 1 else {
            throw ValidationError("--operated, --wired and --small-files exclude each other; --moment is --operated")
        }
    }

    /// - Parameter narrow: without what `Plan.widened` adds.
    func plan(seed: UInt64, bug: DeliberateBug?, narrow: Bool = false) -> Plan {
        if wired || bug?.isWires ?? false { return Plan.wired(seed: seed, bug: bug) }
        let isOperated = operated || moment != nil
        var plan = isOperated ? Plan.operated(seed: seed, bug: bug) : Plan(seed: seed, bug: bug)
        if !narrow { plan = plan.widened() }
        if smallFiles { plan = plan.withSmallFiles() }
        if let moment { plan = plan.striking(at: moment) }
        return plan
    }

    /// Else every third has an operator (`Plan.drawn`).
    var isChosen: Bool { operated || wired || smallFiles || moment != nil }

    /// As they are typed, for a plan that was drawn.
    func words(for plan: Plan) -> String {
        let kind = plan.isOperated && moment == nil ? " --operated" : plan.isWired ? " --wired" : ""
        return kind + (moment.map { " --moment \($0)" } ?? "") + (smallFiles ? " --small-files" : "")
    }
}

extension OperatorAmbush.Moment: ExpressibleByArgument {}
