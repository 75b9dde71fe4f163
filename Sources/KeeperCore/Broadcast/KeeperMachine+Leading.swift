import EnsembleBase

/// Leading: establishing an epoch, and keeping it.
extension KeeperMachine {
    mutating func startLeading(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        role = .leading
        leader = Leader(
            phase: .discovering, epoch: 0, lastProposed: history.lastAppended,
            establishBy: now + configuration.initTimeout, nextPing: now + configuration.tickTime / 2,
            nextContainerSweep: now + configuration.containerSweepInterval)
        actions.append(.openLearnerPort)
        settleEpoch(into: &actions)
    }

    mutating func startStandalone(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        role = .leading
        leader = Leader(
            phase: .broadcasting, epoch: history.lastAppended.epoch, lastProposed: history.lastAppended,
            establishBy: .distantFuture, nextPing: now + configuration.tickTime / 2,
            nextContainerSweep: now + configuration.containerSweepInterval)
        startBroadcast(at: now, into: &actions)
        actions.append(.note(.standalone))
    }

    // MARK: Discovery

    /// Once a quorum has connected, the new epoch is one above the highest that any of it has promised.
    private mutating func settleEpoch(into actions: inout ActionBuffer<KeeperAction>) {
        guard leader!.phase == .discovering, configuration.isQuorum(leader!.connectedCount(configuration)) else { return }
        let known = leader!.learners.lazy.filter { $0.phase == .agreeing }.map(\.acceptedEpoch).max() ?? 0
        leader!.epoch = max(acceptedEpoch, currentEpoch, history.lastAppended.epoch, known) + 1
        leader!.phase = .promising
        // S2: this member's own promise is durable before anyone is asked for theirs.
        saveEpochs(accepted: leader!.epoch, current: currentEpoch, into: &actions)
    }

    mutating func leaderEpochSaved(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        switch leader!.phase {
        case .promising:
            guard acceptedEpoch == leader!.epoch else { return }
            leader!.phase = .collectingPromises
            leader!.promised(configuration.serverID)
            for index in leader!.learners.indices where leader!.learners[index].phase == .agreeing {
                announceEpoch(toLearnerAt: index, at: now, into: &actions)
            }
            countPromises(at: now, into: &actions)
        case .savingEpoch:
            guard currentEpoch == leader!.epoch else { return }
            leader!.phase = .synchronizing
            leader!.lastProposed = Zxid(epoch: leader!.epoch, counter: 0)
            for index in leader!.learners.indices where leader!.learners[index].phase == .acknowledged {
                synchronize(learnerAt: index, into: &actions)
            }
            establishIfAcknowledged(at: now, into: &actions)
        case .discovering, .collectingPromises, .synchronizing, .broadcasting: break
        }
    }

    private mutating func announceEpoch(
        toLearnerAt index: Int, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        leader!.learners[index].phase = .promising
        leader!.learners[index].deadline = now + configuration.initTimeout
        actions.append(
            .sendToLearner(leader!.learners[index].id, .leaderInfo(epoch: leader!.epoch, protocolVersion: QuorumPacket.patientProtocolVersion)))
    }

    private mutating func countPromises(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard leader!.phase == .collectingPromises, configuration.isQuorum(leader!.promises.count) else { return }
        leader!.phase = .savingEpoch
        saveEpochs(accepted: acceptedEpoch, current: leader!.epoch, into: &actions)
    }

    // MARK: Learners

    mutating func learnerConnected(_ id: LearnerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .leading, !configuration.standalone else { return actions.append(.closeLearner(id)) }
        leader!.learners.append(Learner(id: id, deadline: now + configuration.initTimeout))
    }

    mutating func learnerDisconnected(_ id: LearnerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .leading, let index = leader!.index(of: id) else { return }
        let gone = leader!.learners.remove(at: index)
        leader!.updateRecipients()
        if gone.isEstablished { stepDownWithoutQuorum(at: now, into: &actions) }
    }

    mutating func drop(
        _ id: LearnerID, _ reason: String, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard let index = leader?.index(of: id) else { return }
        actions.append(.note(.learnerDropped(leader!.learners[index].server, reason: reason)))
        actions.append(.closeLearner(id))
        learnerDisconnected(id, at: now, into: &actions)
    }

    mutating func received(
        _ packet: QuorumPacket, from id: LearnerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard role == .leading, let index = leader!.index(of: id) else { return }
        let learner = leader!.learners[index]
        if learner.isInEpoch { showedLife(learnerAt: index, at: now) }
        switch packet {
        case .ack(let zxid): acknowledged(zxid, byLearnerAt: index, at: now, into: &actions)
        case .request(let forwarded) where learner.isEstablished:
            received(forwarded, from: learner, at: now, into: &actions)
        case .ping(_, let sessions):
            for touched in sessions { touch(touched.session, timeout: touched.timeout, at: now) }
        case .revalidate(let session, let timeout) where learner.isEstablished:
            let valid = tree.timeout(of: session) != nil && expiry.contains(session)
            if valid {
                owners[session] = learner.server
                touch(session, timeout: timeout, at: now)
            }
            actions.append(.sendToLearner(id, .revalidated(session: session, valid: valid)))
        case .learnerInfo(let accepted, let server, _, _, let observer) where learner.phase == .connected:
            introduced(
                id, server: server, acceptedEpoch: accepted, observer: observer, at: now, into: &actions)
        case .ackEpoch(let zxid, let current) where learner.phase == .promising:
            promised(byLearnerAt: index, lastZxid: zxid, currentEpoch: current, at: now, into: &actions)
        default:
            drop(id, "it sent \(packet.name) out of turn", at: now, into: &actions)
        }
    }

    private mutating func introduced(
        _ id: LearnerID, server: ServerID, acceptedEpoch accepted: Int64, observer: Bool, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard !observer else { return drop(id, "observers are not supported", at: now, into: &actions) }
        guard configuration.isVoter(server), server != configuration.serverID else {
            return drop(id, "server \(server) is no other voter of this ensemble", at: now, into: &actions)
        }
        // A server has one connection: an older one is a leftover, and must not count beside it.
        for other in leader!.learners where other.server == server && other.id != id {
            drop(other.id, "it has connected anew", at: now, into: &actions)
        }
        guard role == .leading, let index = leader!.index(of: id) else { return }
        leader!.learners[index].server = server
        leader!.learners[index].acceptedEpoch = accepted
        leader!.learners[index].phase = .agreeing
        switch leader!.phase {
        case .discovering: settleEpoch(into: &actions)
        case _ where accepted > leader!.epoch: makeWay(for: id, server, promised: accepted, at: now, into: &actions)
        case .promising: break
        case .collectingPromises, .savingEpoch, .synchronizing, .broadcasting:
            announceEpoch(toLearnerAt: index, at: now, into: &actions)
        }
    }

    /// A voter has promised a later epoch, to a candidate that came to nothing, and may follow no older one. It would try
    /// to join for as long as this leader leads, and one failure less would be survived (so it goes with Apache's
    /// servers). Only an epoch above the promised one brings it back, and that takes an election.
    ///
    /// S1: in that election the longest history wins. Whoever serves with a quorum has all that was acknowledged, so it
    /// makes way only for a voter that has nothing beyond it, by the vote that the voter last cast for itself. One whose
    /// vote is not known yet, is ahead, or is of another past (the ensemble was made anew from empty members, and this
    /// one kept the old data) stays outside. The same number may be another transaction: then the digests tell
    /// (`judgeTree`).
    private mutating func makeWay(
        for learner: LearnerID, _ server: ServerID, promised epoch: Int64, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        let reason = "server \(server) has promised epoch \(epoch), and this one is \(leader!.epoch)"
        guard leader!.isServing else { return endRole(reason, at: now, into: &actions) }
        guard let vote = ownVotes[server] else {
            return keepOut(learner, server, "\(reason); what history it has it has not said yet", at: now, into: &actions)
        }
        guard isContained(vote) else {
            return keepOut(
                learner, server,
                """
                \(reason); its history ends at \(vote.zxid), in epoch \(vote.peerEpoch), and this ensemble's, which ends at \
                \(history.lastAppended) in epoch \(currentEpoch), does not contain it. To keep what this ensemble has, move \
                the data of \(server) away and start it with an empty directory, without --initialize: it takes the tree from \
                here. To keep what \(server) has, stop the others first
                """, at: now, into: &actions)
        }
        leader!.handOff = reason
        finishHandOff(at: now, into: &actions)
    }

    /// S2: with zxid −1 it is elected by nobody, whatever it has.
    private func isContained(_ vote: Vote) -> Bool {
        if vote.zxid == .none { return true }
        let isAhead = (vote.peerEpoch, vote.zxid.rawValue) > (currentEpoch, history.lastAppended.rawValue)
        return !isAhead && history.contains(vote.zxid)
    }

    /// It comes again and again; once in a while is enough to say so.
    private mutating func keepOut(
        _ learner: LearnerID, _ server: ServerID, _ reason: String, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        if leader!.keptOut[server].map({ now - $0 >= .seconds(10) }) ?? true {
            leader!.keptOut[server] = now
            actions.append(.note(.keptOut(server, reason: reason)))
        }
        actions.append(.closeLearner(learner))
        learnerDisconnected(learner, at: now, into: &actions)
    }

    private mutating func promised(
        byLearnerAt index: Int, lastZxid: Zxid, currentEpoch theirs: Int32, at now: Instant,
        into actions: inout ActionBuffer<KeeperAction>
    ) {
        // −1 says: promised before, or recovering (S2). It is synced but doesn't count.
        if theirs != -1 {
            // Until a quorum has promised, a learner ahead of this history may hold what a quorum acknowledged, and
            // must not be cut back. Later, what it holds beyond the quorum's promise was never committed.
            let isAhead = (Int64(theirs), lastZxid.rawValue) > (currentEpoch, history.lastAppended.rawValue)
            if isAhead, leader!.phase == .collectingPromises {
                return drop(leader!.learners[index].id, "its history is ahead of this leader's", at: now, into: &actions)
            }
            leader!.promised(leader!.learners[index].server)
        }
        leader!.learners[index].lastZxid = lastZxid
        leader!.learners[index].phase = .acknowledged
        switch leader!.phase {
        case .collectingPromises: countPromises(at: now, into: &actions)
        case .synchronizing, .broadcasting: synchronize(learnerAt: index, into: &actions)
        case .discovering, .promising, .savingEpoch: break
        }
    }

    // MARK: Synchronisation

    private mutating func acknowledged(
        _ zxid: Zxid, byLearnerAt index: Int, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        let learner = leader!.learners[index]
        guard learner.isInEpoch, zxid <= leader!.lastProposed else {
            return drop(learner.id, "it acknowledged \(zxid), which was not proposed to it", at: now, into: &actions)
        }
        let isNewLeaderAck = zxid.counter == 0 && zxid.epoch == leader!.epoch
        if isNewLeaderAck {
            guard learner.phase == .synchronizing else { return }
            guard learner.feed?.step == .sealed else {
                return drop(learner.id, "it acknowledged NEWLEADER, which it was not sent", at: now, into: &actions)
            }
            leader!.learners[index].phase = .established
            leader!.learners[index].feed?.step = .ready
            // Its history is this one's from here on, whatever it was when it last looked.
            ownVotes[learner.server] = nil
            // What was committed when NEWLEADER was sent is durable there before that is acknowledged, and is never
            // acknowledged by itself: without this an idle leader would take the learner for a laggard.
            leader!.learners[index].acknowledged = max(learner.acknowledged, zxid, learner.syncedThrough)
            leader!.learners[index].deadline = now + configuration.syncTimeout
            establishIfAcknowledged(at: now, into: &actions)
            if role == .leading, leader!.isServing { goOn(feedingLearnerAt: index, into: &actions) }
        } else {
            leader!.learners[index].acknowledged = max(learner.acknowledged, zxid)
        }
        if role == .leading { commitWhatAQuorumHas(at: now, into: &actions) }
    }

    /// With NEWLEADER acknowledged by a quorum, this leader's history is committed and its epoch established.
    private mutating func establishIfAcknowledged(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard leader!.phase == .synchronizing, configuration.isQuorum(leader!.establishedCount(configuration)) else {
            return
        }
        leader!.phase = .broadcasting
        currentVote.peerEpoch = leader!.epoch
        startBroadcast(at: now, into: &actions)
        for index in leader!.learners.indices where leader!.learners[index].phase == .established {
            goOn(feedingLearnerAt: index, into: &actions)
        }
        actions.append(.note(.leading(epoch: leader!.epoch)))
    }

    private mutating func startBroadcast(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        // An elected leader has all that was ever committed, so no tree that it was sent shows more.
        treeIsExactAfter = min(treeIsExactAfter, history.lastAppended)
        if doubt != nil {
            diskOperations += 1
            actions.append(.clearRecoveringMark)
        }
        expiry = ExpiryWheel(tick: configuration.tickTime)
        for session in tree.sessions { track(session.session, timeout: session.timeout, at: now) }
        beginServing(at: now)
    }

    // MARK: Patience

    mutating func learnerProgressed(_ id: LearnerID, at now: Instant) {
        guard role == .leading, let index = leader!.index(of: id), leader!.learners[index].phase == .synchronizing else { return }
        showedLife(learnerAt: index, at: now)
    }

    /// A learner may take hours to come to the leader's history, as long as it shows that it lives: it takes what is sent,
    /// or answers pings while its disk is at work (issue 8, A11). So may the establishing of the epoch, as long as a quorum
    /// is here for it.
    private mutating func showedLife(learnerAt index: Int, at now: Instant) {
        let isEstablished = leader!.learners[index].isEstablished
        leader!.learners[index].deadline = now + (isEstablished ? configuration.syncTimeout : configuration.initTimeout)
        guard leader!.phase == .synchronizing, configuration.isQuorum(leader!.connectedCount(configuration)) else { return }
        // A tick less than the followers' patience, who hear of this leader twice a tick: it gives up before they do
        // (`step`).
        leader!.establishBy = max(leader!.establishBy, now + configuration.initTimeout - configuration.tickTime)
    }

    // MARK: Keeping the quorum

    mutating func leaderDeadlineReached(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        if !leader!.isServing, now >= leader!.establishBy {
            return endRole("no quorum in time to establish an epoch", at: now, into: &actions)
        }
        guard now >= leader!.nextPing else { return }
        leader!.nextPing = now + configuration.tickTime / 2
        for learner in leader!.learners {
            if now >= learner.deadline { drop(learner.id, "it was silent for too long", at: now, into: &actions) }
            guard role == .leading else { return }
        }
        dropLaggards(at: now, into: &actions)
        guard role == .leading else { return }
        for learner in leader!.learners where learner.isInEpoch {
            actions.append(.sendToLearner(learner.id, .ping(zxid: leader!.lastProposed, sessions: [])))
        }
        guard leader!.isServing else { return }
        // Ends the role, where the epoch's zxids are used up by it.
        expireSessions(at: now, into: &actions)
        guard role == .leading else { return }
        if now >= leader!.nextContainerSweep {
            leader!.nextContainerSweep = now + configuration.containerSweepInterval
            for path in tree.emptyContainers(limit: 1000) {
                propose(.deleteContainer(path: path), session: 0, cxid: 0, identities: [], at: now, into: &actions)
            }
        }
    }

    /// A follower that leaves a proposal unacknowledged for syncLimit ticks is dropped (reference, 3.3).
    private mutating func dropLaggards(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        var late: [LearnerID] = []
        for index in leader!.learners.indices where leader!.learners[index].phase == .serving {
            let learner = leader!.learners[index]
            guard learner.acknowledged < leader!.lastProposed else {
                leader!.learners[index].lagging = nil
                continue
            }
            if let lagging = learner.lagging, learner.acknowledged < lagging.zxid {
                if now - lagging.since >= configuration.syncTimeout { late.append(learner.id) }
            } else {
                leader!.learners[index].lagging = (zxid: leader!.lastProposed, since: now)
            }
        }
        for id in late { drop(id, "it left a proposal unacknowledged for too long", at: now, into: &actions) }
    }

    private mutating func stepDownWithoutQuorum(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard leader!.isServing, !configuration.isQuorum(leader!.establishedCount(configuration)) else { return }
        endRole("fewer than a quorum of voters is synced", at: now, into: &actions)
    }

    /// Drains and steps down; the followers elect anew at once, since their connections end.
    mutating func handOffRequested(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .leading, !configuration.standalone, leader!.isServing else { return }
        leader!.handOff = "handed off on request"
        finishHandOff(at: now, into: &actions)
    }

    mutating func finishHandOff(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .leading, let reason = leader!.handOff, history.outstanding.isEmpty else { return }
        endRole(reason, handedOff: true, at: now, into: &actions)
    }
}
