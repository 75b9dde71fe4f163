import EnsembleBase
import EnsembleControl
import KeeperCore

/// A directory whose mount is late, or that is covered by one.
struct AbsentDirectory: Sendable {
    var disk: SimDisk
    /// What its member has said with it.
    var word: QuorumChecker.Word
    /// Whether it held all of that.
    var isTrue: Bool
}

/// More directories than a minority's are gone, which only people mend.
struct LostMajority: Sendable {
    var members: [ServerID]
    /// They come back; else a backup is restored.
    var comeBack: Bool
    /// Whose loss the present daemon was told of, and when last.
    var told: Set<ServerID> = []
    var toldAt = Instant.origin
}

/// Directories that are gone as a whole, by a stream of their own: one whose mount is late, and a majority's.
extension World {
    mutating func injectAbsence() {
        guard faultsEnabled, daemon != nil else { return }
        let pause = Int64.random(in: 2_000...15_000, using: &daemon!.absenceRandom)
        schedule(SimOperator.Event.absence, in: .milliseconds(pause))
        guard let victim = servers.randomElement(using: &daemon!.absenceRandom)?.id else { return }
        if plan.operatorFaults.contains(.quietEpochs), Bool.random(using: &daemon!.absenceRandom) { return quietEpoch(victim) }
        let strikesMany = Int.random(in: 0..<3, using: &daemon!.absenceRandom) == 0
        if plan.operatorFaults.contains(.lostMajorities), strikesMany || !plan.operatorFaults.contains(.lateMounts) {
            loseMajority()
        } else if plan.operatorFaults.contains(.lateMounts) {
            mountLate(victim)
        }
    }

    mutating func mountLate(_ victim: ServerID) {
        guard mayLoseDirectory(victim), servers[index(victim)].absent == nil else { return }
        takeAway(victim)
        let latest: Int64 = plan.confusesDisks ? 12_000 : 8_000
        schedule(.mounted(victim), in: .milliseconds(Int64.random(in: 100...latest, using: &daemon!.absenceRandom)))
    }

    // MARK: A promise

    private mutating func quietEpoch(_ victim: ServerID) {
        guard let leader = servers.first(where: { $0.machine?.isLeading ?? false && $0.serves })?.id, lullEnd <= now else { return }
        record("the clients are silent for an election")
        copyDisk(of: victim)
        let rest = Int64.random(in: 2_500...4_500, using: &daemon!.absenceRandom)
        lullEnd = now + .milliseconds(rest + 1_000)
        schedule(.crash(leader), in: .milliseconds(200))
        schedule(.promiseLost(victim), in: .milliseconds(rest))
    }

    // MARK: A late mount

    /// The first daemon finds an empty directory below the mount point of one of them, and later another empty one.
    mutating func beginUnmounted() {
        guard Int.random(in: 0..<3, using: &daemon!.absenceRandom) == 0,
            let id = servers.randomElement(using: &daemon!.absenceRandom)?.id
        else { return }
        record("the directory of \(id) is not mounted")
        servers[index(id)].absent = shown(of: id)
        servers[index(id)].disk = SimDisk(seed: daemon!.absenceRandom.next())
        let pause = Int64.random(in: 10...2_000, using: &daemon!.absenceRandom)
        schedule(.mounted(id), in: .milliseconds(pause))
        // And perhaps the first one again, before anything was heard of its member.
        schedule(SimOperator.Event.unmounted(id), in: .milliseconds(pause + Int64.random(in: 300...4_000, using: &daemon!.absenceRandom)))
    }

    /// What lies below the mount point is empty, or what was made there the last time.
    private mutating func takeAway(_ id: ServerID) {
        let i = index(id)
        crash(id)
        record("the directory of \(id) is not mounted")
        servers[i].absent = shown(of: id)
        servers[i].disk = SimDisk(seed: daemon!.absenceRandom.next())
        checkers.quorum.forgot(id)
        guard let beneath = servers[i].beneath, maySpoilSeed else { return }
        servers[i].beneath = nil
        show(beneath, of: id)
    }

    private func shown(of id: ServerID) -> AbsentDirectory {
        AbsentDirectory(
            disk: servers[index(id)].disk, word: checkers.quorum.word(of: id), isTrue: !checkers.quorum.hasForgotten(id))
    }

    private mutating func show(_ directory: AbsentDirectory, of id: ServerID) {
        servers[index(id)].disk = directory.disk
        if directory.isTrue, checkers.quorum.word(of: id) == directory.word { checkers.quorum.remembers(id) }
    }

    /// It covers what was seeded meanwhile. Nobody mounts over files that are in use; where the host begins anew, what serves
    /// by now is covered too.
    mutating func mount(_ id: ServerID) {
        let i = index(id)
        guard let absent = servers[i].absent else { return }
        guard maySpoilSeed else { return servers[i].absent = nil }
        if hasHistory(servers[i]) {
            guard faultsEnabled, plan.confusesDisks, mayLoseDirectory(id) else { return servers[i].absent = nil }
            crash(id)
        }
        guard servers[i].machine == nil else { return schedule(.mounted(id), in: .milliseconds(100)) }
        record("the directory of \(id) is mounted")
        if plan.confusesDisks, !servers[i].disk.isSpoiled { servers[i].beneath = shown(of: id) }
        if hasHistory(servers[i]) { checkers.quorum.forgot(id) }
        servers[i].absent = nil
        // The daemon may have given it up by now.
        servers[i].isBackUnseen = true
        show(absent, of: id)
    }

    // MARK: A majority

    private mutating func loseMajority() {
        let intents = [daemon!.intents, daemon!.machine?.intents ?? Intents()]
        guard daemon!.lostMajority == nil, daemon!.hasAttended, !checkers.history.entries.isEmpty,
            servers.allSatisfy({ isWhole($0) && !$0.isBackUnseen && mayLoseDirectory($0.id) }), intents.allSatisfy({ $0.reseed == nil })
        else { return }
        // A person restores only where there is something to restore. S8: an epoch that the daemon has not heard of is known
        // to the directories alone, and then it must be those that come back.
        let isEpochKnown = daemon!.promised.kept.epoch >= checkers.quorum.highestEstablished
        let comeBack = usableBackup == nil || !isEpochKnown || Bool.random(using: &daemon!.absenceRandom)
        let fewest = plan.deafAtFirst ? servers.count : servers.count / 2 + 1
        let count = Int.random(in: fewest...servers.count, using: &daemon!.absenceRandom)
        let victims = servers.map(\.id).shuffled(using: &daemon!.absenceRandom).prefix(count).sorted()
        record("a majority is lost: \(victims)")
        daemon!.lostMajority = LostMajority(members: victims, comeBack: comeBack)
        for victim in victims {
            servers[index(victim)].beneath = nil
            takeAway(victim)
            if !comeBack {
                servers[index(victim)].absent = nil
                servers[index(victim)].copy = nil
            }
        }
        schedule(.personHelps, in: .milliseconds(Int64.random(in: 5_000...20_000, using: &daemon!.absenceRandom)))
    }

    /// The newest backup of this history that is what was written.
    private var usableBackup: SimBackup? {
        daemon!.archive.backups.last { $0.isVerified && !$0.isDamaged && checkers.history.digest(at: $0.end) != nil }
    }

    var isMajorityLost: Bool { servers.count { isWhole($0) } * 2 <= servers.count }

    /// A person puts the directories back and starts their members, or restores a backup, as the daemon says.
    mutating func helpMajority() {
        guard let lost = daemon!.lostMajority else { return }
        judgeWord(on: lost)
        let isMended = lost.members.allSatisfy { servers[index($0)].absent == nil && !servers[index($0)].isBackUnseen }
        guard isMajorityLost || !isMended else { return daemon!.lostMajority = nil }
        schedule(.personHelps, in: .seconds(3))
        guard daemon!.machine != nil, !daemon!.isFrozen else { return }
        if lost.comeBack {
            for id in lost.members { mount(id) }
            for id in lost.members where !servers[index(id)].serves { ask(.start(Int(id))) }
        } else if isMajorityLost, let backup = usableBackup, !isRestoring {
            ask(.restore(backup.reference))
        }
    }

    private var isRestoring: Bool { daemon!.machine?.intents.operation?.workflow is Restore }

    /// S10: it says what it holds for.
    private mutating func judgeWord(on lost: LostMajority) {
        // What is back and can't be read is said otherwise (operated seed 630).
        guard let machine = daemon!.machine, !daemon!.isFrozen, servers.count(where: { hasHistory($0) }) * 2 <= servers.count, !isRestoring, machine.termination == nil,
            lost.told.count == lost.members.count, now - lost.toldAt >= .seconds(1)
        else { return }
        let isSaid = machine.holds.contains { if case .majorityLost = $0.reason { true } else { false } }
        guard !isSaid else { return }
        let said = whatIsMissing
        checkers.fail(.doubt, "S10: the directories of \(lost.members) are gone, and the daemon says only: \(said)")
    }

    /// What the daemon hears of directories that are gone.
    mutating func noteLoss(_ event: OperatorEvent) {
        if case .dataVanished(let id, _) = event { spring(on: .hearsOfLoss, of: ServerID(id)) }
        guard case .dataInspected(let id, let found) = event, found.isBlank else { return }
        spring(on: .hearsOfLoss, of: ServerID(id))
        guard daemon!.lostMajority != nil else { return }
        daemon!.lostMajority!.told.insert(ServerID(id))
        daemon!.lostMajority!.toldAt = now
    }

    /// S10: where a majority is lost nobody can tell what was acknowledged, and an empty member would make it up.
    mutating func judgeSeed(of id: ServerID) {
        guard daemon!.lostMajority != nil, isMajorityLost else { return }
        checkers.fail(.doubt, "S10: \(id) is seeded, and a majority of the histories is lost")
    }
}
