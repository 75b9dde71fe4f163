import EnsembleBase
import EnsembleControl
import KeeperClient

/// The daemon's own session with the ensemble: the lock for disruptions (S5) and barriers. Opened when first needed,
/// given up when it fails; every call is bounded.
package actor EnsembleLink {
    private static let root = "/ensembled"
    private let servers: String
    private let label: String
    private var client: KeeperClient?
    private var lock: KeeperLock?
    private static let timeout: Duration = .seconds(5)

    package init(members: [MemberDeclaration], label: String) {
        servers = members.map { ($0.host.contains(":") ? "[\($0.host)]" : $0.host) + ":\($0.clientPort)" }
            .joined(separator: ",")
        self.label = label
    }

    /// S5: holds the lock, or proves by a write that a quorum accepts that it is still held.
    package func acquireOrProve() async throws {
        do {
            if let lock { return try await lock.prove(timeout: Self.timeout) }
            let client = try await connected()
            guard let lock = try await client.tryLock(Self.root + "/lock", data: Array(label.utf8), timeout: Self.timeout)
            else {
                let holder = try? await client.getData(Self.root + "/lock", timeout: Self.timeout).data
                throw HostError(
                    Self.root + "/lock", "is held by \(holder.map { String(decoding: $0, as: UTF8.self) } ?? "another")",
                    remedy: "it is free when that one ends or its session expires")
            }
            self.lock = lock
        } catch let error as HostError {
            throw error
        } catch {
            await drop()
            throw error
        }
    }

    package func release() async {
        if let lock { try? await lock.release(timeout: .seconds(2)) }
        await drop()
    }

    /// Commits a transaction and returns its zxid.
    package func writeBarrier() async throws -> Int64 {
        do {
            let client = try await connected()
            let stat = try await client.setData(Self.root + "/barrier", data: Array(label.utf8), timeout: Self.timeout)
            return stat.modificationZxid
        } catch {
            await drop()
            throw error
        }
    }

    private func connected() async throws -> KeeperClient {
        if let client { return client }
        var configuration = KeeperClient.Configuration()
        configuration.sessionTimeout = .seconds(6)
        configuration.requestTimeout = Self.timeout
        let client = try await KeeperClient.connect(to: servers, configuration: configuration, within: Self.timeout)
        do {
            try await client.createPath(Self.root + "/barrier", timeout: Self.timeout)
        } catch {
            await client.close()
            throw error
        }
        self.client = client
        return client
    }

    private func drop() async {
        lock = nil
        let old = client
        client = nil
        await old?.close()
    }
}
