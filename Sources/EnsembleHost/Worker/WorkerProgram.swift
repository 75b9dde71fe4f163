import CLinux
import EnsembleBackup
import FoundationEssentials
import Glibc
import KeeperStorage
import NIOConcurrencyHelpers

/// The worker's side: `ensembled work JOB`. One job, and the process is gone, with its memory.
package enum WorkerProgram {
    /// - Parameters:
    ///   - name: a job's type.
    ///   - parent: the daemon's pid: without it there is nothing to do.
    package static func run(_ name: String, parent: Int32) throws(HostError) {
        guard let job = WorkerJobs.all.first(where: { "\($0)" == name }) else {
            throw HostError(name, "is nothing that this version can do", remedy: "it is for the daemon, which knows what to ask", exitStatus: 64)
        }
        signal(SIGTERM, SIG_DFL)
        signal(SIGINT, SIG_DFL)
        // S9: what a daemon that died had begun is begun anew by the next, and never done by both. Of one that died before
        // this call the parent is another.
        _ = clx_prctl(PR_SET_PDEATHSIG, UInt(SIGKILL))
        guard getppid() == parent else { _exit(0) }
        if job.isInBackground { stepBack() }
        perform(job)
    }

    /// The members' servers go before it, and before them it is ended for want of memory.
    private static func stepBack() {
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        let descriptor = clx_open("/proc/self/oom_score_adj", O_WRONLY, 0)
        guard descriptor >= 0 else { return }
        _ = write(descriptor, "500", 3)
        close(descriptor)
    }

    private static func perform<Job: WorkerJob>(_ type: Job.Type) {
        let isUnwanted = NIOLockedValueBox(false)
        let output = Output<Job.Answer>()
        do {
            let order = try JSONDecoder().decode(WorkerOrder<Job>.self, from: Data(readOrder()))
            // It ends when nobody wants it any more, and says so at the next chunk.
            _ = try DedicatedThread(name: "wanted") {
                var byte: UInt8 = 0
                while true {
                    let count = read(0, &byte, 1)
                    if count < 0, errno == EINTR { continue }
                    break
                }
                isUnwanted.withLockedValue { $0 = true }
            }
            let progress = BackupProgress(
                report: { done, total in output.report(done, total) }, isCancelled: { isUnwanted.withLockedValue { $0 } })
            let answer = try order.job.perform(progress)
            output.write(.answer(answer))
        } catch {
            output.write(.failed(WorkerFailure(error)))
        }
    }

    /// The first line of the input.
    private static func readOrder() -> [UInt8] {
        var line: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while line.last != UInt8(ascii: "\n") {
            let count = read(0, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            line += chunk.prefix(count)
        }
        return line
    }

    private final class Output<Answer: Codable>: Sendable {
        private let reportedAt = NIOLockedValueBox<UInt64>(0)

        /// At most five in a second.
        func report(_ done: Int64, _ total: Int64) {
            var time = timespec()
            clock_gettime(CLOCK_MONOTONIC, &time)
            let now = UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
            let isDue = reportedAt.withLockedValue { last in
                guard done == total || now - last >= 200 else { return false }
                last = now
                return true
            }
            if isDue { write(.progress(done: done, total: total)) }
        }

        func write(_ message: WorkerMessage<Answer>) {
            guard var line = try? Array(JSONEncoder().encode(message)) else { return }
            line.append(UInt8(ascii: "\n"))
            var written = 0
            while written < line.count {
                let count = line[written...].withUnsafeBytes { Glibc.write(1, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                written += count
            }
        }
    }
}
