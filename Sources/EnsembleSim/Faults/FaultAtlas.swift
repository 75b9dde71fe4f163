import EnsembleBase

/// The faults that the design promises to survive, and no others. Each run of a swarm switches some of them on.
///
/// The promise: with any mixture of these, at any time, no acknowledged write is lost or reordered, no session sees
/// time go back, no watch is lost; and once they stop, everyone serves again within a bound.
///
/// One exception, which costs nobody's data: a daemon killed twice within the first launches of a new cluster may leave
/// it to a person (`Campaign.Result.isStalled`).
///
/// Outside of the promise: bytes that lie and pass their checksums (TCP's, and those of log and snapshot), a majority of
/// directories lost at a time, a directory swapped for another member's (its `myid` gives it away), a directory rolled
/// back that the operator's ledger does not know (rule S2), or under its living server, a monotonic clock that runs
/// backwards, and members that are malicious.
package struct FaultAtlas: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A server's process dies and starts again, between any two operations on its files. Often its machine dies with
    /// it: then any part of what was not synced is left (`FaultyDisk`).
    package static let crashes = FaultAtlas(rawValue: 1 << 0)
    /// All die at once, or one after another faster than they come back.
    package static let massCrashes = FaultAtlas(rawValue: 1 << 1)
    /// The network falls into two parts for a while.
    package static let partitions = FaultAtlas(rawValue: 1 << 2)
    /// One direction between two servers is cut.
    package static let oneWayCuts = FaultAtlas(rawValue: 1 << 3)
    /// The leader is cut off from its peers and not from its clients.
    package static let isolatedLeaders = FaultAtlas(rawValue: 1 << 4)
    /// A process stops for longer than its peers' patience, then goes on with what waited for it.
    package static let freezes = FaultAtlas(rawValue: 1 << 5)
    /// A member's directory is lost. One member at a time: a majority of disks stays whole. It comes back empty,
    /// without `initialize`, and after lost promises were waited out (rule S2).
    package static let lostDisks = FaultAtlas(rawValue: 1 << 6)
    /// A member's directory is replaced by an older copy of itself, as by a restore. The operator's ledger knows better
    /// and sets the `recovering` mark (rule S2). One member at a time.
    package static let rolledBackDisks = FaultAtlas(rawValue: 1 << 7)
    /// Connections between servers break without cause.
    package static let resets = FaultAtlas(rawValue: 1 << 8)
    /// A connection breaks and one end never learns of it.
    package static let halfOpen = FaultAtlas(rawValue: 1 << 9)
    /// The wall clock of one server jumps by up to an hour.
    package static let clockSteps = FaultAtlas(rawValue: 1 << 10)
    /// A disk takes up to hundreds of milliseconds for a piece of work, and now and then seconds; each lane by itself.
    package static let slowDisks = FaultAtlas(rawValue: 1 << 11)
    /// What passes between two servers takes up to a quarter of a second, more than a tick.
    package static let slowLinks = FaultAtlas(rawValue: 1 << 12)
    /// Election messages arrive twice, the second time late. (Learner connections are TCP: they do not repeat.)
    package static let duplicates = FaultAtlas(rawValue: 1 << 13)

    /// A sector of a log or snapshot changes by itself, or can't be read. A server that needs it refuses to start, and the
    /// directory counts as lost. One member at a time.
    package static let bitRot = FaultAtlas(rawValue: 1 << 14)
    /// A disk is full for seconds: a write fails and ends the process, which is started again until there is room. A
    /// snapshot that fails is given up.
    package static let fullDisks = FaultAtlas(rawValue: 1 << 15)
    /// A write or an fsync fails. What it was for is on the disk, or not, or in part, and the kernel gives its pages up;
    /// the process ends and never asks again.
    package static let failedSyncs = FaultAtlas(rawValue: 1 << 16)
    /// Election messages get lost one by one.
    package static let losses = FaultAtlas(rawValue: 1 << 17)
    /// A process gets its processor in pieces, for seconds.
    package static let slowProcesses = FaultAtlas(rawValue: 1 << 18)

    /// A disk does nothing for seconds, longer than its peers' patience.
    package static let stalledDisks = FaultAtlas(rawValue: 1 << 19)
    /// A process runs and nobody hears it, peers or clients, nor does it hear anyone.
    package static let silentServers = FaultAtlas(rawValue: 1 << 20)
    /// A server takes no new connections for a while, as one without descriptors.
    package static let turnedAway = FaultAtlas(rawValue: 1 << 21)
    /// What passes between a client and its server takes up to half a second.
    package static let slowClients = FaultAtlas(rawValue: 1 << 22)

    /// All members stand still together, and their daemon with them.
    package static let sleepingHosts = FaultAtlas(rawValue: 1 << 23)

    package static let all = FaultAtlas(rawValue: 1 << 19 - 1)
    /// Those that only a widened plan has (`Plan.widened`).
    package static let wider: FaultAtlas = [.stalledDisks, .silentServers, .turnedAway, .slowClients]
    package static let none: FaultAtlas = []

    /// In the order of their bits.
    package static let named: [(name: String, fault: FaultAtlas)] = [
        ("crashes", .crashes), ("massCrashes", .massCrashes), ("partitions", .partitions), ("oneWayCuts", .oneWayCuts),
        ("isolatedLeaders", .isolatedLeaders), ("freezes", .freezes), ("lostDisks", .lostDisks),
        ("rolledBackDisks", .rolledBackDisks), ("resets", .resets), ("halfOpen", .halfOpen), ("clockSteps", .clockSteps),
        ("slowDisks", .slowDisks), ("slowLinks", .slowLinks), ("duplicates", .duplicates), ("bitRot", .bitRot),
        ("fullDisks", .fullDisks), ("failedSyncs", .failedSyncs), ("losses", .losses), ("slowProcesses", .slowProcesses),
        ("stalledDisks", .stalledDisks), ("silentServers", .silentServers), ("turnedAway", .turnedAway),
        ("slowClients", .slowClients), ("sleepingHosts", .sleepingHosts),
    ]

    package var names: [String] { FaultAtlas.named.filter { contains($0.fault) }.map(\.name) }

    /// nil for a name that is none.
    package init?(name: String) {
        guard let found = FaultAtlas.named.first(where: { $0.name == name }) else { return nil }
        self = found.fault
    }

    /// Swarm testing (Groce et al., ISSTA 2012): runs that leave out some faults find what runs with all of them hide.
    package static func drawn(using random: inout SeededRandom) -> FaultAtlas {
        FaultAtlas(rawValue: UInt32(truncatingIfNeeded: random.next())).intersection(.all)
    }
}
