import FuzzedParsers
import Glibc
import Testing

/// Every input that was worth keeping, read again: a parser that has lost what it had learned shows here, without
/// libFuzzer. scripts/fuzz looks for new ones. What valid records make is not kept in files: `FuzzedParser.seeds`.
@Suite struct CorpusTests {
    /// From this file's own place: Tests/FuzzTests/CorpusTests.swift.
    private static let corpora: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return (parts.dropLast() + ["Corpora"]).joined(separator: "/")
    }()

    private static func content(of path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
    }

    private static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    @Test(arguments: FuzzedParser.all.map(\.name)) func nothingThatWasFoundComesBack(_ name: String) throws {
        let parser = try #require(FuzzedParser.named(name))
        let folder = "\(Self.corpora)/\(name)"
        for input in Self.names(in: folder) {
            let bytes = try #require(Self.content(of: "\(folder)/\(input)"))
            #expect(throws: Never.self, "\(folder)/\(input)") { try parser.check(bytes) }
        }
    }

    /// What a conforming writer makes is accepted whole, and cut or spoilt it does no harm.
    @Test(arguments: FuzzedParser.all.map(\.name)) func seedsCutAndSpoilt(_ name: String) throws {
        let parser = try #require(FuzzedParser.named(name))
        for seed in parser.seeds() {
            #expect(throws: Never.self) { try parser.check(seed) }
            // A dozen places in each: this is the part of scripts/fuzz that every run of the tests can afford.
            for index in stride(from: 0, to: seed.count, by: seed.count / 12 + 1) {
                #expect(throws: Never.self, "cut at \(index)") { try parser.check(Array(seed[..<index])) }
                var spoilt = seed
                spoilt[index] ^= 0x81
                #expect(throws: Never.self, "spoilt at \(index)") { try parser.check(spoilt) }
            }
        }
    }

    @Test func everyCorpusBelongsToAParser() {
        let names = FuzzedParser.all.map(\.name)
        #expect(Set(names).count == names.count)
        #expect(Set(Self.names(in: Self.corpora)).isSubset(of: names))
    }
}
