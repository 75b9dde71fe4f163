import EnsembleBase

/// The condition that holds a step back, named (S10). `status` and systemd's STATUS= show `description`; the daemon
/// goes on by itself when the condition is gone.
package enum HoldReason: Sendable, Hashable, Codable {
    case noLeader
    case majorityLost([MemberID])
    case noQuorum(participating: Int, quorum: Int)
    case quorumWouldBreak(participatingAfter: Int, quorum: Int)
    case leaderCountsFewer(counted: Int, seen: Int)
    case memberNotParticipating(MemberID)
    /// It was started a moment ago, as the step wants.
    case comesBack(MemberID)
    case turnedAway(MemberID)
    /// The evidence on a member says too little to act on.
    case verdictOpen(MemberID, Verdict.Reason)
    case anotherEndedFirst(MemberID)
    case memberLags(MemberID, by: Int64)
    case waitingForBarrier(MemberID)
    case soaking(MemberID)
    case lockNotHeld(String?)
    case reseedRunning(MemberID)
    case operationRunning(String)
    case noVerifiedBackup
    case archiveUnknown
    case budgetSpent(MemberID, count: Int, isOfOneMember: Bool)
    case processNotProvedDead(MemberID)
    case filesSilent(MemberID)
    case cannotBeKilled(MemberID)
    /// `unseen`: voters that were not seen past a barrier yet.
    case epochPromises(MemberID, unseen: [MemberID])
    case effectFailed(String)
    case noSource
    case dataUnknown(MemberID, String)
    case directoriesNotSeen([MemberID])
    case needsPerson(String)
    case paused
    case stopping

    package var description: String {
        switch self {
        case .noLeader: "no member, or more than one, says that it leads"
        case .majorityLost(let ids):
            "the data of members \(ids.map { "\($0)" }.joined(separator: ", ")) is lost, and the others are no quorum: put "
                + "their directories back and start them, or restore a backup (ensemblectl restore)"
        case .noQuorum(let n, let q): "\(n) of the \(q) members that a quorum needs participate"
        case .quorumWouldBreak(let n, let q):
            "\(n) members would go on participating, and a quorum needs \(q)"
        case .leaderCountsFewer(let counted, let seen):
            "the leader counts \(counted) participating members, the probes \(seen)"
        case .memberNotParticipating(let id): "member \(id) does not participate"
        case .comesBack(let id): "member \(id) comes back"
        case .turnedAway(let id):
            "member \(id) closes the daemon's connections unanswered: this host has as many to it as maxClientCnxns allows"
        case .verdictOpen(let id, let reason): "member \(id): \(reason.description)"
        case .anotherEndedFirst(let id): "member \(id) was ended for its silence and is not back yet: one at a time"
        case .memberLags(let id, let by):
            by == .max ? "member \(id) lags an epoch behind the leader" : "member \(id) lags \(by) transactions behind"
        case .waitingForBarrier(let id): "member \(id) has not reached the barrier yet"
        case .soaking(let id): "member \(id) is being watched before the next step"
        case .lockNotHeld(let why): "the ensemble's lock for disruptions is not held" + (why.map { ": \($0)" } ?? "")
        case .reseedRunning(let id): "member \(id) is being reseeded"
        case .operationRunning(let what): "\(what) is under way"
        case .noVerifiedBackup: "there is no verified backup"
        case .archiveUnknown: "the archive could not be listed"
        case .budgetSpent(let id, let count, isOfOneMember: true):
            "member \(id) was reseeded \(count) times within the hour (reseed.perMemberPerHour), perhaps for its disk; "
                + "ensemblectl reseed \(id) does it now"
        case .budgetSpent(let id, let count, isOfOneMember: false):
            "\(count) members were reseeded within the day (reseed.perDay); ensemblectl reseed \(id) does it now"
        case .processNotProvedDead(let id): "the old process of member \(id) is not proved dead"
        case .filesSilent(let id): "the files of member \(id) don't answer: look at the disk that they are on"
        case .cannotBeKilled(let id):
            "member \(id) was killed and does not end: the kernel waits for something, its disk as a rule"
        case .epochPromises(let id, let unseen):
            "member \(id) may have promised epochs that it has forgotten: it waits until "
                + "\(unseen.map { "member \($0)" }.joined(separator: ", ")) is seen past a barrier, or for 3 x initLimit x tickTime"
        case .effectFailed(let why): why
        case .noSource: "no member of this host participates, so there is nothing to copy from"
        case .dataUnknown(let id, let why): "the data of member \(id) can't be judged: \(why)"
        case .directoriesNotSeen(let ids):
            "looking at the data directories of members \(ids.map { "\($0)" }.joined(separator: ", ")) first"
        case .needsPerson(let what): what
        case .paused: "a person has paused it (ensemblectl resume goes on)"
        case .stopping: "the daemon is stopping"
        }
    }
}

extension HoldReason {
    /// What a hold is to people.
    package enum Gravity: Sendable, Hashable {
        /// A passing state of a step that goes well: it is not said to be held.
        case step
        /// A condition that is missing, and may come true by itself.
        case waits
        /// It lasts until somebody does something.
        case person
    }

    package var gravity: Gravity {
        switch self {
        case .soaking, .waitingForBarrier, .epochPromises, .processNotProvedDead, .stopping, .lockNotHeld(nil), .memberLags,
            .operationRunning, .directoriesNotSeen, .comesBack:
            .step
        case .noLeader, .turnedAway, .noQuorum, .quorumWouldBreak, .leaderCountsFewer, .memberNotParticipating, .lockNotHeld,
            .reseedRunning, .noVerifiedBackup, .archiveUnknown, .effectFailed, .noSource, .paused, .dataUnknown, .verdictOpen,
            .anotherEndedFirst:
            .waits
        case .majorityLost, .budgetSpent, .needsPerson, .filesSilent, .cannotBeKilled: .person
        }
    }
}
