import EnsembleBase
import Glibc
import KeeperCore
import KeeperStorage
import NIOCore
import Testing

@Suite struct StateFileTests {
    private let scratch = ScratchDirectory()
    private var epochs: EpochFiles { EpochFiles(directory: scratch.path) }

    private func put(_ text: String, _ name: String) throws {
        try Directory.replace(file: scratch.path + "/" + name, with: Array(text.utf8))
    }

    @Test func epochsRoundTrip() throws {
        try epochs.save(.init(accepted: 5, current: 4))
        #expect(try epochs.load(lastZxid: Zxid(epoch: 4, counter: 9)) == .init(accepted: 5, current: 4))
        #expect(try Directory.content(of: scratch.path + "/acceptedEpoch") == Array("5".utf8))
    }

    @Test func absentFilesStandForTheDataOrTheCurrentEpoch() throws {
        #expect(try epochs.load(lastZxid: Zxid(epoch: 3, counter: 1)) == .init(accepted: 3, current: 3))
        try put("6", "currentEpoch")
        #expect(try epochs.load(lastZxid: .zero) == .init(accepted: 6, current: 6))
    }

    /// A device may have nothing to write back, and says so; that is no failed write.
    @Test func writingBackKeepsWhatWasWrittenAndIsNoError() throws {
        let file = try SystemFiles.shared.open(scratch.path + "/f", .replacing)
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        for round in 0..<3 {
            try bytes.withUnsafeBytes { try file.write($0, at: round * bytes.count) }
            try file.writeBack(round * bytes.count..<(round + 1) * bytes.count)
        }
        try file.sync()
        #expect(try file.readAll() == bytes + bytes + bytes)
        let device = try SystemFiles.shared.open("/dev/null", .writing)
        try device.writeBack(0..<1)
    }

    @Test func contradictionsAreRefused() throws {
        try put("4", "currentEpoch")
        try put("3", "acceptedEpoch")
        #expect(throws: StorageError.self) { try epochs.load(lastZxid: .zero) }
        try put("4", "acceptedEpoch")
        #expect(throws: StorageError.self) { try epochs.load(lastZxid: Zxid(epoch: 5, counter: 1)) }
        try put("5", "currentEpoch.tmp")
        #expect(throws: StorageError.self) { try epochs.load(lastZxid: Zxid(epoch: 5, counter: 1)) }
        try put("5", "acceptedEpoch")
        #expect(try epochs.load(lastZxid: Zxid(epoch: 5, counter: 1)).current == 5)
    }

    /// The log holds the history before epoch 5, or a part of it: as one of epoch 5 it would win over those who have all.
    @Test func aPendingEpochIsNotClaimedForALogThatDoesNotReachIt() throws {
        try put("3", "currentEpoch")
        try put("5", "acceptedEpoch")
        try put("5", "currentEpoch.tmp")
        #expect(try epochs.load(lastZxid: Zxid(epoch: 4, counter: 9)) == .init(accepted: 5, current: 4))
    }

    /// Between the sync of the log that a leader sent and the saving of its epoch a kill is no damage.
    @Test(arguments: [nil, "", "4"]) func aLearnerKilledWhileItSynchronisesStartsAgain(pending: String?) throws {
        try epochs.save(.init(accepted: 5, current: 3))
        if let pending { try put(pending, "currentEpoch.tmp") }
        let expected: Int64 = pending == "4" ? 4 : 3
        #expect(try epochs.load(lastZxid: Zxid(epoch: 4, counter: 9)) == .init(accepted: 5, current: expected))
        // Nobody logs a transaction of an epoch that it has not promised.
        #expect(throws: StorageError.self) { try epochs.load(lastZxid: Zxid(epoch: 6, counter: 1)) }
    }

    @Test(arguments: ["", "x", "-1", "99999999999999999999", "1 2"]) func whatIsNoNumberIsRefused(text: String) throws {
        try put(text, "currentEpoch")
        #expect(throws: StorageError.self) { try epochs.load(lastZxid: .zero) }
    }

    @Test func memberNumbers() throws {
        #expect(throws: StorageError.self) { try MyID.read(dataDir: scratch.path) }
        try MyID.write(3, dataDir: scratch.path)
        #expect(try MyID.read(dataDir: scratch.path) == 3)
        try put("255", "myid")
        #expect(throws: StorageError.self) { try MyID.read(dataDir: scratch.path) }
    }

    @Test func theMarkSaysWhy() throws {
        let mark = RecoveringMark(directory: scratch.path)
        #expect(try !mark.isSet)
        try mark.set(reason: "disk replaced")
        #expect(try mark.isSet)
        #expect(try mark.reason == "disk replaced")
        try mark.clear()
        #expect(try mark.reason == nil)
    }

    @Test func anAbandonedSnapshotLeavesNothing() throws {
        let writer = SnapshotWriter(
            directory: scratch.path, zxid: Zxid(rawValue: 5), lane: try ThreadLane(name: "snapshot")
        ) { _ in
            Issue.record("an abandoned snapshot was reported")
        }
        writer.abandon()
        writer.join()
        #expect(try Directory.names(scratch.path).isEmpty)
    }

    /// A full disk refuses the first byte; a name for each attempt would stay there for ever.
    @Test func aSnapshotThatCannotBeginLeavesNothing() throws {
        let full = scratch.path + "/writing.snapshot.5"
        #expect(symlink("/dev/full", full) == 0)
        let writer = SnapshotWriter(
            directory: scratch.path, zxid: Zxid(rawValue: 5), lane: try ThreadLane(name: "snapshot")
        ) { outcome in
            if case .success = outcome { Issue.record("a full disk took a snapshot") }
        }
        writer.write(ByteBuffer(bytes: [1]))
        writer.join()
        #expect(try Directory.names(scratch.path).isEmpty)
    }
}

/// S1: a directory has one server.
@Suite struct DirectoryLockTests {
    private let scratch = ScratchDirectory()

    @Test func aSecondIsRefusedUntilTheFirstHasGone() throws {
        var first: (any DirectoryLock)? = try scratch.layout.acquire()
        let error = #expect(throws: StorageError.self) { try scratch.layout.acquire() }
        #expect(error?.path == scratch.path)
        #expect(error?.description.contains("process \(getpid())") == true)
        withExtendedLifetime(first) {}
        first = nil
        _ = try scratch.layout.acquire()
    }

    /// By their logs, too; a link leads to the same directory.
    @Test func eachDirectoryCounts() throws {
        let (data, logs, link) = (scratch.path + "/data", scratch.path + "/logs", scratch.path + "/link")
        var first: (any DirectoryLock)? = try DataLayout(dataDir: data, dataLogDir: logs).acquire()
        #expect(symlink(logs, link) == 0)
        for layout in [DataLayout(dataDir: logs), DataLayout(dataDir: link), DataLayout(dataDir: scratch.path + "/other", dataLogDir: link)] {
            #expect(throws: StorageError.self) { try layout.acquire() }
        }
        withExtendedLifetime(first) {}
        first = nil
        _ = try DataLayout(dataDir: logs, dataLogDir: link).acquire()
    }

    /// Who reads is let in.
    @Test func readersNeedNoLock() throws {
        _ = try scratch.recovery().recover()
        let lock = try scratch.layout.acquire()
        #expect(try Verification.verify(scratch.layout).endZxid == .zero)
        #expect(try DataGlance.look(at: scratch.layout)?.endZxid == .zero)
        withExtendedLifetime(lock) {}
    }
}
