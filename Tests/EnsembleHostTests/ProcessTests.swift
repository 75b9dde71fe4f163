import EnsembleBase
import EnsembleControl
import EnsembleHost
import Glibc
import Testing

/// A directory of its own, removed at the end.
struct Scratch: ~Copyable {
    let path: String

    init() {
        var template = Array("/tmp/ensembled-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
    }

    deinit {
        for name in ["lock", "ledger.json", "intents.json", "server.log", "events.jsonl", "control.sock"] { unlink(path + "/" + name) }
        rmdir(path)
    }
}

@Suite struct ServerProcessTests {
    private func shell(_ script: String) -> LaunchCommand {
        LaunchCommand(executable: "/bin/sh", arguments: ["-c", script], environment: ["PATH=/usr/bin:/bin"])
    }

    /// A child of a Swift thread inherits blocked signals unless its mask is set (reference/swift-linux.md, section 4).
    @Test func aServerHearsSIGTERM() async throws {
        let scratch = Scratch()
        let output = scratch.path + "/server.log"
        let process = try ServerProcess.spawn(shell("exec sleep 600"), directory: "/", outputFile: output)
        ServerProcess.signal(process, SIGTERM)
        let status = ServerProcess.waitForEnd(of: process)
        let cause = OutputFile(path: output).cause(of: status, engine: .bundled, from: 0)
        #expect(cause == .signalled(SIGTERM))
    }

    @Test func lastWordsTellTheCause() throws {
        let scratch = Scratch()
        let output = scratch.path + "/server.log"
        let report = ServerExitReport(exit: .corruptData, message: "log.1 is damaged", file: "log.1", offset: 8)
        let process = try ServerProcess.spawn(shell("echo '\(report.line)' >&2; exit 65"), directory: "/", outputFile: output)
        let status = ServerProcess.waitForEnd(of: process)
        #expect(OutputFile(path: output).cause(of: status, engine: .bundled, from: 0) == .damagedData("log.1 is damaged"))
        // Not our child: the status is unknown, the words are not.
        #expect(OutputFile(path: output).cause(of: nil, engine: .bundled, from: 0) == .damagedData("log.1 is damaged"))
        #expect(OutputFile(path: output).cause(of: nil, engine: .bundled, from: OutputFile(path: output).size) == .untold)
    }

    @Test func aMissingProgramIsAnError() {
        let command = LaunchCommand(executable: "/nonexistent/server", arguments: [], environment: [])
        let error = #expect(throws: HostError.self) {
            try ServerProcess.spawn(command, directory: "/", outputFile: "/dev/null")
        }
        #expect(error?.isLasting == true, "trying again can't help")
    }

    /// A pid that was reused is another process: it is never signalled.
    @Test func anotherStartTimeIsAnotherProcess() throws {
        var process = try ServerProcess.spawn(shell("exec sleep 600"), directory: "/", outputFile: "/dev/null")
        let real = process
        process.startTime += 1
        ServerProcess.signal(process, SIGKILL)
        #expect(ProcessTable.status(of: real.pid)?.isAlive == true)
        ServerProcess.signal(real, SIGKILL)
        _ = ServerProcess.waitForEnd(of: real)
    }
}

@Suite struct MemberProbeTests {
    @Test func srvrIsUnderstood() {
        let text = "Zookeeper version: 3.8.0-x, built on 2022\nLatency min/avg/max: 0/0.0/0\nReceived: 5\nSent: 4\nConnections: 2\nOutstanding: 0\nZxid: 0x200000011\nMode: leader\nNode count: 5\n"
        let answer = MemberProbe.parse(text, at: .origin)
        #expect(answer?.role == .leading)
        #expect(answer?.zxid == 0x2_0000_0011)
        #expect(answer?.clients == 2)
    }

    @Test func theBundledServersWordIsAllOfAnAnswer() {
        let text = """
            zk_version\t3.8 (ensembled)
            zk_server_state\tleader
            zk_num_alive_connections\t3
            zk_synced_followers\t2
            zk_ensembled_server_id\t2
            zk_ensembled_serving\t1
            zk_ensembled_accepted_epoch\t5
            zk_ensembled_last_zxid\t0x500000011
            zk_ensembled_durable_zxid\t0x500000010

            """
        let answer = MemberProbe.parseMonitor(text, at: .origin)
        #expect(
            answer
                == MemberAnswer(
                    at: .origin, server: 2, role: .leading, zxid: 0x5_0000_0011, durable: 0x5_0000_0010, acceptedEpoch: 5,
                    syncedFollowers: 2, clients: 3, version: "3.8 (ensembled)"))
        let looking = text.replacing("serving\t1", with: "serving\t0")
        #expect(MemberProbe.parseMonitor(looking, at: .origin) == MemberAnswer(at: .origin, server: 2, role: .looking, zxid: 0))
        #expect(MemberProbe.parseMonitor("zk_server_state\tleader\n", at: .origin) == nil)
        #expect(MemberProbe.parseMonitor("", at: .origin) == nil)
    }

    @Test func aServerWithoutAQuorumAnswersAndDoesNotServe() {
        let answer = MemberProbe.parse("This ZooKeeper instance is not currently serving requests\n", at: .origin)
        #expect(answer?.role == .looking)
        #expect(MemberProbe.parse("srvr is not executed because it is not in the whitelist.\n", at: .origin) == nil)
        #expect(MemberProbe.parse("", at: .origin) == nil)
    }
}

@Suite struct StateDirectoryTests {
    @Test func aSecondDaemonIsRefused() throws {
        let scratch = Scratch()
        let first = try StateDirectory(scratch.path)
        #expect(throws: HostError.self) { try StateDirectory(scratch.path) }
        withExtendedLifetime(first) {}
    }

    @Test func ledgerAndIntentsComeBack() throws {
        let scratch = Scratch()
        let state = try StateDirectory(scratch.path)
        var ledger = Ledger(cluster: "c")
        ledger.set(LedgerEntry(id: 2, standing: .recovering, zxid: 7, acceptedEpoch: 1, identity: "a"))
        let reseed = Reseed(member: 2, reason: .olderThanLedger(expected: 7, found: 3), phase: .waiting, backup: "b", attempt: 1)
        let rolling = Roll(members: [1, 2, 3], reason: "test", acceptOutage: false)
        let intents = Intents(reseed: reseed, operation: Operation(id: "o", rolling))
        try state.save(ledger)
        try state.save(intents)
        #expect(try state.loadLedger(cluster: "c") == ledger)
        #expect(try state.loadIntents() == intents)
        #expect(throws: HostError.self, "another cluster's ledger") { try state.loadLedger(cluster: "d") }
    }
}
