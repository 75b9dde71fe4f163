import EnsembleBase

/// Everything that decides a run: drawn from the seed, and then perhaps made smaller (`Shrinking`).
package struct Plan: Hashable, Sendable {
    package var seed: UInt64
    package var servers: Int
    package var clients: Int
    package var atlas: FaultAtlas
    /// Virtual milliseconds during which faults happen.
    package var faultTime: Int64
    /// Whether everything that passes between processes goes through the codec.
    package var usesBytes: Bool
    package var snapCount: Int
    package var windowCount: Int
    package var bug: DeliberateBug?
    /// Whether the rules that look inside of members are left out.
    package var outsideOnly = false

    package init(seed: UInt64, bug: DeliberateBug? = nil) {
        var random = SeededRandom(seed: seed ^ 0x9a11)
        self.seed = seed
        self.bug = bug
        atlas = FaultAtlas.drawn(using: &random)
        servers = [3, 3, 3, 5][Int.random(in: 0..<4, using: &random)]
        clients = Int.random(in: 2...6, using: &random)
        faultTime = [10_000, 20_000, 40_000][Int.random(in: 0..<3, using: &random)]
        usesBytes = Int.random(in: 0..<4, using: &random) == 0
        snapCount = [100, 800, 800, 20_000][Int.random(in: 0..<4, using: &random)]
        windowCount = [10, 200, 5_000][Int.random(in: 0..<3, using: &random)]
    }
}

extension Plan {
    /// One line for a person.
    package var summary: String {
        let faults = atlas.names.isEmpty ? "no faults" : atlas.names.joined(separator: ", ")
        return
            "seed \(seed), \(servers) servers, \(clients) clients, \(faultTime) ms of \(faults)\(usesBytes ? ", as bytes" : ""), snapshots every \(snapCount), window \(windowCount)\(bug.map { ", bug \($0.rawValue)" } ?? "")"
    }
}
