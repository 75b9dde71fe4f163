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
    /// Milliseconds.
    package var lastLatency: Int64 = 0
    package var lastReply = WallTime(milliseconds: 0)

    package init() {}

    /// Apache's names (Request.op2String), in short.
    var lastOperationText: String {
        guard let lastOperation else { return "NA" }
        return OpCode(rawValue: lastOperation).map { ClientRecord.shortName($0) } ?? "unknown \(lastOperation)"
    }

    private static func shortName(_ op: OpCode) -> String {
        switch op {
        case .create: "CREA"
        case .delete: "DELE"
        case .exists: "EXIS"
        case .getData: "GETD"
        case .setData: "SETD"
        case .getACL: "GETA"
        case .setACL: "SETA"
        case .getChildren: "GETC"
        case .getChildren2: "GETC"
        case .ping: "PING"
        case .sync: "SYNC"
        case .multi: "MULT"
        case .createSession: "SESS"
        case .closeSession: "CLOS"
        case .setWatches, .setWatches2: "SETW"
        default: "\(op)"
        }
    }

    mutating func received(_ statistics: ServerStatistics) {
        received += 1
        statistics.packetsReceived += 1
    }

    mutating func sent(_ statistics: ServerStatistics) {
        sent += 1
        statistics.packetsSent += 1
    }

    mutating func answered(_ reply: Reply, in duration: Duration, at wall: WallTime, _ statistics: ServerStatistics) {
        sent(statistics)
        if reply.zxid != .none { lastZxid = reply.zxid }
        lastLatency = duration.inMilliseconds
        lastReply = wall
        latency.add(duration)
        statistics.latency.add(duration)
    }

    mutating func reset() {
        received = 0
        sent = 0
        latency = LatencySummary()
        lastLatency = 0
        lastOperation = nil
        // As Apache's (ServerCnxn.resetStats).
        lastCxid = -1
        lastZxid = .none
        lastReply = WallTime(milliseconds: 0)
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
    private var averageTenThousandths: Int64 { count == 0 ? 0 : total / count / 100 }

    /// The mean in milliseconds, as Apache prints it: `0.0`, `1.25`, at most four decimals.
    package var averageText: String {
        let value = averageTenThousandths
        var decimals = String(10_000 + value % 10_000).dropFirst()
        while decimals.count > 1, decimals.last == "0" { decimals.removeLast() }
        return "\(value / 10_000).\(decimals)"
    }
}
