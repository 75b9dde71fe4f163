import EnsembleBase
import EnsembleControl
import KeeperClient

/// Asks one server how it is, over its client port.
package enum MemberProbe {
    package enum Outcome: Sendable, Hashable {
        case answered(MemberAnswer)
        /// It closed the connection without a word: it lives, and takes no more of this address.
        case turnedAway
        /// No connection, or no answer in time.
        case silent
        /// It could not be asked, for a reason on this side.
        case notAsked(String)
    }

    /// - Parameter engine: the one that the manifest declares: the bundled server says all in one answer.
    package static func ask(
        _ address: ClientAddress, engine: Engine, timeout: Duration, now: @Sendable () -> Instant
    ) async -> Outcome {
        // What it says was true at some moment since then, however late this daemon gets to read it (S10).
        let askedAt = now()
        @Sendable func word(_ word: String) async throws -> String {
            try await KeeperClient.fourLetterWord(word, host: address.host, port: address.port, timeout: timeout)
        }
        do {
            if engine == .bundled, let answer = try await parseMonitor(word("mntr"), at: askedAt) { return .answered(answer) }
            // S11: where the manifest names another engine than the one that still runs, it serves all the same.
            guard var answer = try await parse(word("srvr"), at: askedAt) else { return .silent }
            if answer.role == .leading, let monitor = try? await word("mntr") {
                answer.syncedFollowers = Monitor(monitor)["zk_synced_followers"].flatMap { Int($0) }
            }
            return .answered(answer)
        } catch KeeperClientError.connectionLost {
            return .turnedAway
        } catch KeeperClientError.notTried(let why) {
            return .notAsked(why)
        } catch {
            return .silent
        }
    }

    /// The bundled server's answer to `mntr`: it says which server it is, and what its disk has, in any state. Nil when it is
    /// no such answer.
    package static func parseMonitor(_ text: String, at now: Instant) -> MemberAnswer? {
        let monitor = Monitor(text)
        guard let server = monitor["zk_ensembled_server_id"].flatMap({ MemberID($0) }),
            let zxid = monitor["zk_ensembled_last_zxid"].flatMap(zxid)
        else { return nil }
        guard monitor["zk_ensembled_serving"] == "1", let role = monitor["zk_server_state"].flatMap(role) else {
            return MemberAnswer(at: now, server: server, role: .looking, zxid: 0)
        }
        return MemberAnswer(
            at: now, server: server, role: role, zxid: zxid, durable: monitor["zk_ensembled_durable_zxid"].flatMap(Self.zxid),
            acceptedEpoch: monitor["zk_ensembled_accepted_epoch"].flatMap { Int64($0) },
            syncedFollowers: monitor["zk_synced_followers"].flatMap { Int($0) },
            clients: monitor["zk_num_alive_connections"].flatMap { Int($0) } ?? 0, version: monitor["zk_version"] ?? "")
    }

    /// The answer to `srvr`. Nil when it is no such answer.
    package static func parse(_ text: String, at now: Instant) -> MemberAnswer? {
        if text.contains("not currently serving requests") { return MemberAnswer(at: now, role: .looking, zxid: 0) }
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = String(line[..<colon])
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            if fields[name] == nil { fields[name] = String(value) }
        }
        guard let mode = fields["Mode"], let zxid = fields["Zxid"].flatMap(zxid), let role = role(mode) else { return nil }
        return MemberAnswer(
            at: now, role: role, zxid: zxid, clients: fields["Connections"].flatMap { Int($0) } ?? 0,
            version: fields["Zookeeper version"] ?? "")
    }

    private static func zxid(_ text: String) -> Int64? {
        guard text.hasPrefix("0x"), let bits = UInt64(text.dropFirst(2), radix: 16) else { return nil }
        return Int64(bitPattern: bits)
    }

    private static func role(_ mode: String) -> MemberAnswer.Role? {
        switch mode {
        case "leader": .leading
        case "follower": .following
        case "observer": .observing
        case "standalone": .standalone
        default: nil
        }
    }

    /// Lines of a key, a tab and a value.
    private struct Monitor {
        private var values: [Substring: Substring] = [:]

        init(_ text: String) {
            for line in text.split(separator: "\n") {
                guard let tab = line.firstIndex(of: "\t") else { continue }
                values[line[..<tab]] = line[line.index(after: tab)...]
            }
        }

        subscript(key: Substring) -> String? { values[key].map { String($0) } }
    }
}
