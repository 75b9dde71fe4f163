import EnsembleBase
import KeeperCore
import KeeperStorage

/// Faults by chance, within `FaultAtlas`.
extension World {
    mutating func injectFault() {
        guard faultsEnabled else { return }
        let pause = Int64.random(in: 100...plan.faultPause, using: &faultRandom)
        schedule(Event.fault, in: .milliseconds(pause))
        guard let victim = servers.indices.randomElement(using: &faultRandom).map({ servers[$0].id }),
            let fault = enabledFaults.randomElement(using: &faultRandom)
        else { return }
        // A copy is made now and then, whatever else happens.
        if Int.random(in: 0..<4, using: &faultRandom) == 0 { copyDisk(of: victim) }
        guard !lieInWait(with: fault) else { return }
        strike(fault, victim)
    }

    /// - Parameter victim: whom it befalls, where that is one server.
    mutating func strike(_ fault: FaultAtlas, _ victim: ServerID) {
        switch fault {
        case .crashes: crashAndRestart(victim)
        case .massCrashes: crashMany()
        case .partitions: partition()
        case .oneWayCuts: cutOneWay(from: victim)
        case .isolatedLeaders: isolateLeader()
        case .freezes: freeze(victim)
        case .slowProcesses: slowProcess(victim)
        case .lostDisks: loseDisk(victim)
        case .rolledBackDisks: rollBackDisk(victim)
        case .bitRot: rot(victim)
        case .fullDisks: fillDisk(of: victim)
        case .failedSyncs: failNextWrite(of: victim)
        case .resets: breakSomeLink(of: victim, telling: .both)
        case .halfOpen:
            breakSomeLink(of: nil, telling: Bool.random(using: &faultRandom) ? .leaderOnly : .learnerOnly)
        case .clockSteps:
            servers[index(victim)].clockOffset += Int64.random(in: -3_600_000...3_600_000, using: &faultRandom)
        case .slowLinks: slowDown(from: victim)
        case .stalledDisks: stallDisk(of: victim)
        case .silentServers: silence(victim)
        case .turnedAway: turnAway(at: victim)
        case .slowClients: slowDownClient()
        case .sleepingHosts: sleepHost()
        default: break  // Disks and messages draw their own chances.
        }
    }

    // MARK: Processes

    mutating func crashAndRestart(_ id: ServerID) {
        let pause = Duration.milliseconds(Int64.random(in: 10...4_000, using: &faultRandom))
        guard servers[index(id)].machine != nil else { return }
        crash(id)
        leaveAsApache(id)
        if !isOperated { schedule(.restart(id), in: pause) }
    }

    private mutating func crashMany() {
        if Bool.random(using: &faultRandom) {
            record("all crash")
            for server in servers { crashAndRestart(server.id) }
        } else {
            record("one after another will crash")
            for (count, server) in servers.enumerated() {
                schedule(.crash(server.id), in: .milliseconds(Int64(count) * Int64.random(in: 100...1_500, using: &faultRandom)))
            }
        }
    }

    mutating func scheduledCrash(_ id: ServerID) {
        guard faultsEnabled else { return }
        crashAndRestart(id)
    }

    private mutating func freeze(_ id: ServerID) {
        // One that has no peers who would go on without it may stand still for longer than sessions last.
        let longest: Int64 = plan.timersGoFirst && servers.count == 1 ? 9_000 : 4_000
        let pause = Duration.milliseconds(Int64.random(in: 100...longest, using: &faultRandom))
        guard servers[index(id)].machine != nil, !servers[index(id)].isFrozen else { return }
        record("\(id) stands still")
        servers[index(id)].isFrozen = true
        checkers.oversight.stoodStill(index(id), at: now)
        schedule(.thaw(id), in: pause)
    }

    /// For some seconds the process gets its processor in pieces only.
    private mutating func slowProcess(_ id: ServerID) {
        record("\(id) is slow")
        let pieces = Int64.random(in: 5...30, using: &faultRandom)
        for piece in 0..<pieces { schedule(.stutter(id), in: .milliseconds(piece * 150)) }
        // An answer may fall into one piece after the other.
        isUnheard(id, until: now + .milliseconds(pieces * 150))
    }

    mutating func stutter(_ id: ServerID) {
        guard faultsEnabled, servers[index(id)].machine != nil, !servers[index(id)].isFrozen else { return }
        servers[index(id)].isFrozen = true
        servers[index(id)].isStuttering = true
        schedule(.thaw(id), in: .milliseconds(Int64.random(in: 20...140, using: &faultRandom)))
    }

    // MARK: Disks

    /// S1's condition: every other member's history is whole and trusted, so a majority of disks stays.
    private func mayLoseDisk(_ id: ServerID) -> Bool {
        !servers[index(id)].disk.initialize && (servers.count - 1) * 2 > servers.count
            && servers.allSatisfy { $0.id == id || ($0.disk.isWhole && !checkers.quorum.hasForgotten($0.id)) }
    }

    /// S1: what has rotten and looks as if it had never been written nobody can notice. Where a quorum of the others does not
    /// have all that this disk vouches for, it would be lost: the disk is gone as a whole then, which is noticed.
    mutating func concludeRot(of id: ServerID) {
        guard servers[index(id)].disk.drive.hasRotThatPassesForTorn else { return }
        let vouched = servers[index(id)].disk.vouched
        guard servers.count(where: { $0.id != id && $0.disk.vouched >= vouched }) * 2 <= servers.count else { return }
        record("the disk of \(id) is gone")
        servers[index(id)].disk.lose()
        servers[index(id)].copy = nil
        comeBack(id)
    }

    private mutating func loseDisk(_ id: ServerID) {
        if isOperated { return loseDirectory(of: id) }
        guard mayLoseDisk(id) else { return }
        crash(id)
        if plan.smallFiles, Bool.random(using: &fileRandom) {
            record("\(id) loses its database")
            loseDatabase(of: id)
        } else {
            record("\(id) loses its directory")
            servers[index(id)].disk.lose()
        }
        servers[index(id)].copy = nil
        comeBack(id)
    }

    mutating func copyDisk(of id: ServerID) {
        guard servers[index(id)].disk.isWhole, !checkers.quorum.hasForgotten(id), servers[index(id)].replacement == nil,
            !servers[index(id)].disk.isDamaged
        else { return }
        servers[index(id)].copy = servers[index(id)].disk.copied()
    }

    private mutating func rollBackDisk(_ id: ServerID) {
        if isOperated { return rollBackDirectory(of: id) }
        guard mayLoseDisk(id), let copy = servers[index(id)].copy else { return }
        crash(id)
        record("\(id) gets back a copy that ends at \(copy.end)")
        servers[index(id)].disk = copy.copied()
        servers[index(id)].disk.drive.faults.lies = liesOfDisks
        // S2: the ledger knows that the member had acknowledged more.
        if bug != .rolledBackUnmarked { mark(id) }
        comeBack(id)
    }

    mutating func comeBack(_ id: ServerID) {
        checkers.quorum.forgot(id)
        // S2's second half: lost promises are waited out (operators.md, section 3: three times initLimit).
        let wait = bug == .promisesNotWaitedOut ? .zero : servers[index(id)].configuration.initTimeout * 3
        servers[index(id)].startsNotBefore = now + wait
        schedule(.restart(id), in: wait + .milliseconds(Int64.random(in: 10...1_000, using: &faultRandom)))
    }

    /// Nothing shows before the bytes are read again.
    private mutating func rot(_ id: ServerID) {
        guard mayLoseDisk(id), servers[index(id)].disk.isWhole else { return }
        let isSmall = plan.smallFiles
        if isSmall, Int.random(in: 0..<3, using: &fileRandom) == 0, loseLog(of: id) { return }
        let directory = SimDisk.dataDir + "/version-2/"
        let drive = servers[index(id)].disk.drive
        let aims = isSmall && Bool.random(using: &fileRandom)
        let needed = aims ? Set(drive.numberedNames.map(\.path).filter(drive.needs)) : nil
        let place = drive.rot(gently: isSmall && Bool.random(using: &fileRandom)) {
            if let needed { return needed.contains($0) }
            return $0.hasPrefix(directory + "log.") || $0.hasPrefix(directory + "snapshot.")
        }
        guard let place else { return }
        record("bytes rot at \(id): \(place)")
        if needed != nil { schedule(.crash(id), in: .milliseconds(Int64.random(in: 0...500, using: &fileRandom))) }
    }

    private mutating func fillDisk(of id: ServerID) {
        record("the disk of \(id) is full")
        servers[index(id)].disk.drive.faults.isFull = true
        schedule(.diskFreed(id), in: .milliseconds(Int64.random(in: 100...5_000, using: &faultRandom)))
    }

    private mutating func failNextWrite(of id: ServerID) {
        guard servers[index(id)].machine != nil else { return }
        if Int.random(in: 0..<3, using: &faultRandom) == 0 {
            servers[index(id)].disk.drive.faults.failsNextWrite = true
        } else {
            servers[index(id)].disk.drive.faults.failsNextSync = true
        }
    }

    // MARK: What others than its server write

    mutating func setInitialize(of id: ServerID, _ isSet: Bool) {
        write("initialize", of: id) { disk throws(StorageError) in try disk.setInitialize(isSet) }
    }

    mutating func mark(_ id: ServerID) {
        write("the mark", of: id) { disk throws(StorageError) in try disk.mark() }
    }

    /// Whoever writes it has made room.
    private mutating func write(_ what: String, of id: ServerID, _ body: (SimDisk) throws(StorageError) -> Void) {
        let drive = servers[index(id)].disk.drive
        let isFull = drive.faults.isFull
        drive.faults.isFull = false
        do throws(StorageError) { try body(servers[index(id)].disk) } catch {
            checkers.fail(.soundness, "\(what) of \(id): \(error)")
        }
        drive.faults.isFull = isFull
    }

    // MARK: The network

    /// - Parameter id: whose; nil for any.
    private mutating func breakSomeLink(of id: ServerID?, telling ends: SimLink.Ends) {
        let open = links.indices.filter { links[$0].isOpen && !links[$0].isBroken && id.map(links[$0].involves) ?? true }
        guard let link = open.randomElement(using: &faultRandom) else { return }
        let (learner, leader) = (links[link].learner, links[link].leader)
        record("the link of \(learner) to \(leader) breaks, \(ends) told")
        breakLink(link, telling: ends)
    }

    private mutating func partition() {
        var sides: (one: [ServerID], other: [ServerID]) = ([], [])
        for server in servers {
            if Bool.random(using: &faultRandom) { sides.one.append(server.id) } else { sides.other.append(server.id) }
        }
        cut(sides.one, sides.other)
    }

    private mutating func isolateLeader() {
        guard let leader = servers.first(where: { $0.machine?.isLeading ?? false })?.id else { return }
        let others = servers.map(\.id).filter { $0 != leader }
        guard cuts.isEmpty else { return }
        switch Int.random(in: 0..<3, using: &faultRandom) {
        case 0: cut([leader], others)
        case 1: depose(leader)
        default:
            // Its packets are lost first, theirs later.
            let pause = Duration.milliseconds(Int64.random(in: 1_500...6_000, using: &faultRandom))
            let deafness = Duration.milliseconds(Int64.random(in: 100...1_000, using: &faultRandom))
            for other in others { cuts.insert(from: leader, to: other) }
            record("\(leader) is heard by nobody")
            schedule(.deafened(leader), in: deafness)
            schedule(.heal, in: pause)
        }
    }

    /// Its peers learn of it at once, and it doesn't: it believes in its quorum while a newer leader serves.
    mutating func depose(_ leader: ServerID) {
        guard cuts.isEmpty else { return }
        let open = links.indices.filter { links[$0].isOpen && !links[$0].isBroken && links[$0].leader == leader }
        cut([leader], servers.map(\.id).filter { $0 != leader })
        for link in open {
            breakLink(link, telling: .leaderOnly)
            tellOfEnd(links[link], atLeader: false)
        }
        lureClients(to: leader)
        pauseDeposed(leader)
    }

    mutating func deafen(_ leader: ServerID) {
        guard !cuts.isEmpty else { return }
        for other in servers.map(\.id) where other != leader { cuts.insert(from: other, to: leader) }
        record("\(leader) hears nobody")
    }

    private mutating func cut(_ side: [ServerID], _ others: [ServerID]) {
        let pause = Duration.milliseconds(Int64.random(in: 200...6_000, using: &faultRandom))
        cut(side, others, for: pause)
    }

    mutating func cut(_ side: [ServerID], _ others: [ServerID], for pause: Duration) {
        guard cuts.isEmpty else { return }
        for a in side {
            for b in others {
                cuts.insert(from: a, to: b)
                cuts.insert(from: b, to: a)
            }
        }
        record("cut around \(side)")
        schedule(.heal, in: pause)
    }

    private mutating func cutOneWay(from: ServerID) {
        let pause = Duration.milliseconds(Int64.random(in: 200...6_000, using: &faultRandom))
        guard cuts.isEmpty, let to = servers.map(\.id).filter({ $0 != from }).randomElement(using: &faultRandom) else { return }
        cuts.insert(from: from, to: to)
        record("cut from \(from) to \(to)")
        schedule(.heal, in: pause)
    }

    private mutating func slowDown(from: ServerID) {
        let pause = Duration.milliseconds(Int64.random(in: 500...5_000, using: &faultRandom))
        guard let to = servers.map(\.id).filter({ $0 != from }).randomElement(using: &faultRandom) else { return }
        slowPairs.insert(from: from, to: to)
        record("slow from \(from) to \(to)")
        schedule(.heal, in: pause)
    }

    mutating func heal() {
        guard !cuts.isEmpty || !slowPairs.isEmpty else { return }
        record("healed")
        cuts.removeAll()
        slowPairs.removeAll()
    }

    /// Nobody hears it, and it hears nobody. What is sent meanwhile arrives when that is over, as TCP has it.
    private mutating func silence(_ id: ServerID) {
        let pause = Duration.milliseconds(Int64.random(in: 500...6_000, using: &faultRandom))
        guard cuts.isEmpty else { return }
        for other in servers.map(\.id) where other != id {
            cuts.insert(from: id, to: other)
            cuts.insert(from: other, to: id)
        }
        servers[index(id)].silentUntil = now + pause
        isUnheard(id, until: now + pause)
        record("\(id) is silent")
        schedule(.heal, in: pause)
    }

    private mutating func turnAway(at id: ServerID) {
        let pause = Duration.milliseconds(Int64.random(in: 500...6_000, using: &faultRandom))
        servers[index(id)].turnsAwayUntil = now + pause
        isUnheard(id, until: now + pause)
        record("\(id) takes no connections")
    }

    private mutating func slowDownClient() {
        let pause = Duration.milliseconds(Int64.random(in: 500...5_000, using: &faultRandom))
        guard let client = clients.indices.randomElement(using: &faultRandom) else { return }
        clients[client].slowUntil = now + pause
        record("client \(client) is slow")
    }

    private mutating func stallDisk(of id: ServerID) {
        servers[index(id)].diskStalledUntil = now + .milliseconds(Int64.random(in: 500...6_000, using: &faultRandom))
        record("the disk of \(id) does nothing")
    }

    /// Ends all faults: what is down comes up, what is cut is whole.
    mutating func stopFaults() {
        faultsEnabled = false
        record("faults end")
        heal()
        ambush = nil
        lullEnd = now
        for client in clients.indices {
            clients[client].slowUntil = now
            clients[client].awayUntil = now
        }
        for server in servers {
            server.disk.drive.faults.isFull = false
            server.disk.drive.faults.failsNextSync = false
            server.disk.drive.faults.failsNextWrite = false
            servers[index(server.id)].diskStalledUntil = now
            servers[index(server.id)].turnsAwayUntil = now
            // What was sent while a server was silent is on its way yet (seed 543): `silentUntil` stays.
            if server.isFrozen { thaw(server.id) }
            // Those that wait for lost promises come back by themselves within this time.
            if !isOperated { schedule(.restart(server.id), in: .seconds(4)) }
        }
        if isOperated { stopOperatorFaults() }
    }
}
