import EnsembleBase
import KeeperCore
import NIOConcurrencyHelpers

/// What is to happen in a wired world.
enum Happening: Sendable {
    /// A server's loop has something to do.
    case turn(ServerID, incarnation: Int)
    /// A lane of a server's has done its work.
    case laneDone(ServerID, incarnation: Int, lane: Int)
    /// A SYN, or the answer to one.
    case arrived(cable: Int)
    case answered(cable: Int, isAccepted: Bool)
    /// The next bytes, or the end, of one direction.
    case delivery(cable: Int, from: Cable.Side)
    /// The receiver has read: there is room again.
    case drained(cable: Int, from: Cable.Side)
    case clientTurn(Int)
    /// A client looks into its socket.
    case clientReads(Int, connection: Int)
    case start(ServerID)
    case thaw(ServerID)
    case diskFreed(ServerID)
    case heal
    case fault
}

/// The one clock and the one list of what is to happen, which loops, channels and cables of a world share. Everything that
/// is drawn while they run is drawn from its seed.
final class Timeline: Sendable {
    private struct State: Sendable {
        var now = Instant.origin
        var queue = EventQueue<Happening>()
        var random: SeededRandom
    }

    private let state: NIOLockedValueBox<State>

    init(seed: UInt64) { state = NIOLockedValueBox(State(random: SeededRandom(seed: seed))) }

    var now: Instant { state.withLockedValue { $0.now } }

    func schedule(_ happening: Happening, in delay: Duration) {
        state.withLockedValue { $0.queue.schedule(happening, at: $0.now + delay) }
    }

    func schedule(_ happening: Happening, at time: Instant) {
        state.withLockedValue { $0.queue.schedule(happening, at: max(time, $0.now)) }
    }

    /// What happens next, if it does by `end`; the clock is then there. Else the clock is at `end`.
    func next(until end: Instant) -> Happening? {
        state.withLockedValue { state in
            guard let time = state.queue.nextTime, time <= end, let first = state.queue.popFirst() else {
                state.now = max(state.now, end)
                return nil
            }
            state.now = first.time
            return first.event
        }
    }

    func draw(_ range: ClosedRange<Int64>) -> Int64 { state.withLockedValue { Int64.random(in: range, using: &$0.random) } }

    /// Whether a chance of one in `count` comes true.
    func oneIn(_ count: Int64) -> Bool { draw(1...count) == 1 }
}
