import FoundationEssentials
import Glibc

/// Standard output or standard error.
struct StandardStream {
    static let output = StandardStream(descriptor: 1)
    static let error = StandardStream(descriptor: 2)

    let descriptor: Int32

    /// Writes all of it. A reader that went away ends the program by SIGPIPE, as with any tool.
    func write(_ text: String) { write(Array(text.utf8)) }

    func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno != EINTR { return }
            rest = rest.dropFirst(max(count, 0))
        }
    }

    /// For scripts: one object, its keys in order.
    func write(json value: some Encodable) throws(CommandFailure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let bytes = try? encoder.encode(value) else {
            throw CommandFailure("the answer cannot be written as JSON", remedy: "this is a defect of ensemblectl")
        }
        write(Array(bytes) + [UInt8(ascii: "\n")])
    }

    /// Nil: it isn't known. COLUMNS is what a person says who knows better (environ(7)).
    var terminalWidth: Int? {
        if let said = environment("COLUMNS").flatMap(Int.init), said >= 40 { return said }
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 40 else { return nil }
        return Int(size.ws_col)
    }

    var isTerminal: Bool { isatty(descriptor) == 1 }
}

/// Colours of the terminal, or none.
struct Style {
    enum Tone: Equatable { case plain, good, busy, bad, faint, strong }

    let isColoured: Bool
    /// Characters in a line; nil: as many as it takes.
    var width: Int?

    /// Colour only for a person: on a terminal, without `--no-color`, without `NO_COLOR` (no-color.org), not on `dumb`.
    static func forOutput(noColor: Bool, isWide: Bool = false) -> Style {
        let refused = noColor || !(environment("NO_COLOR") ?? "").isEmpty || environment("TERM") == "dumb"
        let isTerminal = StandardStream.output.isTerminal
        return Style(isColoured: !refused && isTerminal, width: isTerminal && !isWide ? StandardStream.output.terminalWidth : nil)
    }

    func paint(_ text: String, _ tone: Tone) -> String {
        guard isColoured else { return text }
        let code: String
        switch tone {
        case .plain: return text
        case .good: code = "32"
        case .busy: code = "33"
        case .bad: code = "31"
        case .faint: code = "2"
        case .strong: code = "1"
        }
        return "\u{1B}[\(code)m\(text)\u{1B}[0m"
    }
}

func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
