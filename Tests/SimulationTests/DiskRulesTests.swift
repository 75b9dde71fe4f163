import KeeperCodec
import KeeperCore
import KeeperStorage
import Testing

@testable import EnsembleSim

/// What storage must never ask of a disk: each offence is seen at the operation itself, and its lawful twin is none.
@Suite struct DiskRulesTests {
    private static let directory = "/data/version-2"

    private static func disk() throws -> FaultyDisk {
        let disk = FaultyDisk(seed: 1)
        try disk.createDirectory(directory)
        return disk
    }

    private static func entry(_ counter: UInt32) -> LogEntry {
        LogEntry(
            session: 1, cxid: Int32(counter), zxid: Zxid(epoch: 1, counter: counter), time: 1,
            transaction: .closeSession(ephemerals: nil))
    }

    /// A log of these entries, with a mark in its header, made durable.
    private static func log(_ counters: ClosedRange<UInt32>, on disk: FaultyDisk) throws -> (path: String, end: Int) {
        let path = directory + "/log." + String(Zxid(epoch: 1, counter: counters.lowerBound).rawValue, radix: 16)
        var records: [UInt8] = []
        for counter in counters { LogFormat.append(payload: entry(counter).payload, to: &records) }
        let end = FileHeader.size + records.count
        let file = try disk.open(path, .creating)
        try file.write(FileHeader.markedLog(LogMark(durableEnd: FileHeader.size)).encoded() + records, at: 0)
        try file.sync()
        try file.write(LogMark(durableEnd: end).bytes, at: FileHeader.databaseOffset)
        try file.sync()
        try disk.syncDirectory(directory)
        return (path, end)
    }

    private static func snapshot(_ counter: UInt32, on disk: FaultyDisk) throws -> String {
        var tree = DataTree()
        var changes: [TreeChange] = []
        _ = tree.apply(entry(counter), changes: &changes)
        return try SnapshotFile.write(tree, in: directory, files: disk).path
    }

    @Test(arguments: [false, true]) func aMarkTellsTheTruth(isSynced: Bool) throws {
        let disk = try Self.disk()
        let (path, end) = try Self.log(1...3, on: disk)
        let file = try disk.open(path, .writing)
        let more = Array(repeating: UInt8(7), count: 600)
        try file.write(more, at: end)
        if isSynced { try file.syncData() }
        try file.write(LogMark(durableEnd: end + more.count).bytes, at: end + more.count)
        #expect((disk.offence != nil) == !isSynced)
    }

    @Test(arguments: [false, true]) func aLogIsCutBehindADurableMark(isSynced: Bool) throws {
        let disk = try Self.disk()
        let (path, end) = try Self.log(1...3, on: disk)
        let file = try disk.open(path, .writing)
        try file.write(LogMark(durableEnd: end - 20).bytes, at: FileHeader.databaseOffset)
        if isSynced { try file.sync() }
        try file.truncate(to: end - 20)
        #expect((disk.offence != nil) == !isSynced)
    }

    @Test(arguments: [false, true]) func aFinalNameIsThatOfDurableContent(isSynced: Bool) throws {
        let disk = try Self.disk()
        let file = try disk.open(Self.directory + "/writing.snapshot.5", .creating)
        try file.write([1, 2, 3], at: 0)
        if isSynced { try file.sync() }
        try disk.move(Self.directory + "/writing.snapshot.5", to: Self.directory + "/snapshot.5")
        #expect((disk.offence != nil) == !isSynced)
    }

    @Test(arguments: [UInt32(3), 4]) func aLogBehindTheOldestSnapshotStays(end: UInt32) throws {
        let disk = try Self.disk()
        let log = try Self.log(1...end, on: disk)
        for counter in UInt32(3)...5 { _ = try Self.snapshot(counter, on: disk) }
        try disk.remove(log.path)
        #expect((disk.offence != nil) == (end > 3))
    }

    @Test(arguments: [UInt32(5), 6]) func threeSoundSnapshotsStay(newest: UInt32) throws {
        let disk = try Self.disk()
        let oldest = try Self.snapshot(3, on: disk)
        for counter in UInt32(4)...newest { _ = try Self.snapshot(counter, on: disk) }
        try disk.remove(oldest)
        #expect((disk.offence != nil) == (newest < 6))
    }

    /// One that had rotten before the newest was begun does not count.
    @Test func aRottenSnapshotIsNone() throws {
        let disk = try Self.disk()
        let oldest = try Self.snapshot(3, on: disk)
        let rotten = try Self.snapshot(4, on: disk)
        _ = try Self.snapshot(5, on: disk)
        #expect(disk.rot { $0 == rotten } != nil)
        _ = try Self.snapshot(6, on: disk)
        try disk.remove(oldest)
        #expect(disk.offence != nil)
    }

    /// Below its mark a file of ours was durable, and a broken byte there is no torn batch; nor is one with a whole entry behind it.
    @Test func whatIsDurableIsNotTorn() {
        var bytes = FileHeader.log.encoded()
        var starts: [Int] = []
        for counter in UInt32(1)...40 {
            starts.append(bytes.count)
            LogFormat.append(payload: Self.entry(counter).payload, to: &bytes)
        }
        let end = bytes.count
        func passes(_ sector: Int, at place: Int? = nil, mark: Int? = nil) -> Bool {
            var content = bytes
            if let mark { content.replaceSubrange(0..<FileHeader.size, with: FileHeader.markedLog(LogMark(durableEnd: mark)).encoded()) }
            var file = DiskFile(durable: content, size: content.count)
            file.rot(sector: sector, readably: true, at: place, among: 1)
            return file.mayPassForTorn
        }
        let last = starts[starts.count - 1] / DiskFile.sector
        #expect(last > 1)
        #expect(passes(last) && !passes(1) && !passes(last, at: 3))
        #expect(!passes(last, mark: end) && !passes(1, mark: end) && passes(last, mark: starts[20]))
        #expect(!passes(0, at: 1) && !passes(0, at: FileHeader.databaseOffset, mark: end))
    }

    /// What was written is known for as long as it is not what is there.
    @Test func rotIsKnownByteByByte() {
        var file = DiskFile(durable: Array(repeating: 7, count: 1_500), size: 1_500)
        file.rot(sector: 1, readably: true, among: 1)
        #expect(file.altered.count == 14 && file.bytes[512] != 7 && file.written == Array(repeating: 7, count: 1_500))
        file.truncate(to: 600)
        #expect(file.altered == [512, 549, 586])
        Array(repeating: UInt8(9), count: 60).withUnsafeBytes { file.write($0, at: 500) }
        #expect(file.altered == [586] && file.isRotten)
        file.rot(sector: 1, readably: true, among: 1)
        #expect(file.altered == [512, 549])
    }

    /// The sector is written as a whole when it is synced (seed 1303).
    @Test func whatIsStillToBeWrittenDoesNotRot() throws {
        let disk = FaultyDisk(seed: 1)
        try disk.replace("/log", with: Array(repeating: 7, count: 500))
        #expect(disk.rot { $0 == "/log" } != nil)
        let file = try disk.open("/log", .writing)
        try file.write([UInt8](repeating: 9, count: 100), at: 300)
        #expect(disk.rot { $0 == "/log" } == nil)
        try file.sync()
        #expect(disk.rot { $0 == "/log" } != nil)
    }

    @Test func anInstallationCountsWithItsSnapshot() throws {
        let disk = try Self.disk()
        try disk.replace(Self.directory + "/installation", with: Array("1 1".utf8))
        #expect(disk.offence != nil)
    }
}
