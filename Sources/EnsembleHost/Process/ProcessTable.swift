import CLinux
import EnsembleControl
import Glibc
import KeeperStorage

/// What /proc says of a process. A pid alone names nothing: pids are reused. A pid and its start time name one
/// process for as long as the machine runs.
package struct ProcessIdentity: Hashable, Sendable, Codable {
    package var pid: Int32
    /// Clock ticks after boot, field 22 of /proc/PID/stat.
    package var startTime: UInt64

    package init(pid: Int32, startTime: UInt64) {
        self.pid = pid
        self.startTime = startTime
    }
}

package enum ProcessTable {
    package struct Status: Hashable, Sendable {
        package var identity: ProcessIdentity
        /// R, S, D, T (stopped), Z (dead, not reaped), …
        package var state: UInt8
        package var isAlive: Bool { state != UInt8(ascii: "Z") && state != UInt8(ascii: "X") }
        package var isStopped: Bool { state == UInt8(ascii: "T") || state == UInt8(ascii: "t") }
        /// Clock ticks on processors, fields 14 and 15.
        var ticks: Int64
    }

    /// Nil when there is no such process.
    package static func status(of pid: Int32) -> Status? {
        guard let bytes = small("/proc/\(pid)/stat") else { return nil }
        // The name in parentheses may hold anything; what follows the last one doesn't.
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = bytes[bytes.index(after: end)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let state = fields[0].first,
            let start = UInt64(String(decoding: fields[19], as: UTF8.self)),
            let inUser = Int64(String(decoding: fields[11], as: UTF8.self)),
            let inSystem = Int64(String(decoding: fields[12], as: UTF8.self))
        else { return nil }
        return Status(identity: ProcessIdentity(pid: pid, startTime: start), state: state, ticks: inUser + inSystem)
    }

    /// The evidence on a living process (S11). Who traces it and what it has read costs two more files, which a right may
    /// be missing for: then a stopped process counts as traced, and nothing as read.
    package static func sight(of status: Status) -> ProcessSight {
        let pid = status.identity.pid
        let state: ProcessSight.State =
            switch status.state {
            case UInt8(ascii: "T"): value(of: "TracerPid", in: small("/proc/\(pid)/status")) == 0 ? .stopped : .traced
            case UInt8(ascii: "t"): .traced
            case UInt8(ascii: "D"): .waitsForDevice
            default: .runs
            }
        return ProcessSight(
            state, processorTime: .milliseconds(status.ticks * 1000 / Int64(sysconf(Int32(_SC_CLK_TCK)))),
            bytesRead: value(of: "rchar", in: small("/proc/\(pid)/io")) ?? 0)
    }

    private static func value(of key: String, in bytes: [UInt8]?) -> Int64? {
        for line in (bytes ?? []).split(separator: UInt8(ascii: "\n")) {
            let text = String(decoding: line, as: UTF8.self)
            guard text.hasPrefix(key + ":") else { continue }
            return Int64(text.dropFirst(key.utf8.count + 1).drop { $0 == " " || $0 == "\t" })
        }
        return nil
    }

    package enum Search: Sendable {
        case found
        /// No process has the pid, or one that was started at another time.
        case another
        /// /proc could not be read at this moment.
        case unknown
    }

    package static func find(_ identity: ProcessIdentity) -> Search {
        if let status = status(of: identity.pid) { return status.identity == identity ? .found : .another }
        return kill(identity.pid, 0) != 0 && errno == ESRCH ? .another : .unknown
    }

    package static func arguments(of pid: Int32) -> [String] {
        (small("/proc/\(pid)/cmdline") ?? []).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Resident memory in bytes.
    package static func memory(of pid: Int32) -> Int64? {
        guard let bytes = small("/proc/\(pid)/statm") else { return nil }
        let fields = bytes.split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = Int64(String(decoding: fields[1], as: UTF8.self)) else { return nil }
        return pages * Int64(getpagesize())
    }

    /// Live processes that were started with this executable name and argument: a server whose record was lost is
    /// found by the configuration file that it was given (S3: it must be known before its data is touched).
    package static func find(executable: String, argument: String) -> [ProcessIdentity] {
        let name = executable.split(separator: "/").last.map(String.init) ?? executable
        let pids = ((try? Directory.names("/proc")) ?? []).compactMap { Int32($0) }
        return pids.compactMap { pid in
            let arguments = arguments(of: pid)
            guard let first = arguments.first, first == executable || first.hasSuffix("/" + name) || first == name,
                arguments.dropFirst().contains(argument), let status = status(of: pid), status.isAlive
            else { return nil }
            return status.identity
        }
    }

    /// Files of /proc have no size: read until the end.
    static func small(_ path: String) -> [UInt8]? {
        let descriptor = clx_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count < 1 << 20 {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += chunk.prefix(count)
        }
        return bytes.isEmpty ? nil : bytes
    }
}
