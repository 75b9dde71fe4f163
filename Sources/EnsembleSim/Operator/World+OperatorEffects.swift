import EnsembleBase
import EnsembleControl
import KeeperCore
import KeeperStorage

/// The operator's long effects: on members' directories and on the archive.
extension World {
    mutating func begin(_ action: OperatorAction) {
        daemon!.effectCount += 1
        daemon!.effects.append(SimOperator.Effect(number: daemon!.effectCount, action: action))
        let pause: Int64
        if case .launch = action {
            // A lane's first work may hang as any other's: the directory is asked and made ready before the spawn.
            let hangs = Int.random(in: 0..<25, using: &daemon!.random) == 0
            pause = Int64.random(in: hangs ? 500...8_000 : 0...20, using: &daemon!.random)
        } else {
            let slow = Int.random(in: 0..<10, using: &daemon!.random) == 0
            pause = Int64.random(in: slow ? 300...2_500 : 5...250, using: &daemon!.random)
        }
        schedule(.effectDue(life: daemon!.life, number: daemon!.effectCount), in: .milliseconds(pause))
    }

    mutating func effectDue(_ number: Int, life: Int) {
        guard life == daemon!.life, let position = daemon!.effects.firstIndex(where: { $0.number == number }) else { return }
        // The threads of a frozen process stand still with it.
        guard !daemon!.isFrozen else { return schedule(.effectDue(life: life, number: number), in: .milliseconds(100)) }
        let effect = daemon!.effects.remove(at: position)
        // They are answered by themselves, and fail in their own ways.
        switch effect.action {
        case .launch, .prepare: return _ = carryOut(effect.action)
        default: break
        }
        let fails = faultsEnabled && plan.operatorFaults.contains(.effectFailures)
            && Int.random(in: 0..<10, using: &daemon!.faultRandom) == 0
        let outcome = fails ? .failed("input/output error") : carryOut(effect.action)
        switch effect.action {
        case .quarantine(_, _, let token), .capture(_, _, _, let token), .checkRoom(_, let token): tell(.effectFinished(token, outcome))
        case .seed(_, _, let token):
            // The backup may be why it failed, and no longer count as verified.
            if case .failed = outcome { listBackups() }
            tell(.effectFinished(token, outcome))
        case .verify(_, let token), .prune(let token):
            if !fails { listBackups() }
            tell(.effectFinished(token, outcome))
        default: break
        }
    }

    /// Does it, and says what came of it.
    mutating func carryOut(_ action: OperatorAction) -> EffectOutcome {
        switch action {
        case .launch(let id, let mode, let identity, let floor):
            launch(ServerID(id), mode, identity: identity, floor: floor)
            return .done
        case .prepare(let id, let identity):
            prepare(ServerID(id), as: identity)
            return .done
        default: break
        }
        return switch action {
        case .quarantine(let id, let reason, _): quarantine(ServerID(id), reason)
        case .seed(let id, let seed, _): self.seed(ServerID(id), seed)
        case .capture(let id, let mode, let end, _): capture(ServerID(id), mode, upTo: Zxid(rawValue: end))
        case .verify(let id, _): verify(id)
        case .prune: prune()
        default: .done
        }
    }

    // MARK: Directories

    /// S2: for a first start.
    private mutating func prepare(_ id: ServerID, as identity: String) {
        let i = index(id)
        if !servers[i].isUnreadable, servers[i].disk.isBlank {
            servers[i].disk.identity = identity
            setInitialize(of: id, true)
        }
        inspect(id, .seals)
    }

    private mutating func quarantine(_ id: ServerID, _ reason: String) -> EffectOutcome {
        let i = index(id)
        let old = servers[i].directory
        // A person's word counts for what nobody can look at.
        let isAsked = if case .askedFor = daemon!.intents.reseed?.reason { true } else { daemon!.intents.operation != nil }
        checkers.oversight.touches(
            i, "quarantined", isAlive: servers[i].machine != nil, isAsked: isAsked, &checkers.verdict)
        guard !servers[i].isUnreadable else { return .failed("input/output error") }
        guard !old.isBlank else { return .done }
        record("the directory of \(id) goes to quarantine: \(reason)")
        if bug != .quarantineDeletes { daemon!.quarantine[i].append(old) }
        checkers.oversight.quarantined(i, old, in: daemon!.quarantine[i], &checkers.verdict)
        var new = SimDisk(seed: daemon!.random.next())
        new.identity = old.identity
        servers[i].disk = new
        (daemon!.vouched[i], daemon!.served[i]) = (Vouched(), Vouched())
        checkers.quorum.forgot(id)
        judgeWholeness(after: "the quarantine of \(id)")
        return .done
    }

    private mutating func seed(_ id: ServerID, _ seed: Seed) -> EffectOutcome {
        let i = index(id)
        checkers.oversight.touches(i, "seeded", isAlive: servers[i].machine != nil, isAsked: true, &checkers.verdict)
        guard !servers[i].isUnreadable else { return .failed("input/output error") }
        var new = SimDisk(seed: daemon!.random.next())
        var seeded: (tree: DataTree, log: [LogEntry], accepted: Int64, current: Int64)?
        let source: String?
        switch seed {
        case .empty: source = nil
        case .recovering(let backup), .restored(let backup, _): source = backup
        }
        if let source {
            guard daemon!.archive.isReachable else { return .failed("the archive can't be read") }
            guard let backup = daemon!.archive.backup(source) else { return .failed("there is no backup \(source)") }
            guard backup.isVerified || bug == .unverifiedBackupUsed else { return .failed("backup \(source) is not verified") }
            guard !backup.isDamaged || bug == .unverifiedBackupUsed else {
                // S7: what turns out damaged while it is read loses its proof.
                daemon!.archive.change(source) { $0.isVerified = false }
                return .failed("backup \(source) is damaged")
            }
            guard let base = daemon!.archive.objects[backup.base] else {
                return .failed("an object of backup \(source) is missing")
            }
            checkers.oversight.uses(backup, tree: daemon!.archive.replay(backup), checkers.history, &checkers.verdict)
            seeded = (base, backup.log, backup.end.epoch, backup.end.epoch)
        }
        // A seed that was finished, and not written down as such, goes aside.
        if !servers[i].directory.isBlank { _ = quarantine(id, "left by an interrupted seed") }
        if case .restored = seed {} else { judgeSeed(of: id) }
        if case .restored(let backup, let epoch) = seed {
            if bug != .restoreWithoutEpoch { seeded?.accepted = epoch }
            goBack(to: backup, epoch: epoch)
            checkers.quorum.remembers(id)
        }
        checkers.oversight.fills(i, servers[i].directory, &checkers.verdict)
        new.identity = "seed-\(daemon!.effectCount)-\(id)"
        do throws(StorageError) {
            if let seeded { try new.fill(seeded.tree, seeded.log, accepted: seeded.accepted, current: seeded.current) }
            if case .recovering = seed, bug != .seedUnmarked { try new.mark() }
        } catch { checkers.fail(.soundness, "the seed of \(id): \(error)") }
        servers[i].disk = new
        (daemon!.vouched[i], daemon!.served[i]) = (Vouched(), Vouched())
        record("\(id) is seeded: \(seed)")
        let recovering = if case .restored = seed { false } else { true }
        return .seeded(
            DataDirectoryContents(
                identity: new.identity, zxid: new.end.rawValue, acceptedEpoch: new.acceptedEpoch,
                currentEpoch: new.currentEpoch, recovering: recovering))
    }

    // MARK: Backups

    /// The newest snapshot and the log behind it, cut at exactly `end`. A live copy is of what the disk has.
    private mutating func capture(_ id: ServerID, _ mode: CaptureMode, upTo end: Zxid) -> EffectOutcome {
        let i = index(id)
        let disk = servers[i].directory
        guard daemon!.archive.isReachable else { return .failed("the archive can't be written") }
        guard !disk.isDamaged, !servers[i].isUnreadable else { return .failed("no snapshot") }
        // A live copy is of what the disk has.
        guard let contents = try? disk.copied().contents(upTo: end) else { return .failed("no snapshot that ends before \(end)") }
        let (snapshot, log) = (contents.tree, contents.entries)
        guard max(log.last?.zxid ?? .zero, snapshot.lastProcessedZxid) == end else { return .failed("the log ends before \(end)") }
        daemon!.archive.count += 1
        let reference = BackupReference(
            id: "b\(daemon!.archive.count)", endZxid: end.rawValue, acceptedEpoch: disk.acceptedEpoch,
            takenAt: WallTime(milliseconds: 1_700_000_000_000 + now.nanoseconds / 1_000_000))
        let base = SimBackup.Object(zxid: snapshot.lastProcessedZxid, digest: snapshot.digest)
        daemon!.archive.objects[base] = snapshot
        var backup = SimBackup(reference: reference, base: base, log: log)
        if faultsEnabled, plan.operatorFaults.contains(.damagedBackups), Int.random(in: 0..<3, using: &daemon!.faultRandom) == 0 {
            record("backup \(reference.id) is damaged on the way")
            backup.isDamaged = true
        }
        daemon!.archive.backups.append(backup)
        record("backup \(reference.id) of \(id), \(mode.rawValue), up to \(end)")
        return .captured(reference)
    }

    private mutating func verify(_ id: String) -> EffectOutcome {
        guard daemon!.archive.isReachable else { return .failed("the archive can't be read") }
        guard let backup = daemon!.archive.backup(id) else { return .failed("there is no backup \(id)") }
        guard daemon!.archive.passesVerification(backup) || bug == .unverifiedBackupUsed else {
            record("backup \(id) does not verify")
            daemon!.archive.change(id) { $0.isVerified = false }
            return .failed("backup \(id) is damaged")
        }
        daemon!.archive.change(id) { $0.isVerified = true }
        return .done
    }

    private mutating func prune() -> EffectOutcome {
        guard daemon!.archive.isReachable else { return .failed("the archive can't be read") }
        let before = daemon!.archive
        daemon!.archive.prune()
        if bug == .retentionDropsBase, let newest = daemon!.archive.newestVerified { daemon!.archive.objects[newest.base] = nil }
        checkers.oversight.pruned(from: before, to: daemon!.archive, &checkers.verdict)
        return .done
    }

    mutating func listBackups() {
        var observation = BackupObservation()
        if let archive = daemon?.archive, archive.isReachable {
            observation.isListed = true
            observation.count = archive.backups.count
            observation.verified = archive.backups.filter(\.isVerified).map(\.reference)
        } else {
            observation.lastFailure = "the archive can't be read"
        }
        tell(.backupsListed(observation))
    }
}
