import EnsembleBase

/// One thing that is under way or waits, as people follow it by its id.
package struct Work: Sendable {
    /// Nil: the daemon began it by itself and nobody asks for it.
    package var id: String?
    package var title: String
    package var step: String
    /// What it waits for.
    package var held: HoldReason?
    /// Members done, of all; nil where members don't count.
    package var members: (done: Int64, total: Int64)?
    /// The effect whose bytes are its progress.
    package var effect: EffectToken?
    /// It is written down and has not begun.
    package var isWaiting = false
}

/// What views ask of the core.
extension ReconcilerStateMachine {
    package func launchedAt(_ id: MemberID) -> Instant? { running.first { $0.id == id }?.launchedAt }

    /// All that is at work: the operation first, then repairs, then what disrupts nobody.
    package var works: [Work] {
        var works: [Work] = []
        func held(_ title: String) -> HoldReason? { holds.first { $0.what == title }?.reason }
        if let operation = intents.operation {
            works.append(
                Work(
                    id: operation.id, title: operation.title, step: operation.step, held: held(operation.title),
                    members: operation.progress, effect: clock.operationEffect))
        }
        if let reseed = intents.reseed {
            let title = "reseed of member \(reseed.member)"
            works.append(
                Work(
                    id: reseed.operation, title: title, step: reseed.phase.description, held: held(title),
                    effect: clock.reseedEffect))
        }
        for asked in intents.reseedsAskedFor {
            let title = "reseed of member \(asked.member)"
            works.append(Work(id: asked.operation, title: title, step: "not begun", held: held(title), isWaiting: true))
        }
        for asked in startsAskedFor {
            let reason = HoldReason.memberNotParticipating(asked.member)
            works.append(
                Work(id: asked.operation, title: "start of member \(asked.member)", step: "waiting for it", held: reason))
        }
        if let work = archiveWork {
            works.append(
                Work(
                    id: work.operation, title: work.title, step: work.step, held: held(work.title), effect: work.effect))
        }
        return works
    }

    /// A start ends when the member participates, or when the daemon has given it up.
    mutating func concludeStarts(at now: Instant) {
        let waiting = startsAskedFor
        startsAskedFor = []
        for asked in waiting {
            let title = "start of member \(asked.member)"
            if observed.participates(asked.member, at: now) {
                record(asked.operation, title, result: "member \(asked.member) participates")
            } else if let failure = lastingObstacle(to: asked.member) {
                record(asked.operation, title, failure: failure)
            } else {
                startsAskedFor.append(asked)
            }
        }
    }

    private func lastingObstacle(to id: MemberID) -> String? {
        if termination != nil { return "the daemon is stopping" }
        if ledger.stoppedByPerson.contains(id) { return "it was asked to stop again" }
        if case .gaveUp(let why) = supervisor(id)?.state { return why }
        return nil
    }
}

extension Operation {
    /// Members done, of all; nil where members don't count.
    package var progress: (done: Int64, total: Int64)? {
        guard case .rolling(let rolling) = kind else { return nil }
        return (Int64(rolling.members.count - rolling.remaining.count), Int64(rolling.members.count))
    }

    package var step: String {
        switch kind {
        case .rolling(let rolling): rolling.phase.description
        case .stopMember(let id, _): "stopping member \(id)"
        case .coldBackup(let cold): cold.phase.description(cold.member)
        case .restore(let restore): restore.phase.description
        }
    }
}

extension RollingRestart.Phase {
    package var description: String {
        switch self {
        case .choosing: "choosing the next member"
        case .reconsidering(let id): "deciding anew on member \(id)"
        case .stopping(let id): "stopping member \(id)"
        case .joining(let id): "waiting until member \(id) participates without lag"
        case .soaking(let id): "watching member \(id) for a while"
        }
    }
}

extension ColdBackup.Phase {
    package func description(_ member: MemberID?) -> String {
        let source = member.map { "member \($0)" } ?? "a follower"
        return switch self {
        case .choosing: "choosing a member and the moment"
        case .stopping: "stopping \(source)"
        case .copying: "copying the files of \(source)"
        case .joining: "waiting until \(source) participates again"
        }
    }
}

extension Restore.Phase {
    package var description: String {
        switch self {
        case .verifying: "reading the backup back and replaying it"
        case .checkingRoom: "asking the members' disks whether they can take it"
        case .stopping: "stopping the members, the leader last"
        case .quarantining: "moving what the members have to quarantine"
        case .seeding: "writing the backup into the members' directories"
        case .starting: "starting the members"
        }
    }
}
