import EnsembleBase
import EnsembleControl

/// A small world for the reconciler: servers that live, die, freeze and lose their disks, an ensemble that elects, and
/// effects that take time. It performs actions and judges each by the rules at the moment it is taken, with the
/// world's own knowledge rather than the machine's.
struct ReconcilerWorld {
    struct Server {
        var id: Int
        var isAlive = false
        var isFrozen = false
        /// It closes the daemon's connections unanswered, and is well.
        var isFull = false
        var mode: LaunchMode = .existing
        var hasData = false
        var zxid: Int64 = 0
        var acceptedEpoch: Int64 = 0
        var identity: String?
        /// Instants at which it has synced and participates.
        var participatesAt: Instant = .distantFuture
        var recovering = false
        /// Until then it receives nothing of what is committed.
        var lagsUntil: Instant = .origin
    }

    var machine: ReconcilerStateMachine
    var servers: [Server]
    var now = Instant(nanoseconds: 0)
    var random: SeededRandom
    var zxid: Int64 = 1 << 32
    var due: [(at: Instant, event: ReconcilerEvent)] = []
    var savedLedger: Ledger
    var savedIntents = Intents()
    var violations: [String] = []
    var quarantined = 0
    var seeds = 0
    var terminated: [Int] = []
    var captured: [Int] = []
    var inspections: [InspectionDepth] = []
    var restoredEpochs: [Int64] = []
    var answers: [RequestAnswer] = []
    var lockIsHeld = false
    var fencedAt: [Int: Instant] = [:]
    let policy: ReconcilePolicy
    let fingerprints: [MemberFingerprint]
    var hasBackup = true
    /// The wall clock at the origin of this world's instants.
    let origin = WallTime(milliseconds: 1_700_000_000_000)

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
        policy = ReconcilePolicy(manifest)
        fingerprints = members.map { MemberFingerprint(member: $0.id, fingerprint: Fingerprint()) }
        savedLedger = Ledger(cluster: "w")
        random = SeededRandom(seed: seed)
        servers = members.map { Server(id: $0.id) }
        machine = ReconcilerStateMachine(
            policy: policy, fingerprints: fingerprints, ledger: savedLedger, intents: savedIntents, seed: seed,
            origin: origin)
        listBackups()
    }

    mutating func listBackups() {
        var backups = BackupObservation()
        backups.isListed = true
        // A cluster that never ran has no backups.
        backups.count = hasBackup && savedLedger.isBootstrapped ? 1 : 0
        if backups.count > 0 {
            backups.newestVerified = BackupReference(
                id: "b1", endZxid: 1 << 32, acceptedEpoch: 1, takenAt: WallTime(milliseconds: 0))
        }
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
            if !participants.isEmpty {
                zxid += 1
                let last = zxid
                let now = now
                for id in participants { change(id) { if now >= $0.lagsUntil { $0.zxid = last } } }
                // R5: a recovering member that has synced is whole again.
                for id in participants { change(id) { $0.recovering = false } }
            }
            for item in due.filter({ $0.at <= now }) {
                if case .exited(let id, _) = item.event { bury(id) }
                step(item.event)
            }
            due.removeAll { $0.at <= now }
            if (now.nanoseconds / 100_000_000) % 3 == 0 { probe() }
            step(.timePassed)
        }
    }

    mutating func probe() {
        let participants = participants
        let leader = participants.max { server($0).zxid < server($1).zxid || server($0).zxid == server($1).zxid && $0 < $1 }
        for server in servers where server.isAlive {
            if !server.hasData { step(.dataVanished(server.id, .missing)) }
            if server.isFrozen {
                step(.unanswered(server.id, stopped: true))
            } else if server.isFull {
                step(.turnedAway(server.id))
            } else if participants.contains(server.id) {
                step(
                    .answered(
                        server.id,
                        MemberAnswer(
                            at: now, role: server.id == leader ? .leading : .following, zxid: server.zxid,
                            syncedFollowers: server.id == leader ? participants.count - 1 : nil)))
            } else {
                step(.answered(server.id, MemberAnswer(at: now, role: .looking, zxid: 0)))
            }
        }
    }

    // MARK: Faults

    mutating func kill(_ id: Int) {
        guard server(id).isAlive else { return }
        change(id) { $0.isAlive = false; $0.isFrozen = false; $0.participatesAt = .distantFuture }
        due.append((now + .milliseconds(10), .exited(id, .signalled(9))))
    }

    mutating func loseData(_ id: Int) {
        change(id) { $0.hasData = false; $0.zxid = 0; $0.acceptedEpoch = 0; $0.identity = nil }
        kill(id)
    }

    /// The directory goes while the server lives on.
    mutating func loseDataUnderLiveServer(_ id: Int) {
        change(id) { $0.hasData = false; $0.zxid = 0; $0.acceptedEpoch = 0; $0.identity = nil }
    }

    /// kill -9 of the daemon: what was not written down is forgotten, servers live on, effects under way die.
    mutating func restartDaemon() {
        // Deaths that the old daemon has not heard of, the new one sees at once.
        for case .exited(let id, _) in due.map(\.event) { bury(id) }
        due = []
        lockIsHeld = false
        machine = ReconcilerStateMachine(
            policy: policy, fingerprints: fingerprints, ledger: savedLedger, intents: savedIntents, seed: random.next(),
            origin: origin)
        for server in servers where server.isAlive { step(.adopted(server.id, pid: Int32(server.id), fingerprint: Fingerprint())) }
        listBackups()
    }

    // MARK: Actions, judged

    mutating func step(_ event: ReconcilerEvent) {
        var buffer = ActionBuffer<ReconcilerAction>()
        machine.step(event, at: now, into: &buffer)
        for action in buffer.drain() { perform(action) }
    }

    private mutating func later(_ event: ReconcilerEvent) {
        let wait = Duration.milliseconds(Int64.random(in: 10...400, using: &random))
        due.append((now + wait, event))
    }

    private mutating func perform(_ action: ReconcilerAction) {
        switch action {
        case .inspectData(let id, let depth):
            inspections.append(depth)
            later(.dataInspected(id, condition(id)))
        case .launch(let id, let mode, let identity): launch(id, mode, identity)
        case .terminate(let id): terminate(id)
        case .kill(let id):
            if !server(id).isFrozen, server(id).hasData, participants.contains(id) {
                violations.append("\(now): killed member \(id), which participates")
            }
            // One that recovers has promised nothing since its fence.
            if !server(id).recovering { fencedAt[id] = now }
            kill(id)
        case .saveLedger(let ledger): savedLedger = ledger
        case .saveIntents(let intents): savedIntents = intents
        case .quarantine(let id, _, let token):
            // S3
            if server(id).isAlive { violations.append("\(now): quarantined under the living server \(id)") }
            quarantined += 1
            fencedAt[id] = now
            change(id) { $0.hasData = false; $0.zxid = 0; $0.acceptedEpoch = 0; $0.identity = nil }
            later(.effectFinished(token, .done))
        case .seed(let id, let seed, let token):
            if server(id).hasData { violations.append("\(now): seeded over data of \(id) that was not quarantined (S6)") }
            seeds += 1
            let identity = "seed\(seeds)"
            change(id) { $0.hasData = true; $0.zxid = 1 << 32; $0.identity = identity; $0.recovering = true }
            if case .restored(_, let epoch) = seed {
                restoredEpochs.append(epoch)
                change(id) { $0.recovering = false; $0.acceptedEpoch = epoch }
            }
            later(
                .effectFinished(
                    token,
                    .seeded(
                        DataDirectoryContents(
                            identity: identity, zxid: 1 << 32, acceptedEpoch: 0, currentEpoch: 0, recovering: true))))
        case .acquireLock(let token):
            lockIsHeld = !participants.isEmpty
            later(.effectFinished(token, lockIsHeld ? .done : .failed("no quorum")))
        case .releaseLock: lockIsHeld = false
        case .writeBarrier(let token):
            if !participants.isEmpty { zxid += 1 }
            later(.effectFinished(token, participants.isEmpty ? .failed("no quorum") : .barrier(zxid: zxid)))
        case .capture(let id, let mode, let upTo, let token):
            captured.append(id)
            // S1, S7
            if server(id).zxid < upTo { violations.append("\(now): member \(id) was copied before it had \(upTo)") }
            if zxid < upTo { violations.append("\(now): copied up to \(upTo), which nobody has committed") }
            if mode == .cold, server(id).isAlive { violations.append("\(now): cold copy of a running member \(id)") }
            later(
                .effectFinished(
                    token, .captured(BackupReference(id: "b2", endZxid: zxid, acceptedEpoch: 1, takenAt: WallTime(milliseconds: 0)))))
        case .verify(_, let token): later(.effectFinished(token, .done))
        case .answer(_, let answer): answers.append(answer)
        case .prune, .note, .finish: break
        }
    }

    private func condition(_ id: Int) -> DataDirectoryCondition {
        let server = server(id)
        guard server.hasData else { return .missing }
        return .holding(
            DataDirectoryContents(
                identity: server.identity, zxid: server.zxid, acceptedEpoch: max(server.acceptedEpoch, server.zxid >> 32),
                currentEpoch: server.zxid >> 32, recovering: server.recovering))
    }

    private mutating func launch(_ id: Int, _ mode: LaunchMode, _ identity: String?) {
        let server = server(id)
        if server.isAlive { violations.append("\(now): a second server of member \(id)") }
        if !server.hasData, mode == .existing { violations.append("\(now): member \(id) launched as a voter without data (S2)") }
        if mode == .bootstrap, zxid > 1 << 32, !server.hasData, servers.contains(where: { $0.id != id && $0.hasData && $0.zxid > 1 << 32 }) {
            violations.append("\(now): member \(id) bootstrapped beside members with history (S2)")
        }
        if server.recovering, mode != .recovering { violations.append("\(now): member \(id) left recovering by force (S2)") }
        // S2: the promises that it forgot are waited out.
        if server.recovering, let fenced = fencedAt[id], now - fenced < policy.promiseLifetime {
            violations.append("\(now): member \(id) started \(now - fenced) after its fence")
        }
        let joining = Duration.milliseconds(Int64.random(in: 200...1500, using: &random))
        let participatesAt = now + joining
        change(id) {
            $0.isAlive = true
            $0.mode = mode
            $0.participatesAt = participatesAt
            if mode == .bootstrap, !$0.hasData { $0.hasData = true; $0.identity = identity; $0.zxid = 0 }
            if $0.identity == nil { $0.identity = identity }
        }
        later(.launched(id, pid: Int32(id)))
    }

    /// S4 and S5, by what is true in the world and not by what the machine believes.
    private mutating func terminate(_ id: Int) {
        terminated.append(id)
        if machine.termination == nil, !isRestoring, server(id).isAlive, !participants.isEmpty {
            let staying = participants.filter { $0 != id }
            // A fault that struck within the last probe is not the machine's doing.
            if staying.count < quorum, !faultWithin(.seconds(4)) {
                violations.append("\(now): stopped member \(id), leaving \(staying) of \(quorum) needed (S4)")
            }
            if !lockIsHeld { violations.append("\(now): stopped member \(id) without the lock (S5)") }
        }
        // It takes its time to stop: until it is gone, it is alive (S3).
        due.append((now + .milliseconds(Int64.random(in: 300...900, using: &random)), .exited(id, .clean)))
    }

    private mutating func bury(_ id: Int) {
        change(id) { $0.isAlive = false; $0.isFrozen = false; $0.participatesAt = .distantFuture }
    }

    var lastFault = Instant(nanoseconds: -1 << 40)
    private func faultWithin(_ duration: Duration) -> Bool { now - lastFault <= duration }
    private var isRestoring: Bool { if case .restore = machine.intents.operation?.kind { true } else { false } }
}
