import EnsembleBase
import EnsembleControl
import KeeperCore

/// What people ask of the daemon, and where their word excuses what it does.
extension World {
    mutating func ask(_ request: OperatorRequest) {
        guard daemon?.machine != nil else { return }
        daemon!.requestCount += 1
        record("a person asks: \(request)")
        switch request {
        case .pause: daemon!.pauses["r\(daemon!.requestCount)"] = true
        // One that stands still hears an earlier pause behind it (operated seed 2871).
        case .resume:
            daemon!.isPaused = false
            daemon!.pauses["r\(daemon!.requestCount)"] = false
        case .cancel(let operation): daemon!.cancellations["r\(daemon!.requestCount)"] = operation
        // Some have gone before they are answered.
        case .restore: daemon!.restores["r\(daemon!.requestCount)"] = daemon!.requestCount % 5 != 0
        default: break
        }
        tell(.requested(id: "r\(daemon!.requestCount)", request))
    }

    mutating func askSomething() {
        guard faultsEnabled, plan.operatorFaults.contains(.people) else { return }
        schedule(.personAsks, in: .milliseconds(Int64.random(in: 1_000...8_000, using: &daemon!.personRandom)))
        let member = Int.random(in: 1...servers.count, using: &daemon!.personRandom)
        let choice = Int.random(in: 0..<26, using: &daemon!.personRandom)
        if let moment = plan.operatorMoment, Int.random(in: 0..<4, using: &daemon!.personRandom) != 0 {
            return provoke(moment, at: ServerID(member))
        }
        if plan.changesMind, Int.random(in: 0..<5, using: &daemon!.mindRandom) == 0 { return changeMind() }
        switch choice {
        case 0..<6: ask(.restartRolling(reason: "a person asks", acceptOutage: false))
        case 6..<9: ask(.restart(member, acceptOutage: false))
        case 9..<11: ask(.stop(member, acceptOutage: false))
        case 11..<15: takeBackWhatWasAsked()
        case 15..<17: ask(.backup(.cold, member: nil))
        case 17: ask(.backup(.cold, member: member))
        case 18: ask(.backup(.live, member: member))
        case 19..<22: ask(.reseed(member))
        case 22: askForRestore()
        case 23: askForVerification()
        case 24: endPolitely(leavingMembers: true)
        default: endPolitely(leavingMembers: Int.random(in: 0..<3, using: &daemon!.personRandom) != 0)
        }
    }

    mutating func askForRestore() {
        // A person may well choose what an earlier restore has undone, but the checkers know one history only.
        let verified = daemon!.archive.backups.filter { $0.isVerified && checkers.history.digest(at: $0.end) != nil }
        // S1's word holds for people too: they wait until nothing else is lost.
        guard let backup = verified.randomElement(using: &daemon!.personRandom), servers.allSatisfy({ isWhole($0) }) else { return }
        ask(.restore(backup.reference))
    }

    private mutating func askForVerification() {
        guard let backup = daemon!.archive.backups.randomElement(using: &daemon!.personRandom) else { return }
        ask(.verify(backup: backup.reference.id))
    }

    private mutating func changeMind() {
        if daemon!.isPaused, Bool.random(using: &daemon!.mindRandom) { return ask(.resume) }
        guard let work = daemon!.machine?.works.compactMap(\.id).randomElement(using: &daemon!.mindRandom) else { return ask(.pause) }
        ask(.cancel(work))
    }

    /// `systemctl restart` and `stop`; it is started again in either case.
    private mutating func endPolitely(leavingMembers: Bool) {
        guard daemon!.machine != nil else { return }
        record("a person ends the daemon\(leavingMembers ? "" : " and its members")")
        tell(.terminationRequested(leaveMembers: leavingMembers))
    }

    // MARK: A roll in peace

    /// Everyone is well, and somebody asks for the plan that people ask for most.
    mutating func askForRoll() {
        checkers.rolls.begins()
        ask(.restartRolling(reason: "nothing else happens", acceptOutage: false))
    }

    /// S9: the roll is another daemon's from here on. While a server is stopping that would be another story: it is adopted
    /// as one that lives, and asked again.
    ///
    /// - Returns: whether this was the moment.
    mutating func replaceDaemonAmidRoll() -> Bool {
        guard let turns = checkers.rolls.turns, turns >= 2, turns < servers.count, !servers.contains(where: \.isStopping)
        else { return false }
        record("a person restarts the daemon")
        hear(.terminationRequested(leaveMembers: true))
        return true
    }

    /// How many daemons see the roll to its end.
    mutating func drawDaemonsOfRoll() -> Int { Int.random(in: 1...2, using: &daemon!.personRandom) }

    // MARK: Judging a stop

    /// Whether a person wants what the member is stopped for, by the name that the request was given here (`ask`).
    private func isAskedFor(_ id: ServerID, _ intents: Intents) -> Bool {
        let reseed = intents.reseed.flatMap { $0.member == Int(id) ? $0.operation : nil }
        guard let name = reseed ?? intents.operation?.id, name.utf8.first == UInt8(ascii: "r") else { return false }
        return name.utf8.dropFirst().allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// S11: by what is true of the process, whatever the daemon has heard.
    mutating func judgeKill(of id: ServerID) {
        guard let machine = daemon?.machine else { return }
        let server = servers[index(id)]
        checkers.oversight.kills(
            index(id),
            OperatorChecker.Victim(
                isServing: server.serves && !server.isFrozen, hasDirectory: server.replacement == nil,
                lastUnheard: server.unheard.map { min($0.until, now) }),
            bounds: machine.policy.verdictBounds, patience: patience(of: machine), at: now, &checkers.verdict)
    }

    /// S4: who leads is stopped when all others are, so that what it acknowledges meanwhile is on the disks that stay.
    mutating func judgeOrder(of id: ServerID) {
        guard let machine = daemon?.machine, machine.termination?.leaveMembers == false, daemon!.toldLeader == id,
            servers[index(id)].serves, servers[index(id)].machine!.isLeading,
            let other = servers.first(where: { $0.id != id && $0.machine != nil && !$0.isStopping && !$0.isDying })
        else { return }
        checkers.fail(.disruption, "S4: \(id) has said that it leads, and is stopped before \(other.id)")
    }

    /// What it writes down it has decided, and nobody decides so often.
    mutating func judgePace() {
        daemon!.savedAt.append(now)
        while let first = daemon!.savedAt.first, now - first > .seconds(1) { _ = daemon!.savedAt.popFirst() }
        guard daemon!.savedAt.count > 40 else { return }
        checkers.fail(.soundness, "the daemon goes round in circles: its intents have changed 40 times within a second")
    }

    /// How old the operator's knowledge may be by design.
    private func patience(of machine: OperatorMachine) -> Duration { machine.policy.freshness + .milliseconds(600) }

    /// S4 and S5 hold for every stop but those that a person has ordered for the whole cluster.
    mutating func judgeDisruption(of id: ServerID) {
        guard let machine = daemon?.machine, machine.termination == nil, servers[index(id)].machine != nil else { return }
        // It was to stop before its launch came about: the step was judged then.
        guard !daemon!.launchesUnheard.contains(id) else { return }
        // S2, S3: what serves from a directory that is given up, or may be half gone, is no member of the ensemble (operated
        // seeds 4128, 459).
        if let reseed = machine.intents.reseed, reseed.member == Int(id),
            !reseed.isAskedFor || daemon!.perhapsMoved.contains(id)
        { return }
        let isRestored = machine.intents.operation?.workflow.claim == .cluster
        if daemon!.isPaused, !isRestored { checkers.fail(.disruption, "S4: \(id) is taken out of service in a pause") }
        let isLeading = servers[index(id)].serves && servers[index(id)].machine!.isLeading
        checkers.rolls.takes(index(id), isLeading: isLeading, &checkers.verdict)
        let isStoppedByPerson = machine.ledger.stoppedByPerson.contains(Int(id))
        if isRestored {
            // What a step owed that it has replaced is nobody's any more (seed 69).
            return checkers.oversight.isNoLongerDisrupted(index(id))
        }
        // A reseed may go before an operation that has not begun (operated seed 2083).
        let operation = machine.intents.reseed?.member == Int(id) ? nil : machine.intents.operation?.id
        checkers.oversight.disrupts(
            index(id), of: operation, holdsLock: daemonHoldsLock,
            excused: machine.ledger.stoppedByPerson.map { $0 - 1 }, patience: patience(of: machine),
            applied: servers.map { $0.machine?.tree.lastProcessedZxid ?? .zero }, at: now, &checkers.verdict)
        if let reseed = machine.intents.reseed, reseed.member == Int(id), let operation = reseed.operation {
            checkers.oversight.stopsForReseed(index(id), operation, &checkers.verdict)
        }
        if !isAskedFor(id, machine.intents) {
            checkers.oversight.restartsUnasked(
                index(id), unheard: servers[index(id)].unheard, silence: machine.policy.verdictBounds.silence, at: now,
                &checkers.verdict)
        }
        // It stays away because a person wants that; the step is over.
        if isStoppedByPerson { checkers.oversight.isNoLongerDisrupted(index(id)) }
    }
}

extension Reseed {
    /// Of a member that is whole.
    fileprivate var isAskedFor: Bool { if case .askedFor = reason { true } else { false } }
}
