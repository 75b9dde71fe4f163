import CLinux
import Glibc

/// Why the generator cannot go on.
struct WireError: Error, CustomStringConvertible {
    var description: String

    init(_ text: String) { description = text }

    /// With the text of `errno`.
    static func system(_ what: String) -> WireError {
        let code = errno
        return WireError("\(what): \(strerror(code).map { String(cString: $0) } ?? "error \(code)")")
    }
}
