import EnsembleControl
import EnsembleHost
import FoundationEssentials
import Glibc
import KeeperClient
import KeeperCore
import KeeperServer
import KeeperStorage
import Logging
import NIOConcurrencyHelpers
import Testing

/// The daemon's session, against a server in this process.
@Suite struct EnsembleLinkTests {
    /// A standalone server, and how many connections it has.
    private struct Server {
        let running: RunningServer
        let hasEnded = NIOLockedValueBox(false)
        let port: Int

        init(_ directory: String) async throws {
            let text = "dataDir=\(directory)\nclientPort=0\nclientPortAddress=127.0.0.1\npreAllocSize=64\n"
            let outcome = ConfigurationParser.parse(Array(text.utf8), file: "zoo.cfg") { _ in nil }
            let configuration = try #require(outcome.configuration, "\(outcome.problems)")
            let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            running = try RunningServer.start(configuration, log: log) { [hasEnded] _ in hasEnded.withLockedValue { $0 = true } }
            for _ in 0..<1500 where running.clientPort == nil { try await Task.sleep(for: .milliseconds(20)) }
            port = try #require(running.clientPort)
        }

        var connections: Int { get throws { try running.status().connections } }
    }

    private struct Place {
        let server: Server
        let directory: String

        /// As a daemon has it whose state is in `state`, and that finds `copy` of the secret with its members.
        func link(
            _ label: String, state: String = "state", copy: String? = nil, spread: @escaping @Sendable (String) async throws -> Void = { _ in }
        ) throws -> EnsembleLink {
            let state = try StateDirectory(directory + "/" + state)
            let clock = HostClock()
            let address = ClientAddress(host: "127.0.0.1", port: server.port)
            let credential = EnsembleCredential(state, lane: HostLane("state directory", now: { clock.now() }))
            return EnsembleLink(label: label, credential: credential, search: { copy }, spread: spread, servers: { [address] })
        }

        func secret(state: String = "state") throws -> String {
            let bytes = try #require(try Directory.content(of: directory + "/" + state + "/session.json"))
            let object = try #require(try JSONDecoder().decode([String: JSONValue].self, from: Data(bytes))["secret"])
            return object.text
        }

        /// Any client.
        func client() async throws -> KeeperClient { try await KeeperClient.connect(to: "127.0.0.1:\(server.port)") }
    }

    private struct JSONValue: Decodable {
        var text = ""
        init(from decoder: any Decoder) throws { text = (try? decoder.singleValueContainer().decode(String.self)) ?? "" }
    }

    private func withServer(_ body: (Place) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/ensembled-link-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try Directory.create(directory)
        let server = try await Server(directory + "/data")
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(Place(server: server, directory: directory))) } catch { outcome = .failure(error) }
        // It works on its own thread until it says that it has ended.
        server.running.stop()
        for _ in 0..<1500 where !server.hasEnded.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(20)) }
        try outcome.get()
    }

    /// A second session would keep the lock when the first is given up.
    @Test func callsThatMeetShareASession() async throws {
        try await withServer { place in
            let link = try place.link("one")
            let another = try place.link("another", state: "other", copy: "of nobody")
            async let barrier = link.writeBarrier()
            async let held: Void = link.acquireOrProve()
            async let later = link.writeBarrier()
            #expect(try await barrier > 0)
            #expect(try await later > 0)
            try await held
            #expect(try place.server.connections == 1)
            await #expect(throws: HostError.self) { try await another.acquireOrProve() }
            await link.release()
            let same = try place.link("a daemon with the same secret", state: "third", copy: try place.secret())
            try await same.acquireOrProve()
        }
    }

    /// A backup's barrier may be under way while the last operation gives its lock back.
    @Test func aBarrierOutlivesTheLock() async throws {
        try await withServer { place in
            let link = try place.link("one")
            for _ in 0..<20 {
                try await link.acquireOrProve()
                async let released: Void = link.release()
                for _ in 0..<4 { #expect(try await link.writeBarrier() > 0) }
                await released
            }
            try await place.link("another", state: "other", copy: try place.secret()).acquireOrProve()
        }
    }

    /// S5, S10: no client stops rolls and reseeds by taking the lock, and none forges a barrier.
    @Test func theNodesAreTheDaemonsOwn() async throws {
        try await withServer { place in
            try await place.link("one").prepare()
            let client = try await place.client()
            await #expect(throws: KeeperClientError.refused(.noAuth, path: "/ensembled/lock")) {
                try await client.create("/ensembled/lock")
            }
            await #expect(throws: KeeperClientError.refused(.noAuth, path: "/ensembled/barrier")) {
                try await client.setData("/ensembled/barrier", data: [])
            }
            await #expect(throws: KeeperClientError.self) { try await client.setAccess("/ensembled", NodeAccess.open) }
            #expect(try await client.getChildren("/ensembled").names == ["barrier"])
            await client.close()
        }
    }

    /// As an earlier version made them; with a lock that no session owns, which nobody would ever give back.
    @Test func openNodesAreBound() async throws {
        try await withServer { place in
            let client = try await place.client()
            try await client.createPath("/ensembled/barrier")
            try await client.create("/ensembled/lock", data: Array("a trap".utf8))
            let link = try place.link("one")
            try await link.acquireOrProve()
            await #expect(throws: KeeperClientError.self) { try await client.delete("/ensembled/lock") }
            await link.release()
            await #expect(throws: KeeperClientError.self) { try await client.create("/ensembled/lock") }
            await client.close()
        }
    }

    /// S5: another's lock is respected for as long as its session lives.
    @Test func aLiveHolderIsRespected() async throws {
        try await withServer { place in
            let client = try await place.client()
            try await client.createPath("/ensembled")
            let lock = try #require(try await client.tryLock("/ensembled/lock", data: Array("me".utf8), timeout: .seconds(5)))
            let link = try place.link("one")
            await #expect(throws: HostError.self) { try await link.acquireOrProve() }
            try await lock.prove(timeout: .seconds(5))
            await client.close()
            try await link.acquireOrProve()
        }
    }

    /// The daemon was killed, or cut off when it gave its session up: it, or the next one, does not wait for the session.
    @Test func aLockThatWasLeftIsFreed() async throws {
        try await withServer { place in
            try await place.link("one").prepare()
            let secret = try place.secret()
            let killed = try await place.client()
            try await killed.authenticate("ensembled:\(secret)")
            let ticket = try #require(try await killed.ticket())
            _ = try #require(try await killed.tryLock("/ensembled/lock", access: NodeAccess.creatorOnly, timeout: .seconds(5)))
            killed.abandonSession()
            let stranger = try place.link("of another state, with the same secret", state: "other", copy: secret)
            await #expect(throws: HostError.self) { try await stranger.acquireOrProve() }
            struct Known: Encodable {
                var secret: String
                var left: [SessionTicket]
            }
            let known = try JSONEncoder().encode(Known(secret: secret, left: [ticket]))
            try Directory.create(place.directory + "/next")
            try Directory.replace(file: place.directory + "/next/session.json", with: Array(known))
            let next = try place.link("the next", state: "next")
            try await next.acquireOrProve()
            try await next.acquireOrProve()
        }
    }

    /// A daemon whose state is lost finds it with its members; one that finds none says whose the nodes are.
    @Test func aSecretThatIsLostIsSaid() async throws {
        try await withServer { place in
            let link = try place.link("one")
            try await link.acquireOrProve()
            await link.release()
            let other = try place.link("another", state: "other")
            await #expect {
                try await other.acquireOrProve()
            } throws: { "\($0)".contains("credential") }
            let found = try place.link("found", state: "third", copy: try place.secret())
            try await found.acquireOrProve()
        }
    }

    /// The state directory may be lost a moment later: what nobody else knows is bound to nothing.
    @Test func nothingIsBoundBeforeThereAreCopies() async throws {
        try await withServer { place in
            let link = try place.link("one", spread: { _ in throw HostError("the disks", "are full", remedy: "wait") })
            await #expect(throws: HostError.self) { try await link.acquireOrProve() }
            let client = try await place.client()
            #expect(try await client.exists("/ensembled") == nil)
            await client.close()
        }
    }

    /// Whoever reads it may stop every roll.
    @Test func theSecretIsReadByNobodyElse() async throws {
        try await withServer { place in
            try await place.link("one").prepare()
            var found = stat()
            #expect(stat(place.directory + "/state/session.json", &found) == 0)
            #expect(found.st_mode & 0o777 == 0o600)
        }
    }
}
