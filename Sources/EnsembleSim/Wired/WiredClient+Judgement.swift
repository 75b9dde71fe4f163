import EnsembleBase
import KeeperCore

/// What a wired client makes of what it is told.
extension WiredClient {
    func welcomed(_ response: ConnectResponse) {
        guard response.timeout != 0 else {
            let (session, connection) = (memory.session, UInt64(cable?.number ?? 0))
            world.judge { checkers in
                checkers.sessions.refused(
                    session, client: number, over: connection, proposed: checkers.proposals.closedSessions, &checkers.verdict)
            }
            memory.session = 0
            memory.watches = WatchChecker()
            return disconnect()
        }
        memory.session = response.sessionID
        memory.password = response.password
        memory.state = .connected
        connectedAt = world.now
        let set = memory.watches.watchSet(relativeTo: memory.lastZxid, world.checkers.history)
        let isEmpty = memory.watches.watches.isEmpty
        memory.watches = WatchChecker()
        if !isEmpty { send(.setWatches(set, extended: true)) }
    }

    /// `sessionOrder`: a session never sees zxids go back, whatever it connects to.
    func sees(_ zxid: Zxid) {
        if zxid < memory.lastZxid {
            world.checkers.fail(.sessionOrder, "client \(number): zxid went back from \(memory.lastZxid) to \(zxid)")
        }
        memory.lastZxid = max(memory.lastZxid, zxid)
    }

    func received(_ reply: Reply, to sent: SimClient.Outstanding) {
        if reply.zxid.rawValue > 0 { sees(reply.zxid) }
        memory.workload.answered(sent.request, reply)
        if case .setWatches(let set, _) = sent.request {
            return world.judge { memory.watches.restoredWatches(set, at: reply.zxid, $0.history, who: number, &$0.verdict) }
        }
        world.judge { memory.watches.replied(at: reply.zxid, $0.history, memory.identities, who: number, &$0.verdict) }
        guard sent.request.isWrite else {
            world.judge {
                $0.history.requests.answersRead(sent.number, of: memory.session, at: reply.zxid, by: memory.server)
                $0.clients.read(sent.request, reply, who: number, sent.identities, $0.history, &$0.verdict)
            }
            return leaveWatch(sent.request, reply)
        }
        let (session, floor) = (memory.session, max(sent.floor, memory.lastWrite))
        world.judge {
            $0.history.answered(sent.number, at: reply.zxid)
            $0.clients.answered(
                sent.request, number: sent.number, reply, session: session, floor: floor, $0.history, &$0.verdict)
        }
        memory.lastWrite = max(memory.lastWrite, reply.zxid)
        if case .closeSession = sent.request {
            memory.session = 0
            memory.watches = WatchChecker()
            disconnect()
        }
    }

    private func leaveWatch(_ request: Request, _ reply: Reply) {
        let succeeded = reply.error == nil
        func add(_ kind: WatchChecker.Kinds, _ path: NodePath) { memory.watches.add(kind, path, at: reply.zxid, world.checkers.history) }
        switch request {
        case .getData(let path, true) where succeeded: add(.data, path)
        case .exists(let path, true) where succeeded || reply.error == .noNode: add(.data, path)
        case .getChildren2(let path, true) where succeeded: add(.child, path)
        case .addWatch(let path, let recursive) where succeeded: add(recursive ? .recursive : .persistent, path)
        default: break
        }
    }
}
