import EnsembleBase
import EnsembleControl
import KeeperCore

/// The daemon's session with the ensemble: the lock for disruptions (S5) and barriers, by a client like the others, of
/// which it is the last. Opened when first needed, and resumed where a connection ends, as `KeeperClient` does; closed
/// when something fails, so that the lock goes with its session.
struct OperatorLink: Sendable {
    enum Kind: Sendable { case lock, barrier }

    struct Errand: Sendable {
        var kind: Kind
        var token: EffectToken
        var askedAt: Instant
        var deadline: Instant
    }

    static let root: NodePath = "/ensembled"
    static let barrier: NodePath = "/ensembled/barrier"
    static let lock: NodePath = "/ensembled/lock"
    static let patience = Duration.seconds(5)

    /// In the order of asking; the first is at work.
    var errands: [Errand] = []
    /// The nodes are there, and so is the session.
    var isPrepared = false
    var holdsLock = false
    /// Whether a connection is wanted at all.
    var isWanted = false
    var lastPing = Instant.origin
    /// A session that was left with the lock in hand, while it is resumed to be closed; until then nothing else is done.
    var ending: Left?

    /// What opens a session again (`EnsembleCredential`). The daemon's disk keeps it.
    struct Left: Hashable, Sendable {
        var session: SessionID
        var password: [UInt8]
        var deadline = Instant.origin
    }

    mutating func ask(_ kind: Kind, _ token: EffectToken, at now: Instant) {
        isWanted = true
        errands.append(Errand(kind: kind, token: token, askedAt: now, deadline: now + OperatorLink.patience))
    }
}

extension World {
    /// The daemon's place among the clients.
    var linkClient: Int { clients.count - 1 }

    /// Its turn, as a client: nothing is drawn, and nothing moves while the process stands still.
    mutating func linkTurn(_ c: Int) {
        guard clientsEnabled else { return }
        schedule(.clientTurn(c), in: .milliseconds(15))
        guard let daemon, daemon.machine != nil, !daemon.isFrozen, daemon.link.isWanted else { return }
        let link = daemon.link
        if let ending = link.ending { return endLeftSession(ending, c) }
        if let first = link.errands.first, now >= first.deadline { return failErrands("not answered in time") }
        switch clients[c].state {
        case .disconnected:
            if link.isPrepared, clients[c].session == 0 { return failErrands("the session is over") }
            // Only the lock's creation may be repeated (`tryLock`).
            if clients[c].outstanding.first.map({ !canBeRepeated($0.request) }) ?? false {
                return failErrands("the connection was lost")
            }
            if !link.errands.isEmpty || clients[c].session != 0 { connectClient(c) }
        case .connecting:
            if now - clients[c].lastHeard > .seconds(2) { abandonConnection(c, politely: true) }
        case .connected:
            if now - clients[c].lastHeard > .seconds(3) { return abandonConnection(c, politely: true) }
            guard clients[c].outstanding.isEmpty else { return }
            if !link.isPrepared { return prepareLink(c) }
            if let first = link.errands.first { return sendErrand(first.kind, c) }
            guard now - link.lastPing > .milliseconds(500) else { return }
            self.daemon!.link.lastPing = now
            send(.ping, from: c)
        }
    }

    /// Whether an answer that was lost with a connection may be asked for again, on the next one.
    private func canBeRepeated(_ request: Request) -> Bool {
        switch request {
        case .create(let create): create.path == OperatorLink.lock
        case .exists, .ping: true
        default: false
        }
    }

    private mutating func prepareLink(_ c: Int) {
        for path in [OperatorLink.root, OperatorLink.barrier] {
            send(.create(CreateRequest(path: path, data: [], acl: AccessRight.openToAll)), from: c)
        }
        daemon!.link.isPrepared = true
    }

    private mutating func sendErrand(_ kind: OperatorLink.Kind, _ c: Int) {
        switch kind {
        case .barrier: send(.setData(path: OperatorLink.barrier, data: [], version: -1), from: c)
        // S5: what is held is proved by a write that a quorum must accept.
        case .lock where daemon!.link.holdsLock: send(.setData(path: OperatorLink.lock, data: [], version: -1), from: c)
        case .lock:
            let own = OperatorLink.Left(session: clients[c].session, password: clients[c].password)
            if daemon!.leftSessions.last?.session != own.session {
                daemon!.leftSessions = daemon!.leftSessions.suffix(15) + [own]
            }
            send(.create(CreateRequest(path: OperatorLink.lock, data: [], acl: AccessRight.openToAll, flags: 1)), from: c)
        }
    }

    /// A reply to the daemon's session.
    mutating func linkAnswered(_ request: Request, _ reply: Reply) {
        guard let errand = daemon?.link.errands.first, daemon?.machine != nil else { return }
        switch (request, errand.kind) {
        case (.setData(path: OperatorLink.barrier, _, _), .barrier):
            guard case .stat(let stat) = reply.body else { return failErrands("the barrier was refused") }
            daemon!.link.errands.removeFirst()
            checkers.oversight.barrierCommitted(stat.mzxid, askedAt: errand.askedAt)
            tell(.effectFinished(errand.token, .barrier(zxid: stat.mzxid.rawValue)))
        case (.create(let create), .lock) where create.path == OperatorLink.lock:
            switch reply.error {
            case nil: lockIsHeld(errand)
            // Its own, if an earlier creation by this session did happen although its answer was lost.
            case .nodeExists: send(.exists(path: OperatorLink.lock, watch: false), from: linkClient)
            default: failErrands("the lock was refused")
            }
        case (.exists(path: OperatorLink.lock, _), .lock):
            // Gone since: created with the next turn.
            guard case .stat(let stat) = reply.body else { return }
            if stat.ephemeralOwner == clients[linkClient].session { return lockIsHeld(errand) }
            if let left = daemon!.leftSessions.last(where: { $0.session == stat.ephemeralOwner }) {
                failErrands("the lock is held by a session that was left, which is ended now")
                return resume(left)
            }
            daemon!.link.errands.removeFirst()
            tell(.effectFinished(errand.token, .failed("the lock is held by another")))
        case (.setData(path: OperatorLink.lock, _, _), .lock):
            // As `KeeperLock.prove`: a restore may have brought back one of an earlier session (operated seed 4422).
            guard case .stat(let stat) = reply.body, stat.ephemeralOwner == clients[linkClient].session else {
                return failErrands("the lock was lost")
            }
            daemon!.link.errands.removeFirst()
            tell(.effectFinished(errand.token, .done))
        default: break
        }
    }

    private mutating func lockIsHeld(_ errand: OperatorLink.Errand) {
        daemon!.link.holdsLock = true
        daemon!.lockSession = clients[linkClient].session
        daemon!.link.errands.removeFirst()
        tell(.effectFinished(errand.token, .done))
    }

    private mutating func failErrands(_ why: String) {
        let errands = daemon!.link.errands
        // Where the connection stands, the session ends with it and not when its time is over.
        if clients[linkClient].state == .connected { send(.closeSession, from: linkClient) }
        dropLink()
        for errand in errands { tell(.effectFinished(errand.token, .failed(why))) }
    }

    /// The client's place becomes that session's, until it is closed or known to be over.
    private mutating func resume(_ left: OperatorLink.Left) {
        var left = left
        left.deadline = now + OperatorLink.patience
        clients[linkClient].connection = 0
        clients[linkClient].session = left.session
        clients[linkClient].password = left.password
        daemon!.link.isWanted = true
        daemon!.link.ending = left
    }

    private mutating func endLeftSession(_ left: OperatorLink.Left, _ c: Int) {
        let isOver = clients[c].session == 0
        if isOver { daemon!.leftSessions.removeAll { $0.session == left.session } }
        if isOver || now >= left.deadline {
            let errands = daemon!.link.errands
            dropLink()
            daemon!.link.errands = errands
            daemon!.link.isWanted = !errands.isEmpty
            return
        }
        switch clients[c].state {
        case .disconnected: connectClient(c)
        case .connecting, .connected:
            if now - clients[c].lastHeard > .seconds(2) { return abandonConnection(c, politely: true) }
            if clients[c].state == .connected, clients[c].outstanding.isEmpty { send(.closeSession, from: c) }
        }
    }

    /// Frees the lock and ends the session, if the ensemble still hears it.
    mutating func releaseLink() {
        let c = linkClient
        if clients[c].state == .connected {
            if daemon!.link.holdsLock { send(.delete(path: OperatorLink.lock, version: -1), from: c) }
        }
        // A backup's barrier may be under way.
        failErrands("the session was given up")
    }

    /// The session is left: the servers end it when its time is over, if it was not closed before.
    mutating func dropLink() {
        let c = linkClient
        if clients[c].state != .disconnected { abandonConnection(c, politely: true) }
        clients[c].session = 0
        clients[c].outstanding.removeAll()
        clients[c].watches = WatchChecker()
        daemon!.link = OperatorLink()
    }

    /// S5, by what is committed: whether a session of this daemon has the lock. One that it has given up has it until
    /// it expires, and a proof is not good for that long.
    var daemonHoldsLock: Bool {
        guard let stat = checkers.history.tree.storedStat(OperatorLink.lock) else { return false }
        return stat.ephemeralOwner == daemon!.lockSession
    }
}
