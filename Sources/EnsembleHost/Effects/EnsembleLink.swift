import EnsembleBase
import EnsembleControl
import KeeperClient

/// The daemon's own session with the ensemble: the lock for disruptions (S5) and barriers. Opened when first needed,
/// given up when it fails; every call is bounded.
///
/// S5: the nodes are bound to the daemon's credential, so that no client can take the lock, hold it up, or forge a barrier.
/// Everybody may read them.
package actor EnsembleLink {
    private static let root = "/ensembled"
    private static let barrier = root + "/barrier"
    private static let lockPath = root + "/lock"
    private static let user = "ensembled"
    private static let access = NodeAccess.creatorOnly + [NodeAccess(.read, scheme: "world", id: "anyone")]
    /// Where the servers that run listen now: an opened session keeps the addresses of its opening.
    private let servers: @Sendable () -> [ClientAddress]
    private let label: String
    private let credential: EnsembleCredential
    /// Looks for a copy of the secret where the state directory has none.
    private let search: @Sendable () async throws -> String?
    /// Puts copies of the secret where `search` finds them: before anything is bound to it.
    private let spread: @Sendable (String) async throws -> Void
    /// The session, or its opening. Calls that meet share it: a second one would hold the lock and be closed by nobody.
    private var session: Task<KeeperClient, any Error>?
    /// Held by `session`; nil without one.
    private var lock: KeeperLock?
    /// Calls under way on `session`.
    private var calls = 0
    private static let timeout: Duration = .seconds(5)

    package init(
        label: String, credential: EnsembleCredential, search: @escaping @Sendable () async throws -> String?,
        spread: @escaping @Sendable (String) async throws -> Void, servers: @escaping @Sendable () -> [ClientAddress]
    ) {
        self.servers = servers
        self.label = label
        self.credential = credential
        self.search = search
        self.spread = spread
    }

    /// Makes the nodes, before any client has the idea to.
    package func prepare() async throws {
        try await call { _, _ in }
        if let session, lock == nil, calls == 0 { await drop(session) }
    }

    /// S5: holds the lock, or proves by a write that a quorum accepts that it is still held.
    package func acquireOrProve() async throws {
        try await call { link, client in try await link.acquireOrProve(by: client) }
    }

    private func acquireOrProve(by client: KeeperClient) async throws {
        if let lock { return try await lock.prove(timeout: Self.timeout) }
        if let ticket = try await client.ticket() { try await credential.remember(ticket) }
        for _ in 0..<3 {
            let taken = try await client.tryLock(
                Self.lockPath, data: Array(label.utf8), access: Self.access, timeout: Self.timeout)
            if let taken {
                lock = taken
                return
            }
            if try await !freeLeftLock(by: client) { break }
        }
        let holder = try? await client.getData(Self.lockPath, timeout: Self.timeout).data
        throw HostError(
            Self.lockPath, "is held by \(holder.map { String(decoding: $0, as: UTF8.self) } ?? "another")",
            remedy: "it is free when that one ends or its session expires")
    }

    /// A session that was left while it was cut off, or by a daemon that is gone, would keep the lock until it expires; with
    /// elections in a row that may be never: each gives it its whole time anew. The state directory's lock says that nobody
    /// acts on such a session any more. And a node that no session owns is no lock of any daemon's.
    ///
    /// - Returns: whether to try again.
    private func freeLeftLock(by client: KeeperClient) async throws -> Bool {
        guard let stat = try await client.exists(Self.lockPath, timeout: Self.timeout) else { return true }
        if stat.ephemeralOwner == 0 {
            try? await client.delete(Self.lockPath, version: stat.version, timeout: Self.timeout)
            return true
        }
        guard let left = try await credential.left().last(where: { $0.id == stat.ephemeralOwner }) else { return false }
        try await KeeperClient.end(left, at: client.connectString, within: Self.timeout)
        try await credential.forget(left.id)
        return true
    }

    /// Gives the lock back, and the session with it unless a call is under way on it, as a backup's barrier may be.
    package func release() async {
        guard let own = session else { return }
        var isFree = true
        if let lock {
            self.lock = nil
            do {
                try await lock.release(timeout: .seconds(2))
                try await credential.forget(lock.sessionID)
            } catch { isFree = false }
        }
        // A lock that could not be given back goes with its session.
        if calls == 0 || !isFree { await drop(own) }
    }

    /// Commits a transaction and returns its zxid.
    package func writeBarrier() async throws -> Int64 {
        try await call { link, client in
            let stat = try await client.setData(Self.barrier, data: Array(link.label.utf8), timeout: Self.timeout)
            return stat.modificationZxid
        }
    }

    /// Runs `body` on the session; any failure but a refusal of our own ends that session.
    private func call<Result: Sendable>(
        _ body: (isolated EnsembleLink, KeeperClient) async throws -> Result
    ) async throws -> Result {
        calls += 1
        defer { calls -= 1 }
        let own = session ?? Task { [servers, credential, search, spread] in
            let secret = try await credential.secret(orFrom: search)
            return try await Self.open(servers().map(\.description).joined(separator: ","), secret, spread)
        }
        session = own
        do {
            return try await body(self, own.value)
        } catch let error as HostError where error.subject == Self.lockPath {
            throw error
        } catch KeeperClientError.refused(.noAuth, let path) {
            await drop(own)
            throw HostError(
                path, "is bound to a credential that this daemon does not have",
                remedy: "end another daemon of this ensemble, if there is one; else remove the node as super user: README, the lock")
        } catch {
            await drop(own)
            throw error
        }
    }

    private static func open(
        _ servers: String, _ secret: String, _ spread: (String) async throws -> Void
    ) async throws -> KeeperClient {
        var configuration = KeeperClient.Configuration()
        configuration.sessionTimeout = .seconds(6)
        configuration.requestTimeout = timeout
        let client = try await KeeperClient.connect(to: servers, configuration: configuration, within: timeout)
        do {
            try await client.authenticate("\(user):\(secret)", timeout: timeout)
            var hasCopies = false
            for path in [root, barrier] where try await !isBound(path, for: client) {
                if !hasCopies { try await spread(secret) }
                hasCopies = true
                try await bind(path, by: client)
            }
        } catch {
            await client.close()
            throw error
        }
        return client
    }

    private static func isBound(_ path: String, for client: KeeperClient) async throws -> Bool {
        guard try await client.exists(path, timeout: timeout) != nil else { return false }
        let present = try await client.getAccess(path, timeout: timeout).access
        return !present.contains { $0.scheme == "world" && !$0.rights.subtracting(.read).isEmpty }
    }

    /// Makes the node, or takes one that anybody may change: an earlier version made them so.
    private static func bind(_ path: String, by client: KeeperClient) async throws {
        do {
            try await client.create(path, access: access, timeout: timeout)
        } catch KeeperClientError.refused(.nodeExists, _) {
            try await client.setAccess(path, access, timeout: timeout)
        }
    }

    /// Another call may have given up the same session, and a third have opened the next one.
    private func drop(_ own: Task<KeeperClient, any Error>) async {
        guard session == own else { return }
        session = nil
        lock = nil
        if let client = try? await own.value { await client.close() }
    }
}
