import EnsembleBase
import KeeperCore
import Testing

@Suite struct DataTreeTests {
    private func apply(_ tree: inout DataTree, _ zxid: Int64, _ transaction: Transaction, session: SessionID = 1) -> ApplyResult {
        var changes: [TreeChange] = []
        return tree.apply(
            LogEntry(session: session, cxid: 0, zxid: Zxid(rawValue: zxid), time: 1000 + zxid, transaction: transaction),
            changes: &changes)
    }

    private func create(
        _ path: NodePath, _ data: String = "", op: OpCode = .create, ephemeral: Bool = false, parentCVersion: Int32,
        ttl: Int64 = 0, acl: [AccessRight] = AccessRight.openToAll
    ) -> Transaction {
        .create(
            op: op, path: path, data: Array(data.utf8), acl: acl, ephemeral: ephemeral, parentCVersion: parentCVersion,
            ttl: ttl)
    }

    /// The number that Apache's server writes for an empty database.
    @Test func emptyTree() {
        let tree = DataTree()
        #expect(tree.digest == 1_371_985_504)
        #expect(tree.nodeCount == 4)
        #expect(tree.children("/") == ["zookeeper"])
        #expect(tree.children("/zookeeper") == ["quota", "config"])
        #expect(tree.acl("/zookeeper/config") == [AccessRight(permissions: .read, identity: .anyone)])
        #expect(tree.stat("/")?.cversion == -1)
        #expect(tree.stat("/")?.numChildren == 1)
    }

    @Test func configurationIsOutsideOfTheDigest() {
        var tree = DataTree()
        tree.setConfiguration([])
        #expect(tree.stat("/zookeeper/config")?.version == 0)
        #expect(tree.stat("/zookeeper/config")?.aversion == -1)
        tree.setConfiguration(Array("version=100000000".utf8), zxid: Zxid(rawValue: 5), time: 7)
        #expect(tree.digest == 1_371_985_504)
        #expect(tree.data("/zookeeper/config") == Array("version=100000000".utf8))
        #expect(tree.stat("/zookeeper/config")?.version == -1)
        #expect(tree.stat("/zookeeper/config")?.mzxid == Zxid(rawValue: 5))
    }

    @Test func statsFollowTheProtocol() throws {
        var tree = DataTree()
        _ = apply(&tree, 1, create("/a", "one", parentCVersion: 1))
        _ = apply(&tree, 2, create("/a/b", parentCVersion: 1))
        _ = apply(&tree, 3, create("/a/c", parentCVersion: 2))
        _ = apply(&tree, 4, .delete(path: "/a/b", container: false))
        _ = apply(&tree, 5, .setData(path: "/a", data: Array("three".utf8), version: 1))
        _ = apply(&tree, 6, .setACL(path: "/a", acl: [AccessRight(permissions: .read, identity: .anyone)], version: 1))
        let stat = try #require(tree.stat("/a"))
        #expect(
            stat
                == Stat(
                    czxid: Zxid(rawValue: 1), mzxid: Zxid(rawValue: 5), ctime: 1001, mtime: 1005, version: 1,
                    cversion: 3, aversion: 1, ephemeralOwner: 0, dataLength: 5, numChildren: 1, pzxid: Zxid(rawValue: 4)))
        #expect(tree.storedStat("/a")?.cversion == 2)
        #expect(tree.lastProcessedZxid == Zxid(rawValue: 6))
        // Paths: "/", "/zookeeper", its two, "/a", "/a/c".
        #expect(tree.approximateDataSize == 1 + 10 + 16 + 17 + 2 + 4 + 5)
        #expect(tree.descendantCount("/") == 5)
        #expect(tree.descendantCount("/a") == 1)
        #expect(tree.descendantCount("/none") == nil)
    }

    @Test func markersOfForeignNodes() {
        var tree = DataTree()
        _ = apply(&tree, 1, create("/ttl", op: .createTTL, parentCVersion: 1, ttl: 60_000))
        _ = apply(&tree, 2, create("/container", op: .createContainer, parentCVersion: 2))
        #expect(tree.storedStat("/ttl")?.ephemeralOwner == Int64(bitPattern: 0xFF00_0000_0000_EA60))
        #expect(tree.storedStat("/container")?.ephemeralOwner == .min)
        #expect(tree.stat("/ttl")?.ephemeralOwner == 0)
        #expect(tree.ephemeralCount == 0)
        #expect(NodeOwner(0x0100_0000_0000_0001) == .session(0x0100_0000_0000_0001))
    }

    @Test func sessionsOwnTheirEphemerals() {
        var tree = DataTree()
        _ = apply(&tree, 1, .createSession(timeout: 4000), session: 9)
        _ = apply(&tree, 2, create("/e", ephemeral: true, parentCVersion: 1), session: 9)
        _ = apply(&tree, 3, create("/f", ephemeral: true, parentCVersion: 2), session: 9)
        #expect(tree.ephemeralPaths(of: 9) == ["/e", "/f"])
        #expect(tree.sessions == [TouchedSession(session: 9, timeout: 4000)])
        // The leader knew of one only; a log from before 3.6 lists none.
        _ = apply(&tree, 4, .closeSession(ephemerals: ["/e", "/gone"]), session: 9)
        #expect(tree.nodeCount == 4)
        #expect(tree.ephemeralCount == 0)
        #expect(tree.sessionCount == 0)
        #expect(tree.stat("/")?.pzxid == Zxid(rawValue: 4))
        _ = apply(&tree, 5, create("/g", ephemeral: true, parentCVersion: 3), session: 10)
        _ = apply(&tree, 6, .closeSession(ephemerals: nil), session: 10)
        #expect(!tree.contains("/g"))
    }

    /// Foreign leaders leave innocent parts as they were asked for.
    @Test func refusedForeignMultiChangesNothing() {
        var tree = DataTree()
        let digest = tree.digest
        let result = apply(&tree, 1, .multi([create("/a", parentCVersion: 1), .error(-110), create("/b", parentCVersion: 2)]))
        #expect(result.outcome == .multi([.error(nil), .error(.nodeExists), .error(.runtimeInconsistency)]))
        #expect(tree.digest == digest)
        #expect(tree.nodeCount == 4)
        #expect(tree.lastProcessedZxid == Zxid(rawValue: 1))
    }

    @Test func replayOnALaterStateIsTolerated() {
        var tree = DataTree()
        _ = apply(&tree, 10, create("/a", parentCVersion: 5, acl: RandomWrites.lists[2]))
        #expect(apply(&tree, 8, create("/a", parentCVersion: 4, acl: RandomWrites.lists[3])).error == .nodeExists)
        #expect(tree.storedStat("/")?.cversion == 5)
        #expect(tree.storedStat("/")?.pzxid == Zxid(rawValue: 10))
        #expect(tree.acl("/a") == RandomWrites.lists[3])
        #expect(apply(&tree, 11, create("/a", parentCVersion: 6, acl: RandomWrites.lists[2])).error == .nodeExists)
        #expect(tree.storedStat("/")?.cversion == 6)
        #expect(tree.storedStat("/")?.pzxid == Zxid(rawValue: 11))
        #expect(apply(&tree, 12, .delete(path: "/none", container: false)).error == .noNode)
        #expect(tree.storedStat("/")?.pzxid == Zxid(rawValue: 12))
        #expect(apply(&tree, 13, .setData(path: "/none", data: [], version: 1)).error == .noNode)
        #expect(apply(&tree, 14, .setACL(path: "/none", acl: [], version: 1)).error == .noNode)
        #expect(apply(&tree, 15, create("/no/child", parentCVersion: 1)).error == .noNode)
        // The deleted node of the log is an earlier one of the same path; the child belongs to the later.
        _ = apply(&tree, 16, create("/a/later", parentCVersion: 1))
        #expect(apply(&tree, 17, .delete(path: "/a", container: false)).error == nil)
        #expect(tree.nodeCount == 4)
    }

    @Test func oldParentVersionMinusOneCountsUp() {
        var tree = DataTree()
        _ = apply(&tree, 1, create("/a", parentCVersion: -1))
        #expect(tree.storedStat("/")?.cversion == 1)
    }

    @Test func responsesTakeTheFormOfTheOperation() {
        var tree = DataTree()
        let result = apply(&tree, 1, create("/a", parentCVersion: 1))
        #expect(result.responseBody(for: .create("/a")) == .path("/a"))
        let stat = Stat(
            czxid: Zxid(rawValue: 1), mzxid: Zxid(rawValue: 1), ctime: 1001, mtime: 1001, version: 0, cversion: 0,
            aversion: 0, ephemeralOwner: 0, dataLength: 0, numChildren: 0, pzxid: Zxid(rawValue: 1))
        #expect(result.responseBody(for: .create("/a", op: .create2)) == .pathAndStat("/a", stat))
    }

    /// Against a model: the index, the slab's reuse, the children's order of swaps.
    @Test func manyNodesComeAndGo() {
        var random = SeededRandom(seed: 7)
        var tree = DataTree()
        var model: Set<NodePath> = []
        var zxid: Int64 = 0
        for _ in 0..<4000 {
            zxid += 1
            let path = NodePath("/n\(Int.random(in: 0..<700, using: &random))")
            if model.remove(path) != nil {
                _ = apply(&tree, zxid, .delete(path: path, container: false))
            } else {
                model.insert(path)
                _ = apply(&tree, zxid, create(path, parentCVersion: -1))
            }
        }
        #expect(tree.nodeCount == model.count + 4)
        #expect(tree.children("/")?.sorted() == (model.map { ByteString(Array($0.name)) } + ["zookeeper"]).sorted())
        for i in 0..<700 { #expect(tree.contains(NodePath("/n\(i)")) == model.contains(NodePath("/n\(i)"))) }
    }

    @Test func loaderNamesDamage() throws {
        var loader = DataTreeLoader()
        #expect(throws: TreeLoadingError.missingParent("/a")) { try loader.addNode(path: "/a", data: [], aclKey: -1, stat: StoredStat()) }
        try loader.addNode(path: "", data: [], aclKey: -1, stat: StoredStat())
        #expect(throws: TreeLoadingError.duplicateNode(.root)) { try loader.addNode(path: "/", data: [], aclKey: -1, stat: StoredStat()) }
        #expect(throws: TreeLoadingError.unknownAccessKey(3, "/a")) { try loader.addNode(path: "/a", data: [], aclKey: 3, stat: StoredStat()) }
        #expect(throws: TreeLoadingError.missingParent("/x/y")) { try loader.addNode(path: "/x/y", data: [], aclKey: -1, stat: StoredStat()) }
        #expect(throws: TreeLoadingError.malformedPath("a")) { try loader.addNode(path: "a", data: [], aclKey: -1, stat: StoredStat()) }
        try loader.addNode(path: "/a", data: [], aclKey: -1, stat: StoredStat())
        #expect(throws: TreeLoadingError.duplicateNode("/a")) { try loader.addNode(path: "/a", data: [], aclKey: -1, stat: StoredStat()) }
        try loader.addAccessList(key: 4, RandomWrites.lists[2])
        #expect(throws: TreeLoadingError.duplicateAccessKey(4)) { try loader.addAccessList(key: 4, []) }
        #expect(throws: TreeLoadingError.duplicateAccessKey(-1)) { try loader.addAccessList(key: -1, []) }
        try loader.addSession(1, timeout: 1)
        #expect(throws: TreeLoadingError.duplicateSession(1)) { try loader.addSession(1, timeout: 1) }
        #expect(throws: TreeLoadingError.missingRoot) { _ = try DataTreeLoader().finish(zxid: .zero) }
        // The list that no node took is gone.
        #expect(try loader.finish(zxid: .zero).beginSnapshot().accessLists.count == 1)
    }
}
