import EnsembleBase
import EnsembleControl
import KeeperCore
import KeeperServer
import KeeperStorage

/// When a server's storage does its work: each lane by itself, at the world's time.
extension World {
    /// Reads the directory; answered by `recovered`.
    mutating func startStorage(of id: ServerID) {
        let i = index(id)
        // A walk that takes long shows effects of much that comes meanwhile.
        let hands = SimHands(
            servers[i].storageConfiguration, on: servers[i].disk.drive,
            nodesPerSlice: Int.random(in: 1...(plan.smallFiles ? 6 : 60), using: &random))
        hands.loop.set(now)
        servers[i].hands = hands
        servers[i].isRecovered = false
        servers[i].disk.appended = []
        servers[i].cutTarget = nil
        servers[i].isRewriting = false
        prepareStart(of: id)
        hands.disk.recover()
        settle(id)
    }

    /// Takes note of what storage has asked for and answered.
    mutating func settle(_ id: ServerID) {
        let i = index(id)
        guard let hands = servers[i].hands else { return }
        for lane in hands.news() { scheduleTurn(of: lane, of: id) }
        if let failure = hands.failure { return storageFailed(id, failure) }
        while servers[i].hands === hands, let event = hands.nextEvent() {
            answer(event, to: id)
            if hands.failure != nil { return settle(id) }
        }
        guard servers[i].hands === hands, hands.isSnapshotting else { return }
        armLoop(of: id, hands)
    }

    private mutating func scheduleTurn(of lane: SimLane, of id: ServerID) {
        schedule(.laneTurn(id, incarnation: servers[index(id)].incarnation, lane), in: duration(on: lane))
    }

    /// Every lane has its own delays, so that nothing of one lane is in time because another one was. A stall is what
    /// a disk does while it looks for a sector that it has lost.
    private mutating func duration(on lane: SimLane) -> Duration {
        let chance = Int.random(in: 0..<1000, using: &random)
        if faultsEnabled, atlas.contains(.slowDisks) {
            if chance < 2 { return .milliseconds(Int64.random(in: 500...3_000, using: &random)) }
            if chance < 50 { return .microseconds(Int64.random(in: 5_000...300_000, using: &random)) }
        }
        return .microseconds(Int64.random(in: lane.name == "log" ? 100...2_000 : 20...2_000, using: &random))
    }

    /// One piece of a lane's work.
    mutating func laneTurn(of id: ServerID, _ lane: SimLane) {
        let i = index(id)
        guard let hands = servers[i].hands else { return }
        // Its threads stand still as well.
        guard !servers[i].isFrozen else { return servers[i].frozenLanes.append(lane) }
        guard now >= servers[i].diskStalledUntil else {
            return queue.schedule(.laneTurn(id, incarnation: servers[i].incarnation, lane), at: servers[i].diskStalledUntil)
        }
        hands.loop.set(now)
        if diesAtWork(on: lane, id) { return die(atWorkOn: lane, of: id, hands) }
        let lies = servers[i].disk.drive.faults.lies
        if bug != nil { beforeTurn(of: lane, of: id) }
        if hands.turn(lane) { scheduleTurn(of: lane, of: id) }
        judgeOperations(of: id)
        if lane.name != "log" { checkers.quorum.looks(at: servers[i].disk, of: id, &checkers.verdict) }
        if bug != nil { servers[i].disk.drive.faults.lies = lies }
        guard plan.answersLate, servers[i].hands === hands else { return runLoop(of: id) }
        let longest: Int64 = Int.random(in: 0..<20, using: &answerRandom) == 0 ? 60_000 : 3_000
        let delay = Duration.microseconds(Int64.random(in: 10...longest, using: &answerRandom))
        schedule(.loopTurn(id, incarnation: servers[i].incarnation), in: delay)
    }

    mutating func thawLanes(of id: ServerID) {
        let lanes = servers[index(id)].frozenLanes
        servers[index(id)].frozenLanes = []
        for lane in lanes { laneTurn(of: id, lane) }
    }

    /// The loop's own tasks: slices of a snapshot.
    mutating func runLoop(of id: ServerID) {
        let i = index(id)
        guard let hands = servers[i].hands else { return }
        hands.loop.set(now)
        hands.with(hands.isSnapshotting ? servers[i].machine?.tree : nil) { hands.loop.run() }
        settle(id)
    }

    private mutating func armLoop(of id: ServerID, _ hands: SimHands) {
        guard hands.armed == nil else { return }
        let slow = faultsEnabled && (atlas.contains(.slowDisks) || plan.smallFiles)
        let pause = Duration.microseconds(Int64.random(in: 50...(slow ? 20_000 : 2_000), using: &random))
        guard let due = hands.loop.hasTasks ? now + pause : hands.loop.nextDeadline else { return }
        hands.armed = due
        queue.schedule(.loopTurn(id, incarnation: servers[index(id)].incarnation), at: max(due, now))
    }

    mutating func loopTurn(of id: ServerID) {
        let i = index(id)
        servers[i].hands?.armed = nil
        guard !servers[i].isFrozen else {
            guard let hands = servers[i].hands else { return }
            hands.armed = now + .milliseconds(10)
            return schedule(.loopTurn(id, incarnation: servers[i].incarnation), in: .milliseconds(10))
        }
        runLoop(of: id)
    }

    // MARK: What it answers

    private mutating func answer(_ event: KeeperEvent, to id: ServerID) {
        let i = index(id)
        var event = event
        switch event {
        case .logSynced:
            let end = servers[i].disk.end
            servers[i].disk.appended.removeAll { $0 <= end }
            servers[i].disk.vouched = max(servers[i].disk.vouched, end)
            checkers.quorum.isDurable(end, at: id)
        case .recovered(let state) where bug == .wrongAnnouncementFatal && state.judgement.wrongAnnouncements > 0:
            return storageFailed(id, ServerExitReport(exit: .corruptData, message: "the tree is not what the log announces"))
        case .recovered(let state): event = .recovered(recovers(id, state))
        case .snapshotInstalled:
            checkers.agreement.reset(i)
            servers[i].logged = servers[i].installing
            for entry in servers[i].installing { checkers.agreement.appended(entry, at: i) }
            servers[i].replay.found(servers[i].installing.count)
            servers[i].installing = []
            servers[i].isRewriting = false
            servers[i].disk.appended = []
            judgeInstallation(of: id)
            checkers.quorum.isDurable(servers[i].disk.end, at: id)
        case .recoveringMarkCleared:
            // It is durable then, or the mark is not off.
            if !servers[i].disk.marked { checkers.quorum.clearsMark(id) }
        case .snapshotSaved:
            servers[i].replay.saved()
            servers[i].hands?.isSnapshotting = false
            spring(on: .namesSnapshot, of: id)
        case .snapshotFailed:
            servers[i].replay.failed()
            servers[i].hands?.isSnapshotting = false
        case .epochsSaved where bug == .newLeaderAckedEarly: return
        default: break
        }
        deliver(event, to: id)
    }

    private mutating func recovers(_ id: ServerID, _ read: RecoveredState) -> RecoveredState {
        let i = index(id)
        var state = bug == nil ? read : misread(read, of: id)
        servers[i].disk.appended = []
        servers[i].isTruncating = false
        servers[i].isRewriting = false
        if servers[i].isRecovered {
            checkers.agreement.reset(i)
            judgeCut(of: id, state)
        } else {
            servers[i].isRecovered = true
            // What it had begun to take over counted by then, and is finished: the mark goes with what was (seed 1138).
            if servers[i].diedMarked, !read.recovering, servers[i].installedThrough > .zero,
                state.tree.lastProcessedZxid >= servers[i].installedThrough
            {
                checkers.quorum.clearsMark(id)
            }
            servers[i].installedThrough = .zero
            servers[i].beganMarked = read.recovering
            // Alone it may give the zxids anew of what it lost with its log's end, since nobody else has seen them.
            if servers.count == 1 { checkers.proposals.cut(behind: state.tree.lastProcessedZxid) }
            record("\(id) starts at \(state.tree.lastProcessedZxid)\(state.recovering ? ", recovering" : "")")
            judgeReturn(of: id)
            judgeReading(of: id)
            judgeRecovery(of: id, state)
            tryHurtCopies(of: id, read)
            if bug == .recoveringIgnored { state.recovering = false }
            if bug == .windowHasHole { keepWindow(upTo: state.tree.lastProcessedZxid, of: id) }
            if bug == .replayUncounted { state.behindSnapshot = LogExtent() }
        }
        let newest = (try? servers[i].disk.layout.snapshots())?.first?.zxid ?? .zero
        servers[i].replay.found(checkers.proposals.count(to: state.tree.lastProcessedZxid, behind: newest))
        servers[i].logged = state.recent
        servers[i].lastLogged = state.tree.lastProcessedZxid
        return state
    }

    /// A6: a log is read in pieces (256 KiB, and an entry that may be as long as the world's values are), whatever its size.
    private mutating func judgeReading(of id: ServerID) {
        let (most, bound) = (servers[index(id)].disk.drive.faults.mostReadOfLog, 400 << 10)
        if most > bound { checkers.fail(.memory, "\(id) reads \(most) bytes of a log at once, and pieces have at most \(bound)") }
    }

    private mutating func judgeReturn(of id: ServerID) {
        let servers = servers
        checkers.quorum.comesBack(
            id, disk: servers[index(id)].disk, at: now, patience: servers[index(id)].configuration.initTimeout * 3,
            isCandidate: { candidate, epoch in
                let server = servers[Int(candidate) - 1]
                guard !server.isFrozen, let machine = server.machine, machine.isLeading, !machine.isServing else { return false }
                return machine.status.acceptedEpoch == epoch
            }, &checkers.verdict)
    }

    // MARK: How it ends

    /// A write or sync that fails, and files that can't be used, end the process.
    private mutating func storageFailed(_ id: ServerID, _ report: ServerExitReport) {
        let i = index(id)
        if servers[i].replacement != nil { return end(id, .storage("no such file or directory")) }
        // What it tells of is what the world has done to it: else it is at fault.
        let isSpoiled = servers[i].disk.isSpoiled
        let isHurt = servers[i].disk.drive.faults.hasFailed || isSpoiled
        switch report.exit {
        case .corruptData where isSpoiled && servers[i].isRecovered, .inputOutput where isHurt && servers[i].isRecovered:
            endProcess(id, report.message)
        case .corruptData where servers[i].isBelowFloor:
            record("\(id) refuses to start: its directory held more when it was looked at")
            end(id, .damagedData("version-2: not what was looked at"))
        case .inputOutput where !isSpoiled && isHurt: endProcess(id, report.message)
        case .corruptData where isSpoiled, .inputOutput where isSpoiled: giveUp(id, report)
        default: checkers.fail(.soundness, "\(id) ends itself: \(report.message)")
        }
    }

    /// The process ends by itself, and is started again.
    private mutating func endProcess(_ id: ServerID, _ reason: String) {
        record("\(id) ends: \(reason)")
        crash(id, .signalled(9), losesPower: false)
        schedule(.restart(id), in: .milliseconds(Int64.random(in: 300...2_000, using: &random)))
    }

    /// Whoever operates it gives a damaged directory up (rule S2).
    private mutating func giveUp(_ id: ServerID, _ report: ServerExitReport) {
        record("\(id) refuses to start: \(report.message)")
        crash(id, .signalled(9), losesPower: false)
        if bug == .damageTakenForTail, cutAtDamage(report, of: id) {
            checkers.quorum.forgot(id)
            return schedule(.restart(id), in: .milliseconds(10))
        }
        servers[index(id)].disk.lose()
        servers[index(id)].copy = nil
        comeBack(id)
    }

    /// A crash comes between any two operations of each lane's work, and nobody is told. A kill leaves what was written,
    /// a power cut what was synced, and of the rest anything.
    mutating func crashDisk(of id: ServerID, losesPower: Bool) {
        let i = index(id)
        guard let hands = servers[i].hands.take() else { return }
        let drive = servers[i].disk.drive
        _ = hands.news()
        for lane in hands.busy where Bool.random(using: &random) {
            let most = [2, 8, 40][Int.random(in: 0..<3, using: &random)]
            drive.faults.operationsLeft = Int.random(in: 0...most, using: &random)
            _ = hands.turn(lane)
        }
        judgeOperations(of: id)
        hands.abandon()
        if losesPower { drive.cutPower() } else { drive.endProcess() }
        // Whoever looks at it then sees what was written; the daemon on that host, which would die of a power cut as well,
        // looks seconds later.
        if isOperated { drive.writeBack() }
        // It had a leader's history and took the mark off, and died before anybody heard so (seed 511).
        if servers[i].beganMarked, !servers[i].disk.marked { checkers.quorum.clearsMark(id) }
        servers[i].diedMarked = servers[i].beganMarked
        servers[i].beganMarked = false
        concludeRot(of: id)
        servers[i].frozenLanes = []
        servers[i].isRecovered = false
        servers[i].logged = []
        servers[i].installing = []
        servers[i].disk.appended = []
    }

    /// What a loader makes of a copy that is completed over `tree`.
    mutating func completed(_ copy: FuzzyCopy, over tree: DataTree, zxid: Zxid) -> DataTree? {
        var copy = copy
        copy.advance(over: tree, limit: .max, without: bug == .snapshotLosesNode ? "/q" : nil)
        do throws(TreeLoadingError) { return try copy.finish(zxid: zxid) } catch {
            checkers.fail(.soundness, "a snapshot at \(zxid) can't be loaded: \(error)")
            return nil
        }
    }
}
