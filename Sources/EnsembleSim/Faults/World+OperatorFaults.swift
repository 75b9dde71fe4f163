import EnsembleBase
import EnsembleControl
import KeeperCore
import KeeperStorage

/// Faults by chance, within `OperatorFaults`, and what `FaultAtlas`'s lost disks come to where an operator must notice.
extension World {
    mutating func injectOperatorFault() {
        guard faultsEnabled, daemon != nil else { return }
        schedule(SimOperator.Event.fault, in: .milliseconds(Int64.random(in: 200...4_000, using: &daemon!.faultRandom)))
        guard let victim = servers.randomElement(using: &daemon!.faultRandom)?.id,
            // Late losses have their own moment, and what keeps the daemon from hearing has its own stream.
            let (_, fault) = OperatorFaults.named.filter({ $0.fault.rawValue < OperatorFaults.lateLosses.rawValue })
                .randomElement(using: &daemon!.faultRandom),
            plan.operatorFaults.contains(fault)
        else { return }
        switch fault {
        case .crashes: crashDaemon()
        case .freezes: freezeDaemon()
        case .damagedDirectories: damageDirectory(of: victim)
        case .unreadableDirectories: hideDirectory(of: victim)
        case .rottenBackups: rotBackup()
        case .archiveOutages: cutArchive()
        case .stoppedServers: stop(victim)
        default: break  // Effects draw their own chances, people have their own turns.
        }
    }

    private mutating func freezeDaemon() {
        guard daemon!.machine != nil, !daemon!.isFrozen else { return }
        record("the daemon stands still")
        daemon!.isFrozen = true
        schedule(.goesOn, in: .milliseconds(Int64.random(in: 100...10_000, using: &daemon!.faultRandom)))
    }

    mutating func stop(_ id: ServerID) {
        guard servers[index(id)].machine != nil, !servers[index(id)].isFrozen else { return }
        record("\(id) is stopped")
        servers[index(id)].isFrozen = true
        checkers.oversight.stoodStill(index(id), at: now)
    }

    // MARK: Directories

    /// S1's condition: a majority of the histories is whole without this one, and stays so. What a quorum has acknowledged
    /// is then held by one of them at least, and nobody is elected without hearing it.
    func mayLoseDirectory(_ id: ServerID) -> Bool {
        guard !servers[index(id)].directory.isBlank else { return false }
        let whole = servers.count { $0.id != id && isWhole($0) && !$0.isBackUnseen && !isBeingTaken($0.id) }
        return whole * 2 > servers.count
    }

    /// Whether the daemon, or the one after it, may take the member's directory away, as a person has asked: it is in the
    /// midst of that.
    private func isBeingTaken(_ id: ServerID) -> Bool {
        [daemon!.intents, daemon!.machine?.intents ?? Intents()].contains { intents in
            if intents.operation?.workflow is Restore { return true }
            guard let reseed = intents.reseed, reseed.member == Int(id) else { return false }
            switch reseed.phase {
            case .fencing, .quarantining, .seeding: return true
            case .waiting, .joining: return false
            }
        }
    }

    /// A disk that spoils what is seeded again and again is for a person: the third seed is the last.
    var maySpoilSeed: Bool { (daemon!.machine?.intents.reseed ?? daemon!.intents.reseed)?.attempt ?? 1 < 3 }

    func isWhole(_ server: SimServer) -> Bool { !server.isUnreadable && hasHistory(server) }

    /// Also where it can't be read at this moment.
    func hasHistory(_ server: SimServer) -> Bool {
        server.disk.isWhole && server.replacement == nil && !server.disk.isDamaged
            && !checkers.quorum.hasForgotten(server.id)
    }

    /// S1: what the operator takes away by itself, a majority of the directories has.
    mutating func judgeWholeness(after what: String) {
        if daemon!.intents.operation?.workflow is Restore { return }
        let whole = servers.count { hasHistory($0) }
        if whole * 2 <= servers.count { checkers.fail(.quorum, "S1: after \(what) \(whole) of \(servers.count) histories are whole") }
    }

    /// The directory is lost: with its process, or under it.
    ///
    /// - Parameter underServer: nil: chance decides.
    mutating func loseDirectory(of id: ServerID, underServer: Bool? = nil) {
        guard mayLoseDirectory(id) else { return }
        let empty = SimDisk(seed: daemon!.faultRandom.next())
        servers[index(id)].copy = nil
        replaceDirectory(
            of: id, by: empty, underLiveServer: underServer ?? Bool.random(using: &daemon!.faultRandom), "loses its directory")
    }

    /// An older copy takes its place: one that ends before what the daemon was told of, or one of another directory.
    mutating func rollBackDirectory(of id: ServerID) {
        guard mayLoseDirectory(id), maySpoilSeed else { return }
        // Somebody has confused their disks.
        if plan.confusesDisks, Int.random(in: 0..<4, using: &daemon!.faultRandom) == 0,
            let other = servers.filter({ $0.id != id && isWhole($0) }).randomElement(using: &daemon!.faultRandom)
        {
            servers[index(id)].copy = nil
            return replaceDirectory(of: id, by: other.disk.copied(), underLiveServer: false, "gets a copy of what \(other.id) has")
        }
        guard let copy = servers[index(id)].copy else { return }
        let disk = servers[index(id)].directory
        let kept = daemon!.vouched[index(id)].kept
        let told = max(kept.epoch, daemon!.served[index(id)].kept.epoch)
        if copy.identity == disk.identity, copy.currentEpoch < min(told, disk.currentEpoch),
            Bool.random(using: &daemon!.faultRandom)
        {
            return rollBackEpochs(of: id, to: copy, withPromise: Bool.random(using: &daemon!.faultRandom))
        }
        guard copy.identity != disk.identity || copy.end < min(kept, disk.end) else { return }
        // Under a living server nothing tells an older copy from the directory itself, before the next start.
        replaceDirectory(of: id, by: copy.copied(), underLiveServer: false, "gets back a copy that ends at \(copy.end)")
    }

    /// What it has promised since the copy goes with its file, and the log is whole.
    mutating func losePromise(of id: ServerID) {
        guard faultsEnabled, mayLoseDirectory(id), maySpoilSeed, let copy = servers[index(id)].copy else { return }
        let disk = servers[index(id)].directory
        let told = daemon!.served[index(id)].kept.epoch
        guard copy.identity == disk.identity, copy.currentEpoch < min(told, disk.currentEpoch), copy.acceptedEpoch < told else { return }
        rollBackEpochs(of: id, to: copy, withPromise: true)
    }

    /// The epoch files alone are an older copy's: its vote would be weaker than what it has acknowledged. A promise that
    /// only its file told of is left, unless it has served in it.
    private mutating func rollBackEpochs(of id: ServerID, to copy: SimDisk, withPromise: Bool) {
        let old = servers[index(id)].disk.copied()
        let told = max(old.end.epoch, daemon!.served[index(id)].kept.epoch)
        let isPromiseOld = copy.acceptedEpoch < told && withPromise
        let accepted = isPromiseOld ? copy.acceptedEpoch : old.acceptedEpoch
        let epochs = EpochFiles.Epochs(accepted: accepted, current: copy.currentEpoch)
        do throws(StorageError) { try old.layout.epochs.save(epochs) } catch {
            checkers.fail(.soundness, "the epochs of \(id): \(error)")
        }
        let what = "gets back epoch files that say \(epochs.accepted) and \(epochs.current)"
        replaceDirectory(of: id, by: old, underLiveServer: false, what)
    }

    /// The moment that chance seldom hits: the daemon knows what is there, and launches a server on something else.
    mutating func strikeBehindLook(at id: ServerID, within milliseconds: Int64) {
        guard faultsEnabled, plan.operatorFaults.contains(.lateLosses), Int.random(in: 0..<4, using: &daemon!.faultRandom) == 0
        else { return }
        let fault = Bool.random(using: &daemon!.faultRandom) ? FaultAtlas.lostDisks : .rolledBackDisks
        schedule(.blow(fault, id), in: .milliseconds(Int64.random(in: 0...milliseconds, using: &daemon!.faultRandom)))
    }

    private mutating func replaceDirectory(
        of id: ServerID, by disk: SimDisk, underLiveServer: Bool, _ what: String
    ) {
        let i = index(id)
        if underLiveServer, servers[i].machine != nil {
            record("\(id) \(what), and runs on")
            servers[i].replacement = disk
            servers[i].disk.drive.faults.isGone = true
            return
        }
        crash(id)
        record("\(id) \(what)")
        servers[i].disk = disk
        checkers.quorum.forgot(id)
    }

    private mutating func damageDirectory(of id: ServerID) {
        guard mayLoseDirectory(id), maySpoilSeed else { return }
        crash(id)
        record("the files of \(id) are damaged")
        servers[index(id)].disk.isDamaged = true
        checkers.quorum.forgot(id)
    }

    private mutating func hideDirectory(of id: ServerID) {
        guard !servers[index(id)].isUnreadable else { return }
        crash(id)
        record("the directory of \(id) can't be read")
        servers[index(id)].isUnreadable = true
        schedule(.directoryReadable(id), in: .milliseconds(Int64.random(in: 200...6_000, using: &daemon!.faultRandom)))
    }

    // MARK: The archive

    /// One that no restore stands on: a person would have to choose another.
    private mutating func rotBackup() {
        guard daemon!.lostMajority == nil, let backup = daemon!.archive.backups.randomElement(using: &daemon!.faultRandom)
        else { return }
        for intents in [daemon!.intents, daemon!.machine?.intents ?? Intents()] {
            if let restore = intents.operation?.workflow as? Restore, restore.backup.id == backup.reference.id { return }
        }
        record("backup \(backup.reference.id) rots")
        daemon!.archive.change(backup.reference.id) { $0.isDamaged = true }
    }

    private mutating func cutArchive() {
        guard daemon!.archive.isReachable else { return }
        record("the archive is out of reach")
        daemon!.archive.isReachable = false
        schedule(.archiveReturns, in: .milliseconds(Int64.random(in: 200...15_000, using: &daemon!.faultRandom)))
    }

    // MARK: Peace

    /// Ends all faults: what stands still goes on, what is out of reach is back. The rest is the operator's.
    mutating func stopOperatorFaults() {
        thawDaemon()
        for server in servers {
            servers[index(server.id)].isUnreadable = false
            hearAgain(server.id)
        }
        daemon!.archive.isReachable = true
    }

    /// People take back what they asked for: stopped members are started, and what is paused goes on.
    mutating func takeBackWhatWasAsked() {
        if daemon?.machine?.intents.pausedSince != nil { ask(.resume) }
        for id in daemon?.machine?.ledger.stoppedByPerson ?? [] { ask(.start(id)) }
    }

    /// Whole, without help: everyone serves with a trusted history, and the operator has nothing left to do.
    var isWholeAgain: Bool {
        guard let daemon, let machine = daemon.machine, !daemon.isFrozen else { return false }
        let isQuiet = machine.intents == Intents() && daemon.intents == Intents() && machine.holds.isEmpty
        return isQuiet && daemon.ledger.stoppedByPerson.isEmpty
            && daemon.ledger.entries.allSatisfy { $0.standing == .voter }
            && servers.allSatisfy { $0.serves && isWhole($0) }
            && clients.indices.allSatisfy { $0 == linkClient || clients[$0].state == .connected }
    }

    /// What is missing for that, in words.
    var whatIsMissing: String {
        guard let machine = daemon?.machine else { return "there is no daemon" }
        let holds = machine.holds.map { "\($0.what): \($0.reason.description)" }
        let work = machine.works.map { "\($0.title): \($0.step)" }
        let members = servers.map { server in
            "\(server.id) \(server.machine.map { $0.status.role.rawValue + ($0.status.serving ? "" : ", not serving") } ?? "down")\(isWhole(server) ? "" : ", not whole")"
        }
        let away = clients.filter { $0.index != linkClient && $0.state != .connected }.map { "client \($0.index)" }
        return (holds + work + members + away).joined(separator: "; ")
    }
}
