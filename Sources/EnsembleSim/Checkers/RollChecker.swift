/// `rolls`: what a rolling restart comes to in an ensemble that is whole, while nothing else befalls anyone.
struct RollChecker: Sendable {
    private struct Roll: Sendable {
        /// In the order of their turns.
        var taken: [Int] = []
        /// Established since the first turn.
        var epochs: [Int64] = []
    }

    private let members: Int
    private var roll: Roll?

    init(count: Int) { members = count }

    /// How many had their turn; nil while no roll is judged.
    var turns: Int? { roll?.taken.count }

    mutating func begins() { roll = Roll() }

    /// - Parameter isLeading: at this moment, and by what is true.
    mutating func takes(_ member: Int, isLeading: Bool, _ verdict: inout Verdict) {
        guard let taken = roll?.taken else { return }
        if taken.contains(member) { verdict.fail(.rolls, "the roll takes \(member + 1) a second time") }
        if isLeading, taken.count < members - 1 {
            verdict.fail(.rolls, "the roll takes \(member + 1), which leads, before \(members - 1 - taken.count) others")
        }
        roll!.taken.append(member)
    }

    mutating func establishes(_ epoch: Int64, _ verdict: inout Verdict) {
        guard let roll, !roll.taken.isEmpty else { return }
        self.roll!.epochs.append(epoch)
        if let first = roll.epochs.first {
            verdict.fail(.rolls, "the roll costs a second election: after epoch \(first) epoch \(epoch) is established")
        }
    }

    /// Something else happens that costs an election.
    mutating func isDisturbed() { roll = nil }

    mutating func ends(_ verdict: inout Verdict) {
        guard let taken = roll?.taken else { return }
        roll = nil
        let missing = (0..<members).filter { !taken.contains($0) }.map { "\($0 + 1)" }
        guard !missing.isEmpty else { return }
        verdict.fail(.rolls, "the roll is over, and has not taken \(missing.joined(separator: ", "))")
    }
}
