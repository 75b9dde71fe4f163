import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore
import Testing

/// Shapes of directories that only Apache's server leaves: none of them is damage (issue 8, A23).
@Suite struct ForeignDirectoryTests {
    private let scratch = ScratchDirectory()
    private var layout: DataLayout { scratch.layout }

    private func refusal() throws -> StorageError? {
        let names = try Directory.names(layout.snapshotDirectory)
        var found: StorageError?
        do throws(StorageError) { _ = try scratch.recovery().recover().tree.digest } catch { found = error }
        #expect(try Directory.names(layout.snapshotDirectory) == names, "the files are as they were")
        return found
    }

    // MARK: logs alone

    @Test func logsFromTheFirstTransactionNeedNoSnapshot() throws {
        let history = SampleHistory(9)
        try layout.create()
        try SampleHistory.write(Array(history.entries[..<4]), in: layout.logDirectory)
        try SampleHistory.write(Array(history.entries[4...]), in: layout.logDirectory)
        #expect(try Verification.verify(layout).endDigest == history.tree.digest)
        #expect(try layout.snapshots().isEmpty, "who only looks leaves nothing")
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
        // From now on it is what every reader takes for a database, and can be cut as any other.
        #expect(try layout.snapshots().map(\.zxid) == [.zero])
        let cut = try scratch.recovery().truncateLog(to: Zxid(rawValue: 3)).tree.digest
        #expect(cut == history.entries[2].digest?.treeDigest)
    }

    /// ZOOKEEPER-3056, 3781: what was before is missing.
    @Test func logsFromALaterTransactionOnAreRefused() throws {
        try layout.create()
        try SampleHistory.write(Array(SampleHistory(9).entries[1...]), in: layout.logDirectory)
        let refusal = try #require(try refusal())
        #expect(refusal.description.contains("the logs begin with 0x2"))
        #expect(refusal.remedy.contains("keep the files, they may be the only copy"))
    }

    /// Where an epoch begins, nothing but a digest shows that nothing is missing before.
    @Test(arguments: [false, true]) func acrossEpochsADigestMustProveIt(hasDigests: Bool) throws {
        var history = SampleHistory(5)
        for number in 0..<5 { history.add(.setData(path: "/n1", data: [UInt8(number)], version: 1), epoch: 2) }
        var entries = history.entries
        if !hasDigests { for index in entries.indices { entries[index].digest = nil } }
        try layout.create()
        try SampleHistory.write(entries, in: layout.logDirectory)
        guard hasDigests else {
            let refusal = try #require(try refusal())
            #expect(refusal.description.contains("missing before 0x200000001"))
            return
        }
        #expect(try scratch.recovery().recover().tree.digest == history.tree.digest)
    }

    @Test func logsFromTheFirstTransactionMakeUpForDamagedSnapshots() throws {
        let history = SampleHistory(9)
        try layout.create()
        try SampleHistory.write(history.entries, in: layout.logDirectory)
        try Directory.replace(file: layout.path(of: .zero), with: [1, 2, 3])
        let state = try scratch.recovery().recover()
        #expect(state.tree.digest == history.tree.digest)
        #expect(state.findings.contains { $0.contains("snapshot passed over") })
        // S6
        #expect(Directory.exists(layout.snapshotDirectory + "/set-aside/snapshot.0"))
        #expect(try Verification.verify(layout).findings == [])
    }

    // MARK: entries that come again

    /// 1, 2, … 6, 3, … 9 in one file, and once more from 5 on in another.
    private func writeRepetitions(_ history: SampleHistory) throws {
        _ = try scratch.recovery().recover()
        try SampleHistory.write(Array(history.entries[..<6] + history.entries[2..<9]), in: layout.logDirectory)
        try SampleHistory.write(Array(history.entries[4...]), in: layout.logDirectory)
    }

    @Test func whatComesAgainIsPassedOver() throws {
        let history = SampleHistory(12)
        try writeRepetitions(history)
        let state = try scratch.recovery().recover()
        #expect(state.tree.digest == history.tree.digest)
        #expect(state.recent == history.entries, "the window has each once")
    }

    @Test(arguments: 1..<12) func aCutAmongRepetitionsLeavesNoneThatIsHigher(end: Int) throws {
        let history = SampleHistory(12)
        try writeRepetitions(history)
        let digest = try scratch.recovery().truncateLog(to: Zxid(rawValue: Int64(end))).tree.digest
        #expect(digest == history.entries[end - 1].digest?.treeDigest)
        for log in try layout.logs() {
            _ = try LogFileContent(log, in: SystemFiles.shared).forEachEntry { (entry, _) throws(StorageError) in
                #expect(entry.zxid.rawValue <= end, "\(log.name)")
                return true
            }
        }
    }

    @Test func anotherEntryUnderTheSameNumberIsRefused() throws {
        let history = SampleHistory(6)
        _ = try scratch.recovery().recover()
        var other = history.entries[3]
        other.time += 1
        try SampleHistory.write(history.entries + [other], in: layout.logDirectory)
        #expect(try refusal()?.description.contains("two histories are mixed") == true)
    }

    // MARK: a trailer that is behind its nodes

    /// A snapshot of 4 whose nodes are those of `nodes`, with the digest of 4.
    private func writeSnapshot(nodes: DataTree, digest: UInt64) throws {
        var sealer = SnapshotSealer()
        var encoder = TreeEncoder(of: nodes)
        var file = sealer.header()
        while !encoder.isEnded {
            let chunk = encoder.next(from: nodes)
            sealer.cover(chunk)
            file += Array(chunk.readableBytesView)
        }
        file += sealer.trailer(digest: SnapshotDigest(zxid: Zxid(rawValue: 4), digest: digest))
        try layout.create()
        try Directory.replace(file: layout.path(of: Zxid(rawValue: 4)), with: file)
    }

    @Test func theTransactionBehindTheTrailerMayShow() throws {
        let (five, eight) = (SampleHistory(5), SampleHistory(8))
        let digest = try #require(five.entries[3].digest?.treeDigest)
        try writeSnapshot(nodes: five.tree, digest: digest)
        // Alone it is no state that ever was.
        #expect(try refusal()?.description.contains("the tree's digest at 0x4") == true)
        try SampleHistory.write(Array(eight.entries[4...]), in: layout.logDirectory)
        let state = try scratch.recovery().recover()
        #expect(state.tree.digest == eight.tree.digest)
        #expect(state.findings == [])
    }

    @Test func whatTheTransactionBehindTheTrailerDoesNotExplainIsRefused() throws {
        let (six, eight) = (SampleHistory(6), SampleHistory(8))
        let digest = try #require(six.entries[3].digest?.treeDigest)
        try writeSnapshot(nodes: six.tree, digest: digest)
        try SampleHistory.write([eight.entries[4]], in: layout.logDirectory)
        #expect(try refusal()?.description.contains("no transaction behind") == true)
        // An older one, and the log behind it, are a state.
        for log in try layout.logs() { try Directory.remove(file: log.path) }
        try SnapshotFile.write(DataTree(), in: layout.snapshotDirectory)
        try SampleHistory.write(eight.entries, in: layout.logDirectory)
        #expect(try scratch.recovery().recover().tree.digest == eight.tree.digest)
    }

    /// What was announced wrongly since before the snapshot hides what the transaction behind the trailer shows, until it ends
    /// (found by the simulator, seed 176 with Apache's directories).
    @Test func whatWasAnnouncedWronglyIsNoProofAgainstTheSnapshot() throws {
        let (five, eight) = (SampleHistory(5), SampleHistory(8))
        let digest = try #require(five.entries[3].digest?.treeDigest)
        try writeSnapshot(nodes: five.tree, digest: digest)
        var entries = eight.entries
        for index in 2...5 { entries[index].digest?.treeDigest &+= 77 }
        try SampleHistory.write(Array(entries[4...5]), in: layout.logDirectory)
        #expect(try refusal()?.description.contains("no transaction behind") == true, "nothing has agreed with it")
        for log in try layout.logs() { try Directory.remove(file: log.path) }
        try SampleHistory.write(Array(entries[4...]), in: layout.logDirectory)
        #expect(try scratch.recovery().recover().tree.digest == eight.tree.digest)
    }

    // MARK: a snapshot whose writing was interrupted

    /// Apache's server was killed while it wrote a snapshot that was ahead of its log (found by `scripts/takeover`).
    @Test(arguments: [0, 40]) func aSnapshotThatIsCutShortIsPassedOverByWhoCanSynchronise(kept: Int) throws {
        let (six, nine) = (SampleHistory(6), SampleHistory(9))
        _ = try scratch.recovery().recover()
        try SampleHistory.write(six.entries, in: layout.logDirectory)
        let whole = try SnapshotFile.write(nine.tree, in: layout.snapshotDirectory)
        let bytes = try SystemFiles.shared.open(whole.path, .reading).readAll()
        try Directory.replace(file: whole.path, with: Array(bytes.prefix(kept)))
        // Alone there is nobody to synchronise with.
        #expect(try refusal()?.description.contains("in the middle of its content") == true)
        #expect(try layout.recoveringMark.isSet == false)
        #expect(throws: StorageError.self) { try Verification.verify(layout) }
        #expect(try Verification.verify(layout, admitsCut: true).findings.contains { $0.contains("is cut short") })
        // S2
        let state = try scratch.recovery(isStandalone: false).recover()
        #expect(state.recovering)
        #expect(state.tree.digest == six.tree.digest)
        #expect(state.findings.contains { $0.contains("must synchronise before it votes") })
        #expect(Directory.exists(layout.snapshotDirectory + "/set-aside/" + whole.name), "S6")
        #expect(try scratch.recovery(isStandalone: false).recover().recovering)
    }

    @Test func aNewestSnapshotThatHasRottedIsDamage() throws {
        _ = try scratch.recovery().recover()
        try SampleHistory.write(SampleHistory(6).entries, in: layout.logDirectory)
        let whole = try SnapshotFile.write(SampleHistory(9).tree, in: layout.snapshotDirectory)
        var bytes = try SystemFiles.shared.open(whole.path, .reading).readAll()
        bytes[bytes.count / 2] ^= 1
        try Directory.replace(file: whole.path, with: bytes)
        #expect(throws: StorageError.self) { try scratch.recovery(isStandalone: false).recover() }
        #expect(try layout.recoveringMark.isSet == false)
    }

    // MARK: packed snapshots

    private func copyFixture(_ name: String) throws {
        let fixtures = String(#filePath.dropLast("ForeignDirectoryTests.swift".count)) + "Fixtures/apache/"
        try ScratchDirectory.copyTree(fixtures + name, to: scratch.path)
    }

    @Test func packedSnapshotsCountForPurging() throws {
        try copyFixture("gzip")
        #expect(try Purge(layout)?.remove().map { $0.split(separator: "/").last } == ["snapshot.0.gz"])
        #expect(try scratch.recovery().recover().tree.nodeCount == 34)
    }

    /// S6: one that is spoilt supersedes nothing; the log makes up for it.
    @Test(arguments: ["gzip", "snappy"]) func spoiltPackedSnapshotsAreFound(kind: String) throws {
        try copyFixture(kind)
        let newest = try #require(try layout.snapshots().first)
        var bytes = try SystemFiles.shared.open(newest.path, .reading).readAll()
        bytes[bytes.count - 60] ^= 4
        try Directory.replace(file: newest.path, with: bytes)
        #expect(throws: StorageError.self) { try SnapshotFile.check(newest, in: SystemFiles.shared) }
        let report = try Verification.verify(layout)
        #expect(report.findings.contains { $0.contains(newest.name) })
    }
}
