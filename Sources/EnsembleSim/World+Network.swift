import EnsembleBase
import KeeperCore

/// A learner's connection to a leader: two ordered streams that break together.
struct SimLink: Sendable {
    enum Packet: Sendable {
        case packet(QuorumPacket)
        /// The tree behind a SNAP packet: copied to its end when it is delivered.
        case tree(FuzzyCopy, at: Zxid)
        /// Nothing on the wire: when it would arrive, what was sent before it is taken.
        case room
    }

    /// Who is told that a connection has broken; the other end finds out by the silence.
    enum Ends: Sendable { case both, leaderOnly, learnerOnly }

    let number: Int
    let learner: ServerID
    let leader: ServerID
    let learnerIncarnation: Int
    var leaderIncarnation = 0
    /// Where the learner has said that its history ends.
    var announcedEnd = Zxid.none
    var isOpen = false
    var isBroken = false
    var toLeader = FIFO<Packet>()
    var toLearner = FIFO<Packet>()
    /// What was sent before has left by then.
    var toLeaderLine = Instant.origin
    var toLearnerLine = Instant.origin
    /// No delivery is scheduled before these: a stream keeps its order.
    var toLeaderFree = Instant.origin
    var toLearnerFree = Instant.origin

    func involves(_ id: ServerID) -> Bool { learner == id || leader == id }
    var id: LearnerID { LearnerID(rawValue: UInt64(number)) }
}

extension SimLink {
    /// A tree comes as one here: in more pieces it may take any time, since each shows that the leader lives.
    static let longestSending = Duration.milliseconds(600)
}

extension SimLink.Packet {
    /// On the wire, in bytes, with what frames and headers add.
    var size: Int {
        switch self {
        case .packet(.proposal(let entry)), .packet(.inform(let entry)): 80 + entry.size
        case .packet(.request(let forwarded)): 120 + forwarded.request.size
        case .packet(.ping(_, let sessions)): 80 + 12 * sessions.count
        case .packet: 80
        case .tree(let copy, _): copy.size
        case .room: 0
        }
    }
}

extension Request {
    /// Of its values, which is what makes one large.
    fileprivate var size: Int {
        switch self {
        case .create(let create): create.data?.count ?? 0
        case .setData(_, let data, _): data?.count ?? 0
        case .multi(let parts): parts.reduce(0) { $0 + 40 + $1.size }
        default: 0
        }
    }
}

extension World {
    mutating func delay() -> Duration {
        // Mostly a local network; now and then a queue somewhere.
        let slow = Int.random(in: 0..<50, using: &random) == 0
        return .microseconds(
            slow ? Int64.random(in: 1_000...60_000, using: &random) : Int64.random(in: 50...1_500, using: &random))
    }

    /// Between a client and its server.
    mutating func delay(_ client: Int) -> Duration {
        guard now < clients[client].slowUntil else { return delay() }
        return .milliseconds(Int64.random(in: 20...500, using: &clients[client].temper))
    }

    private mutating func delay(_ from: ServerID, _ to: ServerID) -> Duration {
        guard slowPairs.contains(from: from, to: to) else { return delay() }
        return .milliseconds(Int64.random(in: 10...250, using: &random))
    }

    func isCut(_ from: ServerID, _ to: ServerID) -> Bool { cuts.contains(from: from, to: to) }

    /// Election messages: the newest replaces, a cut swallows. The transport repeats the last one when a connection
    /// comes back, which the election's own repetition stands for here.
    mutating func send(_ message: Notification, from sender: ServerID, to receiver: ServerID) {
        guard !isCut(sender, receiver) else { return }
        if faultsEnabled, atlas.contains(.losses), Int.random(in: 0..<8, using: &random) == 0 { return }
        let message = usesBytes ? Wire.carried(message, &checkers) : message
        schedule(.notification(from: sender, to: receiver, message), in: delay(sender, receiver))
        if faultsEnabled, atlas.contains(.duplicates), Int.random(in: 0..<4, using: &random) == 0 {
            let late = Duration.milliseconds(Int64.random(in: 1...300, using: &random))
            schedule(.notification(from: sender, to: receiver, message), in: late)
        }
    }

    // MARK: Learner links

    mutating func connect(_ learner: ServerID, to leader: ServerID) {
        let number = links.count
        links.append(
            SimLink(number: number, learner: learner, leader: leader, learnerIncarnation: servers[index(learner)].incarnation))
        servers[index(learner)].leaderLink = number
        servers[index(learner)].isPaused = false
        checkers.quorum.connects(learner)
        // A learner tries a few times before it gives up (reference/zookeeper.md, 3.3).
        schedule(.linkOpened(link: number), in: .milliseconds(Int64.random(in: 1...100, using: &random)))
    }

    mutating func openLink(_ number: Int) {
        let link = links[number]
        let leader = servers[index(link.leader)]
        guard !link.isBroken, servers[index(link.learner)].leaderLink == number else { return }
        guard leader.machine != nil, leader.acceptsLearners, now >= leader.turnsAwayUntil, !isCut(link.learner, link.leader),
            !isCut(link.leader, link.learner)
        else {
            return breakLink(number)
        }
        links[number].isOpen = true
        links[number].leaderIncarnation = leader.incarnation
        deliver(.learnerConnected(link.id), to: link.leader)
        deliver(.leaderConnected(link.leader), to: link.learner)
    }

    /// The ends learn of it, each in its own time, if they still care.
    mutating func breakLink(_ number: Int, telling ends: SimLink.Ends = .both) {
        // Also of sleeping servers (seed 1796063575000184).
        hostSleep?.isAlone = false
        guard !links[number].isBroken else { return }
        links[number].isBroken = true
        links[number].toLeader.removeAll()
        links[number].toLearner.removeAll()
        if ends != .learnerOnly { schedule(.linkClosed(link: number, atLeader: true), in: delay()) }
        if ends != .leaderOnly { schedule(.linkClosed(link: number, atLeader: false), in: delay()) }
    }

    mutating func linkEnded(_ number: Int, atLeader: Bool) {
        let link = links[number]
        // A FIN can't cross a cut: the end behind it finds out by the silence, or when the cut is over.
        let (here, there) = atLeader ? (link.leader, link.learner) : (link.learner, link.leader)
        if link.isOpen, isCut(there, here) {
            return schedule(.linkClosed(link: number, atLeader: atLeader), in: .milliseconds(50))
        }
        tellOfEnd(link, atLeader: atLeader)
    }

    mutating func tellOfEnd(_ link: SimLink, atLeader: Bool) {
        if atLeader {
            guard link.isOpen, servers[index(link.leader)].incarnation == link.leaderIncarnation else { return }
            deliver(.learnerDisconnected(link.id), to: link.leader)
        } else {
            guard servers[index(link.learner)].leaderLink == link.number else { return }
            servers[index(link.learner)].leaderLink = nil
            deliver(.leaderDisconnected, to: link.learner)
        }
    }

    mutating func sendToLeader(_ packet: QuorumPacket, from learner: ServerID) {
        guard let number = servers[index(learner)].leaderLink, !links[number].isBroken else { return }
        noteAcknowledgement(packet, of: learner, to: links[number].leader)
        if case .ackEpoch(let last, _) = packet { links[number].announcedEnd = last }
        links[number].toLeader.append(.packet(usesBytes ? Wire.carried(packet, &checkers) : packet))
        links[number].toLeaderLine = departure(behind: links[number].toLeaderLine, .packet(packet))
        let arrival = max(links[number].toLeaderFree, links[number].toLeaderLine + delay(learner, links[number].leader))
        links[number].toLeaderFree = arrival
        queue.schedule(.linkDelivery(link: number, toLeader: true), at: arrival)
    }

    /// Promises and acknowledgements are held against the disk of the one that gives them.
    private mutating func noteAcknowledgement(_ packet: QuorumPacket, of learner: ServerID, to leader: ServerID) {
        switch packet {
        case .ackEpoch, .ack: break
        default: return
        }
        checkers.promises(packet, learner, to: leader, disk: servers[index(learner)].disk)
        let servers = servers
        checkers.quorum.sends(
            packet, learner, to: leader, disk: servers[index(learner)].disk, installed: servers[index(learner)].installedThrough, at: now,
            isAwaited: { candidate, epoch in
                let server = servers[Int(candidate) - 1]
                guard let machine = server.machine, machine.isLeading, !server.hasLeft else { return false }
                return machine.status.acceptedEpoch == epoch
            }, &checkers.verdict)
    }

    mutating func sendToLearner(_ id: LearnerID, _ packet: SimLink.Packet) {
        let number = Int(id.rawValue)
        guard !links[number].isBroken, !isHeldBack(packet, on: number) else { return }
        defer { releaseHeldBack(on: number) }
        if usesBytes, case .packet(let packet) = packet {
            links[number].toLearner.append(.packet(Wire.carried(packet, &checkers)))
        } else {
            links[number].toLearner.append(packet)
        }
        links[number].toLearnerLine = departure(behind: links[number].toLearnerLine, packet)
        var arrival = max(links[number].toLearnerFree, links[number].toLearnerLine + delay(links[number].leader, links[number].learner))
        if case .tree = packet, plan.bandwidth == nil { arrival = arrival + .milliseconds(plan.treeTime) }
        links[number].toLearnerFree = arrival
        queue.schedule(.linkDelivery(link: number, toLeader: false), at: arrival)
    }

    /// When the last byte of a packet has left, behind those before it.
    private func departure(behind line: Instant, _ packet: SimLink.Packet) -> Instant {
        guard let rate = plan.bandwidth else { return now }
        var sending = min(.microseconds(Int64(packet.size) * 1_000_000 / Int64(rate)), SimLink.longestSending)
        if case .tree = packet { sending = max(sending, .milliseconds(plan.treeTime)) }
        return max(line, now) + sending
    }

    mutating func deliverOnLink(_ number: Int, toLeader: Bool) {
        let (isBroken, id) = (links[number].isBroken, links[number].id)
        guard !isBroken else { return }
        let (from, to) =
            toLeader ? (links[number].learner, links[number].leader) : (links[number].leader, links[number].learner)
        // TCP repeats what a cut swallows: it arrives when the cut is over, or the connection ends.
        if isCut(from, to) { return schedule(.linkDelivery(link: number, toLeader: toLeader), in: .milliseconds(50)) }
        if !toLeader, servers[index(to)].isPaused {
            return schedule(.linkDelivery(link: number, toLeader: false), in: .milliseconds(5))
        }
        let packet = toLeader ? links[number].toLeader.popFirst() : links[number].toLearner.popFirst()
        switch packet {
        case nil: return
        case .packet(let packet):
            deliver(toLeader ? .learnerPacketReceived(id, packet) : .leaderPacketReceived(packet), to: to)
        case .tree(let copy, let zxid):
            let leader = servers[index(from)]
            guard leader.incarnation == links[number].leaderIncarnation, let machine = leader.machine else { return }
            let received = usesBytes
                ? Wire.carried(machine.tree, copy.walk, zxid: zxid, &checkers) : completed(copy, over: machine.tree, zxid: zxid)
            guard let received else { return }
            servers[index(to)].receivedThrough = machine.tree.lastProcessedZxid
            deliver(.snapshotReceived(received), to: to)
        case .room:
            guard servers[index(from)].incarnation == links[number].leaderIncarnation else { return }
            deliver(.learnerTook(id), to: from)
        }
    }
}
