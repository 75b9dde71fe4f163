import EnsembleBase

/// Taking events in.
extension OperatorMachine {
    mutating func absorb(
        _ event: OperatorEvent, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        switch event {
        case .adopted(let id, let pid, let fingerprint):
            adopt(id, pid: pid, fingerprint: fingerprint, at: now, into: &actions)
        case .policyChanged(let new, let fingerprints):
            change(to: new, fingerprints: fingerprints, at: now, into: &actions)
        case .dataInspected(let id, let condition):
            judge(id, condition, at: now, into: &actions)
        case .dataVanished(let id, let reason):
            updateRun(id) { $0.vanished = reason }
        case .dataSeen(let id, let at, let mounts):
            updateRun(id) { $0.seenAt = at }
            remember(mounts, of: id, into: &actions)
        case .launched(let id, let pid, let fingerprint):
            launched(id, pid: pid, fingerprint, at: now, into: &actions)
        case .launchFailed(let id, let why):
            // There was no process, so it has not voted yet.
            if running.contains(where: { $0.id == id && $0.isFirst }) { setStanding(of: id, .bootstrapping, into: &actions) }
            signal(id, .launchFailed(why), at: now, into: &actions)
        case .exited(let id, let cause):
            exited(id, cause, at: now, into: &actions)
        case .answered(let id, let answer):
            answered(id, answer, into: &actions)
        case .processSeen(let id, let sight):
            observed[id]?.saw(sight, at: now)
            noteRun(of: id, at: now, into: &actions)
        case .unanswered(let id):
            heard(.silent(since: now), of: id)
        case .turnedAway(let id):
            heard(.turnedAway, of: id)
        case .notAsked(let id, let why):
            heard(.notAsked(why, since: now), of: id)
        case .backupsListed(let backups):
            observed.backups = backups
        case .backupDue:
            backupDue(at: now, into: &actions)
        case .effectFinished(let token, let outcome):
            effectFinished(token, outcome, at: now, into: &actions)
        case .requested(let id, let request, let user):
            answer(request, id: id, by: user, at: now, into: &actions)
        case .requestAnswered(let id, let isDelivered):
            answerEnded(id, isDelivered: isDelivered, at: now, into: &actions)
        case .terminationRequested(let leave):
            if termination == nil {
                termination = Termination(leaveMembers: leave)
                let what = leave ? "the members go on serving" : "the members are stopped, the leader last"
                actions.append(.note(Note(.information, .terminating, what)))
            }
        case .timePassed:
            for id in policy.members { signal(id, .timePassed, at: now, into: &actions) }
        }
    }

    private mutating func adopt(
        _ id: MemberID, pid: Int32, fingerprint: Fingerprint?, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard let index = supervisors.firstIndex(where: { $0.id == id }) else { return }
        supervisors[index].adopt()
        // It may have answered the former daemon: silence is judged by the shorter bound.
        observed[id]?.began(pid: pid, hasAnswered: true)
        updateRun(id) {
            $0.launchedAt = now
            $0.isAdopted = true
            $0.fingerprint = fingerprint
        }
        if ledger[id] == nil {
            // The state directory was lost while the servers lived: they are at their word.
            ledger.set(LedgerEntry(id: id, standing: .voter, zxid: 0, acceptedEpoch: 0, identity: nil))
            saveLedger(into: &actions)
        }
        actions.append(.note(Note(.information, .adopted, member: id, "found alive as process \(pid)")))
        reconsiderStop(of: id, at: now, into: &actions)
    }

    /// S4, S5: what allowed the former daemon to stop this member was true then. It lives, so the step has not been
    /// taken, or not come to its end: it is undone on the disk, and asked for anew.
    private mutating func reconsiderStop(of id: MemberID, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        if ledger.stoppedByPerson.contains(id) {
            ledger.stoppedByPerson.removeAll { $0 == id }
            saveLedger(into: &actions)
        }
        let operation = intents.operation
        intents.operation?.workflow.foundAlive(id)
        if intents.operation != operation { saveIntents(into: &actions) }
        // Nothing of it has been touched while the ledger calls it a voter (`quarantine`): a person may have started it again
        // (operated seed 1998).
        if let reseed = intents.reseed, reseed.member == id, [.fencing, .quarantining].contains(reseed.phase),
            reseed.isOfWholeMember, ledger[id]?.standing == .voter
        {
            askAgain(for: reseed)
            leaveWhole(id, into: &actions)
            conclude(reseed, Ending(isSilent: true), in: .reseed, at: now, into: &actions)
        }
    }

    private mutating func change(
        to new: OperatorPolicy, fingerprints: [MemberFingerprint], at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        policy = new
        self.fingerprints = fingerprints
        for index in supervisors.indices {
            supervisors[index].change(policy: new.restart, stopTimeout: new.stopTimeout)
        }
        for id in policy.members {
            guard case .gaveUp = supervisor(id)?.state else { continue }
            signal(id, .revived, at: now, into: &actions)
        }
        actions.append(.note(Note(.information, .manifestChanged, "the manifest was read again")))
    }

    private mutating func launched(
        _ id: MemberID, pid: Int32, _ fingerprint: Fingerprint, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        observed[id]?.began(pid: pid)
        updateRun(id) {
            $0 = MemberRun(id: id)
            $0.launchedAt = now
            $0.fingerprint = fingerprint
        }
        if intents.reseed?.member == id { joiner.isToBeLaunched = false }
        signal(id, .launched, at: now, into: &actions)
        actions.append(.note(Note(.information, .memberLaunched, member: id, "launched as process \(pid)")))
    }

    private mutating func exited(
        _ id: MemberID, _ cause: ExitCause, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        // Before `launched` there was no process, so it has not voted yet.
        if running.contains(where: { $0.id == id && $0.isFirst }) { setStanding(of: id, .bootstrapping, into: &actions) }
        observed[id]?.ended(cause)
        // S10: also of a directory that vanished under it: what is found now that it is dead counts, and that may be nothing.
        updateRun(id) { $0 = MemberRun(id: id) }
        signal(id, .exited(cause), at: now, into: &actions)
    }

    private mutating func answered(
        _ id: MemberID, _ answer: MemberAnswer, into actions: inout ActionBuffer<OperatorAction>
    ) {
        // A late answer of a dead process says nothing about the next one.
        guard supervisor(id)?.state.mayHaveProcess == true else { return }
        let before = observed[id]?.answer
        observed[id]?.answer = answer
        observed[id]?.heard(.answers)
        guard answer.role.serves else { return }
        if let reseed = intents.reseed, reseed.member == id {
            joiner.hasServed = true
            // Also of one that has gone before it was counted (operated seed 227 of a faster reseed).
            if reseed.phase == .joining { enterAsVoter(id, answer, into: &actions) }
        }
        // S8: also of an epoch without a transaction, which the directories alone know if it isn't noted here.
        let highest = max(answer.zxid >> 32, answer.acceptedEpoch ?? 0)
        if highest > ledger.highestEpoch {
            ledger.highestEpoch = highest
            isLedgerAhead = true
        }
        // A member applies what a quorum has logged, and may die before its own disk has it: then its directory would count
        // as a loss. Where the server does not say what is durable (Apache's), what it had applied when it was asked the
        // time before is taken to be.
        // Where an epoch begins nothing is logged: a leader says its number with the counter 0, and the directory of one that
        // has led a quiet epoch ends in the epoch before.
        let shown = answer.durable ?? before.flatMap { $0.role.serves ? $0.zxid : nil }
        let logged = shown.flatMap { $0 & 0xffff_ffff == 0 ? nil : $0 }
        // A follower of a new ensemble that has applied nothing yet says 0x0, and has promised the first epoch.
        let epoch = max(answer.zxid >> 32, policy.voters.count > 1 ? 1 : 0)
        if ledger.raise(id, epoch: epoch, zxid: logged, isAlone: policy.voters.count == 1) { isLedgerAhead = true }
    }

    /// S2: whatever has run for a while may have served, whether or not it could be asked.
    private mutating func noteRun(of id: MemberID, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard ledger.hasRun != true, supervisor(id)?.state == .running, let run = running.first(where: { $0.id == id }) else { return }
        // A JVM takes seconds to say that it can't begin.
        let bound: Duration = policy.engine == .bundled ? .seconds(1) : .seconds(10)
        guard run.isAdopted || run.launchedAt.map({ now - $0 >= bound }) ?? false else { return }
        ledger.hasRun = true
        saveLedger(into: &actions)
    }

    /// A lower bound a second old detects every rollback but one within that second; a write per probe would cost an fsync
    /// each. The last of what rose is written as well when nothing rises behind it.
    mutating func saveWhatRose(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard isLedgerAhead, savedLedgerAt.map({ now - $0 >= .seconds(1) }) ?? true else { return }
        savedLedgerAt = now
        saveLedger(into: &actions)
    }

    /// S10: a directory that is not there is lost only where the file system is mounted on which it was.
    private mutating func remember(
        _ mounts: [String]?, of id: MemberID, into actions: inout ActionBuffer<OperatorAction>
    ) {
        guard let mounts, var entry = ledger[id], entry.mounts != mounts else { return }
        entry.mounts = mounts
        ledger.set(entry)
        saveLedger(into: &actions)
    }

    /// What is heard of a process that has ended says nothing about the next one.
    private mutating func heard(_ hearing: Hearing, of id: MemberID) {
        guard case .alive = observed[id]?.process else { return }
        observed[id]?.heard(hearing)
    }

    /// S2: before every launch, what is on disk is judged against the ledger.
    private mutating func judge(
        _ id: MemberID, _ condition: DataDirectoryCondition, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) {
        observed[id]?.disk = condition
        updateRun(id) { $0.condition = condition }
        // Whether the cluster is new is known only when every directory has been looked at; until then nobody is
        // judged, and after that whoever waits is.
        let isNew = ledger.highestEpoch == 0
        guard !isNew || !running.contains(where: { $0.condition == nil && isToBeLookedAt($0.id) }) else { return }
        let judged = isNew ? running : running.filter { $0.id == id }
        let isAllBlank = running.allSatisfy { $0.condition?.isBlank ?? false }
        for run in judged {
            guard let condition = run.condition, supervisor(run.id)?.state == .inspecting else { continue }
            let trust = DataTrust.judge(
                condition, entry: ledger[run.id], ledger: ledger, isAllBlank: isAllBlank, archive: observed.backups)
            // S2: the ledger is written before the intent, and the daemon died between: nothing was fenced, seeded or
            // waited out for it.
            if trust == .recovering, intents.reseed?.member != run.id {
                act(on: .untrusted(.reseedInterrupted), run.id, at: now, into: &actions)
                continue
            }
            if run.depth == .seals, trust.needsCloserLook(at: condition) {
                // A reseed follows from distrust: it is not decided by a quick look.
                inspect(run.id, .replay, into: &actions)
                continue
            }
            act(on: trust, run.id, at: now, into: &actions)
        }
    }

    private func isToBeLookedAt(_ id: MemberID) -> Bool {
        guard let supervisor = supervisor(id) else { return false }
        switch supervisor.state {
        case .stopped: return supervisor.isWanted || !ledger.isBootstrapped
        case .inspecting, .backingOff, .doubtful: return true
        case .launching, .running, .stopping, .killing, .untrusted, .gaveUp: return false
        }
    }

    private mutating func act(
        on trust: DataTrust, _ id: MemberID, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) {
        if case .unknown = trust {} else { updateRun(id) { $0.doubt = nil } }
        switch trust {
        case .recovering where isLostAgain(id):
            signal(id, .dataUntrusted(.emptyButWasNot), at: now, into: &actions)
        case .trusted, .recovering:
            signal(id, .dataTrusted, at: now, into: &actions)
        case .adopted(let contents):
            ledger.set(
                LedgerEntry(
                    id: id, standing: .voter, zxid: contents.zxid, acceptedEpoch: contents.acceptedEpoch,
                    identity: contents.identity ?? newIdentity()))
            saveLedger(into: &actions)
            signal(id, .dataTrusted, at: now, into: &actions)
        case .bootstrap:
            if !ledger.isBootstrapped {
                // Written for all members at once, before the first is launched: from here on an empty directory of
                // a member that has voted is a loss, whenever the daemon dies.
                for member in policy.members where member != id { enterAnew(member) }
            }
            beginAnew(id, at: now, into: &actions)
        case .untrusted(let reason):
            signal(id, .dataUntrusted(reason), at: now, into: &actions)
        case .unknown(let why):
            updateRun(id) { $0.doubt = why }
            signal(id, .dataUnknown(why), at: now, into: &actions)
        }
    }

    /// S2: the directory is prepared before the ledger calls its member a voter (`launch`), so that a daemon that dies in between
    /// leaves a directory that says by itself that no server has begun in it.
    private mutating func beginAnew(_ id: MemberID, at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        let condition = running.first { $0.id == id }?.condition
        if case .unused(let identity?) = condition, identity == ledger[id]?.identity {
            setStanding(of: id, .bootstrapping, into: &actions)
            return signal(id, .dataTrusted, at: now, into: &actions)
        }
        // Another directory than any that was prepared before: where a disk is mounted by now, the one beneath it says the
        // same of itself for ever.
        let identity = enterAnew(id)
        saveLedger(into: &actions)
        updateRun(id) {
            $0.condition = nil
            $0.depth = .seals
            $0.askedOfFilesAt = now
        }
        actions.append(.prepare(id, identity: identity))
    }

    @discardableResult
    private mutating func enterAnew(_ id: MemberID) -> String {
        let identity = newIdentity()
        ledger.set(LedgerEntry(id: id, standing: .bootstrapping, zxid: 0, acceptedEpoch: 0, identity: identity))
        return identity
    }
}
