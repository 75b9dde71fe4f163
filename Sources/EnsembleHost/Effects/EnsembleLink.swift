import EnsembleBase
import EnsembleControl
import KeeperClient

/// The daemon's own session with the ensemble: the lock for disruptions (S5) and barriers. Opened when first needed,
/// given up when it fails; every call is bounded.
package actor EnsembleLink {
    private static let root = "/ensembled"
    /// Where the servers that run listen now: an opened session keeps the addresses of its opening.
    private let servers: @Sendable () -> [ClientAddress]
    private let label: String
    /// The session, or its opening. Calls that meet share it: a second one would hold the lock and be closed by nobody.
    private var session: Task<KeeperClient, any Error>?
    /// Held by `session`; nil without one.
    private var lock: KeeperLock?
    /// Calls under way on `session`.
    private var calls = 0
    private static let timeout: Duration = .seconds(5)

    package init(label: String, servers: @escaping @Sendable () -> [ClientAddress]) {
        self.servers = servers
        self.label = label
    }

    /// S5: holds the lock, or proves by a write that a quorum accepts that it is still held.
    package func acquireOrProve() async throws {
        try await call { link, client in try await link.acquireOrProve(by: client) }
    }

    private func acquireOrProve(by client: KeeperClient) async throws {
        if let lock { return try await lock.prove(timeout: Self.timeout) }
        guard let lock = try await client.tryLock(Self.root + "/lock", data: Array(label.utf8), timeout: Self.timeout)
        else {
            let holder = try? await client.getData(Self.root + "/lock", timeout: Self.timeout).data
            throw HostError(
                Self.root + "/lock", "is held by \(holder.map { String(decoding: $0, as: UTF8.self) } ?? "another")",
                remedy: "it is free when that one ends or its session expires")
        }
        self.lock = lock
    }

    /// Gives the lock back, and the session with it unless a call is under way on it, as a backup's barrier may be.
    package func release() async {
        guard let own = session else { return }
        var isFree = true
        if let lock {
            self.lock = nil
            do { try await lock.release(timeout: .seconds(2)) } catch { isFree = false }
        }
        // A lock that could not be given back goes with its session.
        if calls == 0 || !isFree { await drop(own) }
    }

    /// Commits a transaction and returns its zxid.
    package func writeBarrier() async throws -> Int64 {
        try await call { link, client in
            let stat = try await client.setData(Self.root + "/barrier", data: Array(link.label.utf8), timeout: Self.timeout)
            return stat.modificationZxid
        }
    }

    /// Runs `body` on the session; any failure but a refusal of our own ends that session.
    private func call<Result: Sendable>(
        _ body: (isolated EnsembleLink, KeeperClient) async throws -> Result
    ) async throws -> Result {
        calls += 1
        defer { calls -= 1 }
        let own = session ?? Task { [servers] in try await Self.open(servers().map(\.description).joined(separator: ",")) }
        session = own
        do {
            return try await body(self, own.value)
        } catch let error as HostError {
            throw error
        } catch {
            await drop(own)
            throw error
        }
    }

    private static func open(_ servers: String) async throws -> KeeperClient {
        var configuration = KeeperClient.Configuration()
        configuration.sessionTimeout = .seconds(6)
        configuration.requestTimeout = timeout
        let client = try await KeeperClient.connect(to: servers, configuration: configuration, within: timeout)
        do {
            try await client.createPath(root + "/barrier", timeout: timeout)
        } catch {
            await client.close()
            throw error
        }
        return client
    }

    /// Another call may have given up the same session, and a third have opened the next one.
    private func drop(_ own: Task<KeeperClient, any Error>) async {
        guard session == own else { return }
        session = nil
        lock = nil
        if let client = try? await own.value { await client.close() }
    }
}
