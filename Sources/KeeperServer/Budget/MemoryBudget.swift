/// What this server holds for others, in bytes, against one limit: requests that have no reply, transactions that are
/// not committed, what waits for slow learners, replies and watch events for slow clients. Loop-bound.
///
/// Whoever holds charges, and releases exactly what he charged. Nothing is refused here: holders ask how things stand
/// and stop reading before anybody is cut off. The count is of bytes as they lie on the wire, so that it is cheap; the
/// limit leaves room for what surrounds them.
package final class MemoryBudget {
    package let limit: Int
    package private(set) var held = 0
    /// The most that was ever held at once.
    package private(set) var mostHeld = 0
    /// Clients for whom more than a trifle is held.
    private(set) var holders = 0

    /// So little for one client counts for nothing.
    package static let trifle = 4 << 10
    package static let standardLimit = 256 << 20

    package init(limit: Int = MemoryBudget.standardLimit) { self.limit = limit }

    package func charge(_ bytes: Int) {
        held += bytes
        if held > mostHeld { mostHeld = held }
    }

    package func release(_ bytes: Int) {
        assert(bytes <= held, "\(bytes) bytes released of \(held) that were charged")
        held -= bytes
    }

    /// One client's part has changed.
    func recharge(from old: Int, to new: Int) {
        charge(new - old)
        if (old > MemoryBudget.trifle) != (new > MemoryBudget.trifle) { holders += new > old ? 1 : -1 }
    }

    /// Who has more than a fair share stops being read.
    package var isUnderPressure: Bool { held >= limit / 2 }
    /// Whoever has anything outstanding stops being read.
    package var isExhausted: Bool { held >= limit }
    /// Not reading did not help: events come from what others write.
    package var isOverrun: Bool { held >= limit + limit / 4 }
    /// What each client may hold under pressure; one part is the server's own.
    package var fairShare: Int { max(limit / (holders + 1), MemoryBudget.trifle) }
}
