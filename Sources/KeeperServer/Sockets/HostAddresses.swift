import Glibc
import NIOCore

/// A host name or address and what it stands for at this moment.
package enum HostAddresses {
    /// Why a name has no address: the resolver's words. It may have one later.
    package struct Unresolved: Error, Hashable, Sendable, CustomStringConvertible {
        package var host: String
        package var reason: String
        package var description: String { "cannot resolve \(host): \(reason)" }
    }

    /// Every address of `host`, for listening at. Apache's server takes either wildcard for both families, and so does
    /// whoever copies its zoo.cfg. They get a socket each: an IPv4 client of a socket for both would show an IPv6 address,
    /// which no `ip` right for IPv4 matches. Blocks: not for an event loop.
    package static func listening(host: String, port: Int) throws(Unresolved) -> [SocketAddress] {
        guard host != "0.0.0.0", host != "::" else { return everywhere(port: port) }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_protocol = Int32(IPPROTO_TCP)
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else { throw Unresolved(host: host, reason: String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let address = address(entry.pointee, port: port), !addresses.contains(address) { addresses.append(address) }
            next = entry.pointee.ai_next
        }
        guard !addresses.isEmpty else { throw Unresolved(host: host, reason: "neither an IPv4 nor an IPv6 address") }
        return addresses
    }

    /// The wildcards of both families.
    package static func everywhere(port: Int) -> [SocketAddress] {
        ["0.0.0.0", "::"].compactMap { try? SocketAddress(ipAddress: $0, port: port) }
    }

    private static func address(_ entry: addrinfo, port: Int) -> SocketAddress? {
        guard let pointer = UnsafeRawPointer(entry.ai_addr) else { return nil }
        var address: SocketAddress
        switch entry.ai_family {
        case AF_INET: address = SocketAddress(pointer.loadUnaligned(as: sockaddr_in.self))
        case AF_INET6: address = SocketAddress(pointer.loadUnaligned(as: sockaddr_in6.self))
        default: return nil
        }
        address.port = port
        return address
    }
}
