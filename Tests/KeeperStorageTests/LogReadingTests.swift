import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage
import Testing

/// What stands in a log where its entries end: the end, an interrupted write, or damage.
@Suite struct LogReadingTests {
    private let scratch = ScratchDirectory()
    private var layout: DataLayout { scratch.layout }

    // MARK: logs that say how far they are durable

    /// A log of this server's, its entries synced one by one, as a kill leaves it; and where each entry ends.
    private func ownLog(_ count: Int, dataSize: Int = 100) throws -> (path: String, bytes: [UInt8], ends: [Int]) {
        _ = try scratch.recovery().recover()
        var history = SampleHistory(0)
        for number in 0..<count { history.create(NodePath("/n\(number)"), [UInt8](repeating: 7, count: dataSize)) }
        let writer = LogWriter(
            directory: layout.logDirectory, lastZxid: .zero,
            configuration: .init(preallocation: 1 << 17, zeroChunk: 1 << 17), lane: CallingThread()
        ) { _ in }
        var ends: [Int] = []
        var end = FileHeader.size
        for entry in history.entries {
            try writer.append(entry)
            writer.submit()
            end += LogFormat.recordSize(payload: entry.payload)
            ends.append(end)
        }
        let path = layout.logDirectory + "/log.1"
        return (path, try SystemFiles.shared.open(path, .reading).readAll(), ends)
    }

    /// The fault of issue 8, A5: 201 writes acknowledged one by one, one zeroed sector in the 21st.
    @Test func aHoleInWhatWasDurableIsDamageAndNothingIsCut() throws {
        let (path, whole, ends) = try ownLog(201)
        for sector in [1, ends[20] / 512, ends[150] / 512] {
            var bytes = whole
            for offset in (sector * 512)..<(sector * 512 + 512) { bytes[offset] = 0 }
            try Directory.replace(file: path, with: bytes)
            let error = #expect(throws: StorageError.self, "sector \(sector)") { try scratch.recovery().recover() }
            #expect(error?.path == path)
            #expect(throws: StorageError.self) { try Verification.verify(layout) }
            #expect(try SystemFiles.shared.open(path, .reading).readAll() == bytes, "left as it was")
        }
    }

    /// Also when everything behind it is zeros.
    @Test func aLostTailOfWhatWasDurableIsDamage() throws {
        let (path, _, ends) = try ownLog(50)
        // An orderly start says in the header that all of it is durable.
        _ = try scratch.recovery().recover()
        var bytes = try SystemFiles.shared.open(path, .reading).readAll()
        for offset in ends[30]..<bytes.count { bytes[offset] = 0 }
        try Directory.replace(file: path, with: bytes)
        #expect(throws: StorageError.self) { try scratch.recovery().recover() }
    }

    /// Of a batch that was never synced any sectors may be there, in any order: all of it is a torn tail.
    @Test func anySubsetOfAnUnsyncedBatchIsATornTail() throws {
        let (path, before, ends) = try ownLog(10)
        let start = ends[9]
        var history = SampleHistory(0)
        for number in 0..<10 { history.create(NodePath("/n\(number)"), [UInt8](repeating: 7, count: 100)) }
        for number in 10..<14 { history.create(NodePath("/n\(number)"), [UInt8](repeating: 7, count: 700)) }
        var batch: [UInt8] = []
        for entry in history.entries[10...] { LogFormat.append(payload: entry.payload, to: &batch) }
        LogFormat.appendTrailer(LogMark(durableEnd: start), to: &batch)
        var after = before
        after.replaceSubrange(start..<(start + batch.count), with: batch)
        let sectors = Array((start / 512)...((start + batch.count - 1) / 512))
        for kept in 0..<(1 << sectors.count) {
            var bytes = before
            for (index, sector) in sectors.enumerated() where kept & 1 << index != 0 {
                bytes.replaceSubrange((sector * 512)..<(sector * 512 + 512), with: after[(sector * 512)..<(sector * 512 + 512)])
            }
            try Directory.replace(file: path, with: bytes)
            let state = try scratch.recovery().recover()
            let last = Int(state.tree.lastProcessedZxid.counter)
            #expect(last >= 10, "\(kept)")
            #expect(state.tree.digest == history.entries[last - 1].digest?.treeDigest)
            // What is left says of itself that it is durable: another start finds nothing.
            #expect(try scratch.recovery().recover().findings == [])
        }
    }

    /// Apache's server takes the directory over, follows TRUNC, and gives it back.
    @Test func aFileThatAnotherServerHasCutEndsThere() throws {
        let (path, bytes, ends) = try ownLog(20)
        _ = try scratch.recovery().recover()
        try Directory.replace(file: path, with: Array(bytes[..<ends[11]]))
        #expect(try scratch.recovery().recover().tree.lastProcessedZxid == Zxid(rawValue: 12))
    }

    @Test func aCutLogIsMarkedAnew() throws {
        let (path, _, ends) = try ownLog(20)
        _ = try scratch.recovery().recover()
        #expect(try scratch.recovery().truncateLog(to: Zxid(rawValue: 7)).tree.lastProcessedZxid == Zxid(rawValue: 7))
        #expect(try SystemFiles.shared.open(path, .reading).size() == ends[6] + LogFormat.trailerSize)
        #expect(try scratch.recovery().recover().tree.lastProcessedZxid == Zxid(rawValue: 7))
    }

    // MARK: logs that don't

    private func write(_ bytes: [UInt8]) throws -> String {
        _ = try scratch.recovery().recover()
        let path = layout.logDirectory + "/log.1"
        try Directory.replace(file: path, with: bytes)
        return path
    }

    private func foreignLog(_ count: Int) -> (bytes: [UInt8], ends: [Int]) {
        var bytes = FileHeader.log.encoded()
        var ends: [Int] = []
        for entry in SampleHistory(count).entries {
            LogFormat.append(payload: entry.payload, to: &bytes)
            ends.append(bytes.count)
        }
        return (bytes, ends)
    }

    /// The front of the last write and zeros: at every offset that is a torn tail, and what was whole before it is read.
    @Test(arguments: [0, 100]) func everyTornTailIsTolerated(zeros: Int) throws {
        let (bytes, ends) = foreignLog(3)
        for cut in ends[1]..<bytes.count {
            let torn = Array(bytes[..<cut]) + [UInt8](repeating: 0, count: zeros == 0 ? 0 : bytes.count - cut + zeros)
            _ = try write(torn)
            #expect(try scratch.recovery().recover().tree.lastProcessedZxid == Zxid(rawValue: 2), "cut at \(cut)")
        }
    }

    /// A whole entry behind a break: the break was acknowledged before it.
    @Test func aHoleBeforeAWholeEntryIsDamage() throws {
        let (bytes, ends) = foreignLog(60)
        for sector in stride(from: 512, to: ends[56], by: 512) {
            var holed = bytes
            for offset in sector..<(sector + 512) { holed[offset] = 0 }
            let path = try write(holed)
            let error = #expect(throws: StorageError.self, "sector at \(sector)") { try scratch.recovery().recover() }
            #expect(error?.description.contains("is whole") == true)
            try Directory.remove(file: path)
        }
    }

    /// One flipped bit anywhere in the entries, also in the last one, is damage, not an end.
    @Test(arguments: [0, 64]) func everyFlippedBitIsDamage(zeros: Int) throws {
        let (bytes, ends) = foreignLog(3)
        for offset in FileHeader.size..<ends[2] {
            var damaged = bytes + [UInt8](repeating: 0, count: zeros)
            damaged[offset] ^= 1 << UInt8(offset % 8)
            let path = try write(damaged)
            #expect(throws: StorageError.self, "bit \(offset % 8) of \(offset)") { try scratch.recovery().recover() }
            try Directory.remove(file: path)
        }
    }
}
