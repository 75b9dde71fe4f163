/// From a path's bytes to its slot: open addressing with linear probing.
///
/// The standard dictionary would need a `NodePath` to look up a parent, and so an allocation for each write; this one
/// is asked with a slice of the child's path. It holds no key: the slab has the names. Its order depends on the
/// process's hash seed, so it is never iterated.
struct PathIndex: Sendable {
    /// The hash's upper 32 bits above, slot + 1 below; 0 is a hole.
    private var entries: [UInt64]
    private var count = 0

    init() { entries = Array(repeating: 0, count: 16) }

    func find(_ bytes: UnsafeRawBufferPointer, in nodes: borrowing NodeSlab) -> NodeSlot {
        let hash = PathIndex.hash(bytes)
        let mask = entries.count - 1
        var i = Int(hash) & mask
        while entries[i] != 0 {
            if UInt32(truncatingIfNeeded: entries[i] >> 32) == hash {
                let slot = PathIndex.slot(entries[i])
                if nodes.isPath(bytes, of: slot) { return slot }
            }
            i = (i + 1) & mask
        }
        return .none
    }

    func find(_ path: NodePath, in nodes: borrowing NodeSlab) -> NodeSlot {
        path.bytes.withUnsafeBytes { find($0, in: nodes) }
    }

    /// The path must not be in the index yet.
    mutating func insert(_ path: NodePath, _ slot: NodeSlot) {
        if (count + 1) * 3 > entries.count * 2 { grow() }
        let hash = path.bytes.withUnsafeBytes { PathIndex.hash($0) }
        place(UInt64(hash) << 32 | UInt64(slot + 1))
        count += 1
    }

    /// The path must be in the index, at `slot`.
    mutating func remove(_ path: NodePath, _ slot: NodeSlot) {
        let hash = path.bytes.withUnsafeBytes { PathIndex.hash($0) }
        let mask = entries.count - 1
        let sought = UInt64(hash) << 32 | UInt64(slot + 1)
        var hole = Int(hash) & mask
        while entries[hole] != sought {
            precondition(entries[hole] != 0, "path is not in the index")
            hole = (hole + 1) & mask
        }
        count -= 1
        // Entries behind the hole move up if their home is not between the hole and them: no tombstones.
        var i = hole
        while true {
            i = (i + 1) & mask
            if entries[i] == 0 { break }
            let home = Int(entries[i] >> 32) & mask
            if (i - home) & mask >= (i - hole) & mask {
                entries[hole] = entries[i]
                hole = i
            }
        }
        entries[hole] = 0
    }

    private mutating func grow() {
        let old = entries
        entries = Array(repeating: 0, count: old.count * 2)
        for entry in old where entry != 0 { place(entry) }
    }

    private mutating func place(_ entry: UInt64) {
        let mask = entries.count - 1
        var i = Int(entry >> 32) & mask
        while entries[i] != 0 { i = (i + 1) & mask }
        entries[i] = entry
    }

    private static func slot(_ entry: UInt64) -> NodeSlot { NodeSlot(truncatingIfNeeded: entry & 0xFFFF_FFFF) - 1 }

    /// Seeded per process, so that a client can't prepare colliding names.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }
}
