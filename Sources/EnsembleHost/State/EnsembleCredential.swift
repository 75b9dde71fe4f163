import EnsembleControl
import FoundationEssentials
import Glibc
import KeeperClient
import KeeperStorage

/// What the daemon is known by in its ensemble, kept so that the next daemon is known as well: a secret that its nodes are
/// bound to (S5: only who has it makes or frees the lock), and the sessions that may have been left with the lock in hand.
///
///     session.json of the state directory              both, readable by the daemon's user alone
///     ensembled.credential of each data directory      the secret, for a daemon whose state is lost
package final class EnsembleCredential: Sendable {
    struct Content: Hashable, Sendable, Codable {
        var secret: String
        /// The newest last.
        var left: [SessionTicket] = []
    }

    package static let copyName = "ensembled.credential"
    /// Sessions end by themselves after seconds: older ones are long over.
    static let leftLimit = 16

    private let state: StateDirectory
    private let lane: HostLane
    private var file: String { state.path + "/session.json" }

    /// - Parameter lane: of the state directory.
    package init(_ state: StateDirectory, lane: HostLane) {
        self.state = state
        self.lane = lane
    }

    /// - Parameter search: for a copy, where the state directory has none; nil: nobody has one, and it is made.
    /// - Throws: also what `search` throws. A second secret would lock out the daemon itself.
    func secret(orFrom search: () async throws -> String?) async throws -> String {
        if let content = try await load() { return content.secret }
        let secret = try await search() ?? RandomName.hex(words: 4)
        try await change { if $0 == nil { $0 = Content(secret: secret) } }
        return try await load()?.secret ?? secret
    }

    /// nil: not made yet.
    func knownSecret() async throws -> String? { try await load()?.secret }

    /// Sessions that this daemon or one before it may have left.
    func left() async throws -> [SessionTicket] { try await load()?.left ?? [] }

    /// Durable before the session holds anything.
    func remember(_ ticket: SessionTicket) async throws {
        try await change { content in
            content?.left.removeAll { $0.id == ticket.id }
            content?.left.append(ticket)
            if let count = content?.left.count, count > Self.leftLimit { content?.left.removeFirst(count - Self.leftLimit) }
        }
    }

    func forget(_ id: Int64) async throws {
        try await change { $0?.left.removeAll { $0.id == id } }
    }

    private func load() async throws -> Content? {
        try await lane.run("reading its credential", within: .seconds(5)) { [self] in try state.load(Content.self, file) }
    }

    private func change(_ body: @escaping @Sendable (inout Content?) -> Void) async throws {
        try await lane.run("writing its credential", within: .seconds(5)) { [self] in
            let old = try state.load(Content.self, file)
            var content = old
            body(&content)
            if let content, content != old { try state.save(content, file, isPrivate: true) }
        }
    }

    // MARK: Copies

    /// Of the members' directories, the first that has one.
    /// - Throws: when none is found, and one of them can't be looked at.
    static func find(in members: [RenderedMember], _ lanes: HostLanes) async throws -> String? {
        var failure: (any Error)?
        for member in members {
            do {
                let found = try await lanes.member(member.id).run("a look for the credential", within: .seconds(5)) {
                    try copy(of: member)
                }
                if let found { return found }
            } catch { failure = error }
        }
        if let failure { throw failure }
        return nil
    }

    /// Puts what is missing into the members' directories. What is bound to a secret that lies nowhere else is lost with the
    /// state directory: most of them have it before that.
    /// - Throws: when fewer than a majority have a copy.
    static func spread(_ secret: String, to members: [RenderedMember], _ lanes: HostLanes) async throws {
        let count = await withTaskGroup(of: Bool.self) { group in
            for member in members {
                group.addTask {
                    let hasCopy = try? await lanes.member(member.id).run("a copy of the credential", within: .seconds(5)) {
                        try copy(secret, to: member)
                        return try copy(of: member) == secret
                    }
                    return hasCopy ?? false
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        guard count > members.count / 2 else {
            throw HostError(
                copyName, "\(count) of \(members.count) members' directories have it", remedy: "it is tried again by itself, when they can be written")
        }
    }

    /// nil: the member has none. Blocks.
    /// - Throws: when it can't be told (S10).
    static func copy(of member: RenderedMember) throws(StorageError) -> String? {
        guard let bytes = try Directory.content(of: member.dataDirectory + "/" + copyName) else { return nil }
        let secret = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first.map(String.init)
        return secret.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Beside data only: what is put into a directory's place must find it empty. Blocks.
    static func copy(_ secret: String, to member: RenderedMember) throws(StorageError) {
        guard Directory.exists(member.dataDirectory + "/version-2"), try copy(of: member) != secret else { return }
        try Directory.replace(
            file: member.dataDirectory + "/" + copyName, with: Array((secret + "\n").utf8), isPrivate: true)
    }
}
