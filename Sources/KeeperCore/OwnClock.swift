import EnsembleBase

/// The time by which a machine judges who was silent: the host's monotonic clock without the time in which this process
/// stood still (stopped, swapped out, starved of the processor).
///
/// What others sent meanwhile waits in its sockets, and the timer may be asked before they are read: a server that was
/// stopped for longer than its clients' timeouts would end the sessions of clients that were never silent. So all
/// deadlines move by what was lost, the leader's of its learners and the follower's of its leader, too.
struct OwnClock: Sendable {
    /// The sum of what was lost, in nanoseconds: a `Duration` has 128 bits, and this is read at each step.
    private var lost: Int64 = 0
    /// By the host's clock.
    private(set) var deadline: Instant?
    /// From here on the timer is late. By the host's clock.
    private var isLateFrom = Instant.distantFuture
    /// By the host's clock.
    private var lastRead = Instant.origin
    private let patience: Duration

    /// - Parameter patience: a timer that comes later than this is late.
    init(patience: Duration) { self.patience = patience }

    /// - Parameter isPatient: false for a candidate that tries to establish an epoch: acknowledgements that have waited
    ///   may be of peers that left since.
    mutating func read(at instant: Instant, _ event: KeeperEvent, isPatient: Bool) -> Instant {
        if instant >= isLateFrom, isPatient, let deadline {
            if lastRead < deadline {
                // Since then nothing has been heard of anyone.
                lose(instant - lastRead)
            } else if case .deadlineReached = event {
                // Events were handled, yet not all that had come: a loop this late has a queue.
                lose(instant - deadline)
            }
        }
        lastRead = instant
        return Instant(nanoseconds: instant.nanoseconds - lost)
    }

    /// What the host's clock shows at an instant of the machine's own time.
    func host(_ own: Instant) -> Instant { Instant(nanoseconds: own.nanoseconds + lost) }

    private mutating func lose(_ duration: Duration) {
        lost += duration.inNanoseconds
        isLateFrom = .distantFuture
    }

    /// The timer is wanted at this instant of the machine's own time.
    mutating func isDue(at due: Instant?) {
        guard let due, due < .distantFuture else {
            deadline = nil
            isLateFrom = .distantFuture
            return
        }
        let next = host(due)
        guard next != deadline || isLateFrom == .distantFuture else { return }
        deadline = next
        isLateFrom = next + patience
    }
}
