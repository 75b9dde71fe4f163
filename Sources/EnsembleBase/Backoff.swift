/// Exponential backoff with a ceiling and jitter. Legal use: `next` after each failure, `reset` after a success that
/// has lasted.
package struct Backoff: Sendable {
    package let initial: Duration
    package let ceiling: Duration
    package private(set) var attempts = 0

    package init(initial: Duration, ceiling: Duration) {
        self.initial = initial
        self.ceiling = ceiling
    }

    /// The wait before the next attempt: `initial` doubled once per earlier attempt, at most `ceiling`, of which the
    /// last fifth is drawn from `random` so that members that failed together do not return together.
    package mutating func next(using random: inout SeededRandom) -> Duration {
        let doublings = min(attempts, 32)
        attempts += 1
        let (scaled, overflow) = initial.inNanoseconds.multipliedReportingOverflow(by: 1 << Int64(doublings))
        let base = overflow ? ceiling.inNanoseconds : min(scaled, ceiling.inNanoseconds)
        let jitter = Int64.random(in: 0...max(base / 5, 0), using: &random)
        return .nanoseconds(base - jitter)
    }

    package mutating func reset() { attempts = 0 }
}
