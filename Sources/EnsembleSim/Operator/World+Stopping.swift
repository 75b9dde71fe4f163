import EnsembleBase
import EnsembleControl
import KeeperCore

/// How a server ends that was asked to, as `KeeperShell.stop` and `RunningServer` have it: a leader hands over, and is
/// silent in elections meanwhile. When it leads no longer nothing moves any more but its disk.
extension World {
    /// `RunningServer.handOffLimit`.
    private static let handOffLimit = Duration.seconds(3)

    mutating func stop(politely id: ServerID) {
        let i = index(id)
        guard !servers[i].isStopping else { return }
        servers[i].isStopping = true
        schedule(.serverLeaves(id, incarnation: servers[i].incarnation), in: World.handOffLimit)
        step(id, .handOffRequested)
    }

    mutating func leaveIfPossible(_ id: ServerID) {
        guard servers[index(id)].isStopping, servers[index(id)].machine?.status.role != .leading else { return }
        leave(id)
    }

    mutating func leave(_ id: ServerID) {
        let i = index(id)
        guard !servers[i].hasLeft else { return }
        servers[i].hasLeft = true
        observe(id, isServing: false)
        disconnect(id)
        // It flushes its log.
        let slow = Int.random(in: 0..<12, using: &daemon!.random) == 0
        let pause = Int64.random(in: slow ? 1_000...3_000 : 10...600, using: &daemon!.random)
        schedule(.serverEnds(id, incarnation: servers[i].incarnation, .clean), in: .milliseconds(pause))
    }

    /// A process that stands still neither leaves nor ends by itself.
    mutating func waitsForThaw(_ id: ServerID, _ event: SimOperator.Event) -> Bool {
        guard servers[index(id)].isFrozen else { return false }
        schedule(event, in: .milliseconds(50))
        return true
    }
}
