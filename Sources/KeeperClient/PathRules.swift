import KeeperCore

/// What a path must look like before it is worth sending (reference/zookeeper.md, 1.1).
enum PathRules {
    /// nil, or what is wrong with the path, worded to follow the path in a sentence.
    static func defect(in path: [UInt8], sequential: Bool = false) -> String? {
        guard path.first == UInt8(ascii: "/") else { return "does not start with '/'" }
        if path.count == 1 { return nil }
        let parts = path.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            // A sequential node may have an empty name: the server appends its counter.
            if part.isEmpty, !(sequential && isLast) { return isLast ? "ends with '/'" : "has an empty component" }
            if part.elementsEqual(".".utf8) || part.elementsEqual("..".utf8) { return "has a relative component" }
        }
        if let control = path.first(where: { $0 < 0x20 || $0 == 0x7F }) { return "holds the control character \(control)" }
        return nil
    }

    /// The path as the server knows it. Throws `KeeperClientError.invalidArgument`.
    static func absolute(_ path: String, under chroot: String, sequential: Bool = false) throws -> NodePath {
        if let defect = defect(in: Array(path.utf8), sequential: sequential) {
            throw KeeperClientError.invalidArgument("path '\(path)' \(defect)")
        }
        if chroot.isEmpty { return NodePath(path) }
        return NodePath(path == "/" ? chroot : chroot + path)
    }

    /// The path as the client's user knows it.
    static func relative(_ path: NodePath, to chroot: String) -> String {
        guard !chroot.isEmpty, path.isEqualOrBelow(NodePath(chroot)) else { return path.description }
        let rest = path.bytes.dropFirst(chroot.utf8.count)
        return rest.isEmpty ? "/" : String(decoding: rest, as: UTF8.self)
    }
}
