import CLinux
import EnsembleControl
import FoundationEssentials
import Glibc
import KeeperStorage

/// The daemon's own durable state, in one directory per cluster:
///
///     ledger.json     what each member has acknowledged (S2)
///     intents.json    what the daemon is in the middle of (S9)
///     history.json    what was asked for, by whom, and what came of it
///     manifest.yaml   the manifest in force, as it was read
///     archive.json    where the archive was seen last, and on which mounts
///     session.json    what the daemon is known by in the ensemble; private (`EnsembleCredential`)
///     events.jsonl    what happened, bounded
///     lock            held while a daemon lives
///     members/<id>/server.json   which process is the member's server
///
/// Every file is replaced atomically and synced before and after the rename: a torn file doesn't occur, and one that
/// can't be read is an error, not an empty state (S10).
package final class StateDirectory: Sendable {
    package let path: String
    private let lockDescriptor: Int32

    /// Opens the directory and takes its lock.
    /// - Throws: when another daemon holds it.
    package init(_ path: String) throws(HostError) {
        self.path = path
        do throws(StorageError) {
            try StateDirectory.createParents(path)
        } catch {
            throw HostError(path, error.description, remedy: "create it, or name another with --state-dir")
        }
        lockDescriptor = clx_open(path + "/lock", O_RDWR | O_CREAT, 0o640)
        guard lockDescriptor >= 0 else {
            throw HostError(path + "/lock", "can't be opened: \(String(cString: strerror(errno)))", remedy: "check its rights")
        }
        guard flock(lockDescriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(lockDescriptor)
            throw HostError(
                path, "another daemon is running on this state directory",
                remedy: "stop it first, or use its control socket", exitStatus: 75)
        }
    }

    deinit { close(lockDescriptor) }

    package static func createParents(_ path: String) throws(StorageError) {
        if Directory.exists(path) { return }
        let parent = Directory.parent(of: path)
        if parent != path, !parent.isEmpty { try createParents(parent) }
        try Directory.create(path)
    }

    /// - Parameter cluster: that it must be of; nil: not known.
    package func loadLedger(cluster: String?) throws(HostError) -> Ledger? {
        let ledger = try load(Ledger.self, path + "/ledger.json")
        if let ledger, let cluster, ledger.cluster != cluster {
            throw HostError(
                path + "/ledger.json", "belongs to cluster \(ledger.cluster), the manifest declares \(cluster)",
                remedy: "give each cluster a state directory of its own")
        }
        return ledger
    }

    package func save(_ ledger: Ledger) throws(HostError) { try save(ledger, path + "/ledger.json") }
    package func loadIntents() throws(HostError) -> Intents { try load(Intents.self, path + "/intents.json") ?? Intents() }
    package func save(_ intents: Intents) throws(HostError) { try save(intents, path + "/intents.json") }

    /// No decision rests on it: one that can't be read is set aside, and named to the caller.
    package func loadHistory() throws(HostError) -> (history: History, problem: String?) {
        let file = path + "/history.json"
        do throws(HostError) {
            return (try load(History.self, file) ?? History(), nil)
        } catch {
            guard rename(file, file + ".unreadable") == 0 else { throw error }
            return (History(), "\(file) \(error.problem): it is set aside as history.json.unreadable, and a new one begun")
        }
    }

    package func save(_ history: History) throws(HostError) { try save(history, path + "/history.json") }

    /// S10: one that can't be read is not one that was never written.
    package func loadArchivePlace() throws(HostError) -> ArchivePlace? { try load(ArchivePlace.self, path + "/" + ArchivePlace.fileName) }
    package func save(_ place: ArchivePlace) throws(HostError) { try save(place, path + "/" + ArchivePlace.fileName) }

    package func load<Value: Decodable>(_ type: Value.Type, _ file: String) throws(HostError) -> Value? {
        do {
            guard let bytes = try Directory.content(of: file) else { return nil }
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw HostError(
                file, "can't be read: \(error)",
                remedy: "restore it, or move it away knowing that the daemon then takes data directories at their word")
        }
    }

    static let manifestName = "/manifest.yaml"

    func save(manifestInForce text: [UInt8]) throws(HostError) {
        do {
            try Directory.replace(file: path + Self.manifestName, with: text)
        } catch {
            throw HostError(
                path + Self.manifestName, "can't be written: \(error)", remedy: "check the file system", exitStatus: 74)
        }
    }

    package func save(_ value: some Encodable, _ file: String, isPrivate: Bool = false) throws(HostError) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        do {
            try Directory.replace(file: file, with: Array(try encoder.encode(value)), isPrivate: isPrivate)
        } catch {
            throw HostError(file, "can't be written: \(error)", remedy: "check the file system; nothing goes on without it",
                exitStatus: 74)
        }
    }
}

/// Which process is a member's server, written at its start, so that the next daemon knows it again.
package struct ServerRecord: Hashable, Sendable, Codable {
    package var process: ProcessIdentity
    /// Of the settings that it was started with.
    package var fingerprint: String
    package var executable: String
    /// Where it listens for clients, as its configuration says; nil in the records of earlier versions.
    package var client: ClientAddress?
    /// Size of its output file at its start: its last words are behind it.
    package var outputOffset: Int64

    package static func file(_ member: RenderedMember) -> String { member.home + "/server.json" }
}
