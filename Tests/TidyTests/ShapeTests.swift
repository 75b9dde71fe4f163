import Testing

/// The repository's shape: file sizes, the rules' names, links.
@Suite struct ShapeTests {
    private static let longestFile = 600

    @Test func filesAreShort() {
        for file in SourceTree.sources + SourceTree.tests {
            #expect(file.lines.count - 1 <= Self.longestFile, "\(file.path) has \(file.lines.count - 1) lines: split it by subject")
        }
    }

    @Test func noFileIsAPlaceholder() {
        for file in (SourceTree.sources + SourceTree.tests) where file.path.hasSuffix(".swift") {
            #expect(file.name != "Placeholder.swift", "\(file.path): write the real thing")
            let code = file.code.filter { line in line.text.contains { !$0.isWhitespace } && !line.text.contains("import ") }
            #expect(!code.isEmpty, "\(file.path) holds nothing")
        }
    }

    /// Each rule has a comment where it is enforced and a test that names it.
    @Test(arguments: 1...10) func everySafetyRuleIsNamedWhereItIsEnforcedAndTested(_ number: Int) {
        let rule = "S\(number)"
        func names(_ line: Substring) -> Bool {
            line.split(whereSeparator: { !$0.isLetter && !$0.isNumber }).contains { $0 == rule }
        }
        let enforced = SourceTree.sources.filter { $0.lines.contains { $0.contains("//") && names($0) } }
        #expect(!enforced.isEmpty, "no comment under Sources says where \(rule) is enforced")
        let tests = SourceTree.tests.filter { !$0.path.hasPrefix("Tests/TidyTests") && $0.lines.contains(where: names) }
        #expect(!tests.isEmpty, "no test names \(rule)")
    }

    @Test func linksInDocumentsAreLive() {
        let documents = SourceTree.files(under: "docs", [".md"]) + SourceTree.files(under: "", [".md"]).filter { !$0.path.contains("/") }
        for document in documents {
            let folder = document.path.split(separator: "/").dropLast().joined(separator: "/")
            for match in document.text.matches(of: /\]\(([^)#\s]+)(#[^)]*)?\)/) where !match.1.contains("://") && !match.1.hasPrefix("mailto:") {
                let path = match.1.hasPrefix("/") ? String(match.1.dropFirst()) : folder.isEmpty ? String(match.1) : "\(folder)/\(match.1)"
                #expect(SourceTree.exists(path), "\(document.path): the link to \(match.1) leads nowhere")
            }
        }
    }

    /// Nothing here may depend on the machine where it was written.
    @Test func noMachinePaths() {
        let mark = "/wo" + "rk/"
        for file in SourceTree.sources + SourceTree.tests + SourceTree.files(under: "scripts", [""]) + SourceTree.files(under: "units", [""])
            + SourceTree.files(under: "manifests", [""])
        where file.text.contains(mark) {
            for (index, line) in file.lines.enumerated() {
                #expect(!line.contains(mark), "\(file.path):\(index + 1): a path of one machine")
            }
        }
    }

    /// Swift files with the same name in one target would be confused in every message of the compiler.
    @Test func everySourceFileNameIsUniqueInItsTarget() {
        var seen: Set<String> = []
        for file in SourceTree.sources where file.path.hasSuffix(".swift") {
            let key = "\(SourceTree.target(of: file.path))/\(file.name)"
            #expect(seen.insert(key).inserted, "\(file.path): its target has another file of this name")
        }
    }
}
