import EnsembleBase

/// Follower: what was forwarded over connections that have ended, and has not come back as a proposal.
///
/// Bounded by what is on its way to the leader. Every forwarded write is proposed, if only as an error, or the role ends.
struct UnproposedWrites: Sendable {
    private struct Write: Sendable {
        var cxid: Int32
        var after: Zxid
    }

    private var bySession: [SessionID: FIFO<Write>] = [:]

    func contains(_ session: SessionID) -> Bool { bySession[session] != nil }

    /// The connection has ended; of its writes those stay that the log doesn't hold yet.
    mutating func outlive(_ client: Client, _ history: History) {
        // Nobody can go on with a session whose id was never told.
        guard client.phase != .opening else { return }
        for offset in 0..<client.pending.count {
            let pending = client.pending[offset]
            guard case .write(let after) = pending.kind else { continue }
            bySession[client.session, default: FIFO()].append(Write(cxid: pending.xid, after: after))
        }
        guard contains(client.session) else { return }
        for offset in 0..<history.outstanding.count { proposed(history.outstanding[offset]) }
    }

    mutating func proposed(_ entry: LogEntry) {
        guard !bySession.isEmpty, let next = bySession[entry.session]?.first, entry.cxid == next.cxid, entry.zxid > next.after else { return }
        _ = bySession[entry.session]!.popFirst()
        if bySession[entry.session]!.isEmpty { bySession[entry.session] = nil }
    }
}

extension History {
    /// The last transaction of the session that is logged and not committed.
    func lastOutstanding(of session: SessionID) -> Zxid? {
        for offset in (0..<outstanding.count).reversed() where outstanding[offset].session == session {
            return outstanding[offset].zxid
        }
        return nil
    }
}
