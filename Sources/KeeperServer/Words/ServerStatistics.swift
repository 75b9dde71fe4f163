import EnsembleBase

/// Counters of the whole server. Loop-bound; shared by all connections.
package final class ServerStatistics {
    package var packetsReceived: Int64 = 0
    package var packetsSent: Int64 = 0
    package var latency = LatencySummary()
    /// From the end of a turn of the loop until what it appended is durable.
    package var logSync = LatencySummary()
    package var snapshot = LatencySummary()
    package var proposals: Int64 = 0
    package var commits: Int64 = 0
    package var snapshotsSentToLearners: Int64 = 0
    package var diffsSentToLearners: Int64 = 0
    package var elections: Int64 = 0
    package var digestMismatches: Int64 = 0
    package var failedAuthentications: Int64 = 0
    package var malformedFrames: Int64 = 0
    package var slowReadersClosed: Int64 = 0
    package var refusedConnections: Int64 = 0
    /// Bytes of replies, and of the transactions that this member proposed.
    package var replySizes = SizeSummary()
    package var proposalSizes = SizeSummary()

    package init() {}

    /// `srst`: what Apache's server resets.
    package func reset() {
        packetsReceived = 0
        packetsSent = 0
        latency = LatencySummary()
        replySizes = SizeSummary()
        proposalSizes = SizeSummary()
    }
}

/// Last, smallest and largest of a number of sizes; −1 while there is none, as Apache shows it.
package struct SizeSummary: Hashable, Sendable {
    package private(set) var last = -1
    package private(set) var least = -1
    package private(set) var most = -1

    package init() {}

    package mutating func add(_ size: Int) {
        last = size
        least = least < 0 ? size : min(least, size)
        most = max(most, size)
    }
}
