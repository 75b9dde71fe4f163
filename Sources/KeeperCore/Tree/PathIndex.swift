/// From a path's bytes to its slot: open addressing with linear probing, in tables among which the hash chooses.
///
/// The standard dictionary would need a `NodePath` to look up a parent, and so an allocation for each write; this one
/// is asked with a slice of the child's path. It holds no key: the slab has the names. Its order depends on the
/// process's hash seed, so it is never iterated.
struct PathIndex: Sendable {
    /// So many that the growth of one, which a single write pays for, moves a thousand entries when the tree has a million
    /// nodes, and that sixteen bits of the hash tell a table's entries apart when it has many millions; so few that the
    /// heads of their arrays stay in the processor's cache.
    private static let tableCount = 1024

    private(set) var tables = Array(repeating: PathTable(), count: PathIndex.tableCount)

    func find(_ bytes: UnsafeRawBufferPointer, in nodes: borrowing NodeSlab) -> NodeSlot {
        let hash = PathIndex.hash(bytes)
        return tables[PathIndex.table(hash)].find(UInt16(truncatingIfNeeded: hash), bytes, in: nodes)
    }

    func find(_ path: NodePath, in nodes: borrowing NodeSlab) -> NodeSlot {
        path.bytes.withUnsafeBytes { find($0, in: nodes) }
    }

    /// The path must not be in the index yet.
    mutating func insert(_ path: NodePath, _ slot: NodeSlot) {
        let hash = path.bytes.withUnsafeBytes { PathIndex.hash($0) }
        tables[PathIndex.table(hash)].insert(UInt16(truncatingIfNeeded: hash), slot)
    }

    /// The path must be in the index, at `slot`.
    mutating func remove(_ path: NodePath, _ slot: NodeSlot) {
        let hash = path.bytes.withUnsafeBytes { PathIndex.hash($0) }
        tables[PathIndex.table(hash)].remove(UInt16(truncatingIfNeeded: hash), slot)
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
    /// Six bytes. Its home is where its hash stands among all hashes, so that any count of entries will do.
    struct Entry: Equatable {
        static let size = 6
        static let hole = Entry(hash: 0, slot: .none)

        var hash: UInt16
        var slot: NodeSlot

        init(hash: UInt16, slot: NodeSlot) {
            self.hash = hash
            self.slot = slot
        }

        @inline(__always)
        init(_ bytes: UnsafeRawBufferPointer, _ place: Int) {
            slot = bytes.loadUnaligned(fromByteOffset: place * Entry.size, as: NodeSlot.self)
            hash = bytes.loadUnaligned(fromByteOffset: place * Entry.size + 4, as: UInt16.self)
        }

        func write(to bytes: UnsafeMutableRawBufferPointer, _ place: Int) {
            bytes.storeBytes(of: slot, toByteOffset: place * Entry.size, as: NodeSlot.self)
            bytes.storeBytes(of: hash, toByteOffset: place * Entry.size + 4, as: UInt16.self)
        }
    }

    /// Entries as bytes: an array of them would pad each to eight. A hole's slot is `none`.
    private(set) var bytes: [UInt8] = []
    private var count = 0

    /// The holes included.
    var capacity: Int { bytes.count / Entry.size }

    subscript(place: Int) -> Entry { bytes.withUnsafeBytes { Entry($0, place) } }

    func find(_ hash: UInt16, _ path: UnsafeRawBufferPointer, in nodes: borrowing NodeSlab) -> NodeSlot {
        if bytes.isEmpty { return .none }
        return bytes.withUnsafeBytes { table in
            var place = home(hash)
            while true {
                let entry = Entry(table, place)
                if entry.slot == .none || (entry.hash == hash && nodes.isPath(path, of: entry.slot)) { return entry.slot }
                place = behind(place)
            }
        }
    }

    mutating func insert(_ hash: UInt16, _ slot: NodeSlot) {
        if (count + 1) * 4 > capacity * 3 { grow() }
        put(Entry(hash: hash, slot: slot))
        count += 1
    }

    mutating func remove(_ hash: UInt16, _ slot: NodeSlot) {
        let sought = Entry(hash: hash, slot: slot)
        var hole = home(hash)
        while self[hole] != sought {
            precondition(self[hole].slot != .none, "path is not in the index")
            hole = behind(hole)
        }
        count -= 1
        // Entries behind the hole move up if their home is not between the hole and them: no tombstones.
        var place = hole
        while true {
            place = behind(place)
            let entry = self[place]
            if entry.slot == .none { break }
            if distance(from: home(entry.hash), to: place) >= distance(from: hole, to: place) {
                set(hole, entry)
                hole = place
            }
        }
        set(hole, .hole)
    }

    private mutating func grow() {
        let old = self
        // A hole is all ones.
        bytes = Array(repeating: 0xFF, count: max(8, old.capacity + old.capacity / 4) * Entry.size)
        for place in 0..<old.capacity where old[place].slot != .none { put(old[place]) }
    }

    private mutating func put(_ entry: Entry) {
        var place = home(entry.hash)
        while self[place].slot != .none { place = behind(place) }
        set(place, entry)
    }

    private mutating func set(_ place: Int, _ entry: Entry) { bytes.withUnsafeMutableBytes { entry.write(to: $0, place) } }

    private func home(_ hash: UInt16) -> Int { (Int(hash) * capacity) >> 16 }

    private func behind(_ place: Int) -> Int { place + 1 == capacity ? 0 : place + 1 }

    private func distance(from start: Int, to end: Int) -> Int { end >= start ? end - start : end - start + capacity }
}
