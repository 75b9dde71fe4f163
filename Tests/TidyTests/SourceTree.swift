import FoundationEssentials

/// The repository's files as text.
enum SourceTree {
    struct File: Sendable {
        /// Relative to the repository's root.
        let path: String
        let text: String
        let lines: [Substring]
        /// Lines without `//` comments and the contents of simple strings, numbered from 1: what the compiler acts on.
        let code: [(number: Int, text: String)]

        init(path: String, text: String) {
            self.path = path
            self.text = text
            lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            code = lines.enumerated().map { ($0.offset + 1, SourceTree.withoutCommentsAndStrings($0.element)) }
        }

        var name: Substring { path.split(separator: "/").last ?? "" }
    }

    /// From this file's own place: Tests/TidyTests/SourceTree.swift.
    static let root: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(3).joined(separator: "/")
    }()

    /// Every file under a folder whose name ends in one of the suffixes, sorted; build products and hidden folders left out.
    static func files(under folder: String, _ suffixes: [String]) -> [File] {
        paths(under: folder).filter { path in suffixes.contains { path.hasSuffix($0) } }.sorted().compactMap { path in
            FileManager.default.contents(atPath: "\(root)/\(path)").map {
                File(path: path, text: String(decoding: $0, as: UTF8.self))
            }
        }
    }

    static let sources = files(under: "Sources", [".swift", ".h"])
    static let tests = files(under: "Tests", [".swift", ".py", ".java", "run"])

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: "\(root)/\(path)") }

    /// The target that a path under Sources belongs to.
    static func target(of path: String) -> String { String(path.split(separator: "/").dropFirst().first ?? "") }

    private static func paths(under folder: String) -> [String] {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: "\(root)/\(folder)") else { return [] }
        return names.filter { !$0.hasPrefix(".") && $0 != "__pycache__" }.flatMap { name -> [String] in
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            var isFolder = false
            _ = FileManager.default.fileExists(atPath: "\(root)/\(path)", isDirectory: &isFolder)
            return isFolder ? paths(under: path) : [path]
        }
    }

    private static func withoutCommentsAndStrings(_ line: Substring) -> String {
        var result: [UInt8] = []
        var isInString = false
        var previous = UInt8(ascii: " ")
        for byte in line.utf8 {
            if byte == UInt8(ascii: "\""), previous != UInt8(ascii: "\\") {
                isInString.toggle()
            } else if !isInString {
                if byte == UInt8(ascii: "/"), previous == byte { return String(decoding: result.dropLast(), as: UTF8.self) }
                result.append(byte)
            }
            previous = byte
        }
        return String(decoding: result, as: UTF8.self)
    }
}
