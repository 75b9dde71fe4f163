/// Where a state machine puts what is to be done. Passed `inout`, so that an early return can't lose an action, and
/// reused by the shell, so that a step allocates nothing once the buffer has grown.
package struct ActionBuffer<Action: Sendable>: Sendable {
    package private(set) var actions: [Action] = []

    package init() {}

    package mutating func append(_ action: Action) { actions.append(action) }
    package var isEmpty: Bool { actions.isEmpty }
    package var count: Int { actions.count }

    /// Hands out everything buffered, in order, and keeps no reference to it. Two buffers swapped by the shell keep
    /// their capacity; see `swap`.
    package mutating func drain() -> [Action] {
        defer { actions = [] }
        return actions
    }

    /// Exchanges the contents with a spare array, so that the shell can walk one array while a re-entrant step fills
    /// the other and neither loses its capacity.
    package mutating func exchange(with spare: inout [Action]) {
        swap(&actions, &spare)
    }
}
