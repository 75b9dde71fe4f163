import EnsembleBase

/// S2: a member N that lost its directory has forgotten which epochs it promised, and to whom. It stays down until nobody can
/// count on such a promise any more: for a time (`promiseLifetime`), or until that is seen of every other voter.
///
/// Who counts on one is a candidate of before the fence, and each other voter V is seen not to be one by either of these,
/// since N's last process is known to have ended:
/// - V has no process. What it had counted went with it, and the next one begins to count anew, when N has nothing to give.
/// - V serves at or past a barrier, and was asked when that had committed; the barrier was asked for after the fence. Then V
///   is no candidate: one that leads or follows has given its candidacy up, or has come to lead by it. Whoever proposes an
///   epoch has accepted it durably before, so that V serves in none lower.
///
/// Leaders that are established are no danger. One that a later epoch has deposed without knowing it needs a quorum of those
/// who have not promised the later one; that was promised by a quorum without N, so that N would be one too few. And what N
/// acknowledged before its end, in whatever epoch, is in the history of everyone who has the barrier: a quorum without N has
/// committed it. Serving alone would not do: with five voters two pairs may serve in two epochs, and the older pair and N
/// would be a quorum; that pair can't be past the barrier.
///
/// An answer counts that its server has put its own number to, and that is younger than the barrier: Apache's servers don't
/// say theirs, and for them the time is waited out. What was seen is this daemon's; the next one asks anew.
extension Reseed {
    mutating func waitOutPromises(
        _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant, into actions: inout ActionBuffer<OperatorAction>
    ) -> WorkflowStep {
        let unseen = votersThatMayCount(on: member, &waits, in: &machine, at: now, into: &actions)
        // Each phase of a candidate that may rely on a promise is bounded by initLimit ticks, so after three of them nobody
        // does. Counted from the fence by this daemon's clock; a daemon that takes over begins it anew.
        guard let since = waits.since, unseen.isEmpty || now - since >= machine.policy.promiseLifetime else {
            return .waits(.epochPromises(member, unseen: unseen), member: member)
        }
        phase = .joining
        return .moved
    }

    /// The other voters of which it is not seen yet.
    private func votersThatMayCount(
        on lost: MemberID, _ waits: inout Waits, in machine: inout OperatorMachine, at now: Instant,
        into actions: inout ActionBuffer<OperatorAction>
    ) -> [MemberID] {
        let others = machine.policy.voters.filter { $0 != lost }
        // S3: a process of the lost member itself could promise anew.
        guard machine.policy.engine == .bundled, machine.supervisor(lost)?.state.mayHaveProcess == false else { return others }
        waits.barrier.request(in: &machine, at: now, into: &actions)
        for voter in others where !machine.joiner.withoutPromises.contains(voter) {
            if machine.countsOnNothing(voter, behind: waits.barrier) { machine.joiner.withoutPromises.append(voter) }
        }
        return others.filter { !machine.joiner.withoutPromises.contains($0) }
    }
}

extension OperatorMachine {
    fileprivate func countsOnNothing(_ voter: MemberID, behind barrier: Barrier) -> Bool {
        // One that a person has stopped may have been started by hand.
        if let supervisor = supervisor(voter), !supervisor.state.mayHaveProcess, !ledger.stoppedByPerson.contains(voter) {
            return true
        }
        guard let (barrier, committed) = barrier.committed, let answer = observed[voter]?.answer, answer.server == voter else {
            return false
        }
        return answer.role.serves && answer.at >= committed && answer.zxid >= barrier
    }
}
