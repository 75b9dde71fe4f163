import EnsembleBase
import KeeperCore

/// A write as its client sent it. Numbers ascend over the whole run, so that they tell apart requests of one session
/// that have the same xid, as those of clients that count from 1 on every connection.
struct SentWrite: Sendable {
    var number: Int
    var xid: Int32
    var request: Request
    /// What the client had proved on the connection when it sent this.
    var identities: [Identity]
    /// To whom it was sent.
    var server: ServerID
}

/// `requestOrder` and `outcomes`: what is committed for a session are its requests, each at most once, in the order in
/// which they were sent over all its connections, and each is what it comes to in the state before it.
struct RequestChecker: Sendable {
    private struct Session: Sendable {
        /// Sent, in order; none has taken effect, nor has any that was sent later.
        var waiting: [SentWrite] = []
        /// Passed over: a later one has taken effect. They were lost, or come too late.
        var passedOver: [SentWrite] = []
        /// Reads that were sent behind one that waits, and are answered.
        var reads: [AnsweredRead] = []
    }

    private struct AnsweredRead: Sendable {
        var number: Int
        var zxid: Zxid
        var server: ServerID
    }

    private var sessions: [SessionID: Session] = [:]
    /// Later requests of the same xid that come to the same, by the number of the first: which of them is committed shows
    /// in whom its answer goes to.
    private var equals: [Int: [Int]] = [:]
    private(set) var lastNumber = 0

    /// - Returns: the number of the request.
    mutating func sends(
        _ request: Request, xid: Int32, session: SessionID, _ identities: [Identity], to server: ServerID
    ) -> Int {
        lastNumber += 1
        if request.isWrite {
            let sent = SentWrite(number: lastNumber, xid: xid, request: request, identities: identities, server: server)
            sessions[session, default: Session()].waiting.append(sent)
        }
        return lastNumber
    }

    /// A read shows all that its session had sent before to the same server: what that one knew of takes effect first, or
    /// never (issue 8, A4). Of what went to others it may know nothing, as one that is deposed.
    mutating func answersRead(_ number: Int, of session: SessionID, at zxid: Zxid, by server: ServerID) {
        guard zxid.rawValue > 0, let first = sessions[session]?.waiting.first, first.number < number else { return }
        sessions[session]!.reads.append(AnsweredRead(number: number, zxid: zxid, server: server))
    }

    private mutating func judgeReads(behind sent: SentWrite, _ entry: LogEntry, _ verdict: inout Verdict) {
        guard let reads = sessions[entry.session]?.reads, !reads.isEmpty else { return }
        if let early = reads.first(where: { $0.number > sent.number && $0.server == sent.server && $0.zxid < entry.zxid }) {
            verdict.fail(
                .requestOrder,
                "\(entry.transaction), request \(entry.cxid) of \(entry.session), is committed at \(entry.zxid), and a read that was sent to \(sent.server) behind it is answered at \(early.zxid)")
        }
        let first = sessions[entry.session]!.waiting.first?.number ?? .max
        sessions[entry.session]!.reads.removeAll { $0.number < first }
    }

    /// Finds the request that the next committed entry stands for, and holds the entry against it.
    ///
    /// - Parameter tree: before the entry.
    /// - Returns: the request's number; 0 for what servers make by themselves.
    mutating func committed(_ entry: LogEntry, over tree: DataTree, _ verdict: inout Verdict) -> Int {
        if entry.cxid == 0 {
            judgeServers(entry, tree, &verdict)
            return 0
        }
        if case .error(KeeperError.sessionMoved.rawValue) = entry.transaction {
            withdraw(xid: entry.cxid, of: entry.session)
            return 0
        }
        let hasEnded = tree.timeout(of: entry.session) == nil
        if case .closeSession = entry.transaction, hasEnded { return passOver(entry) }
        if hasEnded, entry.transaction.hasEffect {
            verdict.fail(.sessions, "session \(entry.session) has ended, and \(entry.transaction) is committed for it at \(entry.zxid)")
        }
        let waiting = sessions[entry.session]?.waiting ?? []
        var expected: Transaction?
        for position in waiting.indices where waiting[position].xid == entry.cxid {
            let sent = waiting[position]
            let outcome = WriteOracle.transaction(for: sent.request, of: entry.session, sent.identities, over: tree)
            guard WriteOracle.agree(outcome, entry.transaction) else {
                expected = expected ?? outcome
                continue
            }
            noteEquals(of: sent, among: waiting[(position + 1)...], entry, tree)
            sessions[entry.session]!.passedOver += waiting[..<position]
            sessions[entry.session]!.waiting.removeFirst(position + 1)
            if entry.transaction.hasEffect { judgeReads(behind: sent, entry, &verdict) }
            return sent.number
        }
        if let expected {
            verdict.fail(.outcomes, "\(entry.transaction) is committed at \(entry.zxid) for request \(entry.cxid), which comes to \(expected)")
        } else if sessions[entry.session]?.passedOver.contains(where: { $0.xid == entry.cxid }) ?? false {
            judgeLate(entry, &verdict)
        } else {
            verdict.fail(.requestOrder, "\(entry.transaction) is committed at \(entry.zxid) as request \(entry.cxid) of \(entry.session), which did not ask")
        }
        return 0
    }

    private mutating func noteEquals(
        of sent: SentWrite, among later: ArraySlice<SentWrite>, _ entry: LogEntry, _ tree: DataTree
    ) {
        let numbers = later.filter { other in
            other.xid == sent.xid
                && WriteOracle.agree(
                    WriteOracle.transaction(for: other.request, of: entry.session, other.identities, over: tree), entry.transaction)
        }.map(\.number)
        if !numbers.isEmpty { equals[sent.number] = numbers }
    }

    /// The answer to `number` says that it is what was taken for `other`; whether it can be.
    mutating func settle(_ number: Int, takenFor other: Int, of session: SessionID) -> Bool {
        guard let numbers = equals[other], numbers.contains(number) else { return false }
        equals[other] = nil
        let later = numbers.filter { $0 > number }
        if !later.isEmpty { equals[number] = later }
        guard let waiting = sessions[session]?.waiting, let position = waiting.firstIndex(where: { $0.number == number }) else {
            return true
        }
        sessions[session]!.passedOver += waiting[..<position]
        sessions[session]!.waiting.removeFirst(position + 1)
        return true
    }

    /// The end of what has ended changes nothing, and is never refused.
    private mutating func passOver(_ entry: LogEntry) -> Int {
        let number = sessions[entry.session]?.waiting.first { $0.xid == entry.cxid }?.number ?? 0
        withdraw(xid: entry.cxid, of: entry.session)
        return number
    }

    /// One that was passed over. A refused one harms nobody: it was lost for its client, and stays so.
    private func judgeLate(_ entry: LogEntry, _ verdict: inout Verdict) {
        guard entry.transaction.hasEffect else { return }
        verdict.fail(
            .requestOrder,
            "\(entry.transaction), request \(entry.cxid) of \(entry.session), is committed at \(entry.zxid), behind requests that were sent later")
    }

    /// It was refused because its session lives elsewhere by now.
    private mutating func withdraw(xid: Int32, of session: SessionID) {
        guard var known = sessions[session] else { return }
        if let position = known.passedOver.firstIndex(where: { $0.xid == xid }) {
            known.passedOver.remove(at: position)
        } else if let position = known.waiting.firstIndex(where: { $0.xid == xid }) {
            known.waiting.remove(at: position)
        }
        sessions[session] = known
    }

    /// A session's beginning, its expiry, and the end of an empty container.
    private func judgeServers(_ entry: LogEntry, _ tree: DataTree, _ verdict: inout Verdict) {
        switch entry.transaction {
        case .createSession, .error: break
        case .closeSession:
            let outcome = WriteOracle.transaction(for: .closeSession, of: entry.session, [], over: tree)
            if !WriteOracle.agree(outcome, entry.transaction) {
                verdict.fail(.outcomes, "session \(entry.session) ends at \(entry.zxid) with \(entry.transaction), and owns \(outcome)")
            }
        case .delete(let path, container: true) where entry.session == 0:
            let isEmpty = tree.stat(path).map { $0.numChildren == 0 } ?? false
            if !isEmpty || tree.storedStat(path)?.ephemeralOwner != StoredStat.containerMarker {
                verdict.fail(.outcomes, "\(path) is taken away at \(entry.zxid), and is no empty container")
            }
        default:
            verdict.fail(.requestOrder, "\(entry.transaction) is committed at \(entry.zxid), and nobody asked for it")
        }
    }
}

extension Transaction {
    /// Whether it changes anything.
    var hasEffect: Bool {
        switch self {
        case .error, .check: false
        // One error says that the whole was refused.
        case .multi(let parts): !parts.contains { if case .error = $0 { true } else { false } }
        default: true
        }
    }
}
