import EnsembleBase

/// What one member must know of its ensemble and its limits. Durations are already multiplied out of ticks where a
/// name doesn't say otherwise.
package struct KeeperConfiguration: Sendable {
    package var serverID: ServerID
    /// Every voter's id, ascending. In standalone operation just this server's.
    package var voters: [ServerID]
    /// No election, no epoch: the zxid counts on from the log.
    package var standalone: Bool
    package var tickTime: Duration
    /// Ticks to connect, agree on an epoch and sync.
    package var initLimit: Int
    /// Ticks that a synced peer may be silent, or leave a proposal unacknowledged.
    package var syncLimit: Int
    /// Milliseconds; the bounds of what a client may ask for.
    package var minSessionTimeout: Int32
    package var maxSessionTimeout: Int32
    /// A snapshot is taken after between half of this and this many transactions, drawn anew each time so that members
    /// don't do it together.
    package var snapCount: Int
    /// Bytes of transactions after which one is taken whatever `snapCount` says, drawn likewise.
    package var snapSizeLimit: Int
    /// Bytes: a longer transaction is refused, because peers would not take it (`jute.maxbuffer` and its extra size).
    package var transactionLimit: Int
    /// How many committed transactions are kept in memory for DIFF.
    package var windowCount: Int
    /// Bytes: how much of them. Ten thousand large ones would fill the memory, and a peer that is so far behind gets the
    /// tree instead.
    package static let windowSize = 16 << 20
    /// Bytes of a leader's packets that may wait for this member's disk.
    package static let inboxSize = 16 << 20
    /// The text of `/zookeeper/config`, which also travels in notifications and NEWLEADER.
    package var configurationText: [UInt8]
    /// How long an elected quorum waits for a better vote, unless every voter has agreed (reference, 3.2).
    package var finalizeWait: Duration
    package var containerSweepInterval: Duration
    /// The last counter of an epoch. ZOOKEEPER-1277: a leader steps down before its counter runs into the epoch; a world
    /// in which that is to be seen can't wait for four thousand million transactions.
    package var epochLength: UInt32 = .max

    package init(
        serverID: ServerID, voters: [ServerID], standalone: Bool = false, tickTime: Duration = .seconds(3),
        initLimit: Int = 10, syncLimit: Int = 5, minSessionTimeout: Int32? = nil, maxSessionTimeout: Int32? = nil,
        snapCount: Int = 100_000, snapSizeLimit: Int = 4 << 30, transactionLimit: Int = 2 * 0xfffff, windowCount: Int = 10_000, configurationText: [UInt8] = [],
        finalizeWait: Duration = .milliseconds(200), containerSweepInterval: Duration = .seconds(60)
    ) {
        self.serverID = serverID
        self.voters = voters.sorted()
        self.standalone = standalone
        self.tickTime = tickTime
        self.initLimit = initLimit
        self.syncLimit = syncLimit
        let tick = Int32(clamping: tickTime.inMilliseconds)
        self.minSessionTimeout = minSessionTimeout ?? tick &* 2
        self.maxSessionTimeout = maxSessionTimeout ?? tick &* 20
        self.snapCount = snapCount
        self.snapSizeLimit = snapSizeLimit
        self.transactionLimit = transactionLimit
        self.windowCount = windowCount
        self.configurationText = configurationText
        self.finalizeWait = finalizeWait
        self.containerSweepInterval = containerSweepInterval
    }

    package var initTimeout: Duration { tickTime * initLimit }
    package var syncTimeout: Duration { tickTime * syncLimit }

    /// Whether `count` voters are a majority.
    package func isQuorum(_ count: Int) -> Bool { count * 2 > voters.count }
    package func isVoter(_ id: ServerID) -> Bool { voters.contains(id) }
}
