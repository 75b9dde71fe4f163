/// The nodes by their slots, in chunks: growth copies one chunk at most, so that no write pays for the size of the tree.
struct NodeSlab: Sendable {
    private static let chunkBits: NodeSlot = 12
    private static let chunkSize = 1 << Int(chunkBits)

    private var chunks: [[Znode]] = []
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    subscript(slot: NodeSlot) -> Znode {
        @inline(__always) _read { yield chunks[Int(slot >> NodeSlab.chunkBits)][Int(slot) & (NodeSlab.chunkSize - 1)] }
        @inline(__always) _modify {
            yield &chunks[Int(slot >> NodeSlab.chunkBits)][Int(slot) & (NodeSlab.chunkSize - 1)]
        }
    }

    mutating func append(_ node: Znode) {
        if count & (NodeSlab.chunkSize - 1) == 0 { chunks.append([]) }
        chunks[chunks.count - 1].append(node)
        count += 1
    }

    /// Whether these bytes are the node's path, compared from its end: nodes hold no more than their own names.
    func isPath(_ bytes: UnsafeRawBufferPointer, of slot: NodeSlot) -> Bool {
        if self[slot].parent == .none { return bytes.count == 1 && bytes[0] == UInt8(ascii: "/") }
        var end = bytes.count
        var next = slot
        while self[next].parent != .none {
            let start = end - self[next].nameCount
            guard start > 0, bytes[start - 1] == UInt8(ascii: "/"),
                self[next].withName({ $0.elementsEqual(UnsafeRawBufferPointer(rebasing: bytes[start..<end])) })
            else { return false }
            end = start - 1
            next = self[next].parent
        }
        return end == 0
    }
}
