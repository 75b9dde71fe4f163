import EnsembleBase
import KeeperCore

/// `quorum`, `leadership` and `amnesia`: what members tell each other is what their disks hold.
///
/// It knows the truth about each member that the member itself may have lost: whether its history is gone, and what it
/// has promised.
struct QuorumChecker: Sendable {
    private struct Member: Sendable {
        /// Its history was lost or rolled back, and it has not synced since.
        var hasForgotten = false
        /// The highest epoch that it has counted itself to, even if it forgot.
        var promised: Int64 = 0
        /// Its promises that their candidate may still count on, by rising epoch.
        var counted: [Promise] = []
        /// The last proposal, or beginning of an epoch, that it has acknowledged.
        var acknowledged = Zxid.zero
        var durable = Zxid.zero
        /// What its disk said last.
        var epochOnDisk: Int64 = 0
        /// It has acknowledged NEWLEADER on the connection to its leader.
        var hasJoined = false
        /// The epoch of its last NEWLEADER.
        var offering: Int64 = 0
    }

    private struct Promise: Sendable {
        var epoch: Int64
        var candidate: ServerID
        var at: Instant
    }

    private var members: [Member]
    private var established: Int64 = 0
    private(set) var leaderOfEpoch: [Int64: ServerID] = [:]
    /// What the leader of each epoch had when it first offered its history.
    private var offered: [Int64: Zxid] = [:]
    /// When each epoch was established.
    private(set) var establishedAt: [Int64: Instant] = [:]

    init(count: Int) { members = Array(repeating: Member(), count: count) }

    /// Epochs that were established before the run.
    mutating func begins(with past: ApachePast) {
        established = past.lastEpoch
        for epoch in past.epochs { leaderOfEpoch[epoch.number] = 1 }
    }

    /// What it has promised before the run. Whoever asked for it is no candidate any more.
    mutating func begins(_ id: ServerID, promised epoch: Int64) {
        members[Int(id) - 1].promised = epoch
    }

    /// Its process has ended, and what it counted on with it.
    mutating func ended(_ candidate: ServerID) {
        for i in members.indices { members[i].counted.removeAll { $0.candidate == candidate } }
    }

    var highestEstablished: Int64 { established }

    /// A restore has given it the history that everyone has.
    mutating func remembers(_ id: ServerID) { members[Int(id) - 1].hasForgotten = false }

    /// What a member has said that others may count on.
    struct Word: Hashable, Sendable {
        var promised: Int64
        var acknowledged: Zxid
    }

    func word(of id: ServerID) -> Word {
        Word(promised: members[Int(id) - 1].promised, acknowledged: members[Int(id) - 1].acknowledged)
    }

    func hasForgotten(_ id: ServerID) -> Bool { members[Int(id) - 1].hasForgotten }

    mutating func forgot(_ id: ServerID) {
        members[Int(id) - 1].hasForgotten = true
        members[Int(id) - 1].durable = .zero
    }

    /// It holds a leader's history and epoch durably, and says so by removing the mark. Whether it lives to acknowledge
    /// NEWLEADER makes no difference to what its disk is worth.
    mutating func clearsMark(_ id: ServerID) { members[Int(id) - 1].hasForgotten = false }

    func promise(of id: ServerID) -> Int64 { members[Int(id) - 1].promised }

    /// It begins anew with a leader.
    mutating func connects(_ id: ServerID) { members[Int(id) - 1].hasJoined = false }

    mutating func isDurable(_ zxid: Zxid, at id: ServerID) {
        members[Int(id) - 1].durable = max(members[Int(id) - 1].durable, zxid)
    }

    /// A leader sends NEWLEADER behind its history.
    mutating func offers(_ epoch: Int64, by id: ServerID, history end: Zxid) {
        if offered[epoch] == nil { offered[epoch] = end }
        members[Int(id) - 1].offering = epoch
    }

    /// S1: what a learner serves from then on is what a quorum has.
    func saysUpToDate(_ id: ServerID, _ verdict: inout Verdict) {
        let epoch = members[Int(id) - 1].offering
        requireQuorum(Zxid(epoch: epoch, counter: 0), of: id, "says UPTODATE in epoch \(epoch)", &verdict)
    }

    /// S1 and ZOOKEEPER-4643: an epoch on the disk vouches for the history that the epoch began with.
    mutating func looks(at disk: SimDisk, of id: ServerID, _ verdict: inout Verdict) {
        let i = Int(id) - 1
        // One that is to forget its log and keeps its promises vouches for nothing.
        guard !members[i].hasForgotten, disk.currentEpoch != members[i].epochOnDisk else { return }
        members[i].epochOnDisk = disk.currentEpoch
        guard let history = offered[disk.currentEpoch], disk.end < history else { return }
        verdict.fail(
            .quorum,
            "S1: the disk of \(id) is in epoch \(disk.currentEpoch), which began with \(history), and its log ends at \(disk.end)")
    }

    mutating func sends(_ message: Notification, _ id: ServerID, _ verdict: inout Verdict) {
        // S2: its own vote says zxid −1.
        if message.state == .looking, message.vote.leader == id, message.vote.zxid != .none, hasForgotten(id) {
            verdict.fail(.amnesia, "S2: \(id) has lost its history and votes for itself at \(message.vote.zxid)")
        }
    }

    /// It takes part again: S2's second half, lost promises are waited out.
    ///
    /// - Parameters:
    ///   - patience: how long a candidate counts on a promise.
    ///   - isCandidate: whether a server may still collect support for an epoch.
    func comesBack(
        _ id: ServerID, disk: SimDisk, at now: Instant, patience: Duration, isCandidate: (ServerID, Int64) -> Bool,
        _ verdict: inout Verdict
    ) {
        for promise in members[Int(id) - 1].counted {
            guard leaderOfEpoch[promise.epoch] == nil, now - promise.at < patience else { continue }
            if disk.acceptedEpoch < promise.epoch, isCandidate(promise.candidate, promise.epoch) {
                verdict.fail(
                    .amnesia, "S2: \(id) is back without its promise of epoch \(promise.epoch), on which \(promise.candidate) counts")
            }
        }
    }

    /// - Parameters:
    ///   - leader: to whom it is sent.
    ///   - installed: how far the history reaches that it took over with a tree.
    ///   - isAwaited: whether a leader still counts on the promise of an epoch.
    mutating func sends(
        _ packet: QuorumPacket, _ id: ServerID, to leader: ServerID, disk: SimDisk, installed: Zxid = .zero, at now: Instant,
        isAwaited: (ServerID, Int64) -> Bool, _ verdict: inout Verdict
    ) {
        let i = Int(id) - 1
        switch packet {
        case .ackEpoch(_, let current):
            guard current != -1 else { return }
            if members[i].hasForgotten {
                verdict.fail(.amnesia, "S2: \(id) has lost its history and acknowledges epoch \(disk.acceptedEpoch)")
            }
            if disk.acceptedEpoch <= members[i].promised {
                verdict.fail(
                    .amnesia, "S2: \(id) acknowledges epoch \(disk.acceptedEpoch), and had promised \(members[i].promised)")
            }
            members[i].promised = max(members[i].promised, disk.acceptedEpoch)
            members[i].counted.append(Promise(epoch: disk.acceptedEpoch, candidate: leader, at: now))
            if members[i].counted.count > 8 { members[i].counted.removeFirst() }
        case .ack(let zxid) where zxid.counter == 0:
            if disk.end < installed {
                verdict.fail(
                    .quorum, "S1: \(id) acknowledges NEWLEADER of epoch \(zxid.epoch), took over \(installed), and its disk ends at \(disk.end)")
            }
            acknowledgesNewLeader(zxid, id, disk, isAwaited, &verdict)
        case .ack(let zxid):
            // S1: an acknowledgement says that it is on the disk.
            if disk.end < zxid { verdict.fail(.quorum, "S1: \(id) acknowledges \(zxid), and its disk ends at \(disk.end)") }
            // ZOOKEEPER-4685: Apache's leader takes the first acknowledgement of a connection for that of NEWLEADER.
            if !members[i].hasJoined {
                verdict.fail(.protocolOrder, "\(id) acknowledges \(zxid) before NEWLEADER")
            }
            members[i].acknowledged = max(members[i].acknowledged, zxid)
        default: break
        }
    }

    private mutating func acknowledgesNewLeader(
        _ zxid: Zxid, _ id: ServerID, _ disk: SimDisk, _ isAwaited: (ServerID, Int64) -> Bool, _ verdict: inout Verdict
    ) {
        let i = Int(id) - 1
        if disk.currentEpoch != zxid.epoch || disk.acceptedEpoch < zxid.epoch {
            verdict.fail(
                .quorum, "S1: \(id) acknowledges NEWLEADER of epoch \(zxid.epoch), and its disk is in \(disk.currentEpoch)")
        }
        if disk.marked { verdict.fail(.amnesia, "S2: \(id) acknowledges NEWLEADER with the mark on its disk") }
        if disk.hasUnsynced(before: zxid) {
            verdict.fail(.quorum, "S1: \(id) acknowledges NEWLEADER of epoch \(zxid.epoch) before its log is durable")
        }
        for promise in members[i].counted where promise.epoch > zxid.epoch && isAwaited(promise.candidate, promise.epoch) {
            verdict.fail(
                .amnesia, "S2: \(id) follows epoch \(zxid.epoch), and a candidate counts on its promise of \(promise.epoch)")
        }
        members[i].hasForgotten = false
        members[i].hasJoined = true
        members[i].acknowledged = max(members[i].acknowledged, zxid)
    }

    mutating func establishes(_ epoch: Int64, _ id: ServerID, disk: SimDisk, at now: Instant, _ verdict: inout Verdict) {
        if let other = leaderOfEpoch[epoch] {
            verdict.fail(.leadership, "\(other) and \(id) both establish epoch \(epoch)")
        }
        if epoch <= established { verdict.fail(.leadership, "epoch \(epoch) is established behind \(established)") }
        if disk.currentEpoch != epoch { verdict.fail(.quorum, "\(id) leads epoch \(epoch), its disk is in \(disk.currentEpoch)") }
        established = max(established, epoch)
        leaderOfEpoch[epoch] = id
        establishedAt[epoch] = now
        requireQuorum(Zxid(epoch: epoch, counter: 0), of: id, "establishes epoch \(epoch)", &verdict)
    }

    func commits(_ zxid: Zxid, _ id: ServerID, _ verdict: inout Verdict) {
        requireQuorum(zxid, of: id, "commits \(zxid)", &verdict)
    }

    private func requireQuorum(_ zxid: Zxid, of leader: ServerID, _ what: @autoclosure () -> String, _ verdict: inout Verdict) {
        var count = 0
        for i in members.indices {
            let isLeader = i == Int(leader) - 1
            if members[i].acknowledged >= zxid || (isLeader && (zxid.counter == 0 || members[i].durable >= zxid)) { count += 1 }
        }
        if count * 2 <= members.count {
            verdict.fail(.quorum, "S1: \(leader) \(what()), which \(count) of \(members.count) have acknowledged")
        }
    }
}
