/// Latencies in log-linear buckets: 64 per power of two, so a percentile is within 1.6 % of the truth, in constant
/// memory and one addition per record.
struct LatencyHistogram {
    private static let subBuckets = 64
    private var counts = [UInt64](repeating: 0, count: 64 * LatencyHistogram.subBuckets)
    private(set) var count: UInt64 = 0
    /// Nanoseconds.
    private(set) var maximum: Int64 = 0

    mutating func record(nanoseconds: Int64) {
        let value = UInt64(max(nanoseconds, 0))
        counts[Self.bucket(of: value)] += 1
        count += 1
        maximum = max(maximum, nanoseconds)
    }

    /// Nanoseconds; 0 if nothing was recorded. `quantile` is within 0...1.
    func value(at quantile: Double) -> Int64 {
        guard count > 0 else { return 0 }
        let rank = max(UInt64((Double(count) * quantile).rounded(.up)), 1)
        var seen: UInt64 = 0
        for (index, bucket) in counts.enumerated() {
            seen += bucket
            if seen >= rank { return min(Int64(clamping: Self.ceiling(of: index)), maximum) }
        }
        return maximum
    }

    private static func bucket(of value: UInt64) -> Int {
        guard value >= UInt64(subBuckets) else { return Int(value) }
        let shift = (63 - value.leadingZeroBitCount) - 6
        return (shift + 1) * subBuckets + Int(value >> UInt64(shift)) - subBuckets
    }

    /// The largest value that falls into the bucket.
    private static func ceiling(of index: Int) -> UInt64 {
        guard index >= subBuckets else { return UInt64(index) }
        let shift = index / subBuckets - 1
        let base = UInt64(index % subBuckets + subBuckets)
        return ((base + 1) << UInt64(shift)) &- 1
    }
}
