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

    var isTerminal: Bool { isatty(descriptor) == 1 }
}

/// Colours of the terminal, or none.
struct Style {
    enum Tone: Equatable { case plain, good, busy, bad, faint, strong }

    let isColoured: Bool

    /// Colour only for a person: on a terminal, without `--no-color`, without `NO_COLOR` (no-color.org), not on `dumb`.
    static func forOutput(noColor: Bool) -> Style {
        let refused = noColor || !(environment("NO_COLOR") ?? "").isEmpty || environment("TERM") == "dumb"
        return Style(isColoured: !refused && StandardStream.output.isTerminal)
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
