import CLinux
import EnsembleBackup
import EnsembleBase
import EnsembleControl
import FoundationEssentials
import Glibc
import NIOConcurrencyHelpers
import Testing

@testable import EnsembleHost

/// What the daemon makes of a worker, whatever that does: here it is a shell script.
@Suite struct WorkerTests {
    private let size = SizeBackup(
        effects: BackupEffects(
            cluster: "orders", clusterIdentity: "5f1c", archivePath: "/a", quarantinePath: "/q", compressionLevel: 3, retention: nil,
            version: "test"), backup: "b")

    /// Runs `job` by a script that has read its order.
    private func run<Job: WorkerJob>(
        _ job: Job, _ script: String, holding: [Int32] = [], _ progress: BackupProgress = .silent
    ) throws -> Job.Answer {
        let path = FileManager.default.temporaryDirectory.path + "/worker-\(UUID().uuidString)"
        defer { unlink(path) }
        _ = FileManager.default.createFile(
            atPath: path, contents: Data("#!/bin/sh\nread order\n\(script)\n".utf8), attributes: [.posixPermissions: 0o755])
        return try Worker(program: path).run(job, holding: holding, progress)
    }

    @Test func itsAnswerIsTheJobs() throws {
        let heard = NIOLockedValueBox<[Int64]>([])
        let progress = BackupProgress(report: { done, _ in heard.withLockedValue { $0.append(done) } })
        let answer = try run(
            size,
            """
            echo '{"progress":{"done":1,"total":9}}'; printf '{"progress":{"done"'; sleep 0.1; echo ':5,"total":9}}'
            echo '{"answer":{"_0":{"snapshots":7,"logs":2}}}'
            """, progress)
        #expect(answer.snapshots == 7 && answer.logs == 2)
        #expect(heard.withLockedValue { $0 } == [1, 5])
    }

    @Test func theOrderIsTheJob() throws {
        let path = FileManager.default.temporaryDirectory.path + "/order-\(UUID().uuidString)"
        defer { unlink(path) }
        _ = try run(size, "echo \"$0 $1 $2\" >\(path); echo '{\"answer\":{\"_0\":{\"snapshots\":7,\"logs\":2}}}'")
        let said = try String(decoding: Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        #expect(said.hasSuffix(" work SizeBackup\n"))
        let (order, back) = (try JSONEncoder().encode(WorkerOrder(job: size)), JSONDecoder())
        #expect(try back.decode(WorkerOrder<SizeBackup>.self, from: order).job.effects.archivePath == "/a")
    }

    @Test func whatItThrewIsThrown() throws {
        let damage = BackupError(.damaged, file: "/a/b", problem: "is torn", remedy: "use another")
        let line = try String(
            decoding: JSONEncoder().encode(WorkerMessage<BackupEffects.Size>.failed(WorkerFailure(damage))), as: UTF8.self)
        #expect(throws: damage) { try run(size, "echo '\(line)'") }
    }

    @Test func oneThatDiesSaysHow() throws {
        for (script, death) in [
            ("kill -9 $$", "was ended by signal 9"), ("exit 3", "ended with status 3"), ("echo '{\"progress\":{\"done\":1,\"total\":9}}'", "ended with status 0"),
        ] {
            #expect { try run(size, script) } throws: { ($0 as? HostError)?.problem.contains(death) == true }
        }
        #expect(throws: HostError.self) { try Worker(program: "/nowhere/at/all").run(size) }
        #expect(throws: (any Error).self) { try run(size, "echo 'no JSON'; exec sleep 0.2") }
    }

    /// Whether it heeds that, or not.
    @Test(arguments: ["cat >/dev/null; echo '{\"failed\":{\"_0\":{\"other\":{\"_0\":\"cancelled\"}}}}'", "exec sleep 60"])
    func oneThatIsNotWantedEnds(script: String) throws {
        let isUnwanted = NIOLockedValueBox(false)
        let begin = HostClock().now()
        let progress = BackupProgress(isCancelled: {
            isUnwanted.withLockedValue { asked in
                defer { asked = true }
                return asked
            }
        })
        #expect(throws: HostError.self) { try run(size, script, progress) }
        #expect(HostClock().now() - begin < .seconds(30))
    }

    /// S3: a claim is held by whoever has a copy of its descriptor.
    @Test func whatIsHeldIsTheWorkersAsWell() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe2(&ends, O_CLOEXEC) == 0)
        defer { for end in ends { close(end) } }
        _ = try run(
            size, "echo held >&3; [ -e /proc/self/fd/4 ] && echo more >&3; echo '{\"answer\":{\"_0\":{\"snapshots\":7,\"logs\":2}}}'", holding: [ends[1]])
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(ends[0], &bytes, bytes.count)
        #expect(String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self) == "held\n")
    }

    /// What an answer may be that isn't there.
    @Test func anEmptyAnswerIsOne() throws {
        let none = try JSONEncoder().encode(WorkerMessage<String?>.answer(nil))
        guard case .answer(nil) = try JSONDecoder().decode(WorkerMessage<String?>.self, from: none) else {
            return #expect(Bool(false), "\(String(decoding: none, as: UTF8.self))")
        }
    }
}
