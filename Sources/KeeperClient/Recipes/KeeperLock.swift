import EnsembleBase

/// A lock held by an ephemeral node: whoever created the node holds it, and it is free again when the node is gone.
///
/// The node dies with the session, so a holder that crashes or is cut off loses the lock by itself. A holder must
/// therefore not act on having acquired it once: before each step that needs it, `prove` shows that it is held, by a
/// write that a quorum has to accept.
public struct KeeperLock: Sendable {
    public let client: KeeperClient
    public let path: String
    /// The session that the node belongs to.
    public let sessionID: Int64
    /// The transaction that created the node. Grows from holder to holder: a fencing token.
    public let fence: Int64

    /// S5: shows that the lock is held now, by rewriting its node. Without a quorum the write is not answered and
    /// without the node, or with another's, it is refused: either way this throws, and the holder must stop.
    public func prove(timeout: Duration) async throws {
        let deadline = ContinuousClock.now + timeout
        while true {
            let remaining = deadline - .now
            guard remaining > .zero else { throw KeeperClientError.timedOut(.unknown) }
            let data: [UInt8]
            let seen: NodeStat
            do {
                (data, seen) = try await client.getData(path, timeout: remaining)
            } catch KeeperClientError.refused(.noNode, _) {
                throw KeeperClientError.lockLost(path: path)
            }
            guard isOurs(seen) else { throw KeeperClientError.lockLost(path: path) }
            do {
                let stat = try await client.setData(path, data: data, version: seen.version, timeout: remaining)
                guard isOurs(stat) else { throw KeeperClientError.lockLost(path: path) }
                return
            } catch KeeperClientError.refused(.badVersion, _) {
                continue
            } catch KeeperClientError.refused(.noNode, _) {
                throw KeeperClientError.lockLost(path: path)
            }
        }
    }

    /// Frees the lock. If that cannot be confirmed in time it throws, and the node goes with the session at the latest.
    public func release(timeout: Duration) async throws {
        let deadline = ContinuousClock.now + timeout
        while true {
            do {
                let remaining = deadline - .now
                guard let stat = try await client.exists(path, timeout: remaining), isOurs(stat) else { return }
                try await client.delete(path, version: stat.version, timeout: remaining)
                return
            } catch KeeperClientError.refused(.noNode, _) {
                return
            } catch KeeperClientError.refused(.badVersion, _), KeeperClientError.connectionLost {
                // A delete of this very incarnation may be repeated: `isOurs` is looked at again first.
                guard deadline > .now else { throw KeeperClientError.timedOut(.unknown) }
            }
        }
    }

    private func isOurs(_ stat: NodeStat) -> Bool { stat.ephemeralOwner == sessionID && stat.creationZxid == fence }
}

extension KeeperClient {
    /// Acquires the lock at `path` if it is free now; nil if another session holds it. The parent must exist. `data` is
    /// for whoever wants to know who holds it. Holders are told apart by session: a client that holds the lock already
    /// acquires it again, so tasks that must exclude each other need a client each.
    public func tryLock(
        _ path: String, data: [UInt8] = [], access: [NodeAccess] = NodeAccess.open, timeout: Duration
    ) async throws -> KeeperLock? {
        let deadline = ContinuousClock.now + timeout
        while true {
            let remaining = deadline - .now
            guard remaining > .zero else { throw KeeperClientError.timedOut(.unknown) }
            do {
                let (_, stat) = try await createReturningStat(
                    path, data: data, access: access, mode: .ephemeral, timeout: remaining)
                return lock(path, stat)
            } catch KeeperClientError.refused(.nodeExists, _) {
                // Ours, if an earlier create of this session did happen although its answer was lost.
                guard let stat = try await exists(path, timeout: remaining) else { continue }
                return try await sessionID() == stat.ephemeralOwner ? lock(path, stat) : nil
            } catch KeeperClientError.connectionLost {
                continue
            }
        }
    }

    /// Acquires the lock, waiting for other holders until `timeout` has passed: then throws `timedOut`.
    public func acquireLock(_ path: String, data: [UInt8] = [], timeout: Duration) async throws -> KeeperLock {
        let deadline = ContinuousClock.now + timeout
        while true {
            let remaining = deadline - .now
            guard remaining > .zero else { throw KeeperClientError.timedOut(.unknown) }
            if let lock = try await tryLock(path, data: data, timeout: remaining) { return lock }
            let (changes, continuation) = AsyncStream.makeStream(of: NodeEvent.self)
            let held = try await exists(path, timeout: remaining) { event in
                continuation.yield(event)
                continuation.finish()
            }
            guard held != nil else { continue }
            // Not only on the watch: it may be lost with a session that another process ends.
            let pause = min(deadline - .now, .seconds(1))
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await _ in changes { return } }
                group.addTask { try? await Task.sleep(for: max(pause, .zero)) }
                await group.next()
                group.cancelAll()
            }
            if Task.isCancelled { throw KeeperClientError.cancelled(.notSent) }
        }
    }

    /// Runs `body` while holding the lock at `path`, and frees it afterwards, whatever `body` does.
    public func withLock<Value: Sendable>(
        _ path: String, data: [UInt8] = [], timeout: Duration, _ body: (KeeperLock) async throws -> Value
    ) async throws -> Value {
        let lock = try await acquireLock(path, data: data, timeout: timeout)
        do {
            let value = try await body(lock)
            try await lock.release(timeout: timeout)
            return value
        } catch {
            // The body's error is the one that matters; an unreleased node goes with the session.
            try? await lock.release(timeout: timeout)
            throw error
        }
    }

    private func lock(_ path: String, _ stat: NodeStat) -> KeeperLock {
        KeeperLock(client: self, path: path, sessionID: stat.ephemeralOwner, fence: stat.creationZxid)
    }
}
