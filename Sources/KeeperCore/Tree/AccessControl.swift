import EnsembleBase

/// Who may do what: the schemes world, digest, ip, auth and super (reference/zookeeper.md, 1.6).
package enum AccessControl {
    /// Whether one of `permissions` is granted to one of `identities`.
    ///
    /// - Parameter list: nil or empty grants everything to everyone, as in Apache's server.
    package static func allows(
        _ list: [AccessRight]?, _ permissions: Permissions, to identities: [Identity]
    ) -> Bool {
        guard let list, !list.isEmpty else { return true }
        for right in list where !right.permissions.isDisjoint(with: permissions) {
            if right.identity == .anyone { return true }
            for identity in identities where matches(identity, right.identity) { return true }
        }
        return identities.contains { $0.scheme == superScheme }
    }

    private static func matches(_ identity: Identity, _ granted: Identity) -> Bool {
        guard identity.scheme == granted.scheme else { return false }
        if identity.scheme == ipScheme {
            guard let pattern = NetworkPattern(granted.id), let address = NetworkAddress(identity.id.bytes[...]) else {
                return false
            }
            return pattern.matches(address)
        }
        // An identity is put on a connection only after its proof was checked: equality is enough for every scheme.
        return identity.id == granted.id
    }

    /// The list as it is stored: duplicates removed, `auth` replaced by the identities that the client has proved.
    ///
    /// - Throws: `invalidACL` for an empty list, an unknown scheme, an id that its scheme can't have, `auth` from a
    ///   client without a proved identity, or a list that would be stored in more bytes than a request may have.
    package static func resolve(
        _ list: [AccessRight], for identities: [Identity]
    ) throws(KeeperError) -> [AccessRight] {
        if AccessTable.isOpen(list) { return list }
        var result: [AccessRight] = []
        // A list may have as many entries as fit into a request.
        var known: Set<AccessRight> = []
        var size = 0
        for right in list {
            if right.identity.scheme == authScheme {
                let proved = identities.filter { isProof($0.scheme) }
                guard !proved.isEmpty else { throw .invalidACL }
                for identity in proved {
                    let expanded = AccessRight(permissions: right.permissions, identity: identity)
                    if known.insert(expanded).inserted { result.append(expanded) }
                    size += expanded.size
                }
            } else {
                guard isValid(right.identity) else { throw .invalidACL }
                if known.insert(right).inserted { result.append(right) }
                size += right.size
            }
            guard size <= sizeLimit else { throw .invalidACL }
        }
        guard !result.isEmpty else { throw .invalidACL }
        return result
    }

    /// Bytes of a list, duplicates counted.
    private static let sizeLimit = 1 << 20

    private static func isValid(_ identity: Identity) -> Bool {
        switch identity.scheme {
        case worldScheme: identity == .anyone
        case ipScheme: NetworkPattern(identity.id) != nil
        case digestScheme: isUserAndHash(identity.id)
        default: false
        }
    }

    /// `user:hash`: one colon, something behind it.
    private static func isUserAndHash(_ id: ByteString) -> Bool {
        let colon = UInt8(ascii: ":")
        guard let first = id.bytes.firstIndex(of: colon) else { return false }
        return first + 1 < id.bytes.count && !id.bytes[(first + 1)...].contains(colon)
    }

    /// Where a client connects from proves nothing about who it is, and `super` is no identity to grant to.
    private static func isProof(_ scheme: ByteString) -> Bool {
        scheme != ipScheme && scheme != worldScheme && scheme != superScheme
    }

    /// For readers without ADMIN: the hash of `digest` ids is replaced by "x".
    static func masked(_ list: [AccessRight]) -> [AccessRight] {
        list.map { right in
            guard right.identity.scheme == digestScheme,
                let colon = right.identity.id.bytes.firstIndex(of: UInt8(ascii: ":"))
            else { return right }
            var masked = right
            masked.identity.id = ByteString(Array(right.identity.id.bytes[...colon]) + [UInt8(ascii: "x")])
            return masked
        }
    }

    /// What a client is told about itself: of a `digest` id only the user.
    static func userNames(_ identities: [Identity]) -> [Identity] {
        identities.map { identity in
            guard identity.scheme == digestScheme else { return identity }
            return Identity(
                scheme: identity.scheme, id: ByteString(Array(identity.id.bytes.prefix { $0 != UInt8(ascii: ":") })))
        }
    }

    private static let worldScheme: ByteString = "world"
    private static let authScheme: ByteString = "auth"
    private static let ipScheme: ByteString = "ip"
    private static let digestScheme: ByteString = "digest"
    private static let superScheme: ByteString = "super"
}

extension DataTree {
    /// - Throws: `noNode`, or `noAuth` if none of `permissions` is granted to `identities`.
    package func checkAccess(
        _ path: NodePath, _ permissions: Permissions, _ identities: [Identity]
    ) throws(KeeperError) {
        let slot = slot(of: path)
        guard slot != .none else { throw .noNode }
        guard allows(slot, permissions, identities) else { throw .noAuth }
    }

    func allows(_ slot: NodeSlot, _ permissions: Permissions, _ identities: [Identity]) -> Bool {
        let key = nodes.aclKey(slot)
        return key == AccessTable.openKey || AccessControl.allows(access.list(key), permissions, to: identities)
    }
}
