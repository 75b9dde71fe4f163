import EnsembleBase

/// Following: what the leader says, and what the disk answers.
extension KeeperMachine {
    mutating func leaderConnected(_ server: ServerID, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .following, follower?.leader == server, follower?.phase == .connecting else { return }
        follower?.enter(.agreeing)
        follower?.heard(at: now)
        actions.append(
            .sendToLeader(
                .learnerInfo(
                    acceptedEpoch: acceptedEpoch, server: configuration.serverID, protocolVersion: QuorumPacket.protocolVersion,
                    configVersion: 0, observer: false)))
    }

    mutating func receivedFromLeader(
        _ packet: QuorumPacket, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard role == .following, follower != nil else { return }
        follower!.heard(at: now)
        // Pings must be answered even while the disk is busy, or the leader drops this learner.
        if follower!.isBlocked, !packet.isPing {
            follower!.postpone(packet, at: now, into: &actions)
        } else {
            handleFromLeader(packet, at: now, into: &actions)
        }
    }

    private mutating func drainInbox(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        while role == .following, let packet = follower?.nextPostponed(at: now, into: &actions) {
            handleFromLeader(packet, at: now, into: &actions)
        }
    }

    private mutating func handleFromLeader(
        _ packet: QuorumPacket, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        switch packet {
        case .proposal(let entry): acceptProposal(entry, at: now, into: &actions)
        case .commit(let zxid): commit(zxid, at: now, into: &actions)
        case .ping(let zxid, _):
            guard follower!.mayPing else { return }
            actions.append(.sendToLeader(.ping(zxid: zxid, sessions: touched.drain())))
        case .leaderInfo(let epoch, let version): promise(epoch, version, at: now, into: &actions)
        case .diff: break
        case .trunc(let zxid):
            guard follower!.phase == .synchronizing, received == nil else { return unexpected(packet, at: now, into: &actions) }
            follower!.enter(.truncating(to: zxid))
            diskOperations += 1
            actions.append(.truncateLog(to: zxid))
        case .snap:
            guard follower!.phase == .synchronizing, received?.isUntouched ?? true else {
                return unexpected(packet, at: now, into: &actions)
            }
            follower!.enter(.receiving)
        case .newLeader(let epoch, _):
            guard follower!.phase == .synchronizing, epoch == follower!.epoch else {
                return unexpected(packet, at: now, into: &actions)
            }
            if let received {
                guard let divergence = received.judgement?.divergence else { return install(into: &actions) }
                return endRole(
                    "all that the leader has since its beginning makes another tree than it announced with \(divergence.zxid)",
                    at: now, into: &actions)
            }
            // S2: the mark goes only from a tree that nothing speaks against.
            if let mismatch = recovering ? judgement.objection : judgement.divergence {
                return leaveDiffering(at: mismatch.zxid, at: now, into: &actions)
            }
            follower!.enter(.establishing(.syncingLog))
            establish(at: now, into: &actions)
        case .upToDate: startServing(at: now, into: &actions)
        case .revalidated(let session, let valid): revalidated(session, valid, at: now, into: &actions)
        case .sync: syncAnswered(into: &actions)
        case .inform, .learnerInfo, .ackEpoch, .request, .ack, .revalidate:
            unexpected(packet, at: now, into: &actions)
        }
    }

    private mutating func unexpected(
        _ packet: QuorumPacket, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        endRole("the leader sent \(packet.name) out of turn", at: now, into: &actions)
    }

    /// The leader was not heard of for too long; or not read, because so much waits for this member's disk.
    mutating func followerDeadlineReached(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard let follower, now >= follower.deadline else { return }
        guard follower.isPaused else { return endRole("the leader was silent for too long", at: now, into: &actions) }
        self.follower!.showedLife(at: now, every: configuration.tickTime / 2)
        if follower.mayPing { actions.append(.sendToLeader(.ping(zxid: history.lastAppended, sessions: touched.drain()))) }
    }

    // MARK: Discovery

    /// S2: an epoch is promised durably before it is acknowledged, and one already promised is not counted again.
    private mutating func promise(
        _ epoch: Int64, _ protocolVersion: Int32, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard follower!.phase == .agreeing else { return endRole("LEADERINFO out of turn", at: now, into: &actions) }
        guard epoch >= acceptedEpoch else {
            return endRole("the leader's epoch \(epoch) is older than the promised \(acceptedEpoch)", at: now, into: &actions)
        }
        follower!.learned(epoch: epoch, protocolVersion: protocolVersion)
        // S2: a recovering member's promise is worth nothing, since it may have forgotten a later one.
        if epoch == acceptedEpoch {
            acknowledgeEpoch(-1, into: &actions)
        } else {
            let answer = recovering || follower!.startsFromNothing ? -1 : Int32(clamping: currentEpoch)
            follower!.enter(.promising(currentEpoch: answer))
            saveEpochs(accepted: epoch, current: currentEpoch, into: &actions)
        }
    }

    private mutating func acknowledgeEpoch(_ current: Int32, into actions: inout ActionBuffer<KeeperAction>) {
        follower!.enter(.synchronizing)
        // Zxid 0 makes every leader send a tree, or all that there ever was.
        if follower!.startsFromNothing { received = ReceivedHistory(windowCount: configuration.windowCount) }
        let last = received?.history.lastAppended ?? history.lastAppended
        actions.append(.sendToLeader(.ackEpoch(lastZxid: last, currentEpoch: current)))
    }

    mutating func followerEpochSaved(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        switch follower!.phase {
        case .promising(let current):
            guard acceptedEpoch == follower!.epoch else { return }
            acknowledgeEpoch(current, into: &actions)
            drainInbox(at: now, into: &actions)
        case .establishing(.savingEpoch):
            guard currentEpoch == follower!.epoch else { return }
            isEstablished(into: &actions)
        case .connecting, .agreeing, .synchronizing, .truncating, .receiving, .installing, .establishing,
            .awaitingUpToDate, .broadcasting:
            break
        }
    }

    /// The leader's history and epoch are on the disk.
    private mutating func isEstablished(into actions: inout ActionBuffer<KeeperAction>) {
        guard recovering || doubt != nil else { return acknowledgeNewLeader(into: &actions) }
        follower!.enter(.establishing(.clearingMark))
        diskOperations += 1
        actions.append(.clearRecoveringMark)
    }

    // MARK: Synchronisation

    /// The log has been cut and read again.
    mutating func truncated(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard role == .following, case .truncating(let zxid) = follower!.phase else { return }
        guard tree.lastProcessedZxid == zxid else {
            // Going on would leave a hole in the history. Nothing was touched: its vote is what it was.
            needsTree = true
            return endRole(
                "the log can't be cut back to \(zxid): a tree that reaches to \(tree.lastProcessedZxid) has replaced what was before; taking the leader's tree instead",
                at: now, into: &actions)
        }
        follower!.enter(.synchronizing)
        drainInbox(at: now, into: &actions)
    }

    /// S1, S2: a tree alone, without the proposals that come before NEWLEADER, may be less than what this member has
    /// acknowledged, and its epoch is not the leader's yet. So the member's data stays as it is, in memory and on the
    /// disk, until NEWLEADER says that the leader's history is complete.
    mutating func snapshotReceived(
        _ tree: DataTree, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        guard role == .following, follower?.phase == .receiving else { return }
        received = ReceivedHistory(tree, windowCount: configuration.windowCount)
        follower!.enter(.synchronizing)
        drainInbox(at: now, into: &actions)
    }

    private mutating func install(into actions: inout ActionBuffer<KeeperAction>) {
        guard let received else { return }
        follower!.enter(.installing)
        diskOperations += 1
        actions.append(
            .installSnapshot(
                received.tree, entries: received.history.appendedAndNotCommitted,
                accepted: max(acceptedEpoch, follower!.epoch), current: follower!.epoch))
    }

    mutating func snapshotInstalled(
        accepted: Int64, current: Int64, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        diskOperations -= 1
        guard let installed = received.take() else { return }
        tree = installed.tree
        tree.setConfiguration(configuration.configurationText)
        history = installed.history
        history.synced(history.lastAppended)
        needsTree = false
        judgement = installed.judgement ?? DigestJudgement(isBehindSnapshot: true)
        treeIsExactAfter = installed.judgement == nil ? Zxid(rawValue: .max) : .zero
        snapshots.found(LogExtent(history.appendedAndNotCommitted))
        acceptedEpoch = accepted
        currentEpoch = current
        guard role == .following, follower?.phase == .installing else {
            return settle(at: now, into: &actions)
        }
        isEstablished(into: &actions)
        drainInbox(at: now, into: &actions)
    }

    private mutating func acceptProposal(
        _ entry: LogEntry, at now: Instant, into actions: inout ActionBuffer<KeeperAction>
    ) {
        let last = received?.history.lastAppended ?? history.lastAppended
        let isOfLeader = entry.zxid.epoch == follower!.epoch
        switch follower!.phase {
        // The leader's initial history and what is committed behind it: where an earlier epoch ended is its word alone,
        // and the digests that come with it are the proof (`DigestJudgement`).
        case .synchronizing where entry.zxid.epoch <= follower!.epoch: break
        // NEWLEADER has said that the initial history is whole, so nothing is between it and the leader's first.
        case .establishing where isOfLeader, .awaitingUpToDate where isOfLeader, .broadcasting where isOfLeader: break
        case .synchronizing, .establishing, .awaitingUpToDate, .broadcasting:
            return endRole(
                "proposal \(entry.zxid) is not of the leader's epoch \(follower!.epoch)", at: now, into: &actions)
        case .connecting, .agreeing, .promising, .truncating, .receiving, .installing:
            return endRole("PROPOSAL out of turn", at: now, into: &actions)
        }
        // ZOOKEEPER-4925: a hole must not enter the log.
        guard entry.zxid.follows(last) else {
            return endRole("proposal \(entry.zxid) does not follow \(last)", at: now, into: &actions)
        }
        follower!.appended(entry.zxid)
        if received != nil {
            received!.history.append(entry)
        } else {
            history.append(entry)
            unproposed.proposed(entry)
            actions.append(.append(entry))
        }
    }

    private mutating func commit(_ zxid: Zxid, at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard zxid <= received?.history.lastAppended ?? history.lastAppended else {
            return endRole("commit of \(zxid), which was never proposed", at: now, into: &actions)
        }
        if received != nil { return received!.commit(upTo: zxid) }
        while role == .following, let entry = history.commitNext(upTo: zxid) {
            if isServing {
                applyCommitted(entry, at: now, into: &actions)
            } else {
                applyQuietly(entry, at: now, into: &actions)
            }
        }
    }

    /// ZOOKEEPER-3911, 4643, 4646: log durable, then epoch durable, then the ack.
    mutating func establish(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard follower?.phase == .establishing(.syncingLog), history.isSynced else { return }
        follower!.enter(.establishing(.savingEpoch))
        saveEpochs(accepted: max(acceptedEpoch, follower!.epoch), current: follower!.epoch, into: &actions)
    }

    mutating func recoveringMarkCleared(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        diskOperations -= 1
        recovering = false
        // One that arose since is still to be marked.
        if doubt?.isMarked ?? false { doubt = nil }
        actions.append(.note(.recovered(epoch: currentEpoch)))
        guard role == .following, follower?.phase == .establishing(.clearingMark) else {
            return settle(at: now, into: &actions)
        }
        acknowledgeNewLeader(into: &actions)
    }

    private mutating func acknowledgeNewLeader(into actions: inout ActionBuffer<KeeperAction>) {
        follower!.enter(.awaitingUpToDate)
        actions.append(.sendToLeader(.ack(Zxid(epoch: follower!.epoch, counter: 0))))
        follower!.acknowledge(upTo: history.lastSynced, into: &actions)
    }

    private mutating func startServing(at now: Instant, into actions: inout ActionBuffer<KeeperAction>) {
        guard follower!.phase == .awaitingUpToDate else {
            return endRole("UPTODATE out of turn", at: now, into: &actions)
        }
        follower!.enter(.broadcasting)
        follower!.heard(at: now)
        // The SNAP stream ended before NEWLEADER could be acknowledged, so nothing behind this point is in it.
        treeIsExactAfter = min(treeIsExactAfter, history.lastAppended)
        currentVote.peerEpoch = follower!.epoch
        // Apache's learners send one more ack here, and its leaders ignore it (low word 0).
        actions.append(.sendToLeader(.ack(Zxid(epoch: follower!.epoch, counter: 0))))
        beginServing(at: now)
        actions.append(.note(.following(leader: follower!.leader, epoch: follower!.epoch)))
    }
}
