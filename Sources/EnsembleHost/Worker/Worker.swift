import CLinux
import EnsembleBackup
import EnsembleBase
import FoundationEssentials
import Glibc

/// The daemon's side of a worker: a process that does one job, and can be left behind when it hangs (issue 9, A5).
package struct Worker: Sendable {
    /// The program that has `work`: the daemon's own, also when another has taken its place on the disk.
    package var program: String

    package init(program: String = "/proc/self/exe") { self.program = program }

    /// How long a worker that is not wanted any more may take to end by itself.
    private static let grace: Duration = .seconds(2)

    /// Blocks until the worker has ended, on the thread that it dies with (PR_SET_PDEATHSIG(2const): of the *thread* that
    /// began it).
    ///
    /// - Parameters:
    ///   - holding: descriptors that stay open for as long as the worker lives: claims on what it writes (S3).
    ///   - progress: asked again and again whether the work is still wanted; when not, the worker is ended.
    /// - Throws: what the work threw; `HostError` where the worker could not be begun, or died.
    package func run<Job: WorkerJob>(
        _ job: Job, holding: [Int32] = [], _ progress: BackupProgress = .silent
    ) throws -> Job.Answer {
        let order = Array(try JSONEncoder().encode(WorkerOrder(job: job))) + [UInt8(ascii: "\n")]
        let child = try begin("\(Job.self)", holding)
        defer { child.end() }
        child.tell(order)
        var reader = LineReader()
        var last: WorkerMessage<Job.Answer>?
        while let chunk = child.read(while: { !progress.isCancelled() }) {
            for line in reader.lines(chunk) {
                let message = try JSONDecoder().decode(WorkerMessage<Job.Answer>.self, from: Data(line))
                if case .progress(let done, let total) = message { progress.report(done, total) } else { last = message }
            }
        }
        switch last {
        case .answer(let answer): return answer
        case .failed(let failure): throw failure.error
        case .progress, nil:
            throw HostError(
                "the process that did it", "\(child.death), and did not say why",
                remedy: "see the journal; the kernel's log names what was ended for want of memory")
        }
    }

    private func begin(_ name: String, _ holding: [Int32]) throws(HostError) -> WorkerChild {
        var (input, output): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        guard pipe2(&input, O_CLOEXEC) == 0 else { throw Self.refused(errno) }
        guard pipe2(&output, O_CLOEXEC) == 0 else {
            let code = errno
            for descriptor in input { close(descriptor) }
            throw Self.refused(code)
        }
        // Above those of the child, so that none is overwritten before it is handed on.
        let given = ([input[0], output[1]] + holding).map { fcntl($0, F_DUPFD_CLOEXEC, 64) }
        for descriptor in [input[0], output[1]] { close(descriptor) }
        defer { for descriptor in given where descriptor >= 0 { close(descriptor) } }
        var failure: Int32 = given.contains(-1) ? errno : 0
        if failure == 0 {
            let descriptors = [.own(given[0]), .own(given[1])] + [ChildProcess.Source.own(2)] + given[2...].map { .own($0) }
            switch ChildProcess.spawn(
                program, as: "ensembled", ["work", name, "--parent", "\(getpid())"], environment: [], descriptors: descriptors)
            {
            case .success(let pid): return WorkerChild(pid: pid, input: input[1], output: output[0])
            case .failure(let error): failure = error.code
            }
        }
        for descriptor in [input[1], output[0]] { close(descriptor) }
        throw Self.refused(failure)
    }

    private static func refused(_ code: Int32) -> HostError {
        HostError(
            "a process for it", "can't be started: \(String(cString: strerror(code)))", remedy: "look at the limits of processes and files")
    }

    /// One worker, from its start to its end. Used by one thread.
    private final class WorkerChild {
        private let pid: pid_t
        private var input: Int32
        private let output: Int32
        private var dismissedAt: Instant?
        private var waitStatus: Int32?
        private var isKilled = false

        init(pid: pid_t, input: Int32, output: Int32) {
            (self.pid, self.input, self.output) = (pid, input, output)
        }

        /// What came of it, once it is reaped.
        var death: String {
            end()
            guard let waitStatus else { return "has ended" }
            if clx_wifsignaled(waitStatus) != 0 { return "was ended by signal \(clx_wtermsig(waitStatus))" }
            return "ended with status \(clx_wexitstatus(waitStatus))"
        }

        /// A worker that is dead hears nothing; the read that follows tells.
        func tell(_ bytes: [UInt8]) {
            var written = 0
            while written < bytes.count {
                let count = bytes[written...].withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                written += count
            }
        }

        /// What it has said; nil at its end. Asks `isWanted` five times a second.
        func read(while isWanted: () -> Bool) -> [UInt8]? {
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                if dismissedAt == nil, !isWanted() { dismiss() }
                if let dismissedAt, !isKilled, HostClock().now() - dismissedAt >= grace {
                    // Ours, and not reaped: the pid is its own. In a system call that hangs it dies when that returns, and
                    // does nothing more.
                    kill(pid, SIGKILL)
                    isKilled = true
                }
                var poller = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
                guard poll(&poller, 1, 200) > 0 else { continue }
                let count = Glibc.read(output, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                return count > 0 ? Array(chunk.prefix(count)) : nil
            }
        }

        /// Its work is not wanted any more.
        private func dismiss() {
            if input >= 0 { close(input) }
            input = -1
            dismissedAt = HostClock().now()
        }

        /// Reaps it. It has closed its output, or is not listened to any more.
        func end() {
            guard waitStatus == nil else { return }
            dismiss()
            // Else it might wait for ever for room to say something.
            close(output)
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0 {
                guard errno == EINTR else { break }
            }
            waitStatus = status
        }
    }

    private struct LineReader {
        private var rest: [UInt8] = []

        mutating func lines(_ chunk: [UInt8]) -> [[UInt8]] {
            var lines: [[UInt8]] = []
            var begin = chunk.startIndex
            while let end = chunk[begin...].firstIndex(of: UInt8(ascii: "\n")) {
                lines.append(rest + chunk[begin..<end])
                rest = []
                begin = end + 1
            }
            rest += chunk[begin...]
            return lines
        }
    }
}
