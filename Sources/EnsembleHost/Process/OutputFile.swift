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
        let start = max(min(offset, end), end - (16 << 10))
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
        case .usage, .configuration: .configuration(report.message)
        case .corruptData: .damagedData(report.message + place(of: report))
        case .inputOutput: .storage(report.message)
        case .temporaryFailure: .addressInUse(report.message)
        case .internalError, .systemRefused: .status(report.exit.rawValue)
        }
    }
}

/// Apache's server exits with a few statuses (ExitCode.java: 1 unexpected, 2 invocation, 3 unable to bind, 4 quorum
/// packet, 10 startup) and explains itself in its log.
enum ApacheLastWords {
    static func cause(_ code: Int32?, _ lines: [String]) -> ExitCause {
        func said(_ words: [String]) -> String? {
            lines.last { line in words.contains { line.contains($0) } }
        }
        if let line = said(["Unable to load database on disk", "Unreasonable length", "CRC check failed",
            "No snapshot found, but there are log entries", "The accepted epoch", "The current epoch"]) {
            return .damagedData(line)
        }
        if let line = said(["ConfigException", "Invalid config", "Could not find or load main class"]) {
            return .configuration(line)
        }
        if let line = said(["BindException", "Address already in use"]) { return .addressInUse(line) }
        if let line = said(["No space left on device"]) { return .storage(line) }
        switch code {
        case .some(0), .some(143): return .clean
        case .some(2): return .configuration("the server refused its arguments (status 2)")
        case .some(3): return .addressInUse("the server could not bind (status 3)")
        case .some(let other): return .status(other)
        case nil: return .untold
        }
    }
}
