import CLinux
import Glibc
import Logging

/// Log lines on standard error: `level message`, nothing more. The journal adds time and process; to a journal each line
/// begins with its `<priority>` (sd-daemon(3)) instead of a word.
package struct CompactLog: LogHandler {
    package var logLevel = Logger.Level.info
    package var metadata = Logger.Metadata()
    private let toJournal: Bool

    package init() { toJournal = getenv("JOURNAL_STREAM") != nil }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        let head = toJournal ? "<\(CompactLog.priority(event.level))>" : "\(event.level.rawValue): "
        // One write, so that lines of several threads don't mix.
        var line = Array("\(head)\(event.message)\n".utf8)
        line.withUnsafeMutableBytes { bytes in _ = write(2, bytes.baseAddress, bytes.count) }
    }

    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
