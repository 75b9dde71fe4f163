import EnsembleSim
import FoundationEssentials
import Testing

/// `docs/proof.md` is made by `ensemble-sim proof`, which takes minutes; here it is only held against the list in the code.
@Suite struct HistoricalBugTests {
    private static let table = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "docs/proof.md")

    @Test func theTableIsThatOfTheList() throws {
        let rows = try String(contentsOf: HistoricalBugTests.table, encoding: .utf8).split(separator: "\n")
            .filter { $0.hasPrefix("| ") }.dropFirst()
        #expect(rows.count == HistoricalBug.all.count)
        for (row, bug) in zip(rows, HistoricalBug.all) {
            let cells = row.split(separator: "|").map { $0.trimmingPrefix { $0 == " " } }
            #expect(row.hasPrefix("| \(bug.name) | \(bug.what) | "), "make docs/proof.md anew")
            if let planted = bug.planted { #expect(cells[2].hasPrefix("`\(planted.rawValue)`") && !row.contains("not found")) }
        }
    }

    @Test func eachIsListedOnce() { #expect(Set(HistoricalBug.all.map(\.name)).count == HistoricalBug.all.count) }
}
