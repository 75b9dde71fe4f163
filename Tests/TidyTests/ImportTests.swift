import Testing

/// DESIGN's layout: which target may import what. The lists are closed; the compiler alone does not hold them, since an
/// import of a dependency's dependency passes `--explicit-target-dependency-import-check`.
@Suite struct ImportTests {
    static let allowed: [String: Set<String>] = [
        // Words that all may use: the standard library alone.
        "EnsembleBase": [],
        // Judgement: no bytes, no clock, no input or output.
        "KeeperCore": ["EnsembleBase"],
        "EnsembleControl": ["EnsembleBase", "CYAML"],
        // Bytes, but no sockets and no files.
        "KeeperCodec": ["EnsembleBase", "KeeperCore", "NIOCore"],
        // Hands.
        "KeeperStorage": ["EnsembleBase", "KeeperCore", "KeeperCodec", "CLinux", "Glibc", "NIOCore", "NIOConcurrencyHelpers"],
        "KeeperServer": [
            "EnsembleBase", "KeeperCore", "KeeperCodec", "KeeperStorage", "CLinux", "Glibc", "NIOCore", "NIOPosix",
            "NIOConcurrencyHelpers", "Logging", "Crypto",
        ],
        "KeeperClient": ["EnsembleBase", "KeeperCore", "KeeperCodec", "Glibc", "NIOCore", "NIOConcurrencyHelpers", "NIOPosix", "Synchronization"],
        "EnsembleBackup": [
            "EnsembleBase", "EnsembleControl", "KeeperCore", "KeeperCodec", "KeeperStorage", "CZstd", "CLinux", "Glibc", "NIOCore",
            "Crypto", "FoundationEssentials", "Foundation",
        ],
        "EnsembleHost": [
            "EnsembleBase", "EnsembleControl", "EnsembleBackup", "KeeperClient", "KeeperStorage", "KeeperCodec", "KeeperCore",
            "CSystemd", "CLinux", "Glibc", "NIOCore", "NIOPosix", "NIOHTTP1", "NIOConcurrencyHelpers", "Logging", "Crypto",
            "FoundationEssentials", "Foundation",
        ],
        // A deterministic world: drives the cores, touches nothing real.
        "EnsembleSim": [
            "EnsembleBase", "EnsembleControl", "KeeperCore", "KeeperCodec", "KeeperStorage", "KeeperServer", "Dispatch", "Glibc",
            "NIOCore", "NIOConcurrencyHelpers", "Logging",
        ],
        // Programs: composition.
        "ensembled": [
            "EnsembleBase", "EnsembleControl", "EnsembleHost", "Logging", "ArgumentParser", "Glibc", "FoundationEssentials",
            "Foundation",
        ],
        "ensemblectl": [
            "EnsembleBase", "EnsembleControl", "EnsembleBackup", "Glibc", "ArgumentParser", "FoundationEssentials", "Foundation",
        ],
        "ensemble-server": ["EnsembleBase", "KeeperServer", "Logging", "ArgumentParser", "Glibc"],
        "ensemble-sim": ["EnsembleBase", "EnsembleSim", "ArgumentParser", "Glibc"],
        // What the fuzzers know of every parser; lives below Tests.
        "FuzzedParsers": [
            "EnsembleBase", "EnsembleControl", "EnsembleHost", "EnsembleBackup", "KeeperServer", "KeeperStorage", "KeeperCodec",
            "KeeperCore", "Glibc", "NIOCore", "NIOConcurrencyHelpers", "FoundationEssentials",
        ],
        "fuzz": ["FuzzedParsers", "Glibc"],
        "keeper-load": [
            "EnsembleBase", "KeeperClient", "KeeperCodec", "KeeperCore", "CLinux", "Glibc", "NIOCore", "NIOPosix",
            "ArgumentParser", "FoundationEssentials", "Foundation", "Synchronization",
        ],
    ]

    /// System libraries: a module map and a header each.
    static let systemLibraries: Set<String> = ["CLinux", "CSystemd", "CYAML", "CZstd"]

    @Test func everyImportIsOnItsTargetsList() {
        for file in SourceTree.sources where file.path.hasSuffix(".swift") {
            let target = SourceTree.target(of: file.path)
            guard let allowed = Self.allowed[target] else {
                Issue.record("\(file.path): target '\(target)' has no import list; add one to ImportTests")
                continue
            }
            for (number, line) in file.code {
                guard let module = Self.module(importedBy: line) else { continue }
                #expect(allowed.contains(module), "\(file.path):\(number): \(target) may not import \(module)")
            }
        }
    }

    /// libyaml is a function from bytes to events: one file knows it.
    @Test func onlyTheYAMLReaderImportsLibyaml() {
        let importers = SourceTree.sources.filter { file in
            file.code.contains { Self.module(importedBy: $0.text) == "CYAML" }
        }
        #expect(importers.map { SourceTree.target(of: $0.path) } == importers.map { _ in "EnsembleControl" })
        #expect(importers.count <= 1, "\(importers.map(\.path))")
    }

    @Test func everyTargetOfThePackageHasAListAndDependsOnNothingElse() throws {
        let package = try #require(SourceTree.files(under: "", ["Package.swift"]).first { $0.path == "Package.swift" }).text
        var products: [String: String] = [:]
        for match in package.matches(of: /let (\w+): Target\.Dependency = \.product\(name: "(\w+)"/) {
            products[String(match.1)] = String(match.2)
        }
        var seen: Set<String> = []
        for match in package.matches(of: /\.(?:executableTarget|target)\(\s*name: "([\w-]+)",?\s*(?:dependencies: \[([^\]]*)\])?/) {
            let target = String(match.1)
            seen.insert(target)
            let allowed = try #require(Self.allowed[target], "Package.swift: target '\(target)' has no import list")
            for item in (match.2 ?? "").split(whereSeparator: { ", \n".contains($0) }) {
                let name = item.hasPrefix("\"") ? String(item.dropFirst().dropLast()) : products[String(item)] ?? String(item)
                #expect(allowed.contains(name), "Package.swift: \(target) may not depend on \(name)")
            }
        }
        #expect(seen == Set(Self.allowed.keys))
    }

    private static func module(importedBy line: String) -> String? {
        let match = line.firstMatch(
            of: /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?([A-Za-z_]\w*)/)
        return match.map { String($0.1) }
    }
}
