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
    /// Looks since the socket took something of what waits for it. Looks and not time: while the server itself was busy
    /// or stopped, nobody could make progress.
    private(set) var looksUntaken = 0
    /// Looks, while others waited for room, since it sent some of the frame that it has room for, and since it got that.
    private(set) var looksSilent = 0
    private(set) var looksWithRoom = 0

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

    mutating func measured(unsent now: Int) {
        if unsent == 0 || written - now > taken { looksUntaken = 0 }
        unsent = now
        unmeasured = 0
        taken = written - now
    }

    mutating func looked() { looksUntaken += 1 }

    mutating func inputGrew() { looksSilent = 0 }

    /// From now on the client is to send the rest of a frame.
    mutating func gotRoom() {
        looksSilent = 0
        looksWithRoom = 0
    }

    mutating func lookedWhileOthersWait() {
        looksSilent += 1
        looksWithRoom += 1
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
