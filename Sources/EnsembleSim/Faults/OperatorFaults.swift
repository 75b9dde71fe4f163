import EnsembleBase

/// What a run with an operator may meet beside `FaultAtlas`. Its `lostDisks` and `rolledBackDisks` then strike running
/// and stopped members alike, and it is the operator that must notice.
///
/// The promise: with any mixture of these the rules S1 to S11 hold at every moment, and once they stop the ensemble is
/// whole again within a bound, without help.
///
/// Outside of the promise, beside what `FaultAtlas` names: a directory rolled back to what the ledger can't tell from
/// its last second; a loss while a person's reseed or restore has taken another directory away; a state directory that
/// is lost with its ledger. Where a majority's directories are lost a person has to help, as the daemon says.
package struct OperatorFaults: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The daemon dies before any of its actions, or at any moment. What it had under way is done wholly or not at all.
    package static let crashes = OperatorFaults(rawValue: 1 << 0)
    /// The daemon stands still for up to ten seconds, then goes on with what waited for it.
    package static let freezes = OperatorFaults(rawValue: 1 << 1)
    /// A member dies and its files do not parse.
    package static let damagedDirectories = OperatorFaults(rawValue: 1 << 2)
    /// A member dies and its directory can't be read for a while.
    package static let unreadableDirectories = OperatorFaults(rawValue: 1 << 3)
    /// What a capture wrote is not what it read.
    package static let damagedBackups = OperatorFaults(rawValue: 1 << 4)
    /// A backup that was verified rots.
    package static let rottenBackups = OperatorFaults(rawValue: 1 << 5)
    /// The archive can't be reached for a while.
    package static let archiveOutages = OperatorFaults(rawValue: 1 << 6)
    /// An effect on files, or a launch, fails.
    package static let effectFailures = OperatorFaults(rawValue: 1 << 7)
    /// A server is stopped (SIGSTOP) and nobody but the operator ends that.
    package static let stoppedServers = OperatorFaults(rawValue: 1 << 8)
    /// Not a fault: people ask for restarts, stops, backups, reseeds and restores, and restart the daemon.
    package static let people = OperatorFaults(rawValue: 1 << 9)

    /// A directory is lost or rolled back between the daemon's look at it and the launch.
    package static let lateLosses = OperatorFaults(rawValue: 1 << 10)

    /// A member takes the daemon's connections and answers none of them, for a while; its peers and clients hear it.
    package static let deafServers = OperatorFaults(rawValue: 1 << 11)
    /// A member closes the daemon's connections unanswered, as one with as many of this address as it may have.
    package static let closedPorts = OperatorFaults(rawValue: 1 << 12)
    /// Nothing passes between the daemon and some of the members, whoever of them serves.
    package static let operatorCuts = OperatorFaults(rawValue: 1 << 13)
    /// The daemon can't ask some of the members, or any, for want of their addresses.
    package static let lostNames = OperatorFaults(rawValue: 1 << 14)

    /// A member dies, and its directory is not there for a while, as where a mount is late.
    package static let lateMounts = OperatorFaults(rawValue: 1 << 15)
    /// More than a minority's directories are gone at once, until a person puts them back or restores a backup.
    package static let lostMajorities = OperatorFaults(rawValue: 1 << 16)

    /// A killed process ends seconds later: it waits in the kernel for its disk.
    package static let slowDeaths = OperatorFaults(rawValue: 1 << 17)

    /// An election while nobody asks for anything, so that promises are all that is left of it; and then they are lost.
    package static let quietEpochs = OperatorFaults(rawValue: 1 << 18)

    /// Those that take directories away, or what they promised.
    package static let ofAbsence: OperatorFaults = [.lateMounts, .lostMajorities, .quietEpochs]

    /// Those that keep the daemon from hearing members that may be well.
    package static let ofHearing: OperatorFaults = [.deafServers, .closedPorts, .operatorCuts, .lostNames]

    package static let none: OperatorFaults = []

    /// In the order of their bits.
    package static let named: [(name: String, fault: OperatorFaults)] = [
        ("operatorCrashes", .crashes), ("operatorFreezes", .freezes), ("damagedDirectories", .damagedDirectories),
        ("unreadableDirectories", .unreadableDirectories), ("damagedBackups", .damagedBackups),
        ("rottenBackups", .rottenBackups), ("archiveOutages", .archiveOutages), ("effectFailures", .effectFailures),
        ("stoppedServers", .stoppedServers), ("people", .people), ("lateLosses", .lateLosses),
        ("deafServers", .deafServers), ("closedPorts", .closedPorts), ("operatorCuts", .operatorCuts), ("lostNames", .lostNames),
        ("lateMounts", .lateMounts), ("lostMajorities", .lostMajorities),
        ("slowDeaths", .slowDeaths), ("quietEpochs", .quietEpochs),
    ]

    package var names: [String] { OperatorFaults.named.filter { contains($0.fault) }.map(\.name) }

    /// nil for a name that is none.
    package init?(name: String) {
        guard let found = OperatorFaults.named.first(where: { $0.name == name }) else { return nil }
        self = found.fault
    }

    /// Each with an even chance, and people mostly.
    package static func drawn(using random: inout SeededRandom) -> OperatorFaults {
        var drawn = OperatorFaults(rawValue: UInt32(truncatingIfNeeded: random.next())).intersection(OperatorFaults(rawValue: 1 << 9 - 1))
        if Int.random(in: 0..<4, using: &random) != 0 { drawn.insert(.people) }
        return drawn
    }
}
