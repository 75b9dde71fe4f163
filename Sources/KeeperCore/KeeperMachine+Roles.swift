import EnsembleBase

/// From one role to the next: recovery, settling, election.
extension KeeperMachine {
    mutating func recovered(_ state: RecoveredState, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        tree = state.tree
        tree.setConfiguration(configuration.configurationText)
        history = History(recent: state.recent, last: tree.lastProcessedZxid, capacity: configuration.windowCount)
        snapshots.found(state.behindSnapshot)
        judgement = state.doubted == nil ? state.judgement : DigestJudgement()
        treeIsExactAfter = state.isExact ? .zero : Zxid(rawValue: .max)
        if role == .starting {
            acceptedEpoch = state.acceptedEpoch
            currentEpoch = state.currentEpoch
            recovering = state.recovering
            doubt = state.doubted.map { Doubt(leader: $0, isMarked: true) }
            role = .settling
        } else {
            diskOperations -= 1
            truncated(at: now, into: &actions)
        }
        settle(at: now, into: &actions)
    }

    /// Ends following or leading: clients and peers are let go; what the disk still does is awaited.
    mutating func endRole(
        _ reason: String, handedOff: Bool = false, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard role == .following || role == .leading else { return }
        actions.append(.note(.roleEnded(reason: reason, handedOff: handedOff)))
        for connection in clients.keys.sorted() { actions.append(.closeClient(connection)) }
        clients = [:]
        connectionBySession = [:]
        watches = WatchTable()
        owners = [:]
        touched = TouchedSessions()
        unansweredSyncs.removeAll()
        unansweredRevalidations.removeAll()
        unproposed = UnproposedWrites()
        if role == .leading { actions.append(.closeLearnerPort) } else { actions.append(.disconnectFromLeader) }
        // What is not on its way to the disk yet never was this member's.
        if follower?.phase != .installing { received = nil }
        leader = nil
        follower = nil
        spaceElections(at: now)
        role = .settling
        settle(at: now, into: &actions)
    }

    /// Leaves `settling` once the disk is at rest.
    ///
    /// S1 and ZOOKEEPER-2845: a member votes with what its log durably holds, and its tree is exactly that. So the
    /// logged but uncommitted tail is synced and applied before the next election; a later TRUNC would rebuild the tree.
    mutating func settle(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .settling, diskOperations == 0, history.isSynced else { return }
        while let entry = history.commitNext(upTo: history.lastAppended) { applyQuietly(entry, at: now, into: &actions) }
        if marksDoubt(at: now, into: &actions) { return }
        if configuration.standalone { return startStandalone(at: now, into: &actions) }
        // The deadline asks again.
        if let looksAgainAt, now < looksAgainAt { return }
        looksAgainAt = nil
        role = .looking
        if recovering { actions.append(.note(.recoveringWaits)) }
        let decision = election.start(ownVote(at: now), avoiding: doubt?.leader, at: now, into: &actions)
        actions.append(.note(.looking(round: election.round)))
        if let decision { decided(decision, at: now, into: &actions) }
    }

    /// An election that led to nothing but the next one is not repeated at once: a member that can't take what its
    /// leader sends would keep all the others busy, too. Whoever has served looks for a leader without delay.
    private mutating func spaceElections(at now: Instant) {
        guard let since = servingSince.take() else {
            looksAgainAt = now + electionBackoff.next(using: &random)
            return
        }
        if now - since >= configuration.tickTime { electionBackoff.reset() }
    }

    /// Clients are served from here on.
    mutating func beginServing(at now: Instant) {
        preparation.reset()
        servingSince = now
    }

    /// Applies without telling anyone: no clients are served.
    mutating func applyQuietly(_ entry: LogEntry, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        changes.removeAll(keepingCapacity: true)
        _ = tree.apply(entry, changes: &changes)
        snapshots.applied(entry)
        _ = judgeTree(behind: entry, at: now, into: &actions)
    }

    mutating func received(
        _ message: Notification, from sender: ServerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        if message.state == .looking, message.vote.leader == sender, configuration.isVoter(sender) {
            ownVotes[sender] = message.vote
        }
        switch role {
        case .starting, .settling: return
        case .looking:
            // Only voters elect. Others are told what this member thinks.
            guard configuration.isVoter(sender) else {
                actions.append(.sendNotification(to: sender, election.notification))
                return
            }
            if let decision = election.receive(message, from: sender, at: now, into: &actions) {
                decided(decision, at: now, into: &actions)
            }
        case .following, .leading:
            guard message.state == .looking else { return }
            let state: PeerState = role == .leading ? .leading : .following
            actions.append(
                .sendNotification(
                    to: sender,
                    Notification(
                        state: state, vote: currentVote, electionEpoch: election.round,
                        config: configuration.configurationText)))
        }
    }

    mutating func decided(_ decision: Election.Decision, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        election.stop()
        currentVote = decision.vote
        actions.append(.note(.elected(leader: decision.vote.leader, epoch: decision.vote.peerEpoch)))
        if decision.vote.leader == configuration.serverID {
            followed = nil
            startLeading(at: now, into: &actions)
        } else {
            role = .following
            followed = decision.vote.leader
            follower = Follower(
                leader: decision.vote.leader, startsFromNothing: decision.isJoined && (doubt != nil || needsTree),
                configuration: configuration, at: now)
            actions.append(.connectToLeader(decision.vote.leader))
        }
    }

    mutating func deadlineReached(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        switch role {
        case .starting: break
        case .settling: settle(at: now, into: &actions)
        case .looking:
            if let decision = election.deadlineReached(at: now, into: &actions) {
                decided(decision, at: now, into: &actions)
            } else if let votesAgainAt, now >= votesAgainAt {
                role = .settling
                settle(at: now, into: &actions)
            }
        case .following:
            followerDeadlineReached(at: now, into: &actions)
        case .leading: leaderDeadlineReached(at: now, into: &actions)
        }
    }

    // MARK: The disk's answers

    mutating func logSynced(_ zxid: Zxid, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard zxid <= history.lastAppended else {
            return violated("\(zxid) is reported durable, and the log ends at \(history.lastAppended)", into: &actions)
        }
        history.synced(zxid)
        switch role {
        case .leading:
            commitWhatAQuorumHas(at: now, into: &actions)
            if role == .leading { goOnFeeding(into: &actions) }
        case .following:
            follower?.acknowledge(upTo: history.lastSynced, into: &actions)
            establish(at: now, into: &actions)
        case .starting, .looking: break
        case .settling: settle(at: now, into: &actions)
        }
    }

    mutating func epochsSaved(
        accepted: Int64, current: Int64, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        diskOperations -= 1
        acceptedEpoch = accepted
        currentEpoch = current
        switch role {
        case .leading: leaderEpochSaved(at: now, into: &actions)
        case .following: followerEpochSaved(at: now, into: &actions)
        case .starting, .looking: break
        case .settling: settle(at: now, into: &actions)
        }
    }

    mutating func saveEpochs(accepted: Int64, current: Int64, into actions: inout ActionBuffer<KeeperAction>) {
        // S1, S2: an epoch on the disk vouches for a promise that is not taken back, and for the whole history before it.
        guard accepted >= acceptedEpoch, current <= accepted, current == currentEpoch || history.isSynced else {
            return violated(
                """
                epochs \(accepted) and \(current) were to be saved over \(acceptedEpoch) and \(currentEpoch), with the log \
                at \(history.lastAppended) and on disk up to \(history.lastSynced)
                """, into: &actions)
        }
        diskOperations += 1
        actions.append(.saveEpochs(accepted: accepted, current: current))
    }

    /// This process has done what it must never do: its state can't be trusted, and the disk's is the last that can.
    mutating func violated(_ what: String, into actions: inout ActionBuffer<KeeperAction>) {
        actions.append(.halt("an invariant is violated: \(what). Please report this with the log of this server"))
    }
}
