import EnsembleBase
import KeeperCore

/// One connection's counters, as `cons` shows them (Apache's ServerCnxn.getConnectionInfo).
package struct ClientRecord: Hashable, Sendable {
    package var received: Int64 = 0
    package var sent: Int64 = 0
    package var session: SessionID = 0
    /// Milliseconds granted.
    package var timeout: Int32 = 0
    package var lastOperation: Int32?
    package var lastCxid: Int32 = 0
    package var lastZxid = Zxid.none
    package var latency = LatencySummary()
    package var lastLatency: Int64 = 0

    package init() {}

    mutating func received(_ statistics: ServerStatistics) {
        received += 1
        statistics.packetsReceived += 1
    }

    mutating func sent(_ statistics: ServerStatistics) {
        sent += 1
        statistics.packetsSent += 1
    }

    mutating func answered(_ reply: Reply, in duration: Duration, _ statistics: ServerStatistics) {
        sent(statistics)
        if reply.zxid != .none { lastZxid = reply.zxid }
        lastLatency = duration.inMilliseconds
        latency.add(duration)
        statistics.latency.add(duration)
    }

    mutating func reset() {
        received = 0
        sent = 0
        latency = LatencySummary()
        lastLatency = 0
        lastOperation = nil
    }
}

/// Least, greatest and mean of a duration.
package struct LatencySummary: Hashable, Sendable {
    package private(set) var count: Int64 = 0
    private var total: Int64 = 0
    private var least = Int64.max
    private var greatest: Int64 = 0

    package init() {}

    package mutating func add(_ duration: Duration) {
        let nanoseconds = max(duration.inNanoseconds, 0)
        count += 1
        total += nanoseconds
        least = min(least, nanoseconds)
        greatest = max(greatest, nanoseconds)
    }

    /// Whole milliseconds, as Apache's server counts.
    package var minMilliseconds: Int64 { count == 0 ? 0 : least / 1_000_000 }
    package var maxMilliseconds: Int64 { greatest / 1_000_000 }
    package var sumMilliseconds: Int64 { total / 1_000_000 }
    /// In ten-thousandths of a millisecond, for four decimals without Foundation.
    package var averageTenThousandths: Int64 { count == 0 ? 0 : total / count / 100 }
}
