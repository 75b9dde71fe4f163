/// Where a state machine puts what is to be done. Passed `inout`, so that an early return can't lose an action, and
/// reused by the shell, so that a step allocates nothing once the buffer has grown.
public struct ActionBuffer<Action: Sendable>: Sendable {
    // Inlinable, so that it is specialised in other modules: a generic call for each action costs a write a twentieth.
    @usableFromInline var buffered: [Action] = []

    @inlinable public init() {}

    @inlinable public mutating func append(_ action: consuming Action) { buffered.append(action) }
    @inlinable public var actions: [Action] { buffered }
    @inlinable public var isEmpty: Bool { buffered.isEmpty }
    @inlinable public var count: Int { buffered.count }

    /// Hands out everything buffered, in order, and keeps no reference to it. Two buffers swapped by the shell keep
    /// their capacity; see `swap`.
    @inlinable public mutating func drain() -> [Action] {
        defer { buffered = [] }
        return buffered
    }

    /// Exchanges the contents with a spare array, so that the shell can walk one array while a re-entrant step fills
    /// the other and neither loses its capacity.
    @inlinable public mutating func exchange(with spare: inout [Action]) {
        swap(&buffered, &spare)
    }
}
