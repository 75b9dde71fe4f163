import EnsembleBase

/// Future events in the order of their time, and of their scheduling within one instant: a binary heap.
struct EventQueue<Event: Sendable>: Sendable {
    private struct Item: Sendable {
        var time: Instant
        var number: UInt64
        var event: Event
    }

    private var heap: [Item] = []
    private var scheduled: UInt64 = 0

    var nextTime: Instant? { heap.first?.time }

    mutating func schedule(_ event: Event, at time: Instant) {
        scheduled += 1
        heap.append(Item(time: time, number: scheduled, event: event))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func popFirst() -> (time: Instant, event: Event)? {
        guard !heap.isEmpty else { return nil }
        heap.swapAt(0, heap.count - 1)
        let item = heap.removeLast()
        var parent = 0
        while true {
            let left = parent * 2 + 1
            guard left < heap.count else { break }
            let right = left + 1
            let child = right < heap.count && precedes(right, left) ? right : left
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return (item.time, item.event)
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].number) < (heap[b].time, heap[b].number)
    }
}
