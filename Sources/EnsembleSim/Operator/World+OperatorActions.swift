import EnsembleBase
import EnsembleControl
import KeeperCore
import KeeperServer

/// The operator's simulated hands: what each of its actions does to the world.
extension World {
    mutating func perform(_ action: OperatorAction) {
        switch action {
        case .inspectData(let id, let depth): inspect(ServerID(id), depth)
        case .terminate(let id): terminate(ServerID(id))
        case .kill(let id): kill(ServerID(id))
        case .saveLedger(let ledger):
            if bug != .ledgerNotSaved { daemon!.ledger = ledger }
        case .saveIntents(let intents):
            judgePace()
            if let id = intents.operation?.id, daemon!.restores[id] == false {
                checkers.fail(.doubt, "restore \(id) begins, and whoever asked for it was gone")
            }
            if bug != .intentsNotSaved { daemon!.intents = sabotaged(intents) }
        case .saveHistory(let history): daemon!.history = history
        case .prepare, .launch, .quarantine, .seed, .capture, .verify, .checkRoom, .prune: begin(action)
        case .acquireLock(let token): daemon!.link.ask(.lock, token, at: now)
        case .writeBarrier(let token): daemon!.link.ask(.barrier, token, at: now)
        case .releaseLock: releaseLink()
        case .answer(let request, .refused(let error)): record("request \(request) is refused: \(error.message)")
        case .answer(let request, .accepted):
            if let isPaused = daemon!.pauses.removeValue(forKey: request) { daemon!.isPaused = isPaused }
            if let operation = daemon!.cancellations[request] { checkers.oversight.isCancelled(operation) }
            if let isHeard = daemon!.restores[request] { tell(.requestAnswered(id: request, isDelivered: isHeard)) }
        case .note(let note): record("daemon: \(note.member.map { "member \($0): " } ?? "")\(note.message)")
        case .finish:
            record("the daemon ends")
            for i in servers.indices {
                daemon!.vouched[i].daemonEnds()
                daemon!.served[i].daemonEnds()
            }
            daemon!.promised.daemonEnds()
            endDaemon()
            schedule(.starts, in: .milliseconds(Int64.random(in: 50...1_000, using: &daemon!.random)))
        }
    }

    // MARK: Processes

    mutating func inspect(_ id: ServerID, _ depth: InspectionDepth) {
        let disk = servers[index(id)].directory
        let found: DataDirectoryCondition
        if servers[index(id)].isUnreadable {
            found = .unreadable("input/output error")
        } else if disk.isDamaged, depth == .replay || Bool.random(using: &daemon!.random) {
            found = .damaged("version-2/log.1: offset 77")
        } else if !disk.isBlank, disk.epochsContradict {
            found = .damaged("version-2/currentEpoch: not of this data")
        } else if disk.isBlank {
            let isUnused = disk.initialize && !disk.marked && disk.acceptedEpoch == 0
            found = isUnused ? .unused(identity: disk.identity) : disk.identity == nil ? .missing : .empty
        } else {
            found = .holding(
                DataDirectoryContents(
                    identity: disk.identity, zxid: disk.end.rawValue, acceptedEpoch: disk.acceptedEpoch,
                    currentEpoch: disk.currentEpoch, recovering: disk.marked))
        }
        checkers.oversight.inspected(index(id), unreadable: servers[index(id)].isUnreadable)
        let pause = Int64.random(in: depth == .replay ? 10...200 : 1...20, using: &daemon!.random)
        tell(.dataInspected(Int(id), found), in: .milliseconds(pause))
        strikeBehindLook(at: id, within: pause)
    }

    mutating func launch(_ id: ServerID, _ mode: LaunchMode, identity: String?, floor: DataFloor?) {
        let i = index(id)
        // It was when the launch was asked for (operated seed 3789).
        if servers[i].isUnreadable { return tell(.exited(Int(id), .storage("input/output error"))) }
        checkers.oversight.launches(i, isAlive: servers[i].machine != nil, &checkers.verdict)
        if Int.random(in: 0..<40, using: &daemon!.random) == 0, faultsEnabled, plan.operatorFaults.contains(.effectFailures) {
            return tell(.launchFailed(Int(id), .passing("resource temporarily unavailable")))
        }
        servers[i].isBackUnseen = false
        if mode == .recovering, floor == nil, !servers[i].disk.isBlank {
            return tell(.launchFailed(Int(id), .passing("the directory was empty when it was looked at, and is not")))
        }
        let isAnew = mode == .recovering && floor == nil
        if !isAnew, let identity, let found = servers[i].disk.identity, found != identity {
            return tell(.launchFailed(Int(id), .passing("another directory than the one that was looked at")))
        }
        if servers[i].disk.identity == nil || isAnew { servers[i].disk.identity = identity }
        // S2: only the first start of a new cluster may begin empty and vote, in what was prepared for it.
        if mode != .bootstrap {
            setInitialize(of: id, false)
        } else if !servers[i].disk.isBlank || !servers[i].disk.initialize {
            return tell(.launchFailed(Int(id), .passing("not as it was prepared")))
        }
        daemon!.launchesUnheard.insert(id)
        daemon!.perhapsMoved.remove(id)
        tell(.launched(Int(id), pid: Int32(id), Fingerprint()))
        daemon!.adopted.remove(id)
        record("the daemon launches \(id), \(mode.rawValue)")
        if servers[i].disk.isDamaged {
            // The server reads all of it before it takes part in anything.
            return tell(.exited(Int(id), .damagedData("version-2/log.1: offset 77")), in: .milliseconds(30))
        }
        // S2: it must find what the daemon saw.
        servers[i].storageConfiguration.dataFloor = bug == .floorIgnored ? nil : floor
        servers[i].isBelowFloor = floor.map { bug != .floorIgnored && !servers[i].disk.isAbove($0) } ?? false
        if servers[i].isBelowFloor { return start(id) }
        let applied = servers.map { $0.machine?.tree.lastProcessedZxid ?? .zero }
        checkers.oversight.starts(
            i, disk: servers[i].disk, hasForgotten: checkers.quorum.hasForgotten(id),
            promises: servers[i].configuration.initTimeout * 3, isAlive: servers.map { $0.machine != nil },
            applied: applied, at: now, &checkers.verdict)
        start(id)
    }

    private mutating func terminate(_ id: ServerID) {
        record("the daemon stops \(id)")
        judgeDisruption(of: id)
        judgeOrder(of: id)
        guard servers[index(id)].machine != nil else { return }
        checkers.oversight.asksToStop(index(id))
        // A stopped process takes SIGTERM only when it goes on.
        thaw(id)
        guard servers[index(id)].machine != nil else { return }
        stop(politely: id)
    }

    private mutating func kill(_ id: ServerID) {
        record("the daemon kills \(id)")
        guard servers[index(id)].machine != nil else { return }
        judgeKill(of: id)
        var pause = Int64.random(in: 1...20, using: &daemon!.random)
        if plan.operatorFaults.contains(.slowDeaths), faultsEnabled, !servers[index(id)].isDying {
            // It executes nothing more, and is there until its disk answers the kernel.
            record("\(id) hangs in its disk")
            pause = Int64.random(in: 100...6_000, using: &daemon!.ambushRandom)
            servers[index(id)].isFrozen = true
            servers[index(id)].isDying = true
        }
        schedule(.serverEnds(id, incarnation: servers[index(id)].incarnation, .signalled(9)), in: .milliseconds(pause))
    }

    /// A server's process ends, by a signal or by itself.
    mutating func end(_ id: ServerID, _ cause: ExitCause) {
        let i = index(id)
        if cause == .clean, servers[i].replacement == nil { servers[i].hands?.finish() }
        crash(id, cause)
    }

    /// `crash` tells of each death here: by its pidfd, at once.
    mutating func died(_ id: ServerID, _ cause: ExitCause, couldVote: Bool) {
        let i = index(id)
        checkers.oversight.ended(i, couldVote: couldVote, at: now)
        if let replacement = servers[i].replacement {
            // What the process had open is gone with it.
            servers[i].replacement = nil
            servers[i].disk = replacement
            checkers.quorum.forgot(id)
        }
        guard let daemon, daemon.machine != nil else { return }
        let told = daemon.adopted.contains(id) ? ExitCause.untold : cause
        tell(.exited(Int(id), told), in: .milliseconds(Int64.random(in: 0...3, using: &self.daemon!.random)))
    }

    // MARK: Probes

    mutating func probe(_ id: ServerID, life: Int) {
        guard let daemon, life == daemon.life, daemon.machine != nil else { return }
        schedule(.probe(life: life, id), in: .milliseconds(300))
        let server = servers[index(id)]
        guard !daemon.isFrozen, server.machine != nil else { return }
        // The kernel says of a stopped process that it is.
        let isStopped = server.isFrozen && !server.isStuttering && !server.isDying
        hear(.processSeen(Int(id), ProcessSight(isStopped ? .stopped : .runs)))
        // Nor does one that is stopping take connections.
        if isStopped || server.isStopping { return hear(.unanswered(Int(id))) }
        if let muffling = muffling(at: id) {
            switch muffling {
            case .deaf: tell(.unanswered(Int(id)), in: .seconds(2))
            case .turnsAway: hear(.turnedAway(Int(id)))
            case .notAsked: hear(.notAsked(Int(id), "no such name"))
            }
            // A directory is looked at behind an answer of one that serves (`OperatorShell.lookAtFiles`).
            return
        }
        let slow = Int.random(in: 0..<30, using: &self.daemon!.random) == 0
        schedule(
            .probeAnswers(life: life, id, incarnation: server.incarnation, askedAt: now),
            in: .milliseconds(Int64.random(in: slow ? 20...400 : 1...10, using: &self.daemon!.random)))
    }

    /// The server answers, or two seconds later it is known that it did not.
    mutating func answerProbe(of id: ServerID, incarnation: Int, askedAt: Instant, life: Int) {
        guard let daemon, life == daemon.life else { return }
        let server = servers[index(id)]
        guard server.incarnation == incarnation, let status = server.machine?.status else { return }
        if server.isStuttering {
            // In a moment.
            return schedule(.probeAnswers(life: life, id, incarnation: incarnation, askedAt: askedAt), in: .milliseconds(50))
        }
        guard !server.isStopping else { return hear(.unanswered(Int(id))) }
        guard !server.isFrozen, muffling(at: id) != .deaf else { return tell(.unanswered(Int(id)), in: .seconds(2)) }
        guard status.serving else {
            return hear(.answered(Int(id), MemberAnswer(at: askedAt, server: Int(id), role: .looking, zxid: 0)))
        }
        let isLeading = status.role == .leading
        hear(
            .answered(
                Int(id),
                MemberAnswer(
                    at: askedAt, server: Int(id), role: isLeading ? .leading : .following, zxid: status.lastProcessed.rawValue,
                    durable: min(status.lastSynced, status.lastProcessed).rawValue, acceptedEpoch: status.acceptedEpoch,
                    syncedFollowers: isLeading ? status.syncedFollowers : nil)))
        lookAtDirectory(of: id)
    }

    private mutating func lookAtDirectory(of id: ServerID) {
        guard daemon?.machine != nil, servers[index(id)].machine != nil else { return }
        daemon!.looks[index(id)] += 1
        guard daemon!.looks[index(id)].isMultiple(of: 4), !servers[index(id)].isUnreadable else { return }
        let disk = servers[index(id)].directory
        let expected = daemon!.machine!.ledger[Int(id)]?.identity
        if disk.isBlank {
            tell(.dataVanished(Int(id), .missing))
        } else if let expected, disk.identity != expected {
            tell(.dataVanished(Int(id), .otherIdentity(expected: expected, found: disk.identity)))
        } else {
            hear(.dataSeen(Int(id), at: now))
        }
    }
}
