/// One thing that is wrong, or that is allowed but will hurt, in a manifest.
package struct ManifestFinding: Hashable, Sendable {
    package var file: String
    package var mark: TextMark
    /// `members[1].clientPort`; empty for the file as a whole.
    package var path: String
    /// What is wrong and why.
    package var problem: String
    /// What would be right.
    package var remedy: String
    package var isWarning: Bool

    package init(file: String, mark: TextMark, path: String, problem: String, remedy: String, isWarning: Bool = false) {
        self.file = file
        self.mark = mark
        self.path = path
        self.problem = problem
        self.remedy = remedy
        self.isWarning = isWarning
    }
}

extension ManifestFinding: CustomStringConvertible {
    /// `file:line:column: path: what and why; what would be right`, on one line whatever the manifest contains.
    package var description: String {
        let place = "\(file):\(mark.line):\(mark.column): "
        let text = (isWarning ? "warning: " : "") + (path.isEmpty ? "" : "\(path): ") + "\(problem); \(remedy)"
        return place + ManifestFinding.printable(text)
    }

    /// Control characters could rewrite the terminal of whoever validates a stranger's file.
    static func printable(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.properties.isBidiControl
            result.append(isControl ? "\u{FFFD}" : scalar)
        }
        return String(result)
    }
}

/// Everything that is wrong with a manifest, in the order of the file; never empty.
package struct ManifestError: Error, Hashable, Sendable, CustomStringConvertible {
    package var findings: [ManifestFinding]

    package init(findings: [ManifestFinding]) { self.findings = findings }

    package var description: String { findings.map(\.description).joined(separator: "\n") }
}

/// Collects findings while a manifest is read, and remembers where each value began so that checks across several
/// values can point at one.
struct Findings {
    let file: String
    private(set) var all: [ManifestFinding] = []
    private var marks: [String: TextMark] = [:]

    init(file: String) { self.file = file }

    var hasErrors: Bool { all.contains { !$0.isWarning } }

    mutating func place(_ path: String, at mark: TextMark) { marks[path] = mark }

    /// Whether the manifest itself gives a value at `path`.
    func isWritten(_ path: String) -> Bool { marks[path] != nil }

    mutating func error(_ path: String, at mark: TextMark? = nil, _ problem: String, remedy: String) {
        add(path, mark, problem, remedy, isWarning: false)
    }

    mutating func warning(_ path: String, at mark: TextMark? = nil, _ problem: String, remedy: String) {
        add(path, mark, problem, remedy, isWarning: true)
    }

    private mutating func add(_ path: String, _ mark: TextMark?, _ problem: String, _ remedy: String, isWarning: Bool) {
        all.append(
            ManifestFinding(
                file: file, mark: mark ?? nearestMark(path), path: path, problem: problem, remedy: remedy,
                isWarning: isWarning))
    }

    /// Where `path` was written, else the innermost thing around it that was.
    private func nearestMark(_ path: String) -> TextMark {
        var path = path
        while !path.isEmpty {
            if let mark = marks[path] { return mark }
            guard let cut = path.lastIndex(where: { $0 == "." || $0 == "[" }) else { break }
            path = String(path[..<cut])
        }
        return marks[""] ?? TextMark(line: 1, column: 1)
    }

    /// In the order of the file; several at one place stay as they were found.
    var sorted: [ManifestFinding] {
        all.enumerated().sorted { ($0.element.mark, $0.offset) < ($1.element.mark, $1.offset) }.map(\.element)
    }
}
