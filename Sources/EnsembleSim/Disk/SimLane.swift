import EnsembleBase
import KeeperStorage
import NIOConcurrencyHelpers

/// A lane whose work is done when the world says so.
final class SimLane: Lane {
    private struct State: Sendable {
        var work = FIFO<@Sendable () -> Void>()
        /// The world knows that there is work.
        var isKnown = false
    }

    /// Where lanes that have got work stand, for the world to see.
    final class Bell: Sendable {
        private let lanes = NIOLockedValueBox<[SimLane]>([])
        func ring(_ lane: SimLane) { lanes.withLockedValue { $0.append(lane) } }
        func take() -> [SimLane] {
            lanes.withLockedValue { lanes in
                if lanes.isEmpty { return [] }
                defer { lanes.removeAll(keepingCapacity: true) }
                return lanes
            }
        }
    }

    let name: String
    private let bell: Bell
    private let state = NIOLockedValueBox(State())

    init(name: String, bell: Bell) {
        self.name = name
        self.bell = bell
    }

    func run(_ work: @escaping @Sendable () -> Void) {
        let isNews = state.withLockedValue { state in
            state.work.append(work)
            defer { state.isKnown = true }
            return !state.isKnown
        }
        if isNews { bell.ring(self) }
    }

    /// Whoever waits for the end has the work done at once.
    func end() {
        while let work = state.withLockedValue({ $0.work.popFirst() }) { work() }
    }

    /// Does one piece of work; whether there is more.
    func turn() -> Bool {
        state.withLockedValue({ $0.work.popFirst() })?()
        return state.withLockedValue { state in
            state.isKnown = !state.work.isEmpty
            return state.isKnown
        }
    }

    /// Its process has ended.
    func abandon() { state.withLockedValue { $0.work.removeAll() } }
}
