/// Which hosts are this one.
package enum HostName {
    /// `localhost`, 127.0.0.0/8 and `::1`.
    package static func isLoopback(_ host: String) -> Bool {
        let name = host.lowercased()
        if name == "localhost" || name == "::1" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    /// Whether `host` is one of the names and addresses that the host has itself (host name, full name, addresses of
    /// its interfaces), or the loopback. Letter case does not count, nor a dot at the end.
    package static func isLocal(_ host: String, ownNames: [String]) -> Bool {
        isLoopback(host) || ownNames.contains { normalised($0) == normalised(host) }
    }

    static func normalised(_ host: String) -> String {
        var name = host.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        return name
    }
}

extension Manifest {
    /// Members that are not on the host whose names are `ownNames`. One daemon runs all members of its cluster: while
    /// this is not empty it must refuse the manifest with `foreignMembersError`.
    package func foreignMembers(ownNames: [String]) -> [MemberDeclaration] {
        members.filter { !HostName.isLocal($0.host, ownNames: ownNames) }
    }

    /// The refusal for `foreignMembers`; nil when there are none.
    package func foreignMembersError(ownNames: [String]) -> ControlError? {
        let foreign = foreignMembers(ownNames: ownNames)
        guard !foreign.isEmpty else { return nil }
        let list = foreign.map { "member \($0.id) on \($0.host)" }.joined(separator: ", ")
        return ControlError(
            .refused,
            "not on this host: \(list). A cluster of several hosts is not built yet: one daemon runs all members",
            remedy: "give the members an address of this host (it knows itself as \(ownNames.joined(separator: ", ")))")
    }
}
