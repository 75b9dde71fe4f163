/// How `ensemble-server` ends, and why: the daemon decides by this number whether to restart, to reseed or to stop.
///
/// The numbers are those of sysexits.h(3) where one fits, so that they mean the same to a shell script. A server killed
/// by a signal has no exit status; the daemon sees the signal.
package enum ServerExit: Int32, CaseIterable, Sendable {
    /// An orderly end after SIGTERM or SIGINT: the log is flushed, nothing is pending.
    case orderly = 0
    /// EX_USAGE: the command line is wrong.
    case usage = 64
    /// EX_DATAERR: a file of the data directory is damaged. Restarting doesn't help; a reseed does.
    case corruptData = 65
    /// EX_SOFTWARE: the server found itself in a state that its protocol excludes. It stops instead of guessing.
    case internalError = 70
    /// EX_OSERR: the system refused a resource (descriptors, threads).
    case systemRefused = 71
    /// EX_IOERR: a write or an fsync failed. What was not acknowledged may or may not be on the disk; the next start
    /// reads what is there. Never retried in the process (a failed fsync drops the dirty pages).
    case inputOutput = 74
    /// EX_TEMPFAIL: something that may pass: a port in use, an address not there yet.
    case temporaryFailure = 75
    /// EX_CONFIG: zoo.cfg or myid is wrong. Restarting doesn't help.
    case configuration = 78

    /// The word that the last line of standard error names the cause by.
    package var word: String {
        switch self {
        case .orderly: "orderly"
        case .usage: "usage"
        case .corruptData: "corrupt-data"
        case .internalError: "internal-error"
        case .systemRefused: "system-refused"
        case .inputOutput: "input-output"
        case .temporaryFailure: "temporary-failure"
        case .configuration: "configuration"
        }
    }
}

/// The last line of a failed server's standard error, for the daemon: `ensemble-server-exit cause=… status=… file="…"
/// offset=… message="…"`. `file` and `offset` are there for damaged data only. Quotes, backslashes and control
/// characters in values are escaped as `\"`, `\\` and `\xNN`.
package struct ServerExitReport: Error, Hashable, Sendable {
    package var exit: ServerExit
    package var message: String
    package var file: String?
    /// Bytes from the beginning of `file`.
    package var offset: Int64?

    package init(exit: ServerExit, message: String, file: String? = nil, offset: Int64? = nil) {
        self.exit = exit
        self.message = message
        self.file = file
        self.offset = offset
    }

    package static let marker = "ensemble-server-exit"

    package var line: String {
        var parts = ["\(Self.marker) cause=\(exit.word) status=\(exit.rawValue)"]
        if let file { parts.append("file=\"\(Self.escaped(file))\"") }
        if let offset { parts.append("offset=\(offset)") }
        parts.append("message=\"\(Self.escaped(message))\"")
        return parts.joined(separator: " ")
    }

    /// Reads such a line; nil if it isn't one. The marker may stand behind a logger's prefix.
    package init?(line: String) {
        let bytes = Array(line.utf8)
        let marker = Array((Self.marker + " ").utf8)
        guard bytes.count >= marker.count,
            let start = (0...(bytes.count - marker.count)).first(where: { bytes[$0..<($0 + marker.count)].elementsEqual(marker) })
        else { return nil }
        var fields: [String: String] = [:]
        var rest = bytes[(start + marker.count)...]
        while let (key, value) = Self.takeField(&rest) { fields[key] = value }
        guard let status = fields["status"].flatMap({ Int32($0) }), let exit = ServerExit(rawValue: status) else { return nil }
        self.init(
            exit: exit, message: fields["message"] ?? "", file: fields["file"], offset: fields["offset"].flatMap { Int64($0) })
    }

    private static func escaped(_ text: String) -> String {
        var out: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), byte]
            case 0..<0x20, 0x7f:
                let hex = Array("0123456789abcdef".utf8)
                out += [UInt8(ascii: "\\"), UInt8(ascii: "x"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
            default: out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// The next `key=value` or `key="value"` of `rest`.
    private static func takeField(_ rest: inout ArraySlice<UInt8>) -> (String, String)? {
        rest = rest.drop { $0 == UInt8(ascii: " ") }
        guard let equals = rest.firstIndex(of: UInt8(ascii: "=")) else { return nil }
        let key = String(decoding: rest[..<equals], as: UTF8.self)
        rest = rest[(equals + 1)...]
        var value: [UInt8] = []
        guard rest.first == UInt8(ascii: "\"") else {
            value = Array(rest.prefix { $0 != UInt8(ascii: " ") })
            rest = rest.dropFirst(value.count)
            return (key, String(decoding: value, as: UTF8.self))
        }
        rest = rest.dropFirst()
        while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
            guard byte == UInt8(ascii: "\\"), let next = rest.popFirst() else {
                value.append(byte)
                continue
            }
            guard next == UInt8(ascii: "x") else {
                value.append(next)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            rest = rest.dropFirst(2)
            value.append(UInt8(digits, radix: 16) ?? UInt8(ascii: "?"))
        }
        return (key, String(decoding: value, as: UTF8.self))
    }
}
