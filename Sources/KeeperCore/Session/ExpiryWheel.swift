import EnsembleBase

/// When sessions expire: deadlines are rounded up to the next multiple of the tick, so sessions fall due in batches
/// (reference/zookeeper.md, 1.2).
///
/// A touch is one store: a session stays filed in the bucket that it was put in, and is filed anew only when that
/// bucket falls due and its deadline turns out to be later.
package struct ExpiryWheel: Sendable {
    private struct Entry: Sendable {
        /// The tick at whose beginning it expires.
        var deadline: Int64
        /// The bucket that it counts in; any other mention of it is stale.
        var filed: Int64
    }

    private struct Bucket: Sendable {
        var tick: Int64
        var sessions: [SessionID]
    }

    private let tick: Int64
    private var entries: [SessionID: Entry] = [:]
    /// In order, earliest last.
    private var buckets: [Bucket] = []

    /// - Parameter tick: positive.
    package init(tick: Duration) {
        precondition(tick > .zero, "a tick has a length")
        self.tick = tick.inNanoseconds
    }

    package var count: Int { entries.count }

    package func contains(_ session: SessionID) -> Bool { entries[session] != nil }

    /// The session lives for `timeout` from now: adds it, or moves its deadline in either direction.
    package mutating func touch(_ session: SessionID, timeout: Duration, at now: Instant) {
        let deadline = (now + timeout).nanoseconds / tick + 1
        if let filed = entries[session]?.filed, filed <= deadline {
            entries[session]!.deadline = deadline
        } else {
            entries[session] = Entry(deadline: deadline, filed: deadline)
            file(session, deadline)
        }
    }

    package mutating func remove(_ session: SessionID) { entries[session] = nil }

    package mutating func removeAll() {
        entries = [:]
        buckets = []
    }

    /// The sessions whose deadline has come, removed, in the order in which they were filed.
    package mutating func expired(at now: Instant) -> [SessionID] {
        let current = now.nanoseconds / tick
        var result: [SessionID] = []
        while let bucket = buckets.last, bucket.tick <= current {
            buckets.removeLast()
            for session in bucket.sessions {
                guard let entry = entries[session], entry.filed == bucket.tick else { continue }
                if entry.deadline <= current {
                    entries[session] = nil
                    result.append(session)
                } else {
                    entries[session]!.filed = entry.deadline
                    file(session, entry.deadline)
                }
            }
        }
        return result
    }

    /// When `expired` should be asked next; nil without sessions. May be early: touched sessions are filed anew then.
    package var deadline: Instant? { buckets.last.map { Instant(nanoseconds: $0.tick * tick) } }

    /// The present deadline of a session.
    package func deadline(of session: SessionID) -> Instant? {
        entries[session].map { Instant(nanoseconds: $0.deadline * tick) }
    }

    private mutating func file(_ session: SessionID, _ bucketTick: Int64) {
        // There are about as many buckets as the longest timeout has ticks: a handful.
        var i = buckets.count
        while i > 0, buckets[i - 1].tick < bucketTick { i -= 1 }
        if i > 0, buckets[i - 1].tick == bucketTick {
            buckets[i - 1].sessions.append(session)
        } else {
            buckets.insert(Bucket(tick: bucketTick, sessions: [session]), at: i)
        }
    }
}
