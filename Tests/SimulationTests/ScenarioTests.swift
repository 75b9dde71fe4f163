import EnsembleSim
import FoundationEssentials
import Testing

/// Runs that are kept: each file says why.
@Suite struct ScenarioTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Scenarios")

    private static var files: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".txt") }.sorted()
    }

    @Test func thereAreScenarios() { #expect(!ScenarioTests.files.isEmpty) }

    /// They are run by `ensemble-sim scenario` in a release build (a stage of scripts/test): in a build for debugging they
    /// take minutes.
    @Test(arguments: files) func isAScenario(file: String) throws {
        let text = try String(contentsOf: ScenarioTests.folder.appending(path: file), encoding: .utf8)
        #expect(try !Scenario(parsing: text).intent.isEmpty)
    }

    @Test(arguments: ["seed 1\nexpect clean", "# why\nseed 1", "# why\nexpect nonsense", "# why\nfaults rain\nexpect clean"])
    func whatIsNoScenarioIsRefused(text: String) {
        #expect(throws: Scenario.ParseError.self) { try Scenario(parsing: text) }
    }
}
