import EnsembleBase
import EnsembleControl
import KeeperServer
import Testing

/// The seam between the daemon and its own server: what one writes the other reads, without a word of complaint.
@Suite struct BundledServerReadsItTests {
    @Test(arguments: ["demo.yaml", "production.yaml"]) func renderedConfigurationHasNoProblems(_ name: String) throws {
        let manifest = try ManifestTests.example(name).manifest
        let layout = HostLayout(stateDirectory: "/var/lib/ensembled/x", bundledServer: "/usr/bin/ensemble-server")
        for member in manifest.rendered(on: layout) {
            let outcome = ConfigurationParser.parse(Array(member.configuration.utf8), file: member.configurationFile) { path in
                path == member.identityFile ? Array(member.identity.utf8) : nil
            }
            #expect(outcome.problems.map { "\($0)" } == [])
            #expect(outcome.configuration != nil)
        }
    }
}
