import Glibc
import KeeperCore

/// A host name or address with a port. IPv6 addresses are without brackets here.
package struct HostPort: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Apache's form: IPv6 in brackets.
    package var delimitedHost: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host }
    package var description: String { "\(delimitedHost):\(port)" }

    /// A host as a person may write it: a name, an IPv4 address, an IPv6 address with or without brackets. nil if it can't
    /// be the name of any host, now or later.
    static func host(_ text: String) -> String? {
        var host = text[...]
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        if isBracketed { host = host.dropFirst().dropLast() }
        if isBracketed || host.utf8.contains(UInt8(ascii: ":")) {
            // The zone ("%eth0") says which interface, not which address.
            return isAddress(host.prefix { $0 != "%" }, AF_INET6) ? String(host) : nil
        }
        if host.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".") }) {
            return isAddress(host, AF_INET) ? String(host) : nil
        }
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        // A dot at the end is the root's.
        let names = labels.last == "" ? labels.dropLast() : labels[...]
        return host.utf8.count <= 253 && names.allSatisfy(isLabel) ? String(host) : nil
    }

    private static func isAddress(_ text: Substring, _ family: Int32) -> Bool {
        var address: [UInt8] = Array(repeating: 0, count: 16)
        return inet_pton(family, String(text), &address) == 1
    }

    private static func isLabel(_ label: Substring) -> Bool {
        (1...63).contains(label.utf8.count) && label.contains { $0.isLetter || $0.isNumber }
            && label.allSatisfy { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" }
    }
}

/// What a `server.N` line says: `host:quorumPort:electionPort[:role][;[clientHost:]clientPort]`.
package struct MemberAddress: Hashable, Sendable {
    package enum Role: String, Hashable, Sendable { case participant, observer }

    package var id: ServerID
    package var host: String
    package var quorumPort: Int
    package var electionPort: Int
    package var role: Role
    /// nil if the line has no client part.
    package var client: HostPort?

    package var quorum: HostPort { HostPort(host: host, port: quorumPort) }
    package var election: HostPort { HostPort(host: host, port: electionPort) }

    /// The line as Apache's server prints it in `/zookeeper/config` and sends it to peers (QuorumServer.toString).
    package var configText: String {
        var text = "server.\(id)=\(quorum.delimitedHost):\(quorumPort):\(electionPort):\(role.rawValue)"
        if let client { text += ";\(client)" }
        return text
    }

    /// Reads the value of a `server.N` line. The message of a failure says what would be right.
    package static func parse(id: ServerID, value: String) -> Result<MemberAddress, MemberAddressError> {
        if value.utf8.contains(UInt8(ascii: "|")) {
            return .failure("several addresses of one member (\"|\", multiAddress) are not built; give one address")
        }
        let halves = value.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false)
        guard let peer = splitHostAndFields(halves[0]), (2...3).contains(peer.fields.count) else {
            return .failure("expected host:quorumPort:electionPort[:role][;[clientHost:]clientPort], found \"\(value)\"")
        }
        guard let host = HostPort.host(peer.host) else {
            return .failure("\"\(peer.host)\" is no address and no host's name")
        }
        guard let quorumPort = port(peer.fields[0]), let electionPort = port(peer.fields[1]) else {
            return .failure("ports must be 1...65535, found \"\(peer.fields[0])\" and \"\(peer.fields[1])\"")
        }
        guard quorumPort != electionPort else {
            return .failure("the quorum port and the election port are both \(quorumPort); they must differ")
        }
        var role = Role.participant
        if peer.fields.count == 3 {
            guard let named = Role(rawValue: peer.fields[2].lowercased()) else {
                return .failure("the role must be participant or observer, found \"\(peer.fields[2])\"")
            }
            role = named
        }
        var member = MemberAddress(
            id: id, host: host, quorumPort: quorumPort, electionPort: electionPort, role: role, client: nil)
        if halves.count == 2 {
            guard let client = clientPart(halves[1]) else {
                return .failure("behind \";\" expected [clientHost:]clientPort (TLS ports are not built), found \"\(halves[1])\"")
            }
            member.client = client
        }
        return .success(member)
    }

    private static func clientPart(_ text: Substring) -> HostPort? {
        if let only = port(String(text)) { return HostPort(host: "0.0.0.0", port: only) }
        guard let parts = splitHostAndFields(text), parts.fields.count == 1, let number = port(parts.fields[0]),
            let host = HostPort.host(parts.host)
        else { return nil }
        return HostPort(host: host, port: number)
    }

    static func port(_ text: String) -> Int? {
        guard let number = Int(text), (1...65535).contains(number) else { return nil }
        return number
    }

    /// `host:a:b` or `[v6]:a:b`.
    private static func splitHostAndFields(_ text: Substring) -> (host: String, fields: [String])? {
        var host: Substring
        var rest: Substring
        if text.first == "[" {
            guard let close = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<close]
            rest = text[text.index(after: close)...]
        } else {
            guard let colon = text.firstIndex(of: ":") else { return nil }
            host = text[..<colon]
            rest = text[colon...]
        }
        guard !host.isEmpty, rest.first == ":" else { return nil }
        rest = rest.dropFirst()
        return (String(host), rest.split(separator: ":", omittingEmptySubsequences: false).map(String.init))
    }
}

/// Why a `server.N` value was refused.
package struct MemberAddressError: Error, Hashable, Sendable, ExpressibleByStringInterpolation {
    package var message: String
    package init(stringLiteral value: String) { message = value }
}
