import CLinux
import EnsembleBase
import EnsembleControl
import Glibc
import KeeperStorage

/// A server's output: what it printed, bounded in size, and what its last words say about its end.
package struct OutputFile: Sendable {
    package static let sizeLimit: off_t = 64 << 20
    package let path: String

    package init(path: String) { self.path = path }

    /// Beyond the limit the file is copied to `<path>.1` and cut to nothing. The server goes on appending: it writes
    /// with O_APPEND. Lines that it prints between the copy and the cut are lost; nothing safe depends on them.
    package func rotateIfLarge() {
        var status = stat()
        guard stat(path, &status) == 0, status.st_size > Self.sizeLimit else { return }
        let source = clx_open(path, O_RDWR, 0)
        let target = clx_open(path + ".1", O_WRONLY | O_CREAT | O_TRUNC, 0o640)
        defer {
            if source >= 0 { close(source) }
            if target >= 0 { close(target) }
        }
        guard source >= 0, target >= 0 else { return }
        while copy_file_range(source, nil, target, nil, 1 << 20, 0) > 0 {}
        ftruncate(source, 0)
    }

    package var size: off_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_size : 0
    }

    /// The last lines that were printed behind `offset`, at most 16 KiB of them.
    package func tail(from offset: off_t) -> [String] {
        let descriptor = clx_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        let end = size
        // A file that is shorter than it was has been cut meanwhile: all that it holds is newer.
        let start = max(offset > end ? 0 : offset, end - (16 << 10))
        var bytes = [UInt8](repeating: 0, count: Int(end - start))
        let count = pread(descriptor, &bytes, bytes.count, start)
        guard count > 0 else { return [] }
        return bytes.prefix(count).split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Why the server ended, from its wait status (nil: not our child) and its last words.
    package func cause(of waitStatus: Int32?, engine: Engine, from offset: off_t) -> ExitCause {
        if let status = waitStatus, clx_wifsignaled(status) != 0 { return .signalled(clx_wtermsig(status)) }
        let lines = tail(from: offset)
        let code = waitStatus.map { clx_wexitstatus($0) }
        switch engine {
        case .bundled:
            guard let report = lines.reversed().lazy.compactMap({ ServerExitReport(line: $0) }).first else {
                guard let code else { return .untold }
                let silent = ServerExit(rawValue: code).map {
                    ServerExitReport(exit: $0, message: "status \(code) (\($0.word)), without a word of explanation")
                }
                return silent.map(cause(of:)) ?? .status(code)
            }
            return cause(of: report)
        case .apache:
            return ApacheLastWords.cause(code, lines)
        }
    }

    /// Where the damage is, unless the message says it.
    private func place(of report: ServerExitReport) -> String {
        guard let file = report.file, !report.message.contains(file) else { return "" }
        return " (\(file)" + (report.offset.map { ", at offset \($0)" } ?? "") + ")"
    }

    private func cause(of report: ServerExitReport) -> ExitCause {
        switch report.exit {
        case .orderly: .clean
        // It was written right before the launch: the directory is lost, and no mistake of a person's.
        case .configuration where report.file?.hasSuffix("/myid") ?? false: .damagedData(report.message)
        case .usage, .configuration: .configuration(report.message)
        case .corruptData: .damagedData(report.message + place(of: report))
        case .inputOutput: .storage(report.message)
        case .temporaryFailure: .addressInUse(report.message)
        case .internalError, .systemRefused: .status(report.exit.rawValue)
        }
    }
}

/// Apache's server exits with a few statuses (ExitCode.java: 1 unexpected, 2 invocation, 3 unable to bind, 10 a thread
/// that it can't do without, 14 unable to bind the election port) and explains itself in its log. What a running server
/// logs about its clients reads alike ("Unreasonable length", "Address already in use"), so only what stands behind the
/// words that announce the end counts. Recorded outputs: Tests/EnsembleHostTests/ExitFixtures.
enum ApacheLastWords {
    static func cause(_ code: Int32?, _ lines: [String]) -> ExitCause {
        // Also 143: the JVM's answer to SIGTERM.
        if code == 0 || code == 143 { return .clean }
        if let why = reason(behind: "Unable to load database on disk", lines) { return loading(why) }
        for announcement in [
            "Invalid config, exiting abnormally", "Could not find or load main class", "Could not create the Java Virtual Machine",
        ] {
            guard let why = reason(behind: announcement, lines) else { continue }
            // As above.
            return says(why, ["myid file is missing"]) ? .damagedData(why) : .configuration(why)
        }
        if let why = reason(behind: "Severe unrecoverable error", lines), says(why, fullOrFailed) { return .storage(why) }
        if let why = reason(behind: "exiting abnormally", lines) {
            if says(why, ["not in the peer list"]) { return .configuration(why) }
            if says(why, ["BindException"]) { return .addressInUse(why) }
            if says(why, fullOrFailed) { return .storage(why) }
        }
        if let why = reason(behind: "Leaving listener thread", lines) { return .addressInUse(why) }
        // -XX:+ExitOnOutOfMemoryError ends with 3 as well.
        if lines.contains(where: { $0.hasPrefix("Terminating due to java.lang.OutOfMemoryError") }) { return .status(code ?? 3) }
        switch code {
        case .some(2): return .configuration("the server refused its arguments (status 2)")
        case .some(3), .some(14): return .addressInUse("the server could not bind (status \(code ?? 3))")
        case .some(let other): return .status(other)
        case nil: return .untold
        }
    }

    private static let fullOrFailed = ["No space left on device", "Input/output error", "Read-only file system", "Disk quota exceeded"]

    /// A directory that can't be read is not a damaged one: a reseed would be the wrong answer to it (S10).
    private static func loading(_ why: String) -> ExitCause {
        if says(why, fullOrFailed) { return .storage(why) }
        if says(why, ["(Permission denied)", "(Not a directory)"]) { return .configuration(why) }
        if says(why, ["(Too many open files)"]) { return .launchFailed(why) }
        return .damagedData(why)
    }

    /// The root cause behind the last line that contains `announcement`: the last "Caused by" of the exceptions that
    /// follow it, else the first exception; the line itself where there is none. Nil: there is no such line.
    private static func reason(behind announcement: String, _ lines: [String]) -> String? {
        // Some of it is printed a second time, bare, behind the exceptions.
        guard let index = lines.lastIndex(where: { $0.contains(announcement) && $0 != announcement })
            ?? lines.lastIndex(of: announcement)
        else { return nil }
        let following = lines[(index + 1)...]
        let mark = "Caused by: "
        if let root = following.last(where: { $0.hasPrefix(mark) }) { return String(root.dropFirst(mark.count)) }
        // A log line has a prefix; an exception's own line begins with its class.
        return following.first { $0.hasPrefix("java.") || $0.hasPrefix("org.apache.") } ?? lines[index]
    }

    private static func says(_ text: String, _ words: [String]) -> Bool { words.contains { text.contains($0) } }
}
