import EnsembleBase

/// What is held for one client, in bytes, and whether the client makes progress.
struct ClientAccount {
    /// Of requests that have no reply.
    private(set) var requests = 0
    /// Of replies that these are expected to get together.
    private(set) var answers = 0
    /// Of the requests since there was none.
    private(set) var largestRequest = 0
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
    private(set) var roomSince = Instant(nanoseconds: 0)

    mutating func asked(_ size: Int, answer: Int) {
        requests += size
        answers += answer
        largestRequest = max(largestRequest, size)
    }

    mutating func answered(_ size: Int, answer: Int) {
        requests -= size
        answers -= answer
        if requests == 0 { largestRequest = 0 }
    }

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

    /// From now on the client is to send the rest of a frame.
    mutating func gotRoom(at now: Instant) {
        lastInput = now
        roomSince = now
    }

    var backlog: Int { max(unsent - lastWrite, 0) }

    /// Tells the budget; whether less is held than before.
    mutating func settle(gathered: Int, input: Int, _ budget: MemoryBudget) -> Bool {
        let now = requests + answers + unsent + gathered + (input > MemoryBudget.trifle ? input : 0)
        guard now != charged else { return false }
        defer { charged = now }
        budget.recharge(from: charged, to: now)
        return now < charged
    }

    mutating func close(_ budget: MemoryBudget) {
        budget.recharge(from: charged, to: 0)
        self = ClientAccount()
    }
}
