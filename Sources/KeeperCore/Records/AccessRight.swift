import EnsembleBase

/// Permission bits (reference/zookeeper.md, 1.3).
package struct Permissions: OptionSet, Hashable, Sendable {
    package let rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    package static let read = Permissions(rawValue: 1)
    package static let write = Permissions(rawValue: 2)
    package static let create = Permissions(rawValue: 4)
    package static let delete = Permissions(rawValue: 8)
    package static let admin = Permissions(rawValue: 16)
    package static let all = Permissions(rawValue: 31)
}

/// Who: a scheme (`world`, `auth`, `digest`, `ip`, `super`) and an id within it.
package struct Identity: Hashable, Sendable {
    package var scheme: ByteString
    package var id: ByteString

    package init(scheme: ByteString, id: ByteString) {
        self.scheme = scheme
        self.id = id
    }

    /// Bytes on the wire.
    var size: Int { 8 + scheme.bytes.count + id.bytes.count }

    package static let anyone = Identity(scheme: "world", id: "anyone")
}

/// One entry of a node's access list.
package struct AccessRight: Hashable, Sendable {
    package var permissions: Permissions
    package var identity: Identity

    package init(permissions: Permissions, identity: Identity) {
        self.permissions = permissions
        self.identity = identity
    }

    /// Bytes on the wire.
    var size: Int { 4 + identity.size }

    package static let openToAll = [AccessRight(permissions: .all, identity: .anyone)]
}
