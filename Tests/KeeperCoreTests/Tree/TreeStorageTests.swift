import EnsembleBase
import Testing

@testable import KeeperCore

/// How the tree holds what its nodes hold.
@Suite struct TreeStorageTests {
    /// A copy of a tree is as it was, whatever becomes of the other one; which of the two goes on is drawn, too.
    @Test("A tree and its copies hold what a dictionary holds", arguments: 1...40)
    func model(seed: UInt64) {
        var present = TreeModel(seed: seed)
        var kept: [TreeModel] = []
        for round in 1...30 {
            for _ in 0..<25 { present.write() }
            present.check()
            if round % 3 == 0 {
                kept.append(present)
                if seed % 2 == 0 { swap(&present, &kept[kept.count / 2]) }
                present.branch(seed &* 1000 &+ UInt64(round))
            }
        }
        for copy in kept { copy.check() }
    }

    // MARK: Contents

    private func contents(_ lengths: [Int]) -> NodeContents {
        var contents = NodeContents()
        for (i, length) in lengths.enumerated() {
            contents.write(NodeSlot(i), Array(repeating: UInt8(i), count: length))
        }
        return contents
    }

    @Test("A content that crosses the limit, both ways, leaves its neighbours as they are", arguments: [0, 7, 15, 16, 39])
    func limit(slot: NodeSlot) {
        var contents = contents(Array(repeating: 30, count: 40))
        for count in [NodeContents.limit - 1, NodeContents.limit, NodeContents.limit - 1, 2, 70_000, 0, NodeContents.limit, 80, 70_000, 90_000] {
            contents.write(slot, behind: 1, Array(repeating: 0xFF, count: count))
            for other in 0..<NodeSlot(40) {
                let expected = other == slot ? [UInt8(slot)] + Array(repeating: 0xFF, count: count) : Array(repeating: UInt8(other), count: 30)
                #expect(Array(contents[other]) == expected, "\(other) after \(count)")
                #expect(contents.count(other) == expected.count)
            }
        }
        contents.erase(slot)
        #expect(contents.count(slot) == 0)
    }

    @Test("A slice taken before a write shows the bytes of before")
    func slices() {
        for (before, after) in [(100, 100), (100, 90), (100, 200), (100, 1000), (1000, 100), (1000, 1000)] {
            var contents = contents([20, before, 20])
            let slice = contents[1]
            let neighbour = contents[2]
            contents.write(1, behind: 1, Array(repeating: 0xAA, count: after))
            contents.erase(2)
            #expect(Array(slice) == Array(repeating: 1, count: before))
            #expect(Array(neighbour) == Array(repeating: 2, count: 20))
            #expect(Array(contents[1]) == [1] + Array(repeating: 0xAA, count: after))
            #expect(Array(contents[0]) == Array(repeating: 0, count: 20))
        }
    }

    private func address(_ contents: NodeContents) -> UnsafeRawPointer? { contents.groups[0].withUnsafeBytes { $0.baseAddress } }

    @Test("As many bytes as before, or a little less, are set in place; a group holds at most an eighth more than it uses")
    func room() {
        var contents = contents(Array(repeating: 100, count: 16))
        let first = address(contents)
        for count in [99, 99, 60, 99] {
            contents.write(3, behind: 1, Array(repeating: 5, count: count))
            #expect(address(contents) == first)
        }
        for slot in 0..<NodeSlot(16) {
            contents.erase(slot)
            let used = (0..<NodeSlot(16)).reduce(0) { $0 + contents.count($1) }
            #expect(contents.groups[0].count * 7 <= (used + NodeContents.headerSize) * 8)
        }
        #expect(contents.groups[0].count == NodeContents.headerSize)
    }

    @Test("Sixteen new contents of a length are written into one array, and leave no room")
    func filling() {
        var contents = contents([100])
        let first = address(contents)
        for slot in 1..<NodeSlot(16) { contents.write(slot, Array(repeating: 7, count: 100)) }
        #expect(address(contents) == first)
        #expect(contents.groups[0].count == NodeContents.headerSize + 16 * 100)
    }

    @Test("Whatever the lengths, a group that creates have filled is an eighth longer at most", arguments: 1...20)
    func filled(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let lengths = (0..<16).map { _ in Int.random(in: 1...600, using: &random) }
        let contents = contents(lengths)
        let used = lengths.reduce(NodeContents.headerSize) { $1 > NodeContents.limit ? $0 : $0 + $1 }
        #expect(contents.groups[0].count >= used && contents.groups[0].count * 7 <= used * 8)
    }

    // MARK: Bytes of a tree

    /// What the arrays of a tree have reserved, each with its header and malloc's.
    private func reservedBytes(_ tree: DataTree) -> Int {
        func bytes<Element>(_ array: [Element]) -> Int { array.capacity * MemoryLayout<Element>.stride + (array.isEmpty ? 0 : 40) }
        let slab = tree.nodes
        var sum = slab.nodes.chunks.reduce(0) { $0 + bytes($1) }
        for chunk in slab.details.chunks { sum += bytes(chunk) }
        for chunk in slab.contents.groups.chunks { sum += bytes(chunk) + chunk.reduce(0) { $0 + bytes($1) } }
        return sum + tree.index.tables.reduce(0) { $0 + bytes($1.bytes) }
    }

    @Test("Of 100 bytes of data and 36 of name, a tree makes no more than 180", arguments: [40_000, 60_000])
    func bytesOfANode(count: Int) {
        var tree = DataTree()
        var changes: [TreeChange] = []
        for i in 0..<count {
            let digits = String(i)
            let path = NodePath("/" + String(repeating: "x", count: 36 - digits.count) + digits)
            _ = tree.apply(
                LogEntry(
                    session: 1, cxid: 0, zxid: Zxid(rawValue: Int64(i + 1)), time: 7,
                    transaction: .create(
                        op: .create, path: path, data: Array(repeating: 7, count: 100), acl: [], ephemeral: false,
                        parentCVersion: -1, ttl: 0)), changes: &changes)
            changes.removeAll(keepingCapacity: true)
        }
        let perNode = reservedBytes(tree) / count
        #expect(perNode <= 180, "\(perNode)")
        // The root, /zookeeper, and /zookeeper/config, whose list counts as changed.
        #expect(tree.nodes.details.count == 3)
    }

    /// Three quarters full, a table has its entries one and a half places behind their homes in the mean
    /// (linear probing: Knuth, volume 3, 6.4).
    @Test("The index's entries are where their hashes say, or little behind")
    func probing() {
        var tree = DataTree()
        var changes: [TreeChange] = []
        for i in 1...20_000 {
            _ = tree.apply(
                LogEntry(
                    session: 1, cxid: 0, zxid: Zxid(rawValue: Int64(i)), time: 7,
                    transaction: .create(
                        op: .create, path: NodePath("/n\(i)"), data: nil, acl: [], ephemeral: false, parentCVersion: -1, ttl: 0)),
                changes: &changes)
        }
        var behind = 0
        var count = 0
        for table in tree.index.tables {
            for place in 0..<table.capacity where table[place].slot != .none {
                let home = Int(Double(table[place].hash) / 0x1p16 * Double(table.capacity))
                behind += (place - home + table.capacity) % table.capacity
                count += 1
            }
            #expect(table.capacity == 0 || (0..<table.capacity).contains { table[$0].slot == .none })
        }
        #expect(count == tree.nodeCount)
        #expect(behind < count * 3)
        // Of so many some share a table and the sixteen bits that an entry has of the hash.
        for i in 1...20_000 { #expect(tree.path(of: tree.slot(of: NodePath("/n\(i)"))) == NodePath("/n\(i)")) }
        for i in 20_001...40_000 { #expect(tree.slot(of: NodePath("/n\(i)")) == .none) }
    }

    @Test("An access list's key may be any that a snapshot has", arguments: [0, 1, 0x7FFF_FFFF, 0x8000_0000, Int64.max - 1] as [Int64])
    func wideACLKeys(key: Int64) throws {
        var loader = DataTreeLoader()
        try loader.addAccessList(key: key, RandomWrites.lists[2])
        try loader.addNode(path: "/", data: nil, aclKey: -1, stat: StoredStat())
        try loader.addNode(path: "/a", data: nil, aclKey: key, stat: StoredStat())
        var tree = try loader.finish(zxid: .zero)
        #expect(tree.nodes.aclKey(tree.slot(of: "/a")) == key)
        #expect(tree.acl("/a") == RandomWrites.lists[2])
        var changes: [TreeChange] = []
        func set(_ acl: [AccessRight], _ zxid: Int64) {
            _ = tree.apply(
                LogEntry(session: 1, cxid: 0, zxid: Zxid(rawValue: zxid), time: 7, transaction: .setACL(path: "/a", acl: acl, version: 1)),
                changes: &changes)
        }
        if key < .max - 1 {
            set(RandomWrites.lists[3], 1)
            #expect(tree.nodes.aclKey(tree.slot(of: "/a")) == key + 1)
        }
        set(AccessRight.openToAll, 2)
        #expect(tree.nodes.aclKey(tree.slot(of: "/a")) == AccessTable.openKey)
        #expect(tree.access.all.isEmpty)
    }
}

extension NodeContents {
    /// To a slot that was never used.
    fileprivate mutating func write(_ slot: NodeSlot, _ bytes: [UInt8]) {
        addSlot(slot, origin: NodeHeader.Origin(czxid: .zero, ctime: 0))
        write(slot, isNew: true, count: bytes.count) { place in bytes.withUnsafeBytes { place.copyMemory(from: $0) } }
    }
}
