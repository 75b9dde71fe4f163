import EnsembleBase

/// Future events in the order of their time, and of their scheduling within one instant: a binary heap.
///
/// The heap holds keys alone; events stay where they are until their time comes, since moving one costs more than all
/// comparisons (a quarter of a run).
struct EventQueue<Event: Sendable>: Sendable {
    private struct Key: Sendable {
        var time: Instant
        var number: UInt64
        var slot: Int
    }

    private var heap: [Key] = []
    private var events: [Event?] = []
    private var freeSlots: [Int] = []
    private var scheduled: UInt64 = 0

    var nextTime: Instant? { heap.first?.time }

    mutating func schedule(_ event: Event, at time: Instant) {
        scheduled += 1
        let slot: Int
        if let free = freeSlots.popLast() {
            slot = free
            events[slot] = event
        } else {
            slot = events.count
            events.append(event)
        }
        let key = Key(time: time, number: scheduled, slot: slot)
        heap.append(key)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard EventQueue.precedes(key, heap[parent]) else { break }
            heap[child] = heap[parent]
            child = parent
        }
        heap[child] = key
    }

    mutating func popFirst() -> (time: Instant, event: Event)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty { sink(last) }
        guard let event = events[first.slot].take() else { preconditionFailure("a key without its event") }
        freeSlots.append(first.slot)
        return (first.time, event)
    }

    /// Puts a key in the place of the first one, and then where it belongs.
    private mutating func sink(_ key: Key) {
        var parent = 0
        while true {
            let left = parent * 2 + 1
            guard left < heap.count else { break }
            let right = left + 1
            let child = right < heap.count && EventQueue.precedes(heap[right], heap[left]) ? right : left
            guard EventQueue.precedes(heap[child], key) else { break }
            heap[parent] = heap[child]
            parent = child
        }
        heap[parent] = key
    }

    private static func precedes(_ a: Key, _ b: Key) -> Bool {
        a.time == b.time ? a.number < b.number : a.time < b.time
    }
}
