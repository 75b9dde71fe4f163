import EnsembleBase
import KeeperCore
import Testing

@Suite struct ReadProcessingTests {
    private let connection = ConnectionID(rawValue: 1)

    private func world() -> WriteWorld {
        var world = WriteWorld()
        world.write(.create("/a", "data"))
        world.write(.create("/a/b"))
        world.write(.create("/a/e", flags: 1))
        world.write(.create("/secret", acl: [AccessRight(permissions: [.admin], identity: RandomWrites.reader)]))
        world.write(.create("/masked", acl: [AccessRight(permissions: .read, identity: .anyone), AccessRight(permissions: .all, identity: RandomWrites.reader)]))
        return world
    }

    private func answer(
        _ request: Request, _ watches: inout WatchTable, as identities: [Identity] = []
    ) -> ReadAnswer {
        ReadProcessing(connection: connection, session: WriteWorld.session, identities: identities)
            .answer(request, tree: world().tree, watches: &watches)
    }

    @Test func reads() throws {
        var watches = WatchTable()
        let stat = try #require(world().tree.stat("/a"))
        #expect(answer(.exists(path: "/a", watch: false), &watches) == ReadAnswer(body: .stat(stat)))
        #expect(answer(.getData(path: "/a", watch: true), &watches) == ReadAnswer(body: .data(ArraySlice("data".utf8), stat)))
        #expect(answer(.getChildren(path: "/a", watch: true), &watches) == ReadAnswer(body: .children(["b", "e"])))
        #expect(answer(.getChildren2(path: "/a", watch: false), &watches) == ReadAnswer(body: .childrenAndStat(["b", "e"], stat)))
        #expect(answer(.getAllChildrenNumber(path: "/a"), &watches) == ReadAnswer(body: .count(2)))
        #expect(answer(.getEphemerals(prefix: "/"), &watches) == ReadAnswer(body: .paths(["/a/e"])))
        #expect(answer(.getEphemerals(prefix: "/b"), &watches) == ReadAnswer(body: .paths([])))
        #expect(watches.hasWatch(connection, "/a", .data) && watches.hasWatch(connection, "/a", .children))
        #expect(
            answer(.whoAmI, &watches, as: [Identity(scheme: "digest", id: "u:h")])
                == ReadAnswer(body: .identities([Identity(scheme: "digest", id: "u")])))
    }

    @Test func missingNodes() {
        var watches = WatchTable()
        #expect(answer(.exists(path: "/none", watch: true), &watches).error == .noNode)
        #expect(watches.hasWatch(connection, "/none", .data))
        #expect(answer(.getData(path: "/other", watch: true), &watches).error == .noNode)
        #expect(answer(.getChildren(path: "/other", watch: true), &watches).error == .noNode)
        #expect(answer(.getACL(path: "/other"), &watches).error == .noNode)
        #expect(watches.watchCount == 1)
        // As in Apache's server, a path that can never exist is merely missing, but for one with a NUL.
        #expect(answer(.exists(path: "no/path", watch: true), &watches).error == .noNode)
        #expect(answer(.exists(path: "/a\0", watch: true), &watches).error == .badArguments)
        #expect(answer(.addWatch(path: "//", recursive: true), &watches).error == nil)
        #expect(watches.watchCount == 3)
    }

    @Test func malformedReadsAreAnswered() {
        var watches = WatchTable()
        #expect(answer(.malformed(op: OpCode.getData.rawValue), &watches).error == .marshalling)
        // Nor is a malformed write forwarded: not every leader answers one.
        #expect(!Request.malformed(op: OpCode.create.rawValue).isWrite)
    }

    @Test func rights() {
        var watches = WatchTable()
        for request: Request in [
            .exists(path: "/secret", watch: true), .getData(path: "/secret", watch: true),
            .getChildren(path: "/secret", watch: true), .getChildren2(path: "/secret", watch: true),
            .getAllChildrenNumber(path: "/secret"), .getACL(path: "/secret"),
        ] {
            #expect(answer(request, &watches).error == .noAuth)
        }
        #expect(watches.watchCount == 0)
        // ADMIN alone lets see the list, whole.
        guard case .acl(let list, _) = answer(.getACL(path: "/secret"), &watches, as: [RandomWrites.reader]).body else {
            Issue.record("no list")
            return
        }
        #expect(list.map(\.identity.id) == ["reader:hash"])
        guard case .acl(let masked, _) = answer(.getACL(path: "/masked"), &watches).body else {
            Issue.record("no list")
            return
        }
        #expect(masked.map(\.identity.id) == ["anyone", "reader:x"])
    }

    @Test func multiReadPartsFailAlone() throws {
        var watches = WatchTable()
        let stat = try #require(world().tree.stat("/a"))
        let parts: [Request] = [
            .getData(path: "/a", watch: false), .getData(path: "/none", watch: false), .getChildren(path: "/a", watch: false),
            .getData(path: "/secret", watch: false),
        ]
        #expect(
            answer(.multiRead(parts), &watches)
                == ReadAnswer(
                    body: .multi([.getData(ArraySlice("data".utf8), stat), .error(.noNode), .getChildren(["b", "e"]), .error(.noAuth)])))
        #expect(answer(.multiRead([.exists(path: "/a", watch: false)]), &watches).error == .marshalling)
    }

    /// One request of a megabyte could ask for fifty.
    @Test func aMultiReadThatAsksForTooMuchIsRefused() {
        var world = WriteWorld()
        world.write(.create(CreateRequest(op: .create, path: "/big", data: Array(repeating: 1, count: 1 << 20), acl: AccessRight.openToAll, flags: 0)))
        var watches = WatchTable()
        let reading = ReadProcessing(connection: ConnectionID(rawValue: 1), session: WriteWorld.session, identities: [])
        func read(_ count: Int) -> ReadAnswer {
            let part = Request.getData(path: "/big", watch: false)
            return reading.answer(.multiRead(Array(repeating: part, count: count)), tree: world.tree, watches: &watches)
        }
        #expect(read(8).error == nil)
        #expect(read(9).error == .marshalling)
    }

    @Test func watchRequests() {
        var watches = WatchTable()
        #expect(answer(.addWatch(path: "/x", recursive: false), &watches) == ReadAnswer(body: .errorCode(0)))
        #expect(answer(.checkWatches(path: "/x", type: .persistent), &watches) == ReadAnswer())
        #expect(answer(.checkWatches(path: "/x", type: .data), &watches).error == .noWatcher)
        #expect(answer(.removeWatches(path: "/x", type: .any), &watches) == ReadAnswer())
        #expect(answer(.removeWatches(path: "/x", type: .any), &watches).error == .noWatcher)
        let missed = answer(.setWatches(WatchSet(relativeZxid: .zero, data: ["/a"]), extended: false), &watches)
        #expect(missed == ReadAnswer(events: [WatchEvent(type: .dataChanged, path: "/a", zxid: .none)]))
        #expect(answer(.create("/x"), &watches).error == .unimplemented)
    }
}
