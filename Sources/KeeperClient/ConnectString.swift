/// `host:port,host:port/chroot`: the servers of an ensemble and the node that the client takes for its root.
///
/// A host without a port means 2181. An IPv6 address is written in brackets, `[::1]:2181`.
public struct ConnectString: Hashable, Sendable, CustomStringConvertible {
    public struct Server: Hashable, Sendable, CustomStringConvertible {
        public var host: String
        /// 1...65535
        public var port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }

        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// At least one.
    public let servers: [Server]
    /// Empty, or a path that starts with "/" and does not end with one.
    public let chroot: String

    /// Throws `KeeperClientError.invalidArgument`, which names the part that is wrong.
    public init(_ text: String) throws {
        let slash = text.firstIndex(of: "/") ?? text.endIndex
        let chroot = String(text[slash...])
        if !chroot.isEmpty, chroot != "/" {
            if let defect = PathRules.defect(in: Array(chroot.utf8)) {
                throw KeeperClientError.invalidArgument("connect string '\(text)': chroot '\(chroot)' \(defect)")
            }
            self.chroot = chroot
        } else {
            self.chroot = ""
        }
        servers = try text[..<slash].split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let server = Self.server(String(part)) else {
                throw KeeperClientError.invalidArgument(
                    "connect string '\(text)': '\(part)' is not host:port with a port of 1 to 65535")
            }
            return server
        }
    }

    private static func server(_ text: String) -> Server? {
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]"), close > text.index(after: text.startIndex) else { return nil }
            let host = String(text[text.index(after: text.startIndex)..<close])
            let rest = text[text.index(after: close)...]
            if rest.isEmpty { return Server(host: host, port: 2181) }
            guard rest.first == ":", let port = port(rest.dropFirst()) else { return nil }
            return Server(host: host, port: port)
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard let host = parts.first, !host.isEmpty, parts.count <= 2, !host.contains(where: \.isWhitespace) else { return nil }
        if parts.count == 1 { return Server(host: String(host), port: 2181) }
        guard let port = port(parts[1]) else { return nil }
        return Server(host: String(host), port: port)
    }

    private static func port(_ text: Substring) -> Int? {
        guard let port = Int(text), (1...65535).contains(port), text.allSatisfy({ ("0"..."9").contains($0) }) else { return nil }
        return port
    }

    public var description: String { servers.map(\.description).joined(separator: ",") + chroot }
}
