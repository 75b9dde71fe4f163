import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore
import Testing

@Suite struct RecoveryTests {
    private let scratch = ScratchDirectory()
    private var layout: DataLayout { scratch.layout }

    private func prepare(_ history: SampleHistory) throws {
        _ = try scratch.recovery().recover()
        try SampleHistory.write(history.entries, in: layout.logDirectory)
    }

    @Test func snapshotAndLogGiveTheTree() throws {
        let history = SampleHistory(30)
        try prepare(history)
        let state = try scratch.recovery().recover()
        #expect(state.tree.digest == history.tree.digest)
        #expect(state.recent == history.entries)
        #expect(!state.recovering)
        // What a restart replays counts for the next snapshot (issue 8, A7).
        #expect(state.behindSnapshot == LogExtent(history.entries))
    }

    @Test func theWindowIsBounded() throws {
        let history = SampleHistory(30)
        try prepare(history)
        let recovery = Recovery(layout: layout, isStandalone: true, recent: RecentEntries(countLimit: 4))
        #expect(try recovery.recover().recent == history.entries.suffix(4))
    }

    // S2: remove the mark from `recoverEmpty` and this fails.
    @Test func anEmptyDirectoryMarksTheMember() throws {
        #expect(try scratch.recovery(isStandalone: false).recover().recovering)
        // Also after a restart, when there is a database.
        #expect(try scratch.recovery(isStandalone: false).recover().recovering)
        let mark = RecoveringMark(directory: layout.snapshotDirectory)
        #expect(try mark.reason?.contains("initialize") == true)
        try mark.clear()
        #expect(try !scratch.recovery(isStandalone: false).recover().recovering)
    }

    @Test func initializeMakesANewMember() throws {
        let initialize = InitializeFile(directory: layout.dataLogDir)
        try initialize.create()
        #expect(try !scratch.recovery(isStandalone: false).recover().recovering)
        #expect(try !initialize.exists)
        #expect(try !scratch.recovery(isStandalone: false).recover().recovering)
    }

    private func refused(above floor: DataFloor) throws -> String {
        let names = try Directory.names(layout.snapshotDirectory).sorted()
        let error = #expect(throws: StorageError.self) {
            try Recovery(layout: layout, isStandalone: false, floor: floor).recover()
        }
        #expect(try Directory.names(layout.snapshotDirectory).sorted() == names)
        return error?.description ?? ""
    }

    // S2: remove `checkFloor`, or the floor's guard before `recoverEmpty`, and this fails.
    @Test func lessThanWasSeenBeforeTheStartIsRefused() throws {
        try layout.create()
        try InitializeFile(directory: layout.dataLogDir).create()
        #expect(try refused(above: DataFloor(zxid: 0, acceptedEpoch: 0)).contains("it is empty, and held 0x0"))
        try InitializeFile(directory: layout.dataLogDir).consume()
        let history = SampleHistory(30)
        try prepare(history)
        let end = try #require(history.entries.last).zxid.rawValue
        #expect(try refused(above: DataFloor(zxid: end + 1, acceptedEpoch: 0)).contains("held \(Zxid(rawValue: end + 1))"))
        #expect(try refused(above: DataFloor(zxid: end, acceptedEpoch: end >> 32 + 1)).contains("epochs \(end >> 32 + 1)"))
        let later = DataFloor(zxid: end, acceptedEpoch: end >> 32, currentEpoch: end >> 32 + 1)
        #expect(try refused(above: later).contains("in epoch \(end >> 32)"))
        #expect(try refused(above: DataFloor(zxid: end, acceptedEpoch: end >> 32, isMarked: true)).contains("without the mark"))
        let recovery = Recovery(layout: layout, isStandalone: false, floor: DataFloor(zxid: end, acceptedEpoch: end >> 32))
        #expect(try recovery.recover().tree.lastProcessedZxid.rawValue == end)
        // What was promised since, and what is cut off for a leader, is none of the floor's business.
        try EpochFiles(directory: layout.snapshotDirectory).save(.init(accepted: 9, current: 1))
        _ = try Recovery(layout: layout, isStandalone: false, floor: DataFloor(zxid: 1, acceptedEpoch: 9)).recover()
    }

    // S2: an `initialize` file beside an epoch file means that data was lost behind the operator's back.
    @Test func initializeIsNotBelievedWhereAnEpochWasAccepted() throws {
        try layout.create()
        try EpochFiles(directory: layout.snapshotDirectory).save(.init(accepted: 3, current: 2))
        try InitializeFile(directory: layout.dataLogDir).create()
        let state = try scratch.recovery(isStandalone: false).recover()
        #expect(state.recovering)
        #expect(state.acceptedEpoch == 3)
    }

    // S2: an `initialize` file that outlived the first start must not excuse a later loss.
    @Test func aLeftoverInitializeFileIsConsumed() throws {
        try prepare(SampleHistory(2))
        let initialize = InitializeFile(directory: layout.dataLogDir)
        try initialize.create()
        _ = try scratch.recovery(isStandalone: false).recover()
        #expect(try !initialize.exists)
    }

    @Test func aGapBetweenLogsIsRefused() throws {
        let entries = SampleHistory(30).entries
        _ = try scratch.recovery().recover()
        try SampleHistory.write(Array(entries[..<10]), in: layout.logDirectory)
        try SampleHistory.write(Array(entries[11...]), in: layout.logDirectory)
        #expect(throws: StorageError.self) { try scratch.recovery().recover() }
    }

    /// Two or more in a row, to the end: the tree is not what the ensemble had.
    @Test func aDigestThatStaysWrongIsRefused() throws {
        var entries = SampleHistory(5).entries
        for index in 3...4 { entries[index].digest = TransactionDigest(treeDigest: UInt64(index)) }
        _ = try scratch.recovery().recover()
        try SampleHistory.write(entries, in: layout.logDirectory)
        #expect(throws: StorageError.self) { try scratch.recovery().recover() }
    }

    /// The others were right, and elected another leader: its digests agree with the tree again (issue 8, A2).
    @Test func digestsThatStayedWrongForAWhileAreNoted() throws {
        var entries = SampleHistory(5).entries
        for index in 1...2 { entries[index].digest = TransactionDigest(treeDigest: UInt64(index)) }
        _ = try scratch.recovery().recover()
        try SampleHistory.write(entries, in: layout.logDirectory)
        #expect(try scratch.recovery().recover().tree.lastProcessedZxid == Zxid(rawValue: 5))
    }

    /// What the member has noticed itself does not keep it from starting, and taking another tree.
    @Test func aKnownDoubtIsRecoveredWith() throws {
        var entries = SampleHistory(5).entries
        for index in 2...4 { entries[index].digest = TransactionDigest(treeDigest: UInt64(index)) }
        let empty = try scratch.recovery().recover()
        #expect(empty.doubted == nil && empty.isExact)
        try SampleHistory.write(entries, in: layout.logDirectory)
        try layout.doubtMark.set(leader: 3)
        let state = try scratch.recovery().recover()
        #expect(state.doubted == 3 && state.tree.lastProcessedZxid == Zxid(rawValue: 5))
        try Directory.replace(file: layout.doubtMark.path, with: [0xFF])
        #expect(try scratch.recovery().recover().doubted == -1)
        try layout.doubtMark.clear()
        #expect(try layout.doubtMark.leader == nil)
        #expect(throws: StorageError.self) { try scratch.recovery().recover() }
    }

    /// A tree that a leader sent says nothing of how far it was fuzzy.
    @Test func aReceivedTreeIsNotExact() throws {
        let history = SampleHistory(5)
        _ = try scratch.recovery().recover()
        try scratch.recovery().install(DataTree(), entries: history.entries, EpochFiles.Epochs(accepted: 1, current: 1))
        let state = try scratch.recovery().recover()
        #expect(!state.isExact && state.tree.lastProcessedZxid == Zxid(rawValue: 5))
    }

    /// One that the next contradicts was announced wrongly; one in the last entry is for the next to decide.
    @Test(arguments: [3, 4]) func oneWrongDigestIsNoted(at index: Int) throws {
        var entries = SampleHistory(5).entries
        entries[index].digest = TransactionDigest(treeDigest: 1)
        _ = try scratch.recovery().recover()
        try SampleHistory.write(entries, in: layout.logDirectory)
        let state = try scratch.recovery().recover()
        #expect(state.tree.lastProcessedZxid == Zxid(rawValue: 5))
        #expect(state.findings.count == (index == 3 ? 1 : 0))
        #expect(state.judgement.suspicion?.zxid == (index == 4 ? Zxid(rawValue: 5) : nil))
    }

    @Test func aTornTailIsCutOffDurably() throws {
        let history = SampleHistory(5)
        try prepare(history)
        let path = try #require(try layout.logs().first).path
        let whole = try SystemFiles.shared.open(path, .reading).readAll()
        let end = try #require(whole.lastIndex { $0 != 0 }) + 1
        let last = history.entries[4].payload
        for missing in 1..<LogFormat.recordSize(payload: last) {
            var torn = whole
            for index in (end - missing)..<end { torn[index] = 0 }
            try Directory.replace(file: path, with: torn)
            let state = try scratch.recovery().recover()
            #expect(state.tree.lastProcessedZxid == Zxid(rawValue: 4))
            // Nothing is left behind the last whole entry that a later one could be mixed up with.
            let rest = try SystemFiles.shared.open(path, .reading).readAll().dropFirst(end - LogFormat.recordSize(payload: last))
            #expect(rest.allSatisfy { $0 == 0 })
            #expect(try scratch.recovery().recover().recent == Array(history.entries[..<4]))
        }
    }

    @Test func aDamagedSnapshotIsPassedOverOnlyIfTheLogsReachAsFar() throws {
        let history = SampleHistory(10)
        try prepare(history)
        let newest = try SnapshotFile.write(history.tree, in: layout.snapshotDirectory)
        var bytes = try SystemFiles.shared.open(newest.path, .reading).readAll()
        bytes[bytes.count / 2] ^= 1
        try Directory.replace(file: newest.path, with: bytes)
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
        // Without the logs, falling back to the first snapshot would lose ten acknowledged writes.
        for log in try layout.logs() { try Directory.remove(file: log.path) }
        let error = #expect(throws: StorageError.self) { try scratch.recovery().recover() }
        #expect(error?.path == newest.path)
    }

    /// S1: behind a tree that came by SNAP Apache's server goes on in its log, which did not lead to it; a new epoch begins
    /// there, and no digest speaks. Without the tree 20 acknowledged writes are missing.
    @Test(arguments: [false, true]) func aLogThatGoesOnBehindADamagedSnapshotDoesNotMakeUpForIt(hasLed: Bool) throws {
        var history = SampleHistory(0)
        for number in 0..<10 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 1) }
        let away = history.entries.count
        for number in 0..<20 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 1) }
        _ = try scratch.recovery().recover()
        let received = try SnapshotFile.write(history.tree, in: layout.snapshotDirectory, isFuzzy: true)
        let behind = history.entries.count
        for number in 0..<5 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 2) }
        var entries = history.entries
        for index in entries.indices { entries[index].digest = nil }
        try SampleHistory.write(Array(hasLed ? entries[..<behind] : entries[..<away]), in: layout.logDirectory)
        try SampleHistory.write(Array(entries[behind...]), in: layout.logDirectory)
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
        var bytes = try SystemFiles.shared.open(received.path, .reading).readAll()
        bytes[bytes.count / 2] ^= 1
        try Directory.replace(file: received.path, with: bytes)
        if hasLed {
            #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
        } else {
            let error = #expect(throws: StorageError.self) { try scratch.recovery(isStandalone: false).recover() }
            #expect(error?.path == received.path)
        }
    }

    /// Apache's server takes `log.5.writing` for a log, and ends itself over an empty one (takeover 20290068): no longer
    /// written, and removed as what has no final name.
    @Test func whatWasNeverFinishedIsRemoved() throws {
        _ = try scratch.recovery().recover()
        let before = try Directory.names(layout.logDirectory).sorted()
        for name in ["writing.log.5", "log.5.writing", "writing.snapshot.5", "snapshot.5.writing"] {
            try Directory.replace(file: layout.logDirectory + "/" + name, with: [])
        }
        _ = try scratch.recovery().recover()
        #expect(try Directory.names(layout.logDirectory).sorted() == before)
    }

    /// Apache's learner that was brought up several times (takeover 20290066): rows of files, in which the one that begins
    /// before the snapshot's end does not reach the next one, and an earlier one does. Its own restart passes over what is
    /// missing between the two.
    @Test func whatIsMissingMayStandInAnEarlierLog() throws {
        var history = SampleHistory(0)
        for number in 0..<40 { history.create(NodePath("/n\(number)"), [], epoch: 1) }
        let entries = history.entries
        _ = try scratch.recovery().recover()
        var tree = DataTree()
        var changes: [TreeChange] = []
        for entry in entries[..<25] { _ = tree.apply(entry, changes: &changes) }
        try SnapshotFile.write(tree, in: layout.snapshotDirectory, isFuzzy: false)
        // From 10 to 30, from 15 to 25 and then an old row again, from 31 on.
        try SampleHistory.write(Array(entries[..<10]), in: layout.logDirectory)
        try SampleHistory.write(Array(entries[10..<30]), in: layout.logDirectory)
        try SampleHistory.write(Array(entries[15..<25]), in: layout.logDirectory)
        try SampleHistory.write(Array(entries[30...]), in: layout.logDirectory)
        #expect(try scratch.recovery(isStandalone: false).recover().tree.digest == history.tree.digest)
        // What is nowhere is missing.
        try Directory.remove(file: layout.logDirectory + "/log." + entries[10].zxid.hex)
        #expect(throws: StorageError.self) { try scratch.recovery(isStandalone: false).recover() }
    }

    /// What is proposed while a tree is on its way is in the log as well (Apache's learner; seed 1016): the first of an epoch,
    /// and the tree's own transaction, is there, and what the tree alone had is not.
    @Test(arguments: [(digests: true, hasLed: false), (false, true), (false, false)])
    func aLogThatHoldsADamagedSnapshotsTransactionMayNotLeadToIt(_ log: (digests: Bool, hasLed: Bool)) throws {
        var history = SampleHistory(0)
        for number in 0..<10 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 1) }
        let away = history.entries.count
        for number in 0..<20 { history.create(NodePath("/n\(number)"), [], epoch: 1) }
        let behind = history.entries.count
        history.add(.setData(path: .root, data: [99], version: 1), epoch: 2)
        _ = try scratch.recovery().recover()
        let received = try SnapshotFile.write(history.tree, in: layout.snapshotDirectory, isFuzzy: true)
        for number in 0..<5 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 2) }
        var entries = history.entries
        if !log.digests { for index in entries.indices { entries[index].digest = nil } }
        try SampleHistory.write(Array(log.hasLed ? entries[..<behind] : entries[..<away]), in: layout.logDirectory)
        try SampleHistory.write(Array(entries[behind...]), in: layout.logDirectory)
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
        try Directory.replace(file: received.path, with: [1, 2, 3])
        // Without a digest the two directories look the same.
        #expect(throws: StorageError.self) { try scratch.recovery(isStandalone: false).recover() }
    }

    /// No entry bears the number of an epoch's beginning: that the log led to a snapshot of that name is for a digest to show.
    @Test(arguments: [(digests: true, past: true), (false, true), (false, false)])
    func aDamagedSnapshotOfAnEpochsBeginningNeedsADigest(_ log: (digests: Bool, past: Bool)) throws {
        var history = SampleHistory(0)
        for number in 0..<10 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 1) }
        for number in 0..<5 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 2) }
        var entries = history.entries
        if !log.digests { for index in entries.indices { entries[index].digest = nil } }
        _ = try scratch.recovery().recover()
        if log.past { try SampleHistory.write(Array(entries[..<10]), in: layout.logDirectory) }
        try SampleHistory.write(Array(entries[10...]), in: layout.logDirectory)
        try Directory.replace(file: layout.snapshotDirectory + "/snapshot.200000000", with: [1, 2, 3])
        if log.digests {
            #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
        } else {
            #expect(throws: StorageError.self) { _ = try scratch.recovery().recover().tree.digest }
        }
    }

    /// A fuzzy snapshot: its walk begins at 10, the tree goes on to 20 meanwhile.
    private func fuzzySnapshot(_ history: inout SampleHistory) throws {
        var encoder = TreeEncoder(of: history.tree)
        let writer = SnapshotWriter(
            directory: layout.snapshotDirectory, zxid: encoder.start, lane: try ThreadLane(name: "snapshot")
        ) { _ in }
        writer.write(encoder.next(from: history.tree, nodeLimit: 3))
        for number in 0..<10 {
            history.add(.setData(path: NodePath("/n\(number)"), data: [9, UInt8(number)], version: 1))
        }
        while !encoder.isEnded { writer.write(encoder.next(from: history.tree, nodeLimit: 3)) }
        writer.finish(digest: SnapshotDigest(zxid: history.tree.lastProcessedZxid, digest: history.tree.digest))
        writer.join()
    }

    @Test func aFuzzySnapshotIsCompletedByTheLog() throws {
        var history = SampleHistory(10)
        _ = try scratch.recovery().recover()
        try fuzzySnapshot(&history)
        try SampleHistory.write(history.entries, in: layout.logDirectory)
        #expect(try layout.snapshots().first?.zxid == Zxid(rawValue: 10))
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
    }

    @Test func aFuzzySnapshotThatTheLogDoesNotCompleteIsNoState() throws {
        var history = SampleHistory(10)
        _ = try scratch.recovery().recover()
        try fuzzySnapshot(&history)
        try SampleHistory.write(Array(history.entries[..<15]), in: layout.logDirectory)
        // The older snapshot and the log are.
        let state = try scratch.recovery().recover()
        #expect(state.tree.lastProcessedZxid == Zxid(rawValue: 15))
        #expect(state.tree.digest == history.entries[14].digest?.treeDigest)
    }

    @Test func truncationCutsAndSetsAside() throws {
        let history = SampleHistory(20)
        _ = try scratch.recovery().recover()
        try SampleHistory.write(Array(history.entries[..<12]), in: layout.logDirectory)
        try SampleHistory.write(Array(history.entries[12...]), in: layout.logDirectory)
        let newest = try SnapshotFile.write(history.tree, in: layout.snapshotDirectory)
        let state = try scratch.recovery().truncateLog(to: Zxid(rawValue: 9))
        #expect(state.tree.lastProcessedZxid == Zxid(rawValue: 9))
        #expect(state.tree.digest == history.entries[8].digest?.treeDigest)
        #expect(!Directory.exists(newest.path))
        // S6: moved, not removed.
        #expect(Directory.exists(layout.snapshotDirectory + "/set-aside/" + newest.name))
        #expect(Directory.exists(layout.logDirectory + "/set-aside/log.d"))
        #expect(try scratch.recovery().recover().tree.lastProcessedZxid == Zxid(rawValue: 9))
    }

    /// Seed 1067: the only snapshot was under way when what is to be cut was applied.
    @Test func aCutWithinAFuzzySnapshotTouchesNothing() throws {
        var history = SampleHistory(10)
        _ = try scratch.recovery().recover()
        try fuzzySnapshot(&history)
        try SampleHistory.write(Array(history.entries[10...]), in: layout.logDirectory)
        for snapshot in try layout.snapshots() where snapshot.zxid == .zero { try Directory.remove(file: snapshot.path) }
        let before = try Directory.names(layout.snapshotDirectory).sorted()
        let state = try scratch.recovery(isStandalone: false).truncateLog(to: Zxid(rawValue: 15))
        #expect(state.tree.lastProcessedZxid == history.tree.lastProcessedZxid && state.tree.digest == history.tree.digest)
        #expect(try Directory.names(layout.snapshotDirectory).sorted() == before)
    }

    @Test func aTruncationThatCannotBeRecoveredTouchesNothing() throws {
        let history = SampleHistory(20)
        try prepare(history)
        for snapshot in try layout.snapshots() { try Directory.remove(file: snapshot.path) }
        try SnapshotFile.write(history.tree, in: layout.snapshotDirectory)
        let state = try scratch.recovery().truncateLog(to: Zxid(rawValue: 9))
        #expect(state.tree.lastProcessedZxid == Zxid(rawValue: 20), "the value says that it was not cut")
        #expect(try scratch.recovery().recover().tree.lastProcessedZxid == Zxid(rawValue: 20))
    }

    @Test func anInstalledTreeReplacesTheHistory() throws {
        try prepare(SampleHistory(20))
        var other = SampleHistory(3)
        let tree = other.tree
        other.add(.setData(path: "/n1", data: [8], version: 1), epoch: 2)
        try scratch.recovery().install(tree, entries: Array(other.entries[3...]), .init(accepted: 2, current: 2))
        let state = try scratch.recovery().recover()
        #expect(state.tree.digest == other.tree.digest)
        #expect(state.recent.map(\.zxid) == other.entries[3...].map(\.zxid))
        #expect(state.acceptedEpoch == 2 && state.currentEpoch == 2)
        #expect(!state.recovering)
    }

    /// A leader's tree goes on changing while it is sent: what follows in the log is already in the snapshot.
    @Test func anInstalledFuzzyTreeIsCompletedByTheLog() throws {
        var history = SampleHistory(20)
        var encoder = TreeEncoder(of: history.tree)
        // Both show in the stream: after the first alone the tree is not what the leader's was.
        history.add(.setData(path: "/n1", data: [8], version: 1))
        history.add(.setData(path: "/n2", data: [9], version: 1))
        var stream = ByteBuffer()
        while !encoder.isEnded { stream.writeImmutableBuffer(encoder.next(from: history.tree)) }
        TreeStream.writeSignature(to: &stream)
        var reader = TreeStreamReader(zxid: encoder.start)
        let received = try #require(try reader.feed(&stream))
        #expect(received.digest == history.tree.digest)
        history.create("/later")
        _ = try scratch.recovery().recover()
        try scratch.recovery().install(received, entries: [], .init(accepted: 0, current: 0))
        try SampleHistory.write(Array(history.entries[20...]), in: layout.logDirectory)
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
    }

    /// S6: a snapshot of the same zxid is moved, not overwritten.
    @Test func anInstalledTreeOverwritesNoSnapshot() throws {
        let history = SampleHistory(5)
        _ = try scratch.recovery().recover()
        let own = try SnapshotFile.write(history.tree, in: layout.snapshotDirectory)
        try scratch.recovery().install(history.tree, entries: [], .init(accepted: 0, current: 0))
        #expect(Directory.exists(layout.snapshotDirectory + "/set-aside/" + own.name))
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
    }

    /// What a person copied beside the database is no part of it, nor is a name that holds no zxid.
    @Test(arguments: ["-old", "-1", ".bak", "~"]) func copiesAreNoPartOfTheDatabase(suffix: String) throws {
        let history = SampleHistory(9)
        try prepare(history)
        for file in try layout.logs() + layout.snapshots() {
            try ScratchDirectory.copyTree(file.path, to: file.path + suffix)
        }
        try Directory.replace(file: layout.snapshotDirectory + "/snapshot.7fffffffffffffff", with: [])
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
    }

    @Test func filesInTheWrongDirectoryAreRefused() throws {
        try prepare(SampleHistory(3))
        let moved = DataLayout(dataDir: scratch.path, dataLogDir: scratch.path + "/logs")
        #expect(throws: StorageError.self) { try Recovery(layout: moved, isStandalone: true).recover() }
    }

    /// Snapshots at 0, 4, 8, 12, 16 and 20, with the logs between.
    private func writeSnapshots() throws -> SampleHistory {
        var history = SampleHistory(0)
        _ = try scratch.recovery().recover()
        var written = 0
        for round in 0..<5 {
            for number in 0..<4 { history.create(NodePath("/r\(round)n\(number)")) }
            try SampleHistory.write(Array(history.entries[written...]), in: layout.logDirectory)
            written = history.entries.count
            try SnapshotFile.write(history.tree, in: layout.snapshotDirectory)
        }
        return history
    }

    @Test func purgeKeepsWhatIsNeeded() throws {
        let history = try writeSnapshots()
        // S6: a damaged snapshot doesn't count as one that supersedes.
        let newest = try #require(try layout.snapshots().first)
        var bytes = try SystemFiles.shared.open(newest.path, .reading).readAll()
        bytes[40] ^= 1
        try Directory.replace(file: newest.path, with: bytes)
        try Purge(layout)?.remove()
        #expect(try layout.snapshots().map(\.zxid.rawValue) == [20, 16, 12, 8])
        #expect(try layout.logs().map(\.zxid.rawValue) == [9, 13, 17])
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
        #expect(try Purge(layout)?.remove() == [])
    }

    /// S6: remove `allSatisfy` and this fails.
    @Test func purgeRemovesNothingWhenTheDataIsCutBackMeanwhile() throws {
        _ = try writeSnapshots()
        let purge = try #require(try Purge(layout))
        _ = try scratch.recovery().truncateLog(to: Zxid(rawValue: 6))
        #expect(try purge.remove() == [])
        #expect(try scratch.recovery().recover().tree.lastProcessedZxid == Zxid(rawValue: 6))
    }

    @Test func verificationReportsTheEnd() throws {
        let history = SampleHistory(8)
        try prepare(history)
        let report = try Verification.verify(layout)
        #expect(report.endZxid == Zxid(rawValue: 8))
        #expect(report.endDigest == history.tree.digest)
        #expect(report.entryCount == 8)
        let part = try Verification.verify(layout, upTo: Zxid(rawValue: 5))
        #expect(part.endDigest == history.entries[4].digest?.treeDigest)
        #expect(throws: StorageError.self) { try Verification.verify(layout, upTo: Zxid(rawValue: 9)) }
    }

    @Test func aGlanceSeesTheSameEndAsAReplay() throws {
        try prepare(SampleHistory(8))
        #expect(try DataGlance.look(at: layout)?.endZxid == Zxid(rawValue: 8))
        let snapshot = try #require(try layout.snapshots().first)
        var bytes = try SystemFiles.shared.open(snapshot.path, .reading).readAll()
        bytes[bytes.count - 1] = 0
        try Directory.replace(file: snapshot.path, with: bytes)
        #expect(try DataGlance.look(at: layout) == nil, "without a sealed snapshot the files must be replayed")
    }

    /// Written by Apache ZooKeeper 3.8.0 (Debian): its own digests, after every transaction, are compared on the way.
    @Test func aDirectoryOfApacheLoads() throws {
        let fixture = #filePath.dropLast("RecoveryTests.swift".count) + "Fixtures/apache-3.8"
        try ScratchDirectory.copyTree(String(fixture), to: scratch.path)
        let report = try Verification.verify(layout)
        #expect(report.endZxid == Zxid(rawValue: 0x33))
        #expect(try DataGlance.look(at: layout)?.endZxid == Zxid(rawValue: 0x33))
        // From the first snapshot, too: every transaction there is.
        for snapshot in try layout.snapshots() where snapshot.zxid != .zero { try Directory.remove(file: snapshot.path) }
        let state = try scratch.recovery().recover()
        #expect(state.tree.digest == report.endDigest)
        #expect(state.recent.count == 0x33)
        #expect(state.recent.last?.digest?.treeDigest == state.tree.digest)
        #expect(state.tree.data("/a") == Array("4".utf8))
        #expect(state.tree.data("/c/n15") == Array("w4".utf8))
        #expect(!state.tree.contains("/c/n05"))
        // What is re-encoded from the records is what Apache wrote.
        for log in try layout.logs() {
            let theirs = try SystemFiles.shared.open(log.path, .reading).readAll()
            guard let first = state.recent.firstIndex(where: { $0.zxid == log.zxid }) else { continue }
            var own = FileHeader.log.encoded()
            LogFormat.append(payload: state.recent[first].payload, to: &own)
            #expect(Array(theirs.prefix(own.count)) == own)
        }
    }

    /// `Fixtures/README.md`: a shape each, and what Apache's own server reads from it.
    @Test func directoriesAsApacheLeavesThemLoad() throws {
        let fixtures = String(#filePath.dropLast("RecoveryTests.swift".count)) + "Fixtures/apache"
        let table = String(decoding: try Directory.content(of: fixtures + "/contents.tsv") ?? [], as: UTF8.self)
        for line in table.split(separator: "\n") where line.first != "#" {
            let fields = line.split(separator: "\t").map(String.init)
            let copy = ScratchDirectory()
            try ScratchDirectory.copyTree(fixtures + "/" + fields[0], to: copy.path)
            do {
                let report = try Verification.verify(copy.layout)
                #expect(report.endZxid.hex == fields[1], "\(fields[0])")
                #expect(report.nodeCount == Int(fields[2]), "\(fields[0])")
                #expect(report.endDigest == UInt64(fields[3]), "\(fields[0])")
                let state = try copy.recovery().recover()
                #expect(state.tree.digest == UInt64(fields[3]), "\(fields[0])")
                // No DIFF begins before what is provably without a gap.
                if fields[0].hasPrefix("after-snap") {
                    #expect(state.recent.first.map { $0.zxid > report.startZxid } ?? true, "\(fields[0])")
                }
            } catch { Issue.record("\(fields[0]): \(error)") }
        }
    }

    /// A1: what a snapshot covers is in the window only if nothing is missing up to the snapshot; and where an epoch
    /// begins in a log that isn't ours, nothing shows that.
    @Test func theWindowHasNoHole() throws {
        var history = SampleHistory(0)
        for number in 0..<10 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 1) }
        let away = history
        for number in 0..<20 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 1) }
        _ = try scratch.recovery().recover()
        try SampleHistory.write(away.entries, in: layout.logDirectory)
        try SnapshotFile.write(history.tree, in: layout.snapshotDirectory, isFuzzy: true)
        #expect(try scratch.recovery().recover().recent == [], "nothing leads to the snapshot")
        let epoch2 = history.entries.count
        for number in 0..<5 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 2) }
        try SampleHistory.write(Array(history.entries[epoch2...]), in: layout.logDirectory)
        let recent = try scratch.recovery().recover().recent
        #expect(recent.first?.zxid == Zxid(epoch: 2, counter: 1))
        #expect(recent.count == 5)
    }

    /// In a file of ours the beginning of an epoch stands right behind what was before it.
    @Test func theWindowOfAnOwnLogCrossesEpochs() throws {
        _ = try scratch.recovery().recover()
        var history = SampleHistory(5)
        for number in 0..<5 { history.add(.setData(path: .root, data: [UInt8(number)], version: 1), epoch: 2) }
        let writer = LogWriter(
            directory: layout.logDirectory, lastZxid: .zero, configuration: .init(preallocation: 65536, zeroChunk: 65536),
            lane: CallingThread()
        ) { _ in }
        for entry in history.entries { try writer.append(entry) }
        writer.close()
        let state = try scratch.recovery().recover()
        #expect(state.recent.count == 10)
        #expect(state.behindSnapshot.transactions == 10)
        #expect(state.behindSnapshot.bytes > 10 * LogFormat.prefixSize)
    }
}
