import EnsembleBase
import EnsembleControl

/// What actions do in the world, and how long they take.
extension OperatorWorld {
    private mutating func later(_ event: OperatorEvent, _ change: Due.Change? = nil, takes: Duration? = nil) {
        let wait = Duration.milliseconds(Int64.random(in: 10...400, using: &random))
        due.append(Due(at: now + (takes ?? wait), change: change, event: event))
    }

    mutating func perform(_ action: OperatorAction) {
        switch action {
        case .inspectData(let id, let depth):
            inspections.append(depth)
            later(.dataInspected(id, condition(id)))
        case .prepare(let id, let identity):
            if server(id).unreadableSince == nil { change(id) { $0.prepared = identity } }
            later(.dataInspected(id, condition(id)))
        case .launch(let id, let mode, let identity, let floor): launch(id, mode, identity, floor)
        case .terminate(let id):
            terminated.append(id)
            // It takes its time to stop: until it is gone, it is alive (S3).
            let wait = Duration.milliseconds(Int64.random(in: 300...900, using: &random))
            due.append(Due(at: now + wait, change: .death(id), event: .exited(id, .clean)))
        case .kill(let id):
            // One that recovers has promised nothing since its fence.
            if !server(id).recovering { fencedAt[id] = now }
            kill(id)
        case .saveLedger(let ledger): savedLedger = ledger
        case .saveIntents(let intents): savedIntents = intents
        case .saveHistory(let history): savedHistory = history
        case .quarantine(let id, _, let token):
            quarantined += 1
            fencedAt[id] = now
            later(.effectFinished(token, .done), .quarantined(id))
        case .seed(let id, let seed, let token): plant(id, seed, token)
        case .acquireLock(let token):
            lockIsHeld = !participants.isEmpty && !isLockTaken
            later(.effectFinished(token, lockIsHeld ? .done : .failed("the lock is not to be had")))
        case .releaseLock: lockIsHeld = false
        case .writeBarrier(let token):
            if !participants.isEmpty {
                zxid += 1
                barriers.append((zxid, now))
            }
            later(.effectFinished(token, participants.isEmpty ? .failed("no quorum") : .barrier(zxid: zxid)))
        case .capture(let id, _, let upTo, let token):
            captured.append(id)
            guard server(id).zxid >= upTo else { return later(.effectFinished(token, .failed("the log ends before"))) }
            let backup = Backup(id: "b\(captured.count + 1)", isVerified: false, endZxid: upTo, acceptedEpoch: upTo >> 32)
            later(.effectFinished(token, .captured(backup.reference)), .captured(backup))
        case .verify(let backup, let token):
            let fails = verificationFails || rotten.contains(backup)
            later(.effectFinished(token, fails ? .failed("damaged") : .done), fails ? nil : .verified(backup))
        case .checkRoom(_, let token): later(.effectFinished(token, lackOfRoom.map { .failed($0) } ?? .done))
        case .prune(let token):
            pruneCount += 1
            later(.effectFinished(token, .done))
            // As much as retention may ever remove: all but the newest verified backup.
            let newest = archive.last { $0.isVerified }?.id
            archive.removeAll { newest != nil && $0.id != newest }
            listBackups()
        case .answer(let id, let answer):
            answers.append(answer)
            if answer == .accepted, case .restore = requests[id] { later(.requestAnswered(id: id, isDelivered: !isAskerGone)) }
        case .note, .finish: break
        }
    }

    private mutating func plant(_ id: Int, _ seed: Seed, _ token: EffectToken) {
        seeds += 1
        seededFrom.append(seed.backup)
        // Every attempt makes its own directory.
        let identity = "seed\(seeds)"
        let backup = archive.first { $0.id == seed.backup }
        guard seed.backup == nil || backup?.isVerified == true && !rotten.contains(backup?.id ?? "") else {
            return later(.effectFinished(token, .failed("the backup can't be read")))
        }
        if case .restored(_, let epoch) = seed { restoredEpochs.append(epoch) }
        later(
            .effectFinished(
                token,
                .seeded(
                    DataDirectoryContents(
                        identity: identity, zxid: backup?.endZxid ?? 0, acceptedEpoch: 0, currentEpoch: 0, recovering: true))),
            .seeded(id, seed, identity: identity), takes: seedsTake)
    }

    mutating func apply(_ change: Due.Change) {
        switch change {
        case .death(let id): bury(id)
        case .quarantined(let id): self.change(id) { $0.forgetEverything() }
        case .seeded(let id, let seed, let identity):
            let end = archive.first { $0.id == seed.backup }?.endZxid ?? 0
            self.change(id) {
                $0.forgetEverything()
                ($0.hasData, $0.zxid, $0.identity, $0.isFreshSeed, $0.recovering) = (true, end, identity, true, true)
                if case .restored(_, let epoch) = seed { ($0.recovering, $0.acceptedEpoch) = (false, epoch) }
            }
        case .captured(let backup): archive.append(backup)
        case .verified(let id):
            if let index = archive.firstIndex(where: { $0.id == id }) { archive[index].isVerified = true }
            listBackups()
        }
    }

    private func condition(_ id: Int) -> DataDirectoryCondition {
        let server = server(id)
        if server.unreadableSince != nil { return .unreadable("Input/output error") }
        guard server.hasData else { return server.prepared.map { .unused(identity: $0) } ?? .missing }
        return .holding(
            DataDirectoryContents(
                identity: server.identity, zxid: server.zxid, acceptedEpoch: max(server.acceptedEpoch, server.zxid >> 32),
                currentEpoch: server.zxid >> 32, recovering: server.recovering))
    }

    private mutating func launch(_ id: Int, _ mode: LaunchMode, _ identity: String?, _ floor: DataFloor?) {
        if let floor, !server(id).isAbove(floor) {
            later(.launched(id, pid: Int32(id), configured(id)))
            return later(.exited(id, .damagedData("not what was looked at")), takes: .milliseconds(450))
        }
        let joining = Duration.milliseconds(Int64.random(in: 200...1500, using: &random))
        let participatesAt = now + joining
        change(id) {
            $0.isAlive = true
            $0.isFreshSeed = false
            $0.mode = mode
            $0.participatesAt = participatesAt
            if mode == .bootstrap, !$0.hasData { $0.hasData = true; $0.identity = identity; $0.zxid = 0 }
            // It leaves files at once, with the mark.
            if mode == .recovering, !$0.hasData { ($0.hasData, $0.recovering, $0.identity) = (true, true, identity) }
            if $0.identity == nil { $0.identity = identity }
        }
        later(.launched(id, pid: Int32(id), configured(id)))
    }

    /// What a server that is started now is started with.
    private func configured(_ id: Int) -> Fingerprint {
        machine.fingerprints.first { $0.member == id }?.fingerprint ?? Fingerprint()
    }
}

extension Seed {
    var backup: String? {
        switch self {
        case .empty: nil
        case .recovering(let backup), .restored(let backup, _): backup
        }
    }
}
