import EnsembleBase
import KeeperCore

/// What a write must become in the state before it (reference/zookeeper.md, 1.3 and 1.5): a second reading of the rules
/// that the leader's pipeline applies, plain and slow, for the checkers alone.
struct WriteOracle {
    /// As much of a node as decides.
    private struct Node {
        var version: Int32
        var cversion: Int32
        var aversion: Int32
        var childCount: Int32
        var isEphemeral: Bool
        var acl: [AccessRight]
    }

    private let session: SessionID
    private let identities: [Identity]
    /// What the parts of a multi have done so far; nil for a node that is gone.
    private var changed: [NodePath: Node?] = [:]

    private init(_ session: SessionID, _ identities: [Identity]) {
        self.session = session
        self.identities = identities
    }

    /// The transaction that this request comes to.
    static func transaction(
        for request: Request, of session: SessionID, _ identities: [Identity], over tree: DataTree
    ) -> Transaction {
        var oracle = WriteOracle(session, identities)
        if case .closeSession = request { return .closeSession(ephemerals: tree.ephemeralPaths(of: session)) }
        do throws(KeeperError) {
            guard tree.timeout(of: session) != nil else {
                // Its parts are refused one by one, where the leader itself has not refused the whole.
                throw .sessionExpired
            }
            if case .multi(let parts) = request { return oracle.multi(parts, tree) }
            return try oracle.single(request, tree)
        } catch { return .error(error.rawValue) }
    }

    /// Whether that is what was logged. What differs in form only counts as the same.
    static func agree(_ expected: Transaction, _ actual: Transaction) -> Bool {
        switch (expected, actual) {
        case (.closeSession(let expected?), .closeSession(let actual)):
            // A list that would be too long is left out.
            return actual.map { $0.sorted() == expected.sorted() } ?? true
        case (.multi(let expected), .multi(let actual)):
            return expected.count == actual.count && zip(expected, actual).allSatisfy { agree($0, $1) }
        case (.create(let expectedOp, let path, let data, let acl, let ephemeral, let cversion, _),
            .create(let op, let actualPath, let actualData, let actualACL, let actualEphemeral, let actualCVersion, _)):
            return (expectedOp == .createContainer) == (op == .createContainer) && path == actualPath && data == actualData
                && acl == actualACL && ephemeral == actualEphemeral && cversion == actualCVersion
        default: return expected == actual
        }
    }

    private mutating func multi(_ parts: [Request], _ tree: DataTree) -> Transaction {
        var done: [Transaction] = []
        do throws(KeeperError) {
            for part in parts { done.append(try single(part, tree)) }
            return .multi(done)
        } catch {
            let culprit = done.count
            return .multi(
                parts.indices.map { part in
                    .error(
                        part < culprit ? 0 : part == culprit ? error.rawValue : KeeperError.runtimeInconsistency.rawValue)
                })
        }
    }

    private mutating func single(_ request: Request, _ tree: DataTree) throws(KeeperError) -> Transaction {
        switch request {
        case .create(let create): return try self.create(create, tree)
        case .delete(let path, let version): return try delete(path, version, tree)
        case .setData(let path, let data, let version):
            var node = try existing(path, .write, tree)
            node.version = try WriteOracle.next(node.version, expected: version)
            changed[path] = .some(node)
            return .setData(path: path, data: data, version: node.version)
        case .check(let path, let version):
            let node = try existing(path, .read, tree)
            return .check(path: path, version: try WriteOracle.next(node.version, expected: version))
        case .setACL(let path, let acl, let version):
            let list = try resolved(acl)
            var node = try existing(path, .admin, tree)
            node.aversion = try WriteOracle.next(node.aversion, expected: version)
            return .setACL(path: path, acl: list, version: node.aversion)
        default: throw .unimplemented
        }
    }

    private mutating func create(_ request: CreateRequest, _ tree: DataTree) throws(KeeperError) -> Transaction {
        let acl = try resolved(request.acl)
        guard let parentPath = request.path.parent, var parent = node(parentPath, tree) else { throw .noNode }
        try require(.create, parent)
        var path = request.path
        if request.flags == 2 || request.flags == 3 {
            let digits = Array(String(parent.cversion).utf8)
            path = NodePath(unchecked: path.bytes + Array(repeating: UInt8(ascii: "0"), count: max(0, 10 - digits.count)) + digits)
        }
        guard node(path, tree) == nil else { throw .nodeExists }
        guard !parent.isEphemeral else { throw .noChildrenForEphemerals }
        parent.cversion += 1
        parent.childCount += 1
        changed[parentPath] = .some(parent)
        let isEphemeral = request.flags == 1 || request.flags == 3
        changed[path] = .some(Node(version: 0, cversion: 0, aversion: 0, childCount: 0, isEphemeral: isEphemeral, acl: acl))
        return .create(
            op: request.op, path: path, data: request.data, acl: acl, ephemeral: isEphemeral,
            parentCVersion: parent.cversion, ttl: 0)
    }

    private mutating func delete(_ path: NodePath, _ version: Int32, _ tree: DataTree) throws(KeeperError) -> Transaction {
        guard let parentPath = path.parent else { throw .badArguments }
        guard var parent = node(parentPath, tree) else { throw .noNode }
        try require(.delete, parent)
        guard let found = node(path, tree) else { throw .noNode }
        _ = try WriteOracle.next(found.version, expected: version)
        guard found.childCount == 0 else { throw .notEmpty }
        parent.childCount -= 1
        changed[parentPath] = .some(parent)
        changed[path] = .some(nil)
        return .delete(path: path, container: false)
    }

    // MARK: Nodes

    private func existing(_ path: NodePath, _ permission: Permissions, _ tree: DataTree) throws(KeeperError) -> Node {
        guard let node = node(path, tree) else { throw .noNode }
        try require(permission, node)
        return node
    }

    private func node(_ path: NodePath, _ tree: DataTree) -> Node? {
        if let known = changed[path] { return known }
        guard let stat = tree.storedStat(path), let shown = tree.stat(path) else { return nil }
        return Node(
            version: stat.version, cversion: stat.cversion, aversion: stat.aversion, childCount: shown.numChildren,
            isEphemeral: shown.ephemeralOwner != 0, acl: tree.acl(path) ?? [])
    }

    private func require(_ permission: Permissions, _ node: Node) throws(KeeperError) {
        guard WriteOracle.grants(node.acl, permission, to: identities) else { throw .noAuth }
    }

    /// For the kinds of rights that clients of the simulator give.
    static func grants(_ list: [AccessRight], _ permission: Permissions, to identities: [Identity]) -> Bool {
        list.isEmpty
            || list.contains {
                $0.permissions.contains(permission) && ($0.identity == .anyone || identities.contains($0.identity))
            }
    }

    private func resolved(_ list: [AccessRight]) throws(KeeperError) -> [AccessRight] {
        var result: [AccessRight] = []
        for right in list {
            guard right.identity.scheme == "auth" else {
                result.append(right)
                continue
            }
            let proved = identities.filter { $0.scheme == "digest" }
            guard !proved.isEmpty else { throw .invalidACL }
            result += proved.map { AccessRight(permissions: right.permissions, identity: $0) }
        }
        return result
    }

    private static func next(_ version: Int32, expected: Int32) throws(KeeperError) -> Int32 {
        guard expected == -1 || expected == version else { throw .badVersion }
        return version + 1
    }
}
