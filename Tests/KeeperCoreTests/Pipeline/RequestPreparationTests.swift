import EnsembleBase
import KeeperCore
import Testing

@Suite struct RequestPreparationTests {
    private func error(_ entry: LogEntry) -> KeeperError? {
        if case .error(let code) = entry.transaction { KeeperError(rawValue: code) } else { nil }
    }

    private func createdPath(_ entry: LogEntry) -> NodePath? {
        if case .create(_, let path, _, _, _, _, _) = entry.transaction { path } else { nil }
    }

    @Test func sequentialNamesCountTheParentsChildrenEverCreated() {
        var world = WriteWorld()
        world.submit(.create("/q"))
        let first = world.submit(.create("/q/n-", flags: 2))
        let second = world.submit(.create("/q/n-", flags: 3))
        #expect(createdPath(first) == "/q/n-0000000000")
        #expect(createdPath(second) == "/q/n-0000000001")
        world.applyAll()
        world.write(.delete("/q/n-0000000000"))
        // A deletion frees no number; a trailing slash is legal here, for the name that follows.
        #expect(createdPath(world.submit(.create("/q/", flags: 2))) == "/q/0000000002")
        #expect(createdPath(world.submit(.create("/", flags: 2))) == "/0000000001")
    }

    /// ZOOKEEPER-2101: what a peer's decoder refuses must not be proposed.
    @Test func aTransactionLongerThanPeersTakeIsRefused() {
        let limit = 4096
        var world = WriteWorld()
        world.preparation = RequestPreparation(transactionLimit: limit)
        world.write(.create("/q"))
        // Ten bytes of a sequence number for each.
        let before = world.tree.digest
        let multi = world.submit(.multi(Array(repeating: .create("/q/", flags: 2), count: 100)))
        guard case .multi(let parts) = multi.transaction else { return #expect(Bool(false)) }
        #expect(parts.contains(.error(KeeperError.marshalling.rawValue)))
        #expect(error(world.submit(.create("/big", String(repeating: "x", count: limit)))) == .marshalling)
        world.applyAll()
        #expect(world.tree.digest == before)
        #expect(world.mispredicted.isEmpty)
    }

    /// A close can't be refused: it goes without its list, and without a digest, which readers would take for one.
    @Test func aSessionWithManyEphemeralsIsClosedWithoutNamingThem() {
        var world = WriteWorld()
        world.preparation = RequestPreparation(transactionLimit: 4096)
        for number in 0..<400 { world.write(.create(NodePath("/e\(number)-\(String(repeating: "n", count: 20))"), flags: 1)) }
        let entry = world.submit(.closeSession)
        #expect(entry.transaction == .closeSession(ephemerals: nil))
        #expect(entry.digest == nil)
        world.applyAll()
        #expect(world.tree.ephemeralCount == 0)
        world.write(.createSession(timeout: 1000))
        world.write(.create("/after"))
        #expect(world.mispredicted.isEmpty)
    }

    @Test func errorsInTheOrderOfApachesChecks() {
        var world = WriteWorld()
        world.write(.create("/a", "x"))
        world.write(.create("/a/b"))
        world.write(.create("/e", flags: 1))
        #expect(error(world.submit(.create("/a"))) == .nodeExists)
        #expect(error(world.submit(.create("/"))) == .nodeExists)
        #expect(error(world.submit(.create("/no/child"))) == .noNode)
        #expect(error(world.submit(.create("/e/child"))) == .noChildrenForEphemerals)
        #expect(error(world.submit(.create("relative"))) == .badArguments)
        #expect(error(world.submit(.create("/a/../c"))) == .noNode)
        #expect(error(world.submit(.create("/a/.."))) == .badArguments)
        #expect(error(world.submit(.create("/no/nul\0"))) == .badArguments)
        #expect(error(world.submit(.create("/a/c/"))) == .noNode)
        #expect(error(world.submit(.create("/t", flags: 5, op: .createTTL))) == .unimplemented)
        #expect(error(world.submit(.create("/t", flags: 7))) == .badArguments)
        #expect(error(world.submit(.create("/t", acl: []))) == .invalidACL)
        #expect(error(world.submit(.delete("/a"))) == .notEmpty)
        #expect(error(world.submit(.delete("/a", 7))) == .badVersion)
        #expect(error(world.submit(.delete("/missing"))) == .noNode)
        for path: NodePath in ["/missing/", "no/slash", "//", "/a/../b"] { #expect(error(world.submit(.delete(path))) == .noNode) }
        #expect(error(world.submit(.reconfig)) == .reconfigDisabled)
        for path: NodePath in ["/", "relative", "/nul\0", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
            #expect(error(world.submit(.delete(path))) == .badArguments)
        }
        #expect(error(world.submit(.set("/zookeeper/config", "x"))) == .noAuth)
        #expect(error(world.submit(.set("/a", "y", 3))) == .badVersion)
        #expect(error(world.submit(.set("/missing", "y"))) == .noNode)
        #expect(error(world.submit(.set("//", "y"))) == .badArguments)
        for op: OpCode in [.create, .delete, .setData, .setACL, .multi] {
            #expect(error(world.submit(.malformed(op: op.rawValue))) == .marshalling)
        }
        #expect(error(world.submit(.deleteContainer(path: "/a"))) == .unimplemented)
        #expect(error(world.submit(.deleteContainer(path: "/a/b"), session: 0)) == .badVersion)
        #expect(error(world.submit(.set("/a", "y"), session: 99)) == .sessionExpired)
        #expect(error(world.submit(.multi([.setACL(path: "/a", acl: AccessRight.openToAll, version: -1)]))) == .marshalling)
        #expect(error(world.submit(.getData(path: "/a", watch: false))) == .unimplemented)
        let before = world.tree.digest
        world.applyAll()
        #expect(world.tree.digest == before)
    }

    /// Kept and not counted it would only seem to be one (issue 8, A21). To take an Apache server's away is allowed.
    @Test func quotaIsRefused() {
        var world = WriteWorld()
        for path: NodePath in ["/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_limits"] {
            #expect(error(world.submit(.create(path))) == .unimplemented)
            #expect(error(world.submit(.set(path, "count=1"))) == .unimplemented)
            #expect(error(world.submit(.delete(path))) == .noNode)
        }
        #expect(error(world.submit(.create("/zookeeper/quotas"))) == nil)
    }

    /// ZOOKEEPER-2623: a proposed bare check corrupts ensembles.
    @Test func bareCheckIsNeverProposed() {
        var world = WriteWorld()
        #expect(error(world.submit(.check(path: "/", version: -1))) == .unimplemented)
    }

    @Test func failedWriteTakesAZxidAndCarriesNoDigest() {
        var world = WriteWorld()
        let entry = world.submit(.delete("/missing"))
        #expect(entry.transaction == .error(KeeperError.noNode.rawValue))
        #expect(entry.digest == nil)
        world.applyAll()
        #expect(world.tree.lastProcessedZxid == entry.zxid)
        #expect(world.results.last?.error == .noNode)
    }

    @Test func refusedMultiTellsEachPart() {
        var world = WriteWorld()
        let entry = world.submit(.multi([.create("/a"), .create("/a/b"), .delete("/missing"), .create("/c")]))
        #expect(entry.transaction == .multi([.error(0), .error(0), .error(-101), .error(-2)]))
        #expect(entry.digest?.treeDigest == 1_371_985_504)
        // Nothing of it is seen by the next request, applied or not.
        #expect(error(world.submit(.create("/a/b"))) == .noNode)
        world.applyAll()
        #expect(!world.tree.contains("/a"))
        let result = world.results[world.results.count - 2]
        #expect(result.error == nil)
        #expect(result.responseBody(for: .multi([])) == .multi([.error(nil), .error(nil), .error(.noNode), .error(.runtimeInconsistency)]))
    }

    /// Apache's servers before 3.8.2 drop a multi with a create2 in it, and their trees drift apart from the leader's
    /// (ZOOKEEPER-4026). Found by replaying our log with 3.8.0.
    @Test func aCreate2InAMultiIsLoggedAsACreateAndAnsweredWithItsStat() {
        var world = WriteWorld()
        let request = Request.multi([.create("/a", op: .create2), .create("/b")])
        let result = world.write(request)
        guard case .multi(let parts)? = world.log.last?.transaction else { Issue.record("no multi"); return }
        #expect(parts.map(\.type) == [OpCode.create.rawValue, OpCode.create.rawValue])
        guard case .multi(let results) = result.responseBody(for: request) else { Issue.record("no results"); return }
        #expect(world.tree.stat("/a").map { results == [.createWithStat(path: "/a", stat: $0), .create(path: "/b")] } == true)
    }

    @Test func multiSeesItsOwnEarlierParts() {
        var world = WriteWorld()
        let entry = world.submit(
            .multi([
                .create("/a", "1"), .check(path: "/a", version: 0), .set("/a", "2", 0), .create("/a/s-", flags: 2),
                .delete("/a/s-0000000000"), .delete("/a", 1), .create("/a", "3", op: .create2),
            ]))
        guard case .multi(let parts) = entry.transaction else { Issue.record("no multi"); return }
        #expect(parts.count == 7 && parts[1] == .check(path: "/a", version: 1))
        world.applyAll()
        #expect(world.tree.data("/a") == Array("3".utf8))
        #expect(world.mispredicted.isEmpty)
        #expect(world.write(.multi([])).outcome == .multi([]))
    }

    /// ZOOKEEPER-4743: −1 can't be asked for, so it is skipped.
    @Test func versionMinusOneIsSkipped() throws {
        var loader = DataTreeLoader()
        var stat = StoredStat()
        try loader.addSession(WriteWorld.session, timeout: 1000)
        try loader.addNode(path: "", data: [], aclKey: -1, stat: stat)
        stat.version = -2
        stat.aversion = -2
        try loader.addNode(path: "/a", data: [], aclKey: -1, stat: stat)
        var world = WriteWorld()
        world.tree = try loader.finish(zxid: .zero)
        world.write(.set("/a", "x", -2))
        world.write(.setACL(path: "/a", acl: AccessRight.openToAll, version: -2))
        #expect(world.tree.stat("/a")?.version == 0)
        #expect(world.tree.stat("/a")?.aversion == 0)
    }

    /// ZOOKEEPER-2355: proposed ephemerals die with the session, and none can follow its close.
    @Test func closeTakesProposedEphemeralsAndStopsTheSession() {
        var world = WriteWorld(sessions: [1, 2])
        world.write(.create("/p"), session: 1)
        world.write(.create("/p/applied", flags: 1), session: 1)
        world.write(.create("/p/deleted", flags: 1), session: 1)
        world.write(.create("/p/moved", flags: 1), session: 1)
        world.submit(.create("/p/proposed", flags: 1), session: 1)
        world.submit(.create("/p/other", flags: 1), session: 2)
        world.submit(.delete("/p/deleted"), session: 2)
        world.submit(.delete("/p/moved"), session: 2)
        world.submit(.create("/p/moved", flags: 1), session: 2)
        world.submit(.delete("/p/applied"), session: 2)
        world.submit(.create("/p/applied", flags: 1), session: 1)
        let close = world.submit(.closeSession, session: 1)
        #expect(close.transaction == .closeSession(ephemerals: ["/p/applied", "/p/proposed"]))
        #expect(error(world.submit(.create("/p/late", flags: 1), session: 1)) == .sessionExpired)
        #expect(error(world.submit(.delete("/p"), session: 2)) == .notEmpty)
        world.applyAll()
        #expect(world.mispredicted.isEmpty)
        #expect(world.tree.children("/p")?.sorted() == ["moved", "other"])
        #expect(world.tree.timeout(of: 1) == nil)
        #expect(error(world.submit(.set("/p", "x"), session: 1)) == .sessionExpired)
    }

    @Test func parentIsFreeOnceTheLastEphemeralIsClosing() {
        var world = WriteWorld(sessions: [1, 2])
        world.write(.create("/p"), session: 1)
        world.submit(.create("/p/e", flags: 1), session: 1)
        world.submit(.closeSession, session: 1)
        world.submit(.delete("/p"), session: 2)
        world.applyAll()
        #expect(!world.tree.contains("/p"))
        #expect(world.mispredicted.isEmpty)
    }

    /// aiozk and go-zk ask so; Apache's server makes a plain node, and announces a digest that it hasn't (issue 8, A14).
    @Test func aContainerAskedForByCreateIsAPlainNode() {
        var world = WriteWorld()
        let asked: [Request] = [
            .create("/a", flags: 4, op: .create), .create("/b", flags: 4, op: .create2),
            .multi([.create("/c", flags: 4, op: .create), .create("/d", flags: 4, op: .create2)]),
        ]
        for request in asked { #expect(world.write(request).error == nil) }
        for path: NodePath in ["/a", "/b", "/c", "/d"] {
            #expect(world.tree.stat(path)?.ephemeralOwner == 0)
            let child = NodePath(unchecked: path.bytes + Array("/x".utf8))
            world.write(.create(child))
            world.write(.delete(child))
        }
        // Not one that goes with its last child.
        #expect(world.tree.emptyContainers().isEmpty)
        #expect(world.mispredicted.isEmpty)
    }

    @Test func containersAreCheckedAgain() {
        var world = WriteWorld()
        world.write(.create("/c", flags: 4))
        #expect(world.tree.emptyContainers().isEmpty)
        #expect(error(world.submit(.deleteContainer(path: "/c"), session: 0)) == .badVersion)
        world.write(.create("/c/x"))
        world.write(.delete("/c/x"))
        #expect(world.tree.emptyContainers() == ["/c"])
        #expect(world.tree.stat("/c")?.ephemeralOwner == 0)
        // A child is on its way: the sweep was too late.
        world.submit(.create("/c/y"))
        #expect(error(world.submit(.deleteContainer(path: "/c"), session: 0)) == .notEmpty)
        world.submit(.delete("/c/y"))
        #expect(world.submit(.deleteContainer(path: "/c"), session: 0).transaction == .delete(path: "/c", container: true))
        world.applyAll()
        #expect(!world.tree.contains("/c"))
    }

    @Test func rightsAreThoseOfTheProposedState() {
        let owner = Identity(scheme: "digest", id: "u:h")
        let mine = [AccessRight(permissions: .all, identity: owner)]
        var world = WriteWorld()
        world.submit(.create("/a", acl: [AccessRight(permissions: .all, identity: Identity(scheme: "auth", id: ""))]), as: [owner])
        #expect(error(world.submit(.set("/a", "x"))) == .noAuth)
        #expect(error(world.submit(.set("/a", "x"), as: [owner])) == nil)
        #expect(error(world.submit(.create("/a/b"))) == .noAuth)
        #expect(error(world.submit(.setACL(path: "/a", acl: mine, version: 0))) == .noAuth)
        #expect(error(world.submit(.multi([.check(path: "/a", version: -1)]))) == nil)
        #expect(world.log.last?.transaction == .multi([.error(KeeperError.noAuth.rawValue)]))
        #expect(error(world.submit(.set("/a", "x"), as: [Identity(scheme: "super", id: "")])) == nil)
        #expect(error(world.submit(.setACL(path: "/a", acl: AccessRight.openToAll, version: 0), as: [owner])) == nil)
        #expect(error(world.submit(.set("/a", "y"))) == nil)
        world.applyAll()
        #expect(world.tree.stat("/a")?.aversion == 1)
        #expect(world.mispredicted.isEmpty)
        // "auth" without proof; an address is none.
        #expect(error(world.submit(.create("/z", acl: [AccessRight(permissions: .all, identity: Identity(scheme: "auth", id: ""))]), as: [Identity(scheme: "ip", id: "127.0.0.1")])) == .invalidACL)
    }

    @Test func resetForgetsProposals() {
        var world = WriteWorld()
        world.submit(.create("/a"))
        world.preparation.reset()
        #expect(world.preparation.isEmpty)
        #expect(error(world.submit(.create("/a/b"))) == .noNode)
    }

    @Test func sessionIsOpenFromItsProposal() {
        var world = WriteWorld(sessions: [])
        world.submit(.createSession(timeout: 5000), session: 7)
        #expect(world.preparation.isOpen(7, tree: world.tree))
        #expect(error(world.submit(.create("/e", flags: 1), session: 7)) == nil)
        world.applyAll()
        #expect(world.tree.ephemeralPaths(of: 7) == ["/e"])
        #expect(world.tree.stat("/e")?.ephemeralOwner == 7)
    }
}
