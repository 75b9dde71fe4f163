import EnsembleBase

/// Why a snapshot's content is not a tree: damage, named.
package enum TreeLoadingError: Error, Hashable, Sendable, CustomStringConvertible {
    case duplicateNode(NodePath)
    case missingParent(NodePath)
    case malformedPath(NodePath)
    case unknownAccessKey(Int64, NodePath)
    case duplicateAccessKey(Int64)
    case duplicateSession(SessionID)
    case missingRoot

    package var description: String {
        switch self {
        case .duplicateNode(let path): "the node \(path) appears twice"
        case .missingParent(let path): "the node \(path) comes before its parent, or has none"
        case .malformedPath(let path): "\"\(path)\" is not a node's path"
        case .unknownAccessKey(let key, let path): "the node \(path) refers to the access list \(key), which is not there"
        case .duplicateAccessKey(let key): "the access list \(key) appears twice, or has a key that none can have"
        case .duplicateSession(let id): "the session 0x\(String(UInt64(bitPattern: id), radix: 16)) appears twice"
        case .missingRoot: "the root node is missing"
        }
    }
}

/// Builds a tree from a snapshot's records in their order: sessions, access lists, nodes with parents first
/// (reference/zookeeper.md, 2.2).
package struct DataTreeLoader: Sendable {
    private var tree = DataTree(empty: ())

    package init() {}

    /// - Parameter timeout: milliseconds.
    package mutating func addSession(_ id: SessionID, timeout: Int32) throws(TreeLoadingError) {
        guard tree.sessionTimeouts.updateValue(timeout, forKey: id) == nil else { throw .duplicateSession(id) }
    }

    package mutating func addAccessList(key: Int64, _ list: [AccessRight]) throws(TreeLoadingError) {
        guard tree.access.load(key: key, list: list) else { throw .duplicateAccessKey(key) }
    }

    /// - Parameter path: "/" or, as the file has it, "" for the root.
    package mutating func addNode(
        path: NodePath, data: [UInt8]?, aclKey: Int64, stat: StoredStat
    ) throws(TreeLoadingError) {
        let isRoot = path.bytes.isEmpty || path.isRoot
        guard isRoot || (path.bytes[0] == UInt8(ascii: "/") && path.bytes.last != UInt8(ascii: "/")) else {
            throw .malformedPath(path)
        }
        guard tree.access.retain(key: aclKey) else { throw .unknownAccessKey(aclKey, path) }
        if isRoot {
            guard tree.nodes.isEmpty else { throw .duplicateNode(.root) }
            return tree.plantRoot(data: data, aclKey: aclKey, stat: stat)
        }
        let parent = tree.nodes.isEmpty ? .none : tree.parentSlot(of: path)
        guard parent != .none else { throw .missingParent(path) }
        guard !tree.contains(path) else { throw .duplicateNode(path) }
        tree.insert(path, below: parent, data: data, aclKey: aclKey, stat: stat)
    }

    /// - Parameter zxid: the snapshot's: the last transaction that it holds wholly.
    package consuming func finish(zxid: Zxid) throws(TreeLoadingError) -> DataTree {
        guard !tree.nodes.isEmpty else { throw .missingRoot }
        tree.access.dropUnreferenced()
        tree.lastProcessedZxid = zxid
        return tree
    }
}
