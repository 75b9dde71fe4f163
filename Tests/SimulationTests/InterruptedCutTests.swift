import EnsembleBase
import EnsembleSim
import KeeperCore
import KeeperStorage
import Testing

/// A process or its host dies while the log is being cut (TRUNC).
@Suite struct InterruptedCutTests {
    private static let last: UInt32 = 40

    private func zxid(_ counter: UInt32) -> Zxid { Zxid(epoch: 0, counter: counter) }

    /// Sessions in several logs behind an empty snapshot.
    private func disk(_ seed: UInt64) throws -> (FaultyDisk, DataLayout) {
        let disk = FaultyDisk(seed: seed)
        let layout = DataLayout(dataDir: "/data", files: disk)
        try layout.create()
        try SnapshotFile.write(DataTree(), in: layout.snapshotDirectory, files: disk)
        let writer = LogWriter(
            directory: layout.logDirectory, lastZxid: .zero,
            configuration: .init(preallocation: 1 << 12, zeroChunk: 1 << 12, fileLimit: 256), files: disk, lane: CallingThread()
        ) { _ in }
        for counter in 1...InterruptedCutTests.last {
            let begun = Transaction.createSession(timeout: 4000)
            let entry = LogEntry(
                session: SessionID(counter), cxid: 0, zxid: zxid(counter), time: 0, transaction: begun, digest: nil)
            try writer.append(entry)
            writer.submit()
        }
        writer.close()
        #expect(try layout.logs().count > 4)
        return (disk, layout)
    }

    /// Whatever is left leads to some transaction behind the cut without a hole: files that go on where others are missing
    /// would be taken for a damaged history (seed 2425).
    @Test(arguments: [false, true]) func whatIsLeftHasNoHole(losesPower: Bool) throws {
        for seed in UInt64(0)..<400 {
            let (disk, layout) = try disk(seed)
            let recovery = Recovery(layout: layout, isStandalone: true)
            let operations = Int(seed / 4)
            disk.faults.changesLeft = operations
            let cut = try? recovery.truncateLog(to: zxid(7))
            if losesPower { disk.cutPower() } else { disk.endProcess() }
            let end = try recovery.recover().tree.lastProcessedZxid
            #expect(end >= zxid(7) && end <= zxid(InterruptedCutTests.last), "after \(operations) operations")
            if cut != nil { #expect(end == zxid(7)) }
        }
    }
}
