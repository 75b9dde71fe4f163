import EnsembleBase

/// The faults that the design promises to survive, and no others. Each run of a swarm switches some of them on.
package struct FaultAtlas: Hashable, Sendable {
    /// A server's process dies and starts again; what it had not synced is lost in part.
    package var crashes = true
    /// The network falls into two parts for a while, or one direction of one link is cut.
    package var partitions = true
    /// A process stops for longer than its peers' patience, then goes on.
    package var freezes = true
    /// A member's directory is lost. At most one member at a time, and a majority of disks stays whole.
    package var lostDisks = true
    /// Connections break without cause.
    package var resets = true
    /// The wall clock jumps.
    package var clockSteps = true
    /// A disk takes up to hundreds of milliseconds for a sync.
    package var slowDisks = true

    package init() {}

    package static let none: FaultAtlas = {
        var atlas = FaultAtlas()
        atlas.crashes = false
        atlas.partitions = false
        atlas.freezes = false
        atlas.lostDisks = false
        atlas.resets = false
        atlas.clockSteps = false
        atlas.slowDisks = false
        return atlas
    }()

    /// Swarm testing (Groce et al., ISSTA 2012): runs that leave out some faults find what runs with all of them hide.
    package static func drawn(using random: inout SeededRandom) -> FaultAtlas {
        var atlas = FaultAtlas()
        atlas.crashes = Bool.random(using: &random)
        atlas.partitions = Bool.random(using: &random)
        atlas.freezes = Bool.random(using: &random)
        atlas.lostDisks = Bool.random(using: &random)
        atlas.resets = Bool.random(using: &random)
        atlas.clockSteps = Bool.random(using: &random)
        atlas.slowDisks = Bool.random(using: &random)
        return atlas
    }
}
