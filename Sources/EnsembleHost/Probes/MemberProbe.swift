import EnsembleBase
import EnsembleControl
import KeeperClient

/// Asks one server how it is, over its client port, the same for both engines.
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

    package static func ask(_ address: ClientAddress, timeout: Duration, now: @Sendable () -> Instant) async -> Outcome {
        let (host, port) = (address.host, address.port)
        // What it says was true at some moment since then, however late this daemon gets to read it (S10).
        let askedAt = now()
        let text: String
        do {
            text = try await KeeperClient.fourLetterWord("srvr", host: host, port: port, timeout: timeout)
        } catch KeeperClientError.connectionLost {
            return .turnedAway
        } catch KeeperClientError.notTried(let why) {
            return .notAsked(why)
        } catch {
            return .silent
        }
        guard var answer = parse(text, at: askedAt) else { return .silent }
        // The bundled server says in `mntr` what no other does.
        if answer.role == .leading || answer.role.serves && answer.version.contains("ensembled"),
            let monitor = try? await KeeperClient.fourLetterWord("mntr", host: host, port: port, timeout: timeout)
        {
            answer.syncedFollowers = value(of: "zk_synced_followers", in: monitor).flatMap { Int($0) }
            answer.durable = value(of: "zk_ensembled_durable_zxid", in: monitor).flatMap(zxid)
            answer.acceptedEpoch = value(of: "zk_ensembled_accepted_epoch", in: monitor).flatMap { Int64($0) }
        }
        return .answered(answer)
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

    private static func value(of key: String, in text: String) -> String? {
        for line in text.split(separator: "\n") where line.hasPrefix(key + "\t") {
            return String(line.dropFirst(key.count + 1))
        }
        return nil
    }
}
