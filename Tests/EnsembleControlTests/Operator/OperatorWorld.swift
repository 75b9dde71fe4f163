import EnsembleBase
import EnsembleControl

/// A small world for the reconciler: servers that live, die, freeze and lose their disks, an ensemble that elects, an
/// archive that is pruned, and effects that take time. It performs actions and judges each by the rules at the moment
/// it is taken, with the world's own knowledge rather than the machine's (`OperatorWorld+Actions`, `+Rules`).
struct OperatorWorld {
    struct Server {
        var id: Int
        var isAlive = false
        var isFrozen = false
        /// It closes the daemon's connections unanswered, and is well.
        var isFull = false
        /// It takes the daemon's connections and answers none, and is well.
        var isDeaf = false
        /// Its directory can't be looked at since then: an absent mount, an I/O error.
        var unreadableSince: Instant?
        var mode: LaunchMode = .existing
        /// For which directory a first start was prepared here.
        var prepared: String?
        var hasData = false
        var zxid: Int64 = 0
        var acceptedEpoch: Int64 = 0
        var identity: String?
        /// Its data was seeded and no server has run on it.
        var isFreshSeed = false
        /// Instants at which it has synced and participates.
        var participatesAt: Instant = .distantFuture
        var recovering = false
        /// Until then it receives nothing of what is committed.
        var lagsUntil: Instant = .origin
        /// When the daemon last heard that it serves.
        var servedAt = Instant(nanoseconds: -1 << 40)

        func isAbove(_ floor: DataFloor) -> Bool {
            hasData && floor.isMet(zxid: zxid, acceptedEpoch: acceptedEpoch, currentEpoch: zxid >> 32, isMarked: recovering)
        }

        mutating func forgetEverything() {
            (hasData, zxid, acceptedEpoch, identity, isFreshSeed, recovering) = (false, 0, 0, nil, false, false)
            prepared = nil
        }
    }

    struct Backup {
        var id: String
        var isVerified: Bool
        var endZxid: Int64 = 1 << 32
        var acceptedEpoch: Int64 = 1

        var reference: BackupReference {
            BackupReference(id: id, endZxid: endZxid, acceptedEpoch: acceptedEpoch, takenAt: WallTime(milliseconds: 0))
        }
    }

    /// What comes later: what becomes true in the world, and then what the daemon is told.
    struct Due {
        enum Change {
            case death(Int)
            case quarantined(Int)
            case seeded(Int, Seed, identity: String)
            case captured(Backup)
            case verified(String)
        }

        var at: Instant
        var change: Change?
        var event: OperatorEvent

        /// The member whose server ends.
        var deathOf: Int? { if case .death(let id)? = change { id } else { nil } }
    }

    var machine: OperatorMachine
    var servers: [Server]
    var now = Instant(nanoseconds: 0)
    var random: SeededRandom
    /// The last transaction that was committed.
    var zxid: Int64 = 1 << 32
    var hadQuorum = false
    var due: [Due] = []
    var violations: [String] = []

    // The disk of the daemon.
    var savedLedger: Ledger
    var savedIntents = Intents()
    var savedHistory = History()

    // The archive.
    var archive: [Backup] = []
    var isArchiveReadable = true
    /// Of the present daemon: what it was told last.
    var toldOfArchive = BackupObservation()
    var verificationFails = false
    /// Backups whose bytes have gone bad since they were verified.
    var rotten: Set<String> = []

    /// How long a seed is being written; nil: as long as anything else.
    var seedsTake: Duration?

    // What was done.
    var quarantined = 0
    var seeds = 0
    var seededFrom: [String?] = []
    var terminated: [Int] = []
    var captured: [Int] = []
    var pruneCount = 0
    var inspections: [InspectionDepth] = []
    var restoredEpochs: [Int64] = []
    var answers: [RequestAnswer] = []
    /// Whoever asks has gone before the answer comes.
    var isAskerGone = false
    /// Why the members' disks can't take a backup.
    var lackOfRoom: String?
    var requests: [String: OperatorRequest] = [:]
    var daemons = 1
    /// The daemon dies before its so many-th action, notes and looks not counted.
    var actionsUntilCrash: Int?
    var actionCount = 0

    var lockIsHeld = false
    var isLockTaken = false
    var looksAtDirectories = true
    var fencedAt: [Int: Instant] = [:]
    /// When each was last without a process or past a barrier that was asked for since another's fence, by that other.
    var countedOnNothingAt: [Int: [Int: Instant]] = [:]
    /// Barriers that have committed, and when they were asked for.
    var barriers: [(zxid: Int64, askedAt: Instant)] = []
    /// Whether answers say whose they are; Apache's servers' don't.
    var namesItself = true
    /// What the daemon is told in an answer's place.
    var misleads: (MemberAnswer) -> MemberAnswer = { $0 }
    let policy: OperatorPolicy
    let fingerprints: [MemberFingerprint]
    /// The wall clock at the origin of this world's instants.
    let origin = WallTime(milliseconds: 1_700_000_000_000)
    var lastFault = Instant(nanoseconds: -1 << 40)

    init(members count: Int = 3, seed: UInt64, reseedsPerHour: Int = 60) {
        let members = (1...count).map {
            MemberDeclaration(id: $0, host: "127.0.0.1", clientPort: 100 + $0, quorumPort: 200 + $0, electionPort: 300 + $0)
        }
        var manifest = Manifest(cluster: "w", members: members)
        manifest.settings.tickTime = .milliseconds(100)
        manifest.restart.soak = .seconds(1)
        manifest.restart.giveUpAfter = 1000
        manifest.reseed.perMemberPerHour = reseedsPerHour
        manifest.reseed.perDay = 1000
        manifest.limits.stopTimeout = .seconds(5)
        policy = OperatorPolicy(manifest)
        fingerprints = members.map { MemberFingerprint(member: $0.id, fingerprint: Fingerprint()) }
        savedLedger = Ledger(cluster: "w")
        random = SeededRandom(seed: seed)
        servers = members.map { Server(id: $0.id) }
        machine = OperatorMachine(
            policy: policy, fingerprints: fingerprints, ledger: savedLedger, intents: savedIntents, history: savedHistory,
            seed: seed, origin: origin)
        listBackups()
    }

    /// A world whose cluster serves, with one verified backup.
    static func started(_ seed: UInt64, members: Int = 3, reseedsPerHour: Int = 60) -> OperatorWorld {
        var world = OperatorWorld(members: members, seed: seed, reseedsPerHour: reseedsPerHour)
        world.run(for: .seconds(10))
        world.archive = [Backup(id: "b1", isVerified: true)]
        world.listBackups()
        world.run(for: .seconds(2))
        return world
    }

    mutating func listBackups() {
        var backups = BackupObservation()
        backups.isListed = isArchiveReadable
        if isArchiveReadable {
            backups.count = archive.count
            backups.verified = archive.filter(\.isVerified).map(\.reference)
        } else {
            backups.lastFailure = "/archive: Input/output error"
        }
        toldOfArchive = backups
        step(.backupsListed(backups))
    }

    func server(_ id: Int) -> Server { servers.first { $0.id == id } ?? Server(id: id) }
    mutating func change(_ id: Int, _ body: (inout Server) -> Void) {
        guard let index = servers.firstIndex(where: { $0.id == id }) else { return }
        body(&servers[index])
    }

    var quorum: Int { servers.count / 2 + 1 }
    /// Servers that take part in commits, if they are a quorum.
    var participants: [Int] {
        let able = servers.filter { $0.isAlive && !$0.isFrozen && $0.hasData && now >= $0.participatesAt }.map(\.id)
        return able.count >= quorum ? able : []
    }
    var isWhole: Bool { participants.count == servers.count && machine.intents == Intents() }

    // MARK: Time

    mutating func run(for duration: Duration) {
        let end = now + duration
        while now < end {
            now = now + .milliseconds(100)
            commit()
            noteWhoCountsOnNothing()
            let ripe = due.filter { $0.at <= now }
            due.removeAll { $0.at <= now }
            let daemon = daemons
            for item in ripe {
                if let change = item.change { apply(change) }
                // What a dead daemon waited for, nobody is told.
                if daemons == daemon { step(item.event) }
            }
            if (now.nanoseconds / 100_000_000) % 3 == 0 { probe() }
            step(.timePassed)
        }
    }

    private mutating func noteWhoCountsOnNothing() {
        let able = participants
        for (fenced, since) in fencedAt {
            let barrier = barriers.first { $0.askedAt >= since }?.zxid
            for server in servers where !server.isAlive || barrier.map({ able.contains(server.id) && server.zxid >= $0 }) == true {
                countedOnNothingAt[fenced, default: [:]][server.id] = now
            }
        }
    }

    /// One transaction per tick; an election first, when there was no quorum.
    private mutating func commit() {
        let participants = participants
        defer { hadQuorum = !participants.isEmpty }
        guard !participants.isEmpty else { return }
        if !hadQuorum { elect(participants) }
        zxid += 1
        let (last, now) = (zxid, now)
        for id in participants {
            change(id) {
                if now >= $0.lagsUntil { $0.zxid = last }
                $0.acceptedEpoch = last >> 32
                // R5: a recovering member that has synced is whole again.
                $0.recovering = false
            }
        }
    }

    /// The new epoch is one above the highest that any of the quorum has accepted.
    private mutating func elect(_ participants: [Int]) {
        let accepted = participants.map { max(server($0).acceptedEpoch, server($0).zxid >> 32) }.max() ?? 0
        let first = (accepted + 1) << 32
        // S8: clients have seen transactions up to `zxid`.
        if first <= zxid, zxid != 1 << 32 {
            violations.append("\(now): epoch \(accepted + 1) begins when clients have seen \(hex(zxid)) (S8)")
        }
        zxid = max(first, 1 << 32)
    }

    mutating func probe() {
        let participants = participants
        let leader = participants.max { server($0).zxid < server($1).zxid || server($0).zxid == server($1).zxid && $0 < $1 }
        for server in servers where server.isAlive {
            if looksAtDirectories, server.unreadableSince == nil {
                step(server.hasData ? .dataSeen(server.id, at: now) : .dataVanished(server.id, .missing))
            }
            step(.processSeen(server.id, ProcessSight(server.isFrozen ? .stopped : .runs)))
            if server.isFrozen || server.isDeaf {
                step(.unanswered(server.id))
            } else if server.isFull {
                step(.turnedAway(server.id))
            } else if participants.contains(server.id) {
                let now = now
                change(server.id) { $0.servedAt = now }
                step(
                    .answered(
                        server.id,
                        misleads(
                            MemberAnswer(
                                at: now, server: namesItself ? server.id : nil,
                                role: server.id == leader ? .leading : .following, zxid: server.zxid,
                                syncedFollowers: server.id == leader ? participants.count - 1 : nil))))
            } else {
                step(.answered(server.id, MemberAnswer(at: now, role: .looking, zxid: 0)))
            }
        }
    }

    // MARK: Faults

    mutating func kill(_ id: Int) {
        guard server(id).isAlive else { return }
        bury(id)
        due.append(Due(at: now + .milliseconds(10), event: .exited(id, .signalled(9))))
    }

    mutating func bury(_ id: Int) {
        change(id) { $0.isAlive = false; $0.isFrozen = false; $0.participatesAt = .distantFuture }
    }

    mutating func loseData(_ id: Int) {
        change(id) { $0.forgetEverything() }
        kill(id)
    }

    /// The directory goes while the server lives on.
    mutating func loseDataUnderLiveServer(_ id: Int) {
        change(id) { $0.forgetEverything() }
    }

    mutating func makeUnreadable(_ id: Int) {
        let now = now
        change(id) { if $0.unreadableSince == nil { $0.unreadableSince = now } }
    }

    /// What was out of reach comes back: directories, the archive, the lock.
    mutating func heal() {
        for server in servers { change(server.id) { $0.unreadableSince = nil } }
        (isArchiveReadable, isLockTaken, verificationFails, rotten) = (true, false, false, [])
        listBackups()
    }

    /// Epochs come and go while the daemon sees none of it: servers accept them, clients see their transactions.
    mutating func pass(epoch: Int64) {
        zxid = max(zxid, epoch << 32 | 5)
        let last = zxid
        for server in servers where server.hasData { change(server.id) { $0.acceptedEpoch = epoch; $0.zxid = last } }
    }

    /// kill -9 of the daemon: what was not written down is forgotten, servers live on, effects under way are either
    /// done or not (each is atomic on the disk), and what the daemon does next is told to nobody.
    mutating func restartDaemon() {
        daemons += 1
        let unfinished = due
        due = []
        for item in unfinished {
            switch item.change {
            // Deaths that the old daemon has not heard of, the new one sees at once.
            case .death(let id): bury(id)
            case .quarantined, .seeded: if Bool.random(using: &random), let change = item.change { apply(change) }
            case .captured, .verified, nil: break
            }
        }
        lockIsHeld = false
        machine = OperatorMachine(
            policy: policy, fingerprints: fingerprints, ledger: savedLedger, intents: savedIntents, history: savedHistory,
            seed: random.next(), origin: origin)
        for server in servers where server.isAlive { step(.adopted(server.id, pid: Int32(server.id), fingerprint: Fingerprint())) }
        listBackups()
        step(.timePassed)
    }

    // MARK: The machine

    mutating func request(_ id: String, _ request: OperatorRequest) {
        requests[id] = request
        step(.requested(id: id, request))
    }

    mutating func step(_ event: OperatorEvent) {
        var buffer = ActionBuffer<OperatorAction>()
        machine.step(event, at: now, into: &buffer)
        for action in buffer.drain() {
            if action.isCounted {
                actionCount += 1
                if let left = actionsUntilCrash {
                    actionsUntilCrash = left > 0 ? left - 1 : nil
                    if left == 0 { return restartDaemon() }
                }
            }
            judge(action)
            perform(action)
        }
    }
}

extension OperatorAction {
    /// Before which a daemon's death may matter.
    var isCounted: Bool {
        switch self {
        case .note, .inspectData, .finish: false
        case .prepare, .launch, .terminate, .kill, .saveLedger, .saveIntents, .saveHistory, .quarantine, .seed, .acquireLock, .releaseLock,
            .writeBarrier, .capture, .verify, .checkRoom, .prune, .answer:
            true
        }
    }
}
