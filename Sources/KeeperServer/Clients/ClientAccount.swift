import EnsembleBase

/// What is held for one client, in bytes, and whether the client makes progress.
struct ClientAccount {
    /// Of requests that have no reply.
    var requests = 0
    /// What the socket hadn't taken when it was last asked.
    private(set) var unsent = 0
    /// As the budget knows it.
    private(set) var charged = 0

    private var written = 0
    /// Written since the socket was last asked. It takes nearly all at once, and asking it each time would cost more than
    /// the few kilobytes that go uncounted.
    private var unmeasured = 0
    private var lastWrite = 0
    /// Bytes that the socket has taken, when it was last asked.
    private(set) var taken = 0
    private(set) var lastTaken = Instant(nanoseconds: 0)
    private(set) var lastInput = Instant(nanoseconds: 0)

    mutating func wrote(_ bytes: Int) {
        written += bytes
        unmeasured += bytes
        lastWrite = bytes
    }

    /// Whether the socket should be asked.
    var isUncertain: Bool { unsent > 0 || unmeasured > MemoryBudget.trifle }

    mutating func measured(unsent now: Int, at table: ClientTable?) {
        let isFirst = unsent == 0
        unsent = now
        unmeasured = 0
        // What it took while nothing was left proves nothing and costs no look at the clock.
        if now > 0, isFirst || written - now > taken, let table { lastTaken = table.turn.now }
        taken = written - now
    }

    /// Only while a large frame is incomplete does it matter when its last bytes came.
    mutating func inputGrew(at now: Instant) { lastInput = now }

    var backlog: Int { max(unsent - lastWrite, 0) }

    mutating func settle(gathered: Int, input: Int, _ budget: MemoryBudget) {
        let now = requests + unsent + gathered + (input > MemoryBudget.trifle ? input : 0)
        guard now != charged else { return }
        budget.recharge(from: charged, to: now)
        charged = now
    }

    mutating func close(_ budget: MemoryBudget) {
        budget.recharge(from: charged, to: 0)
        self = ClientAccount()
    }
}
