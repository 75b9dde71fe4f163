import Testing

@testable import EnsembleControl

/// What two manifests say differently, as their authors wrote it.
@Suite struct ManifestDifferenceTests {
    private let old = """
        cluster: orders
        settings:
          tickTime: 2s
          superDigest: "super:abc"
        members:
          - {id: 1, host: a, clientPort: 2181}
          - {id: 2, host: b, clientPort: 2181}
        backups:
          archive: /backups
        """

    private func difference(_ changes: (String, String)...) -> [ManifestDifference.Entry] {
        var new = old
        for (from, to) in changes {
            #expect(new.contains(from))
            new = new.split(separator: from, omittingEmptySubsequences: false).joined(separator: to)
        }
        return ManifestDifference(from: Array(old.utf8), to: Array(new.utf8)).entries
    }

    @Test func theSameSaysNothing() {
        #expect(difference().isEmpty)
        #expect(difference(("tickTime: 2s", "tickTime:   '2s' # slowly")).isEmpty)
    }

    @Test func aValueIsNamedByItsPlace() {
        #expect(difference(("2s", "500ms")) == [.init(path: "settings.tickTime", line: 3, before: "2s", after: "500ms")])
        #expect(
            difference(("b, clientPort: 2181", "b, clientPort: 2182"))
                == [.init(path: "members.2.clientPort", line: 7, before: "2181", after: "2182")])
    }

    /// A member is the same wherever it stands in the list.
    @Test func membersGoByTheirIds() {
        let (first, second) = ("  - {id: 1, host: a, clientPort: 2181}\n", "  - {id: 2, host: b, clientPort: 2181}\n")
        #expect(difference((first + second, second + first)).isEmpty)
        let without = difference((first, ""))
        #expect(without.map(\.path) == ["members.1.id", "members.1.host", "members.1.clientPort"])
        #expect(without.allSatisfy { $0.after == nil && $0.line == nil })
    }

    @Test func whatWasNotSaidHasNoFormerValue() {
        #expect(
            difference(("cluster: orders\n", "cluster: orders\nengine: apache\n"))
                == [.init(path: "engine", line: 2, before: nil, after: "apache")])
        #expect(difference(("  archive: /backups", "  archive:")) == [.init(path: "backups.archive", line: nil, before: "/backups", after: nil)])
    }

    /// It is a digest of a password, and a terminal is read by many.
    @Test func aSecretIsNotShown() {
        let entries = difference(("super:abc", "super:def"))
        #expect(entries == [.init(path: "settings.superDigest", line: 4, before: "(not shown)", after: "(not shown)")])
    }

    @Test func ofWhatIsNoManifestNothingIsSaid() {
        #expect(ManifestDifference(from: Array(old.utf8), to: Array("cluster: [".utf8)).entries.isEmpty)
        #expect(ManifestDifference(from: [0xFF], to: Array(old.utf8)).entries.isEmpty)
    }
}
