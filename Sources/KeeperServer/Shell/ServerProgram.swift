import CLinux
import EnsembleBase
import Glibc
import KeeperCore
import KeeperStorage
import Logging

/// What `ensemble-server` does, each to the process's end.
package enum ServerProgram {
    /// Serves until a signal or a failure.
    ///
    /// - Parameter floor: S2: what the data must hold at least; nil: anything is taken for what it says.
    package static func serve(_ file: String, floor: DataFloor?) -> Never {
        // Before any thread exists, so that every thread inherits it: the signals are taken by `sigwait` alone.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
        // The daemon's terminal going away doesn't concern a member.
        signal(SIGHUP, SIG_IGN)

        // Blocks of a megabyte and more are given back to the system when they are freed. By itself glibc would take the
        // size of a freed one for its new threshold, and keep the holes that grown buffers leave between the tree's small
        // blocks: a tenth of a large tree (mallopt(3), M_MMAP_THRESHOLD).
        _ = mallopt(M_MMAP_THRESHOLD, 1 << 20)
        Descriptors.raiseLimit()

        let log = Logger(label: "ensemble-server") { _ in CompactLog() }
        var configuration = load(file, log)
        configuration.dataFloor = floor
        let server: RunningServer
        do throws(ServerExitReport) {
            server = try RunningServer.start(configuration, log: log) { report in end(report) }
        } catch {
            end(error)
        }
        while true {
            var signal: Int32 = 0
            if sigwait(&signals, &signal) == 0 { server.stop() }
        }
    }

    /// Creates the `initialize` file.
    package static func initialize(_ file: String) -> Never {
        let layout = load(file, Logger(label: "ensemble-server") { _ in CompactLog() }).layout
        attempt { () throws(StorageError) in
            try layout.create()
            try InitializeFile(directory: layout.dataLogDir).create()
        }
        say("\(InitializeFile(directory: layout.dataLogDir).path) created")
        end(ServerExitReport(exit: .orderly, message: ""))
    }

    /// Sets the `recovering` mark (rule S2).
    package static func markRecovering(_ file: String, reason: String) -> Never {
        let layout = load(file, Logger(label: "ensemble-server") { _ in CompactLog() }).layout
        let mark = RecoveringMark(directory: layout.snapshotDirectory)
        attempt { () throws(StorageError) in
            try layout.create()
            try mark.set(reason: reason)
        }
        say("\(mark.path) set")
        end(ServerExitReport(exit: .orderly, message: ""))
    }

    /// Verifies the data directory without changing it.
    package static func check(_ file: String) -> Never {
        let configuration = load(file, Logger(label: "ensemble-server") { _ in CompactLog() })
        let layout = configuration.layout
        say("configuration \(file) is correct")
        do throws(StorageError) {
            if try layout.snapshots().isEmpty, try layout.logs().isEmpty {
                say("data directory \(layout.dataDir) is empty")
                end(ServerExitReport(exit: .orderly, message: ""))
            }
            let report = try Verification.verify(layout, admitsCut: !configuration.standalone)
            say("data directory \(layout.dataDir) is sound")
            say("  transactions  \(report.startZxid) (snapshot) to \(report.endZxid), \(report.entryCount) replayed")
            say("  epochs        accepted \(report.acceptedEpoch), current \(report.currentEpoch)")
            say("  tree          \(report.nodeCount) nodes, \(report.sessionCount) sessions, digest \(String(report.endDigest, radix: 16))")
            for finding in report.findings { say("  found         \(finding)") }
            let mark = RecoveringMark(directory: layout.snapshotDirectory)
            if try mark.isSet { say("  recovering    \(try mark.reason ?? "for no recorded reason")") }
        } catch {
            end(ServerExitReport(error))
        }
        end(ServerExitReport(exit: .orderly, message: ""))
    }

    /// Reads and parses the configuration; a mistake ends the process.
    private static func load(_ file: String, _ log: Logger) -> ServerConfiguration {
        guard let bytes = FileContent.read(file) else {
            end(ServerExitReport(exit: .configuration, message: "cannot read \(file): \(String(cString: strerror(errno)))", file: file))
        }
        var missing: String?
        let outcome = ConfigurationParser.parse(bytes, file: file) { path in
            let content = FileContent.read(path)
            if content == nil, errno == ENOENT { missing = path }
            return content
        }
        for problem in outcome.problems {
            log.log(level: problem.severity == .error ? .error : .warning, "\(problem)")
        }
        guard let configuration = outcome.configuration else {
            let first = outcome.problems.first { $0.severity == .error }
            // For the daemon, which wrote `myid`: that it is gone is no mistake in the file.
            end(
                ServerExitReport(
                    exit: .configuration, message: first.map { "\($0)" } ?? "no configuration", file: missing ?? file))
        }
        return configuration
    }

    private static func attempt(_ body: () throws(StorageError) -> Void) {
        do throws(StorageError) { try body() } catch { end(ServerExitReport(error)) }
    }

    private static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = bytes.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }

    /// The last line says why, for the daemon.
    private static func end(_ report: ServerExitReport) -> Never {
        fflush(nil)
        if report.exit != .orderly {
            let line = Array((report.line + "\n").utf8)
            _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        }
        // Not exit(3): other threads are at work, and everything that matters is on disk.
        _exit(report.exit.rawValue)
    }
}

/// Small files, whole.
enum FileContent {
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// nil if the file can't be read; `errno` says why. At most 1 MiB: more is no configuration.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var content = [UInt8](repeating: 0, count: 1 << 20)
        var count = 0
        while count < content.count {
            let got = content.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + count, $0.count - count) }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else {
                if got < 0 { return nil }
                break
            }
            count += got
        }
        return Array(content[..<count])
    }
}
