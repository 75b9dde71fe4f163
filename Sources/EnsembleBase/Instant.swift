/// A point on the monotonic clock, in nanoseconds since an arbitrary origin of this process or simulated world.
///
/// Cores never read a clock: an `Instant` is always an argument. Wall-clock time is a `WallTime`.
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let origin = Instant(nanoseconds: 0)
    package static let distantFuture = Instant(nanoseconds: .max)

    @inlinable
    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    package static func + (a: Instant, d: Duration) -> Instant { Instant(nanoseconds: a.nanoseconds + d.inNanoseconds) }
    package static func - (a: Instant, d: Duration) -> Instant { Instant(nanoseconds: a.nanoseconds - d.inNanoseconds) }
    package static func - (a: Instant, b: Instant) -> Duration { .nanoseconds(a.nanoseconds - b.nanoseconds) }
}

/// A point on the wall clock, in milliseconds since 1970-01-01T00:00:00Z: the unit of ZooKeeper's `ctime` and `mtime`.
package struct WallTime: Hashable, Comparable, Sendable, Codable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// In JSON a plain number of milliseconds.
    package init(from decoder: any Decoder) throws {
        milliseconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(milliseconds)
    }

    package static func < (a: WallTime, b: WallTime) -> Bool { a.milliseconds < b.milliseconds }
    package static func + (a: WallTime, d: Duration) -> WallTime { WallTime(milliseconds: a.milliseconds + d.inMilliseconds) }
    package static func - (a: WallTime, b: WallTime) -> Duration { .milliseconds(a.milliseconds - b.milliseconds) }
}

extension Duration {
    /// Whole nanoseconds; saturates at about 292 years.
    package var inNanoseconds: Int64 {
        let (s, a) = components
        let (product, overflow) = s.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (s < 0 ? .min : .max) : product + a / 1_000_000_000
    }
    package var inMilliseconds: Int64 { inNanoseconds / 1_000_000 }
}
