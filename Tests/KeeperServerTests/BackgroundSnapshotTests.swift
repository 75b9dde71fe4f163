import EnsembleBase
import Foundation
import KeeperCore
import NIOCore
import NIOEmbedded
import Testing

@testable import KeeperServer

@Suite struct BackgroundSnapshotTests {
    /// S1: a snapshot shows transactions up to the end of its walk, so it gets its name only once the log has them.
    @Test func theFileIsNamedBehindItsLog() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("snapshot-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func named() throws -> [String] {
            try FileManager.default.contentsOfDirectory(atPath: directory).filter { $0 == "snapshot.0" }
        }
        let loop = EmbeddedEventLoop()
        var isDurable = false
        var ended = false
        let tree = DataTree()
        let snapshot = try BackgroundSnapshot(
            turn: LoopTurn(eventLoop: loop), directory: directory, tree: { tree }, isDurable: { _ in isDurable },
            ended: { _, _ in ended = true })
        for _ in 0..<50 { loop.advanceTime(by: .milliseconds(10)) }
        #expect(try named().isEmpty)
        isDurable = true
        for _ in 0..<500 where !ended {
            loop.advanceTime(by: .milliseconds(10))
            Thread.sleep(forTimeInterval: 0.01)
        }
        #expect(ended)
        #expect(try named() == ["snapshot.0"])
        withExtendedLifetime(snapshot) {}
    }
}
