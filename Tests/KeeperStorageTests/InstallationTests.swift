import KeeperCore
import KeeperStorage
import Testing

/// S1, S2: whatever moment a crash strikes while a leader's history replaces a member's, one of the two is there, whole,
/// with its epoch.
@Suite struct InstallationTests {
    private let scratch = ScratchDirectory()
    private let old = SampleHistory(20)
    private let new: SampleHistory
    private let received: DataTree

    init() {
        var history = SampleHistory(3)
        received = history.tree
        history.add(.setData(path: "/n1", data: [8], version: 1), epoch: 2)
        history.add(.setData(path: "/n2", data: [9], version: 1), epoch: 2)
        new = history
    }

    private func layout(separate: Bool) throws -> DataLayout {
        let layout = DataLayout(dataDir: scratch.path, dataLogDir: separate ? scratch.path + "/logs" : nil)
        _ = try Recovery(layout: layout, isStandalone: true).recover()
        try SampleHistory.write(old.entries, in: layout.logDirectory)
        try EpochFiles(directory: layout.snapshotDirectory).save(.init(accepted: 3, current: 1))
        return layout
    }

    private func prepare(_ layout: DataLayout) throws -> Installation {
        let installation = Installation(layout)
        try installation.prepare(received, Array(new.entries[3...]), .init(accepted: 3, current: 3))
        return installation
    }

    /// What `complete` does, one step at a time, so that a crash may come behind each.
    private func steps(_ installation: Installation, _ layout: DataLayout) -> [() throws -> Void] {
        func move(_ directory: String, _ prefix: String, to target: String) throws {
            try Directory.create(target)
            for name in try Directory.names(directory) where name.hasPrefix(prefix) {
                try Directory.move(directory + "/" + name, to: target + "/" + name)
            }
        }
        let (snapshots, logs) = (layout.snapshotDirectory, layout.logDirectory)
        return [
            { try move(snapshots, "snapshot.", to: snapshots + "/set-aside") },
            { try move(logs, "log.", to: logs + "/set-aside") },
            { try move(installation.incomingSnapshots, "snapshot.", to: snapshots) },
            { try move(installation.incomingLogs, "log.", to: logs) },
            { try Directory.replace(file: snapshots + "/acceptedEpoch", with: Array("3".utf8)) },
            { try Directory.replace(file: snapshots + "/currentEpoch", with: Array("3".utf8)) },
            { try Directory.remove(file: installation.recordPath) },
        ]
    }

    @Test(arguments: [false, true], 0...7) func aCrashBehindTheRecordLeavesTheNewHistory(separate: Bool, done: Int) throws {
        let layout = try layout(separate: separate)
        let installation = try prepare(layout)
        for step in steps(installation, layout).prefix(done) { try step() }
        // Whoever looks before the server starts sees it as it will be.
        let glance = try #require(try DataGlance.look(at: layout))
        #expect(glance.endZxid == new.tree.lastProcessedZxid && glance.currentEpoch == 3)
        #expect(try Verification.verify(layout).endDigest == new.tree.digest)
        for _ in 0..<2 {
            let state = try Recovery(layout: layout, isStandalone: false).recover()
            #expect(state.tree.digest == new.tree.digest)
            #expect(state.recent.map(\.zxid) == new.entries[3...].map(\.zxid))
            #expect(state.acceptedEpoch == 3 && state.currentEpoch == 3)
            #expect(!state.recovering)
        }
        #expect(!Directory.exists(installation.recordPath))
        // S6
        #expect(try Directory.names(layout.logDirectory + "/set-aside").contains { $0.hasPrefix("log.") })
    }

    @Test(arguments: [false, true]) func aCrashBeforeTheRecordLeavesTheOldHistory(separate: Bool) throws {
        let layout = try layout(separate: separate)
        let installation = try prepare(layout)
        try Directory.remove(file: installation.recordPath)
        #expect(try Verification.verify(layout).endDigest == old.tree.digest)
        let state = try Recovery(layout: layout, isStandalone: false).recover()
        #expect(state.tree.digest == old.tree.digest)
        #expect(state.acceptedEpoch == 3 && state.currentEpoch == 1)
        #expect(!state.recovering)
        #expect(try Directory.names(installation.incomingSnapshots).isEmpty)
        #expect(try Directory.names(installation.incomingLogs).isEmpty)
    }

    @Test func aRecordThatSaysNothingIsDamage() throws {
        let layout = try layout(separate: false)
        let installation = try prepare(layout)
        for text in ["", "3", "2 3", "x y", "3 -1"] {
            try Directory.replace(file: installation.recordPath, with: Array(text.utf8))
            #expect(throws: StorageError.self) { try Recovery(layout: layout, isStandalone: false).recover() }
        }
    }
}
