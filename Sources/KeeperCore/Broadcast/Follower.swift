import EnsembleBase

/// A voter that follows an elected leader: discovery, synchronisation, broadcast (reference/zookeeper.md, 3.3).
///
/// The order that ZOOKEEPER-3911, 4394, 4643, 4646 and 4685 teach, and that the phases enforce: synced transactions
/// are durable, **then** currentEpoch is, **then** NEWLEADER is acknowledged. COMMITs and PROPOSALs may arrive between
/// NEWLEADER and UPTODATE.
struct Follower: Sendable {
    enum Phase: Hashable, Sendable {
        /// → agreeing on the connection.
        case connecting
        /// Sent FOLLOWERINFO. → promising on LEADERINFO.
        case agreeing
        /// The new acceptedEpoch is on its way to the disk. → synchronizing once it is there.
        case promising(currentEpoch: Int32)
        /// Sent ACKEPOCH. → truncating, receiving; on NEWLEADER establishing, or installing what SNAP brought.
        case synchronizing
        /// → synchronizing when the log is cut and read again.
        case truncating(to: Zxid)
        /// SNAP announced. → synchronizing when the tree is here.
        case receiving
        /// NEWLEADER received: tree, entries and epoch replace this member's data. → establishing(clearingMark) if
        /// recovering, else awaitingUpToDate.
        case installing
        /// NEWLEADER received: first the log, then the epoch, then (if recovering) the mark. → awaitingUpToDate.
        case establishing(EstablishStep)
        /// NEWLEADER acknowledged. → broadcasting on UPTODATE.
        case awaitingUpToDate
        case broadcasting
    }

    enum EstablishStep: Hashable, Sendable {
        case syncingLog
        case savingEpoch
        case clearingMark
    }

    let leader: ServerID
    private(set) var phase: Phase = .connecting
    /// The leader's epoch, once it has said so.
    private(set) var epoch: Int64 = 0
    /// When the leader counts as gone.
    private(set) var deadline: Instant
    /// Packets that wait until the disk has done what an earlier one asked for.
    private(set) var inbox = FIFO<QuorumPacket>()
    /// Bytes of them.
    private var inboxSize = 0
    /// The leader's connection is not read: enough waits in `inbox`.
    private(set) var isPaused = false
    /// The leader wants to hear from this member also before NEWLEADER is acknowledged.
    private var leaderIsPatient = false
    /// Its own data is not to be built on, and a quorum is there without it: it syncs as one that has none.
    let startsFromNothing: Bool
    /// Appended and not yet acknowledged, oldest first.
    private var unacknowledged = FIFO<Zxid>()
    private let configuration: KeeperConfiguration

    init(leader: ServerID, startsFromNothing: Bool, configuration: KeeperConfiguration, at now: Instant) {
        self.leader = leader
        self.startsFromNothing = startsFromNothing
        self.configuration = configuration
        deadline = now + configuration.initTimeout
    }

    var isServing: Bool { phase == .broadcasting }

    /// Whether packets must wait for the disk.
    var isBlocked: Bool {
        switch phase {
        case .promising, .truncating, .receiving, .installing: true
        case .connecting, .agreeing, .synchronizing, .establishing, .awaitingUpToDate, .broadcasting: false
        }
    }

    mutating func enter(_ next: Phase) { phase = next }

    /// Whether the leader may be sent a ping, asked for or not.
    var mayPing: Bool {
        switch phase {
        case .awaitingUpToDate, .broadcasting: true
        case .connecting, .agreeing, .promising, .synchronizing, .truncating, .receiving, .installing, .establishing:
            leaderIsPatient
        }
    }

    mutating func heard(at now: Instant) {
        // While nothing is read the silence is this member's own.
        if isPaused { return }
        deadline = now + (isServing ? configuration.syncTimeout : configuration.initTimeout)
    }

    /// What waits for the disk costs bounded memory: what is beyond stays with the leader.
    mutating func postpone(_ packet: QuorumPacket, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        inbox.append(packet)
        inboxSize += packet.size
        guard inboxSize > KeeperConfiguration.inboxSize, !isPaused else { return }
        isPaused = true
        deadline = now
        actions.append(.pauseLeader)
    }

    mutating func nextPostponed(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) -> QuorumPacket? {
        guard !isBlocked, let next = inbox.popFirst() else { return nil }
        inboxSize -= next.size
        if isPaused, inboxSize <= KeeperConfiguration.inboxSize / 2 {
            isPaused = false
            heard(at: now)
            actions.append(.resumeLeader)
        }
        return next
    }

    /// Paused: when to send the next sign of life, since the leader's pings go unread.
    mutating func showedLife(at now: Instant, every interval: Duration) { deadline = now + interval }

    mutating func learned(epoch: Int64, protocolVersion: Int32) {
        self.epoch = epoch
        leaderIsPatient = protocolVersion >= QuorumPacket.patientProtocolVersion
    }

    mutating func appended(_ zxid: Zxid) { unacknowledged.append(zxid) }

    /// Acknowledges what is durable up to `synced`: nothing before NEWLEADER is acknowledged (a leader expects that
    /// ack first), then each entry by itself, since Apache's leader counts them singly.
    ///
    /// S1: an ack says that the entry is on this member's disk, so it follows the sync and never the append.
    mutating func acknowledge(upTo synced: Zxid, into actions: inout ActionBuffer<KeeperAction>) {
        switch phase {
        case .awaitingUpToDate, .broadcasting: break
        case .connecting, .agreeing, .promising, .synchronizing, .truncating, .receiving, .installing, .establishing:
            return
        }
        while let zxid = unacknowledged.first, zxid <= synced {
            _ = unacknowledged.popFirst()
            actions.append(.sendToLeader(.ack(zxid)))
        }
    }
}
