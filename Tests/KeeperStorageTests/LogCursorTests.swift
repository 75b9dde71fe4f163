import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage
import Testing

/// Reading the log that is being written, for learners that are behind the window.
@Suite struct LogCursorTests {
    private let scratch = ScratchDirectory()
    private var layout: DataLayout { scratch.layout }

    private func writer(fileLimit: Int? = nil) throws -> LogWriter {
        _ = try scratch.recovery().recover()
        return LogWriter(
            directory: layout.logDirectory, lastZxid: .zero,
            configuration: .init(preallocation: 1 << 17, zeroChunk: 1 << 17, fileLimit: fileLimit), lane: CallingThread()
        ) { _ in }
    }

    private func history(_ count: Int) -> [LogEntry] {
        var history = SampleHistory(0)
        for number in 0..<count { history.create(NodePath("/n\(number)"), [UInt8](repeating: 7, count: 100)) }
        return history.entries
    }

    private func write(_ entries: some Sequence<LogEntry>, _ writer: LogWriter) throws {
        for entry in entries {
            try writer.append(entry)
            writer.submit()
        }
    }

    private func zxid(_ counter: UInt32) -> Zxid { Zxid(epoch: 0, counter: counter) }

    /// Over several files, in pieces, while it goes on.
    @Test func itReadsOnWhereItStopped() throws {
        let writer = try writer(fileLimit: 4096)
        let entries = history(200)
        try write(entries[..<100], writer)
        var cursor = LogCursor(layout, behind: zxid(10))
        var read: [Zxid] = []
        while cursor.last < zxid(100) {
            let piece = try cursor.next(upTo: zxid(100), limit: 1000)
            #expect(!piece.isEmpty && piece.dropLast().reduce(0) { $0 + $1.size } < 1000)
            read += piece.map(\.zxid)
        }
        // The last file has grown, and others have come.
        try write(entries[100...], writer)
        read += try cursor.next(upTo: zxid(150), limit: .max).map(\.zxid)
        read += try cursor.next(upTo: zxid(200), limit: .max).map(\.zxid)
        #expect(read == (11...200).map { zxid(UInt32($0)) })
        #expect(try layout.logs().count > 3)
    }

    /// A piece that ends where its file ends: the purge takes what is read for what nobody needs (seed 1270).
    @Test func aFileThatIsReadMayBeGone() throws {
        let writer = try writer(fileLimit: 4096)
        try write(history(100), writer)
        let logs = try layout.logs()
        let end = Zxid(rawValue: logs[1].zxid.rawValue - 1)
        var cursor = LogCursor(layout, behind: zxid(0))
        #expect(try cursor.next(upTo: end, limit: .max).last?.zxid == end)
        try SystemFiles.shared.remove(logs[0].path)
        #expect(try cursor.next(upTo: zxid(100), limit: .max).first?.zxid == logs[1].zxid)
        #expect(cursor.last == zxid(100))
    }

    @Test func whatIsNotThereIsAnError() throws {
        let writer = try writer(fileLimit: 4096)
        try write(history(100), writer)
        var beyond = LogCursor(layout, behind: zxid(90))
        #expect(throws: StorageError.self) { try beyond.next(upTo: zxid(101), limit: .max) }
        let logs = try layout.logs()
        try SystemFiles.shared.remove(logs[1].path)
        var gone = LogCursor(layout, behind: logs[1].zxid)
        // What it makes of that is its reader's to judge: the numbers show that something is missing.
        #expect(try gone.next(upTo: zxid(100), limit: .max).first?.zxid == logs[2].zxid)
        for log in try layout.logs() { try SystemFiles.shared.remove(log.path) }
        var lost = LogCursor(layout, behind: zxid(50))
        #expect(throws: StorageError.self) { try lost.next(upTo: zxid(100), limit: .max) }
    }

    @Test func rotIsAnError() throws {
        let writer = try writer()
        try write(history(100), writer)
        let path = try layout.logs()[0].path
        let file = try SystemFiles.shared.open(path, .writing)
        try file.write([1, 2, 3], at: 6000)
        var cursor = LogCursor(layout, behind: zxid(1))
        let error = #expect(throws: StorageError.self) { try cursor.next(upTo: zxid(100), limit: .max) }
        #expect(error?.path == path)
    }

    /// S6: the log behind what a learner has been sent stays.
    @Test func aPurgeLeavesTheLogThatIsNeeded() throws {
        let writer = try writer(fileLimit: 4096)
        let entries = history(200)
        try write(entries, writer)
        for count in [20, 100, 150, 199] {
            var tree = DataTree()
            var changes: [TreeChange] = []
            for entry in entries[..<count] { _ = tree.apply(entry, changes: &changes) }
            try SnapshotFile.write(tree, in: layout.snapshotDirectory)
        }
        let all = try layout.logs()
        let purge = try #require(try Purge(layout, keep: 3))
        try purge.remove(needed: zxid(40))
        var cursor = LogCursor(layout, behind: zxid(40))
        #expect(try cursor.next(upTo: zxid(200), limit: .max).count == 160)
        #expect(try layout.logs().count < all.count)
        try purge.remove()
        #expect(try layout.logs()[0].zxid <= zxid(101) && layout.logs()[1].zxid > zxid(101))
    }
}
