import EnsembleBackup
import EnsembleBase
import FoundationEssentials
import Glibc
import KeeperCore
import KeeperStorage
import Testing

/// A capture of a running Apache server's own files, while it is written to.
@Suite struct ApacheDataTests {
    private static let jar = "/usr/share/java/zookeeper.jar"
    private static let python = "/usr/bin/python3"
    static let isPossible = ["/usr/bin/java", jar, python].allSatisfy { exists($0) }
        && exists("/usr/lib/python3/dist-packages/kazoo")

    /// Writes 300 znodes, waits for a line on its input, and writes 200 more while the capture runs.
    private static let writer = """
        import sys, time
        from kazoo.client import KazooClient
        from kazoo.exceptions import NoNodeError
        client = KazooClient("127.0.0.1:" + sys.argv[1])
        deadline = time.time() + 60
        while True:
            try:
                client.start(timeout=5); break
            except Exception:
                if time.time() > deadline: raise
        for i in range(300): client.create("/a%d" % i, b"x" * 200)
        for i in range(0, 300, 3): client.set("/a%d" % i, b"changed")
        for i in range(0, 300, 7): client.delete("/a%d" % i)
        for i in range(5):
            try: client.delete("/absent")
            except NoNodeError: pass
        client.create("/e", b"", ephemeral=True)
        zxid = client.get("/e")[1].czxid
        open(sys.argv[2] + ".tmp", "w").write(str(zxid))
        import os; os.rename(sys.argv[2] + ".tmp", sys.argv[2])
        while not os.path.exists(sys.argv[3]):
            for i in range(20): client.set("/a1", b"y%d" % i)
        client.stop()
        """

    @Test(.enabled(if: isPossible, "needs Debian's packages zookeeper, default-jre-headless and python3-kazoo"))
    func captureWhileApacheIsWrittenTo() throws {
        let scratch = try Scratch()
        let (data, ready, stop) = (scratch.path + "/apache", scratch.path + "/ready", scratch.path + "/stop")
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let port = "\(22_300 + Int(getpid()) % 100)"
        let script = scratch.path + "/writer.py"
        try write(Array(Self.writer.utf8), script)
        // A snapshot every 50 to 100 transactions: the capture meets fuzzy ones and rolled logs.
        let server = try spawn([
            "/usr/bin/java", "-Dzookeeper.snapCount=100", "-Dzookeeper.admin.enableServer=false", "-cp", Self.jar,
            "org.apache.zookeeper.server.ZooKeeperServerMain", port, data,
        ])
        defer { end(server) }
        let client = try spawn([Self.python, script, port, ready, stop])
        defer { end(client) }
        for _ in 0..<1200 where !exists(ready) { usleep(50_000) }
        guard exists(ready), let number = Int64(String(decoding: try read(ready), as: UTF8.self)) else {
            Issue.record("Apache's server did not serve within a minute")
            return
        }
        let archive = try BackupArchive.open(scratch.path + "/archive")
        for round in 1...5 {
            let request = CaptureRequest(
                cluster: "apache", clusterIdentity: "apache", member: 1, engine: .apache, kind: .live, dataDirectory: data,
                logDirectory: data, committedUpTo: Zxid(rawValue: number), configuration: "", now: testTime,
                random: UInt32(round), toolVersion: "test")
            let manifest = try Capture.run(request, into: archive)
            #expect(manifest.lastZxid == Zxid(rawValue: number))
            #expect(manifest.digest != nil)
            let record = try archive.verify(manifest.id)
            #expect(record.digestWitnessed)
            #expect(record.nodeCount > 250)
        }
    }

    /// The shapes of KeeperStorageTests/Fixtures/README.md: packed snapshots, holes that a snapshot covers, entries that were
    /// logged twice. What is captured is what Apache's server itself reads.
    @Test func directoriesAsApacheLeavesThemAreCaptured() throws {
        let fixtures = String(#filePath.dropLast("EnsembleBackupTests/ApacheDataTests.swift".count)) + "KeeperStorageTests/Fixtures/apache/"
        let scratch = try Scratch()
        let archive = try BackupArchive.open(scratch.path + "/archive")
        let table = String(decoding: try read(fixtures + "contents.tsv"), as: UTF8.self)
        for (number, line) in table.split(separator: "\n").enumerated() where line.first != "#" {
            let fields = line.split(separator: "\t").map(String.init)
            // There is no snapshot yet: a server that has it makes one at its first start.
            if fields[0] == "logs-alone" { continue }
            let end = Zxid(rawValue: Int64(fields[1], radix: 16) ?? 0)
            let request = CaptureRequest(
                cluster: "apache", clusterIdentity: "apache", member: 1, engine: .apache, kind: .cold,
                dataDirectory: fixtures + fields[0], logDirectory: fixtures + fields[0], committedUpTo: end, configuration: "",
                now: testTime, random: UInt32(number), toolVersion: "test")
            do {
                let manifest = try Capture.run(request, into: archive)
                #expect(manifest.lastZxid == end, "\(fields[0])")
                #expect(!manifest.objects.contains { $0.name.hasSuffix(".gz") || $0.name.hasSuffix(".snappy") }, "\(fields[0])")
                let record = try archive.verify(manifest.id)
                #expect(record.digest.value == UInt64(fields[3]), "\(fields[0])")
                #expect(record.nodeCount == Int(fields[2]), "\(fields[0])")
            } catch { Issue.record("\(fields[0]): \(error)") }
        }
    }

    private func spawn(_ arguments: [String]) throws -> pid_t {
        var pid: pid_t = 0
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        pointers.append(nil)
        defer { for pointer in pointers { free(pointer) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor: CInt in 0...2 { posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0) }
        let result = posix_spawn(&pid, arguments[0], &actions, nil, pointers, environ)
        guard result == 0 else {
            throw BackupError(.inputOutput, file: arguments[0], problem: String(cString: strerror(result)), remedy: "")
        }
        return pid
    }

    private func end(_ pid: pid_t) {
        kill(pid, SIGKILL)
        var status: CInt = 0
        waitpid(pid, &status, 0)
    }
}
