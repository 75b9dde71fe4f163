import EnsembleBase
import Glibc
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOConcurrencyHelpers
import Testing

@Suite struct LogWriterTests {
    private let scratch = ScratchDirectory()
    private var layout: DataLayout { scratch.layout }
    private static let small = LogWriter.Configuration(preallocation: 16384, zeroChunk: 4096)

    private final class Reports: Sendable {
        let synced = NIOLockedValueBox<[Zxid]>([])
        let failures = NIOLockedValueBox<[StorageError]>([])
        func note(_ outcome: LogOutcome) {
            switch outcome {
            case .synced(let zxid): synced.withLockedValue { $0.append(zxid) }
            case .failed(let error): failures.withLockedValue { $0.append(error) }
            }
        }
    }

    private func writer(after zxid: Zxid = .zero, _ reports: Reports, in directory: String? = nil) throws -> LogWriter {
        LogWriter(
            directory: directory ?? layout.logDirectory, lastZxid: zxid, configuration: LogWriterTests.small,
            lane: try ThreadLane(name: "log")
        ) { reports.note($0) }
    }

    @Test func whatIsReportedIsThereInOrder() throws {
        _ = try scratch.recovery().recover()
        let history = SampleHistory(500)
        let reports = Reports()
        let writer = try writer(reports)
        for (index, entry) in history.entries.enumerated() {
            try writer.append(entry)
            if index % 7 == 0 { writer.submit() }
            if index % 90 == 89 { writer.roll() }
        }
        writer.close()
        let synced = reports.synced.withLockedValue { $0 }
        #expect(synced.last == history.tree.lastProcessedZxid)
        #expect(synced == synced.sorted())
        #expect(try layout.logs().count == 6)
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
    }

    /// The acknowledgement comes after the data: a copy of the file made in the callback holds every entry.
    @Test func nothingIsReportedBeforeItIsWritten() throws {
        _ = try scratch.recovery().recover()
        let history = SampleHistory(50)
        let layout = layout
        let wrong = NIOLockedValueBox<[Zxid]>([])
        let writer = LogWriter(
            directory: layout.logDirectory, lastZxid: .zero, configuration: LogWriterTests.small,
            lane: try ThreadLane(name: "log")
        ) { outcome in
            guard case .synced(let zxid) = outcome else { return }
            if (try? Verification.verify(layout, upTo: zxid)) == nil { wrong.withLockedValue { $0.append(zxid) } }
        }
        for entry in history.entries {
            try writer.append(entry)
            writer.submit()
        }
        writer.close()
        #expect(wrong.withLockedValue { $0 } == [])
    }

    // ZOOKEEPER-4925.
    @Test func aGapIsRefused() throws {
        try layout.create()
        let entries = SampleHistory(3).entries
        let writer = try writer(Reports())
        defer { writer.close() }
        try writer.append(entries[0])
        #expect(throws: StorageError.self) { try writer.append(entries[2]) }
        #expect(throws: StorageError.self) { try writer.append(entries[0]) }
        try writer.append(entries[1])
    }

    @Test func zxidsThatFollow() {
        #expect(Zxid(epoch: 1, counter: 6).follows(Zxid(epoch: 1, counter: 5)))
        #expect(Zxid(epoch: 3, counter: 1).follows(Zxid(epoch: 1, counter: 5)))
        #expect(!Zxid(epoch: 3, counter: 2).follows(Zxid(epoch: 1, counter: 5)))
        #expect(!Zxid(epoch: 1, counter: 7).follows(Zxid(epoch: 1, counter: 5)))
        #expect(!Zxid(epoch: 0, counter: 1).follows(Zxid(epoch: 1, counter: 5)))
    }

    @Test func aRestartContinuesInANewFile() throws {
        _ = try scratch.recovery().recover()
        let history = SampleHistory(20)
        for part in [history.entries[..<12], history.entries[12...]] {
            let last = try scratch.recovery().recover().tree.lastProcessedZxid
            let writer = try writer(after: last, Reports())
            for entry in part { try writer.append(entry) }
            writer.close()
        }
        #expect(try layout.logs().map(\.zxid.rawValue) == [1, 13])
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
    }

    @Test func aFailureIsReportedOnceAndNothingAfterIt() throws {
        let reports = Reports()
        // A directory that isn't there.
        let writer = try writer(reports, in: scratch.path + "/missing")
        for entry in SampleHistory(20).entries {
            try writer.append(entry)
            writer.submit()
        }
        writer.close()
        #expect(reports.failures.withLockedValue { $0.count } == 1)
        #expect(reports.synced.withLockedValue { $0.isEmpty })
    }

    /// A real full disk: 1 MiB of tmpfs. Needs root.
    @Test(.enabled(if: geteuid() == 0, "mounting a small tmpfs needs root")) func aFullDiskIsFatal() throws {
        let place = scratch.path + "/small"
        try Directory.create(place)
        guard mount("tmpfs", place, "tmpfs", 0, "size=1m") == 0 else { return }
        defer { umount2(place, 2) }
        let reports = Reports()
        let writer = try writer(reports, in: place)
        var history = SampleHistory(0)
        for number in 0..<60 { history.create(NodePath("/n\(number)"), [UInt8](repeating: 1, count: 40_000)) }
        for entry in history.entries {
            try writer.append(entry)
            writer.submit()
        }
        writer.close()
        let failures = reports.failures.withLockedValue { $0 }
        #expect(failures.count == 1)
        #expect(failures.first.map { $0.description.contains("errno \(ENOSPC)") } == true)
        // What was reported before is there.
        let synced = reports.synced.withLockedValue { $0.last } ?? .zero
        try layout.create()
        try SnapshotFile.write(DataTree(), in: layout.snapshotDirectory)
        for name in try Directory.names(place) {
            try ScratchDirectory.copyTree(place + "/" + name, to: layout.logDirectory + "/" + name)
        }
        #expect(try scratch.recovery().recover().tree.lastProcessedZxid >= synced)
    }
}
