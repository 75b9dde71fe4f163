import KeeperCore

/// The entries that were applied last, by their checksums: whether one that comes again is the same one.
///
/// Apache's learner logs what is proposed between SNAP and UPTODATE more than once: one file may hold 5, 5, 6, 7 and then 5
/// to 9, the same bytes each time (Tests/KeeperStorageTests/Fixtures/README.md, `repeated-entries`). What was applied is
/// passed over; another entry under the same number would be another history, and is never chosen between.
package struct AppliedEntries: Sendable {
    package enum Comparison: Hashable, Sendable {
        case same
        case another
        /// It was applied before those that are known here, or never.
        case unknown
    }

    private var known: [(zxid: Zxid, sum: UInt64)] = []

    /// What may be proposed while a member is brought up; at most twice as many are known.
    private static let limit = 1 << 16

    package init() {}

    package mutating func append(_ zxid: Zxid, _ payload: ArraySlice<UInt8>) {
        if known.count == 2 * AppliedEntries.limit { known.removeFirst(AppliedEntries.limit) }
        known.append((zxid, AppliedEntries.sum(payload)))
    }

    package func compare(_ zxid: Zxid, _ payload: ArraySlice<UInt8>) -> Comparison {
        var (low, high) = (0, known.count)
        while low < high {
            let middle = (low + high) / 2
            if known[middle].zxid < zxid { low = middle + 1 } else { high = middle }
        }
        guard low < known.count, known[low].zxid == zxid else { return .unknown }
        return known[low].sum == AppliedEntries.sum(payload) ? .same : .another
    }

    private static func sum(_ payload: ArraySlice<UInt8>) -> UInt64 {
        var checksum = Checksum()
        checksum.update(payload)
        return UInt64(payload.count) << 32 | UInt64(checksum.value)
    }
}
