import EnsembleControl
import EnsembleHost
import FoundationEssentials
import KeeperCore
import KeeperServer
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

    private func withLink(_ body: (Server, EnsembleLink, EnsembleLink) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/ensembled-link-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let server = try await Server(directory)
        func link(_ label: String) -> EnsembleLink {
            let address = ClientAddress(host: "127.0.0.1", port: server.port)
            return EnsembleLink(label: label) { [address] }
        }
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(server, link("one"), link("another"))) } catch { outcome = .failure(error) }
        // It works on its own thread until it says that it has ended.
        server.running.stop()
        for _ in 0..<1500 where !server.hasEnded.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(20)) }
        try outcome.get()
    }

    /// A second session would keep the lock when the first is given up.
    @Test func callsThatMeetShareASession() async throws {
        try await withLink { server, link, another in
            async let barrier = link.writeBarrier()
            async let held: Void = link.acquireOrProve()
            async let later = link.writeBarrier()
            #expect(try await barrier > 0)
            #expect(try await later > 0)
            try await held
            #expect(try server.connections == 1)
            await #expect(throws: HostError.self) { try await another.acquireOrProve() }
            await link.release()
            try await another.acquireOrProve()
        }
    }

    /// A backup's barrier may be under way while the last operation gives its lock back.
    @Test func aBarrierOutlivesTheLock() async throws {
        try await withLink { _, link, another in
            for _ in 0..<20 {
                try await link.acquireOrProve()
                async let released: Void = link.release()
                for _ in 0..<4 { #expect(try await link.writeBarrier() > 0) }
                await released
            }
            try await another.acquireOrProve()
        }
    }
}
