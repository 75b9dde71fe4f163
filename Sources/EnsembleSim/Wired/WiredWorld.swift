import EnsembleBase
import KeeperCore
import KeeperServer
import KeeperStorage

/// Whole servers over simulated cables: loop, turns, frames, backpressure, disk hands and storage are the product's own,
/// and only the kernel is replaced (`WiredLoop`, `WiredChannel`, `FaultyDisk`).
///
/// `World` drives the machine alone, at four times the speed; this one is for what lies between a machine and its
/// clients: how bytes are cut, what a slow reader holds up, and whether a timer or a socket comes first.
final class WiredWorld {
    let plan: Plan
    let timeline: Timeline
    let switchboard: Switchboard
    let sabotage: WiredSabotage
    var servers: [WiredServer] = []
    var clients: [WiredClient] = []
    var checkers: Checkers
    var trace = Trace()
    var fingerprint: UInt64 = 0xcbf2_9ce4_8422_2325
    private(set) var steps = 0
    var faultRandom: SeededRandom
    var faultsEnabled = true
    var clientsEnabled = true
    var isPeaceful = false
    let enabledFaults: [FaultAtlas]

    init(_ plan: Plan) {
        self.plan = plan
        timeline = Timeline(seed: plan.seed ^ 0x11e5)
        switchboard = Switchboard(timeline: timeline)
        sabotage = WiredSabotage(plan.bug)
        checkers = Checkers(members: plan.servers, outsideOnly: plan.outsideOnly, only: plan.only)
        faultRandom = SeededRandom(seed: plan.seed ^ 0xfa17)
        enabledFaults = FaultAtlas.named.map(\.fault).filter(plan.atlas.intersection(.ofWires).contains)
        for number in 1...plan.servers {
            let id = ServerID(number)
            let clock = WiredClock(rate: plan.clocksDrift ? Int64.random(in: 900_000...1_100_000, using: &faultRandom) : 1_000_000)
            servers.append(
                WiredServer(id: id, configuration: WiredServer.configuration(of: id, among: plan.servers, plan), clock: clock,
                    seed: plan.seed))
            do throws(StorageError) { try servers[number - 1].initialize() } catch {
                checkers.fail(.soundness, "the directory of \(id) can't be made: \(error)")
            }
            timeline.schedule(.start(id), in: .milliseconds(timeline.draw(0...50)))
        }
        for number in 0..<plan.clients {
            clients.append(WiredClient(number: number, seed: plan.seed, world: self))
            timeline.schedule(.clientTurn(number), in: .milliseconds(100 + Int64(number)))
        }
        timeline.schedule(.fault, in: .seconds(2))
    }

    var now: Instant { timeline.now }

    /// Runs until `end`, or until a checker has found something.
    func run(until end: Instant) {
        while checkers.verdict.violation == nil, let happening = timeline.next(until: end) {
            steps += 1
            // Whatever differs between two runs of a seed moves what comes after it.
            fingerprint = (fingerprint ^ UInt64(bitPattern: now.nanoseconds)) &* 0x100_0000_01b3
            handle(happening)
        }
    }

    private func handle(_ happening: Happening) {
        switch happening {
        case .turn(let id, let incarnation): turn(of: server(id), incarnation)
        case .laneDone(let id, let incarnation, let lane): laneTurn(of: server(id), incarnation, lane)
        case .arrived(let cable): switchboard.arrived(cable)
        case .answered(let cable, let isAccepted): switchboard.answered(cable, isAccepted)
        case .delivery(let cable, let side): switchboard.deliver(cable, from: side)
        case .drained(let cable, let side): switchboard.cables[cable].drained(from: side)
        case .clientTurn(let number): clients[number].turn()
        case .clientReads(let number, let connection): clients[number].reads(connection)
        case .start(let id): start(server(id))
        case .thaw(let id): thaw(server(id))
        case .heal: heal()
        case .diskFreed(let id): server(id).disk.drive.faults.isFull = false
        case .fault: injectFault()
        }
    }

    func server(_ id: ServerID) -> WiredServer { servers[Int(id) - 1] }

    /// One access to all checkers: they look at one another.
    func judge(_ body: (inout Checkers) -> Void) { body(&checkers) }

    func record(_ happening: @autoclosure () -> String) {
        let text = happening()
        for byte in text.utf8 { fingerprint = (fingerprint ^ UInt64(byte)) &* 0x100_0000_01b3 }
        fingerprint ^= UInt64(bitPattern: now.nanoseconds)
        trace.add(text, at: now)
    }

    // MARK: Processes

    func start(_ server: WiredServer) {
        guard server.process == nil else { return }
        record("\(server.id) starts")
        server.start(in: self)
        settle(server)
    }

    /// What its last doings have asked for: work for its lanes, or its end.
    private func settle(_ server: WiredServer) {
        server.startLanes(timeline, isSlow: hasSlowDisks)
        guard let report = server.process?.ending else { return }
        record("\(server.id) ends: \(report.message)")
        // A write or a sync that fails ends the process; nothing else may.
        guard report.exit == .inputOutput, server.disk.drive.faults.hasFailed else {
            checkers.fail(.soundness, "\(server.id) ends: \(report.message)")
            return kill(server)
        }
        kill(server)
        timeline.schedule(.start(server.id), in: .milliseconds(timeline.draw(300...2_000)))
    }

    func kill(_ server: WiredServer) {
        server.kill()
        checkers.agreement.reset(Int(server.id) - 1)
        checkers.quorum.ended(server.id)
    }

    private var hasSlowDisks: Bool { faultsEnabled && plan.atlas.contains(.slowDisks) }

    private func turn(of server: WiredServer, _ incarnation: Int) {
        guard server.incarnation == incarnation, let process = server.process, process.loop.turnBegins() else { return }
        guard !server.isFrozen else {
            server.missedTurn = true
            return
        }
        if plan.bug == .sessionsJudgedBeforeReading { process.loop.runTimersAsIfInTime() }
        // `epoll_wait` returns as many as its buffer holds; then come timers and tasks.
        process.sockets.turn(limit: timeline.oneIn(3) ? Int(timeline.draw(1...4)) : 64, timeline: timeline)
        process.loop.runTasks()
        settle(server)
    }

    private func laneTurn(of server: WiredServer, _ incarnation: Int, _ lane: Int) {
        guard server.incarnation == incarnation else { return }
        // All threads of a process stand still together.
        guard !server.isFrozen else {
            return timeline.schedule(.laneDone(server.id, incarnation: incarnation, lane: lane), in: .milliseconds(20))
        }
        guard server.diskStalledUntil <= now else {
            // Looked at again and again: the stall may be over before its time (fresh seed 1795978233000034).
            return timeline.schedule(.laneDone(server.id, incarnation: incarnation, lane: lane), in: .milliseconds(50))
        }
        server.laneTurn(lane, timeline, isSlow: hasSlowDisks)
        settle(server)
    }

    private func thaw(_ server: WiredServer) {
        guard server.isFrozen else { return }
        record("\(server.id) goes on")
        server.isFrozen = false
        server.goesOnSince = now
        server.missedTurn = false
        server.process?.loop.wake()
    }
}
