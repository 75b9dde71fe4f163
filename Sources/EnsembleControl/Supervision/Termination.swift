import EnsembleBase

/// The daemon's own end. Leaving the members is always safe: the next daemon adopts them (S9). Stopping them goes in a
/// safe order: followers first, the leader last, so that what it acknowledged meanwhile is on the disks that stay.
extension OperatorMachine {
    mutating func advanceTermination(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        guard let termination else { return }
        if !termination.leaveMembers {
            stopInOrder(at: now, into: &actions)
            guard supervisors.allSatisfy({ !$0.state.mayHaveProcess }) else {
                return hold(.endOfDaemon, .stopping)
            }
        }
        saveLedger(into: &actions)
        isFinished = true
        actions.append(.finish)
    }

    /// Asks the next member to stop when the one before it has: each is bounded by the stop timeout and then killed
    /// (`MemberSupervisor`), so the whole is bounded too.
    mutating func stopInOrder(at now: Instant, into actions: inout ActionBuffer<OperatorAction>) {
        for supervisor in supervisors where supervisor.isWanted && !supervisor.state.mayHaveProcess {
            signal(supervisor.id, .unwanted, at: now, into: &actions)
        }
        let alive = supervisors.filter { $0.state.mayHaveProcess }
        guard !alive.contains(where: { !$0.isWanted }) else { return }
        let leader = lastKnownLeader
        guard let next = alive.first(where: { $0.id != leader }) ?? alive.first else { return }
        signal(next.id, .unwanted, at: now, into: &actions)
    }

    /// By the last answers, however old: while members stop, the leader loses its quorum before its turn comes.
    private var lastKnownLeader: MemberID? {
        observed.members.first { $0.answer?.role == .leading }?.id
    }
}
