import EnsembleBase
import Glibc
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOConcurrencyHelpers
import Testing

/// Our half of Tests/CompatibilityTests/disk-formats.sh: writes a data directory that Apache's server then starts on.
@Suite struct DiskFormatExport {
    private static var target: String? { getenv("KEEPER_DISK_FORMATS_DIR").map { String(cString: $0) } }

    private func writer(in layout: DataLayout, after zxid: Zxid) -> LogWriter {
        LogWriter(
            directory: layout.logDirectory, lastZxid: zxid, configuration: .init(preallocation: 65536, zeroChunk: 65536),
            lane: CallingThread()
        ) { _ in }
    }

    @Test(.enabled(if: DiskFormatExport.target != nil, "only for disk-formats.sh, which names a directory"))
    func writeADirectoryForApache() throws {
        let target = try #require(DiskFormatExport.target)
        let layout = DataLayout(dataDir: target)
        let recovery = Recovery(layout: layout, isStandalone: true)
        let start = try recovery.recover()
        #expect(start.tree.lastProcessedZxid == .zero)
        var history = SampleHistory(0)
        history.add(.createSession(timeout: 30_000))
        for number in 0..<40 { history.create(NodePath("/n\(number)"), Array("value \(number)".utf8)) }
        let secret = [AccessRight(permissions: .all, identity: Identity(scheme: "digest", id: "u:x"))]
        history.add(.setACL(path: "/n1", acl: secret, version: 1))
        let writer = writer(in: layout, after: .zero)
        for entry in history.entries { try writer.append(entry) }
        // One file that was ended, and one as a kill leaves it: behind the trailer zeros to where it was allocated.
        writer.roll()
        try SnapshotFile.write(history.tree, in: layout.snapshotDirectory)
        var logged = history.entries.count
        for number in 40..<50 { history.create(NodePath("/n\(number)"), Array("value \(number)".utf8)) }
        for entry in history.entries[logged...] { try writer.append(entry) }
        writer.submit()
        logged = history.entries.count
        history.add(
            .multi([
                .setData(path: "/n2", data: Array("from a multi".utf8), version: 1), .delete(path: "/n3", container: false),
            ]))
        history.add(.error(KeeperError.noNode.rawValue))
        history.add(
            .create(
                op: .create, path: "/ephemeral", data: [], acl: AccessRight.openToAll, ephemeral: true,
                parentCVersion: 52, ttl: 0))
        history.add(.setData(path: "/n4", data: Array("last".utf8), version: 1))
        let next = self.writer(in: layout, after: history.entries[logged - 1].zxid)
        for entry in history.entries[logged...] { try next.append(entry) }
        next.close()
        let report = try Verification.verify(layout)
        #expect(report.endDigest == history.tree.digest)
        print("digest \(report.endDigest) zxid \(report.endZxid.rawValue) nodes \(report.nodeCount)")
    }
}
