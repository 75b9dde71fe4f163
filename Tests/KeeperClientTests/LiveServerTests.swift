import Glibc
import KeeperClient
import Testing

/// The client against a real server, ours or Apache's: `KEEPER_TEST_SERVERS` is a connect string.
/// `scripts/test` starts a server and sets it.
private let servers = getenv("KEEPER_TEST_SERVERS").map { String(cString: $0) }

@Suite(.enabled(if: servers != nil, "KEEPER_TEST_SERVERS is not set"), .serialized)
struct LiveServerTests {
    /// A client whose root is a fresh node.
    private func client(_ name: String = #function) async throws -> KeeperClient {
        let bare = try await KeeperClient.connect(to: servers ?? "")
        let chroot = "/" + name.filter(\.isLetter) + "-\(UInt32.random(in: .min ... .max))"
        try await bare.create(chroot)
        await bare.close()
        return try await KeeperClient.connect(to: (servers ?? "") + chroot)
    }

    @Test func nodesOfEveryMode() async throws {
        let client = try await client()
        #expect(try await client.create("/p", data: [1, 2]) == "/p")
        #expect(try await client.create("/q-", mode: .persistentSequential) == "/q-0000000001")
        #expect(try await client.createReturningStat("/e", mode: .ephemeral).stat.ephemeralOwner == client.sessionID())
        #expect(try await client.create("/es-", mode: .ephemeralSequential) == "/es-0000000003")
        #expect(try await client.create("/c", mode: .container) == "/c")
        let (data, stat) = try await client.getData("/p")
        #expect(data == [1, 2])
        #expect(try await client.setData("/p", data: [3], version: stat.version).version == 1)
        #expect(try await client.getChildren("/").names.sorted() == ["c", "e", "es-0000000003", "p", "q-0000000001"])
        try await client.delete("/p")
        #expect(try await client.exists("/p") == nil)
        try await client.sync()
        await client.close()
    }

    @Test func errorsNameTheirPath() async throws {
        let client = try await client()
        await #expect(throws: KeeperClientError.refused(.noNode, path: "/none")) { _ = try await client.getData("/none") }
        try await client.create("/a")
        await #expect(throws: KeeperClientError.refused(.nodeExists, path: "/a")) { try await client.create("/a") }
        await #expect(throws: KeeperClientError.refused(.badVersion, path: "/a")) {
            try await client.setData("/a", data: [], version: 9)
        }
        await client.close()
    }

    @Test func multiIsAllOrNothing() async throws {
        let client = try await client()
        let made = try await client.multi([.create(path: "/m", data: []), .setData(path: "/m", data: [1]), .check(path: "/m", version: 1)])
        #expect(made.first == .created(path: "/m"))
        await #expect(throws: KeeperClientError.multiRefused(.noNode, index: 1)) {
            try await client.multi([.create(path: "/n", data: []), .delete(path: "/none"), .check(path: "/m", version: 1)])
        }
        #expect(try await client.exists("/n") == nil)
        await client.close()
    }

    @Test func accessIsKeptByIdentity() async throws {
        let owner = try await client()
        try await owner.authenticate("me:secret")
        try await owner.create("/mine", access: NodeAccess.creatorOnly)
        #expect(try await owner.getAccess("/mine").access.first?.scheme == "digest")
        let other = try await KeeperClient.connect(to: owner.connectString)
        await #expect(throws: KeeperClientError.refused(.noAuth, path: "/mine")) { _ = try await other.getData("/mine") }
        await other.close()
        await owner.close()
    }

    @Test func watchesOneShotAndLasting() async throws {
        let client = try await client()
        let (once, continuation) = AsyncStream.makeStream(of: NodeEvent.self)
        #expect(try await client.exists("/w", onChange: { continuation.yield($0) }) == nil)
        let below = try await client.events(at: "/", .subtree)
        try await client.create("/w")
        try await client.create("/w/x")
        try await client.setData("/w/x", data: [1])
        try await client.delete("/w/x")
        var onces = once.makeAsyncIterator()
        #expect(await onces.next()?.kind == .created)
        var events: [NodeEvent] = []
        for await event in below {
            events.append(event)
            if events.count == 4 { break }
        }
        #expect(events.map(\.path) == ["/w", "/w/x", "/w/x", "/w/x"])
        #expect(events.map(\.kind) == [.created, .created, .dataChanged, .deleted])
        await client.close()
    }

    /// S5: what is held is shown by a write, and is lost with the node or the session.
    @Test func aLockIsHeldByOneSessionAndProvedByAWrite() async throws {
        let holder = try await client()
        let other = try await KeeperClient.connect(to: holder.connectString)
        let lock = try #require(try await holder.tryLock("/lock", timeout: .seconds(5)))
        #expect(try await other.tryLock("/lock", timeout: .seconds(5)) == nil)
        try await lock.prove(timeout: .seconds(5))
        try await other.delete("/lock")
        try await other.create("/lock", mode: .ephemeral)
        await #expect(throws: KeeperClientError.lockLost(path: "/lock")) { try await lock.prove(timeout: .seconds(5)) }
        // Another's lock is not released by the one who lost it.
        try await lock.release(timeout: .seconds(5))
        #expect(try await other.exists("/lock") != nil)
        async let waited = holder.withLock("/lock", timeout: .seconds(20)) { $0.fence > lock.fence }
        try await Task.sleep(for: .milliseconds(100))
        await other.close()
        #expect(try await waited)
        #expect(try await holder.exists("/lock") == nil)
        await holder.close()
    }

    @Test func fourLetterWords() async throws {
        let server = try ConnectString(servers ?? "").servers[0]
        let answer = try await KeeperClient.fourLetterWord("srvr", host: server.host, port: server.port)
        #expect(answer.hasPrefix("Zookeeper version:"))
        await #expect(throws: KeeperClientError.self) {
            _ = try await KeeperClient.fourLetterWord("srvr", host: "127.0.0.1", port: 1, timeout: .milliseconds(500))
        }
    }

    @Test func manyRequestsArePipelinedInOrder() async throws {
        let client = try await client()
        try await client.create("/counter")
        let versions = try await withThrowingTaskGroup(of: Int32.self) { group in
            for _ in 0..<500 { group.addTask { try await client.setData("/counter", data: []).version } }
            return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
        }
        #expect(versions == Set(1...500))
        await client.close()
    }
}
