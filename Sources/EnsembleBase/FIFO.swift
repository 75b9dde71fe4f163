/// A queue with amortised O(1) at both ends that keeps its storage.
///
/// Public and inlinable, though no product shows it: only so do other modules get it specialised (`package` is not
/// enough for 6.3's optimiser), and the unspecialised generic cost a tenth of the write path.
public struct FIFO<Element> {
    @usableFromInline var storage: [Element?] = []
    @usableFromInline var head = 0

    @inlinable public init() {}

    @inlinable public var count: Int { storage.count - head }
    @inlinable public var isEmpty: Bool { head == storage.count }
    @inlinable public var first: Element? { isEmpty ? nil : storage[head] }

    @inlinable public mutating func append(_ element: Element) { storage.append(element) }

    @inlinable public mutating func popFirst() -> Element? {
        guard head < storage.count else { return nil }
        let element = storage[head].take()
        head += 1
        // Compacting at half keeps the cost amortised constant and the slack bounded by the live part.
        if head == storage.count {
            storage.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 64, head * 2 >= storage.count {
            storage.removeFirst(head)
            head = 0
        }
        return element
    }

    /// The element at `offset` from the front, 0 ≤ offset < count.
    @inlinable public subscript(offset: Int) -> Element { storage[head + offset]! }

    @inlinable public mutating func removeAll() {
        storage.removeAll(keepingCapacity: true)
        head = 0
    }
}

extension FIFO: Sendable where Element: Sendable {}
