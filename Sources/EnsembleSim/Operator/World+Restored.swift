import EnsembleBase
import EnsembleControl
import KeeperCore

/// A restore of the whole cluster: what was committed behind the backup's end never was, by a person's word.
extension World {
    /// Takes note once of each restore, when the first directory is seeded: every server has ended by then.
    ///
    /// - Parameter epoch: what the members are made to have accepted.
    mutating func goBack(to backup: String, epoch: Int64) {
        guard let operation = daemon!.intents.operation?.id, daemon!.restoreNoted != operation,
            let end = daemon!.archive.backup(backup)?.end
        else { return }
        daemon!.restoreNoted = operation
        record("history goes back to \(end)")
        // S8: a later leader's epoch is above it, and so above all that anyone has seen.
        let highest = max(checkers.quorum.highestEstablished, checkers.history.last.epoch)
        if epoch < highest {
            checkers.fail(.epochs, "S8: the restore accepts epoch \(epoch), and epoch \(highest) was established")
        }
        // What a step before owed nobody waits for any more (operated seed 2573).
        for i in servers.indices { checkers.oversight.isNoLongerDisrupted(i) }
        checkers.history.goBack(to: end)
        checkers.clients.goBack(to: end)
        for c in clients.indices {
            lose(connectionOf: c)
            // One that it had closed lives again (seed 106).
            guard let closed = clients[c].closed?.session, checkers.history.tree.timeout(of: closed) != nil else { continue }
            clients[c].closed = nil
        }
    }

    /// What was on its way to a client is lost with its connection.
    private mutating func lose(connectionOf c: Int) {
        clients[c].state = .disconnected
        clients[c].connection = 0
        clients[c].outstanding.removeAll()
        guard clients[c].session != 0, checkers.history.tree.timeout(of: clients[c].session) == nil else { return }
        checkers.sessions.isGone(clients[c].session)
    }
}
