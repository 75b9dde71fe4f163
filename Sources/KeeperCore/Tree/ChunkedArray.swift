/// An array in pieces: growth, and the first change after a copy, copy one piece at most, so that no write pays for the
/// size of the tree.
struct ChunkedArray<Element: Sendable>: Sendable {
    static var chunkSize: Int { 1 << chunkBits }
    private static var chunkBits: Int { 12 }

    private(set) var chunks: [[Element]] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    subscript(position: Int) -> Element {
        @inline(__always) _read { yield chunks[position >> Self.chunkBits][position & (Self.chunkSize - 1)] }
        @inline(__always) _modify { yield &chunks[position >> Self.chunkBits][position & (Self.chunkSize - 1)] }
    }

    mutating func append(_ element: Element) {
        if count & (Self.chunkSize - 1) == 0 { chunks.append([]) }
        chunks[chunks.count - 1].append(element)
        count += 1
    }
}
