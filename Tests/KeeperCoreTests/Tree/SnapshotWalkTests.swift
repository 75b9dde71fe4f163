import EnsembleBase
import KeeperCore
import Testing

/// A snapshot that is taken while writes go on, repaired by the log (reference/zookeeper.md, 2.5).
@Suite struct SnapshotWalkTests {
    private struct Taken {
        var nodes: [(path: NodePath, data: [UInt8]?, key: Int64, stat: StoredStat)] = []
    }

    private func load(_ walk: SnapshotWalk, _ taken: Taken) throws -> DataTree {
        var loader = DataTreeLoader()
        for session in walk.sessions { try loader.addSession(session.session, timeout: session.timeout) }
        for (key, list) in walk.accessLists { try loader.addAccessList(key: key, list) }
        for node in taken.nodes {
            try loader.addNode(path: node.path, data: node.data, aclKey: node.key, stat: node.stat)
        }
        return try loader.finish(zxid: walk.start)
    }

    @Test(arguments: 1...120)
    func replayRepairsAFuzzySnapshot(seed: Int) throws {
        var writes = RandomWrites(seed: UInt64(seed))
        var world = WriteWorld(sessions: writes.sessions)
        func write() {
            let (request, session) = writes.request()
            world.write(request, session: session, as: [RandomWrites.reader])
        }
        for _ in 0..<(100 + seed) { write() }
        var walk = world.tree.beginSnapshot()
        var taken = Taken()
        // In half of the runs the walk is so slow that everything is changed many times meanwhile.
        let pace = seed % 2 == 0 ? 2 : 20
        while !world.tree.snapshotNodes(&walk, limit: 1 + writes.pick(3), visit: { taken.nodes.append(($0, $1, $2, $3)) }) {
            for _ in 0..<writes.pick(pace) { write() }
        }
        var loaded = try load(walk, taken)
        var changes: [TreeChange] = []
        for entry in world.log where entry.zxid > walk.start { _ = loaded.apply(entry, changes: &changes) }
        #expect(TreeContents(loaded) == TreeContents(world.tree))
    }

    @Test func quietWalkIsExact() throws {
        var world = WriteWorld()
        world.write(.create("/a", "1"))
        world.write(.create("/a/b", acl: RandomWrites.lists[2]))
        world.write(.create("/e", flags: 1))
        var walk = world.tree.beginSnapshot()
        var taken = Taken()
        while !world.tree.snapshotNodes(&walk, limit: 1, visit: { taken.nodes.append(($0, $1, $2, $3)) }) {}
        #expect(taken.nodes.map(\.path) == ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/a", "/a/b", "/e"])
        #expect(TreeContents(try load(walk, taken)) == TreeContents(world.tree))
    }

    /// A slot may be reused below its parent's: parents come first all the same, and each node once.
    @Test func parentsComeFirstWhateverTheSlots() {
        var world = WriteWorld()
        for path: NodePath in ["/x", "/y", "/z"] { world.write(.create(path)) }
        world.write(.delete("/x"))
        world.write(.create("/z/child"))
        world.write(.delete("/y"))
        world.write(.create("/z/child/grandchild"))
        var walk = world.tree.beginSnapshot()
        var paths: [NodePath] = []
        while !world.tree.snapshotNodes(&walk, limit: 1, visit: { path, _, _, _ in paths.append(path) }) {}
        #expect(paths.sorted() == ["/", "/z", "/z/child", "/z/child/grandchild", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"])
        for (i, path) in paths.enumerated() where !path.isRoot {
            #expect(paths[..<i].contains(path.parent ?? .root))
        }
    }

    /// ZOOKEEPER-3306, 4846: the table is written first, so a list that comes later must not be referred to.
    @Test func laterAccessListsHaveAStandInThatGrantsNothing() throws {
        var world = WriteWorld()
        world.write(.create("/a", "secret", acl: RandomWrites.lists[3]))
        var walk = world.tree.beginSnapshot()
        world.write(.setACL(path: "/a", acl: RandomWrites.lists[2], version: -1))
        var taken = Taken()
        while !world.tree.snapshotNodes(&walk, limit: 1, visit: { taken.nodes.append(($0, $1, $2, $3)) }) {}
        #expect(taken.nodes.last?.key == walk.standIn)
        var loaded = try load(walk, taken)
        #expect(throws: KeeperError.noAuth) { try loaded.checkAccess("/a", .read, [RandomWrites.reader]) }
        var changes: [TreeChange] = []
        for entry in world.log where entry.zxid > walk.start { _ = loaded.apply(entry, changes: &changes) }
        #expect(loaded.acl("/a") == RandomWrites.lists[2])
        #expect(TreeContents(loaded) == TreeContents(world.tree))
    }

    @Test func limitBoundsTheVisits() {
        var world = WriteWorld()
        for i in 0..<100 { world.write(.create(NodePath("/n\(i)"))) }
        var walk = world.tree.beginSnapshot()
        var visits = 0
        var calls = 0
        while true {
            let before = visits
            let done = world.tree.snapshotNodes(&walk, limit: 10, visit: { _, _, _, _ in visits += 1 })
            calls += 1
            #expect(visits - before <= 10)
            if done { break }
        }
        #expect(visits == 104 && calls >= 11)
    }

    /// A slice of 64 nodes of a megabyte took 64 MiB, and the loop for as long.
    @Test func largeDataCountsAsSeveralNodes() {
        var world = WriteWorld()
        for i in 0..<20 { world.write(.create(CreateRequest(path: NodePath("/n\(i)"), data: [UInt8](repeating: 1, count: 10_000), acl: AccessRight.openToAll, flags: 0))) }
        var walk = world.tree.beginSnapshot()
        var most = 0
        while true {
            var size = 0
            let done = world.tree.snapshotNodes(&walk, limit: 10, visit: { _, data, _, _ in size += data?.count ?? 0 })
            most = max(most, size)
            if done { break }
        }
        #expect(most <= 10 * SnapshotWalk.sizeOfNode + 10_000)
    }
}
