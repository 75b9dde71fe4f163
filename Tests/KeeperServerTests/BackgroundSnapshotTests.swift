import EnsembleBase
import Foundation
import KeeperCore
import KeeperStorage
import NIOCore
import NIOEmbedded
import Testing

@testable import KeeperServer

@Suite struct BackgroundSnapshotTests {
    /// S1: a snapshot shows transactions up to the end of its walk, so it gets its name only once the log has them.
    @Test func theFileIsNamedBehindItsLog() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("snapshot-\(UUID().uuidString)").path
        let layout = DataLayout(dataDir: directory)
        try layout.create()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func named() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: layout.snapshotDirectory).filter { $0 == "snapshot.0" }
        }
        let loop = EmbeddedEventLoop()
        var asked = 0
        let tree = DataTree()
        let snapshot = try BackgroundSnapshot(
            turn: LoopTurn(eventLoop: loop), layout: layout, lane: try ThreadLane(name: "snapshot"), nodesPerSlice: 128, tree: { tree },
            isDurable: { _ in
                asked += 1
                return false
            }, ended: { _, _ in })
        for _ in 0..<20 {
            loop.advanceTime(by: .milliseconds(10))
            // The writer's thread needs real time for what it must not do.
            Thread.sleep(forTimeInterval: 0.02)
        }
        #expect(asked > 1)
        #expect(try named().isEmpty)
        snapshot.abandon().join()
    }
}
