/// From a path's bytes to its slot: open addressing with linear probing, in tables among which the hash chooses.
///
/// The standard dictionary would need a `NodePath` to look up a parent, and so an allocation for each write; this one
/// is asked with a slice of the child's path. It holds no key: the slab has the names. Its order depends on the
/// process's hash seed, so it is never iterated.
struct PathIndex: Sendable {
    /// So many that the growth of one, which a single write pays for, copies 50 KiB when the tree has a million nodes.
    private static let tableCount = 256

    private(set) var tables = Array(repeating: PathTable(), count: PathIndex.tableCount)

    func find(_ bytes: UnsafeRawBufferPointer, in nodes: borrowing NodeSlab) -> NodeSlot {
        let hash = PathIndex.hash(bytes)
        return tables[PathIndex.table(hash)].find(UInt32(truncatingIfNeeded: hash), bytes, in: nodes)
    }

    func find(_ path: NodePath, in nodes: borrowing NodeSlab) -> NodeSlot {
        path.bytes.withUnsafeBytes { find($0, in: nodes) }
    }

    /// The path must not be in the index yet.
    mutating func insert(_ path: NodePath, _ slot: NodeSlot) {
        let hash = path.bytes.withUnsafeBytes { PathIndex.hash($0) }
        tables[PathIndex.table(hash)].insert(UInt32(truncatingIfNeeded: hash), slot)
    }

    /// The path must be in the index, at `slot`.
    mutating func remove(_ path: NodePath, _ slot: NodeSlot) {
        let hash = path.bytes.withUnsafeBytes { PathIndex.hash($0) }
        tables[PathIndex.table(hash)].remove(UInt32(truncatingIfNeeded: hash), slot)
    }

    /// By the upper half of the hash; the lower half is for the table.
    private static func table(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> 32) & (tableCount - 1) }

    /// Seeded per process, so that a client can't prepare colliding names.
    private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return UInt64(truncatingIfNeeded: hasher.finalize())
    }
}

/// One of the tables. It is at most three quarters full, and grows by a quarter: fewer holes than doubling leaves, and
/// a miss looks at nine entries in the mean at worst.
struct PathTable: Sendable {
    /// The hash above, slot + 1 below; 0 is a hole. An entry's home is where its hash stands among all hashes, so that any
    /// count of entries will do.
    private(set) var entries: [UInt64] = Array(repeating: 0, count: 16)
    private var count = 0

    func find(_ hash: UInt32, _ bytes: UnsafeRawBufferPointer, in nodes: borrowing NodeSlab) -> NodeSlot {
        var i = home(hash)
        while entries[i] != 0 {
            if UInt32(truncatingIfNeeded: entries[i] >> 32) == hash {
                let slot = NodeSlot(truncatingIfNeeded: entries[i] & 0xFFFF_FFFF) - 1
                if nodes.isPath(bytes, of: slot) { return slot }
            }
            i = behind(i)
        }
        return .none
    }

    mutating func insert(_ hash: UInt32, _ slot: NodeSlot) {
        if (count + 1) * 4 > entries.count * 3 { grow() }
        place(PathTable.entry(hash, slot))
        count += 1
    }

    mutating func remove(_ hash: UInt32, _ slot: NodeSlot) {
        let sought = PathTable.entry(hash, slot)
        var hole = home(hash)
        while entries[hole] != sought {
            precondition(entries[hole] != 0, "path is not in the index")
            hole = behind(hole)
        }
        count -= 1
        // Entries behind the hole move up if their home is not between the hole and them: no tombstones.
        var i = hole
        while true {
            i = behind(i)
            if entries[i] == 0 { break }
            if distance(from: home(UInt32(truncatingIfNeeded: entries[i] >> 32)), to: i) >= distance(from: hole, to: i) {
                entries[hole] = entries[i]
                hole = i
            }
        }
        entries[hole] = 0
    }

    private mutating func grow() {
        let old = entries
        entries = Array(repeating: 0, count: old.count + old.count / 4)
        for entry in old where entry != 0 { place(entry) }
    }

    private mutating func place(_ entry: UInt64) {
        var i = home(UInt32(truncatingIfNeeded: entry >> 32))
        while entries[i] != 0 { i = behind(i) }
        entries[i] = entry
    }

    private static func entry(_ hash: UInt32, _ slot: NodeSlot) -> UInt64 { UInt64(hash) << 32 | UInt64(slot + 1) }

    private func home(_ hash: UInt32) -> Int { Int((UInt64(hash) * UInt64(entries.count)) >> 32) }

    private func behind(_ i: Int) -> Int { i + 1 == entries.count ? 0 : i + 1 }

    private func distance(from start: Int, to end: Int) -> Int { end >= start ? end - start : end - start + entries.count }
}
