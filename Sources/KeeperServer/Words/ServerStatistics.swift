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
    package var failedAuthentications: Int64 = 0
    package var malformedFrames: Int64 = 0
    package var slowReadersClosed: Int64 = 0
    package var refusedConnections: Int64 = 0

    package init() {}

    /// `srst`: what Apache's server resets.
    package func reset() {
        packetsReceived = 0
        packetsSent = 0
        latency = LatencySummary()
    }
}
