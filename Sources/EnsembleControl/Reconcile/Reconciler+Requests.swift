import EnsembleBase

/// What a person asks for. A request is refused at once or written down as an operation; what is missing for it then
/// holds it, and is named.
extension ReconcilerStateMachine {
    mutating func answer(
        _ request: OperatorRequest, id: String, at now: Instant, into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        if let error = refusal(of: request) {
            return actions.append(.answer(request: id, .refused(error)))
        }
        switch request {
        case .start(let member):
            ledger.stoppedByPerson.removeAll { $0 == member }
            saveLedger(into: &actions)
            signal(member, .revived, at: now, into: &actions)
            record(id, "start of member \(member)", failure: nil, backup: nil)
        case .stop(let member):
            begin(Operation(id: id, kind: .stopMember(member)), at: now, into: &actions)
        case .restart(let member):
            roll([member], "asked for by a person", id: id, at: now, into: &actions)
        case .restartRolling(let reason):
            roll(policy.members, reason, id: id, at: now, into: &actions)
        case .reseed(let member):
            if !reseedsAskedFor.contains(member) { reseedsAskedFor.append(member) }
            record(id, "reseed of member \(member)", failure: nil, backup: nil)
        case .backup(.cold, let member):
            begin(Operation(id: id, kind: .coldBackup(ColdBackup(member: member))), at: now, into: &actions)
        case .backup(.live, let member):
            if let reason = beginCapture(of: member, operation: id, at: now, into: &actions) {
                let error = ControlError(
                    .held, "no backup can be taken now: \(reason.description)",
                    remedy: "ask again when the ensemble serves", missingCondition: reason.description)
                return actions.append(.answer(request: id, .refused(error)))
            }
        case .restore(let backup):
            let restore = Restore(backup: backup, acceptedEpoch: epochAboveAll(backup))
            ledger.highestEpoch = restore.acceptedEpoch
            saveLedger(into: &actions)
            begin(Operation(id: id, kind: .restore(restore)), at: now, into: &actions)
        }
        actions.append(.answer(request: id, .accepted))
    }

    /// Members that a changed manifest concerns, restarted one at a time.
    package mutating func roll(
        _ members: [MemberID], _ reason: String, id: String, at now: Instant,
        into actions: inout ActionBuffer<ReconcilerAction>
    ) {
        let wanted = members.filter { !ledger.stoppedByPerson.contains($0) }
        let rolling = RollingRestart(members: wanted, reason: reason, acceptOutage: policy.voters.count <= 2)
        begin(Operation(id: id, kind: .rolling(rolling)), at: now, into: &actions)
    }

    private func refusal(of request: OperatorRequest) -> ControlError? {
        guard termination == nil else {
            return ControlError(.notReady, "the daemon is stopping", remedy: "ask the next daemon")
        }
        switch request {
        case .start(let member), .stop(let member), .restart(let member), .reseed(let member),
            .backup(_, member: .some(let member)):
            guard policy.members.contains(member) else {
                return ControlError(
                    .notFound, "the cluster has no member \(member)",
                    remedy: "its members are \(policy.members.map { "\($0)" }.joined(separator: ", "))")
            }
        case .restartRolling, .backup(_, member: nil), .restore: break
        }
        switch request {
        case .start, .reseed: return nil
        case .backup(.live, _): return capture == nil ? nil : busy("a backup")
        case .restore:
            // A restore is the way out when an operation can't go on: it replaces a roll, not another restore.
            if case .restore = intents.operation?.kind { return busy("a restore") }
            return nil
        case .stop, .restart, .restartRolling, .backup(.cold, _):
            return intents.operation.map { busy($0.title) }
        }
    }

    private func busy(_ what: String) -> ControlError {
        ControlError(.busy, "\(what) is under way", remedy: "wait for it: ensemblectl status shows what it does")
    }
}

/// What status views ask.
extension ReconcilerStateMachine {
    /// The request that a running live capture answers.
    package var captureOperation: String? { capture?.operation }
    package func launchedAt(_ id: MemberID) -> Instant? { running.first { $0.id == id }?.launchedAt }
}

extension Operation {
    /// Members done, of all; nil where members don't count.
    package var progress: (done: Int64, total: Int64)? {
        guard case .rolling(let rolling) = kind else { return nil }
        return (Int64(rolling.members.count - rolling.remaining.count), Int64(rolling.members.count))
    }
}
