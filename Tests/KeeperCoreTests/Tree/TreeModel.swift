import EnsembleBase
import Testing

@testable import KeeperCore

/// What a tree must hold, in a plain dictionary, and the tree. Transactions are drawn at random, valid or not, over so few
/// paths that nodes come and go.
struct TreeModel {
    struct Node: Equatable {
        var data: [UInt8]?
        var acl: [AccessRight]
        var stat: StoredStat
    }

    private(set) var tree = DataTree()
    private(set) var nodes: [NodePath: Node] = [:]
    private var random: SeededRandom
    private var lastZxid: Int64 = 0

    static let sessions: [SessionID] = [0x0100_0000_0000_0001, 0x0200_0000_0000_0002]
    /// Around the places where a content leaves its group or comes back: headers with a name of three bytes are seven to
    /// ten bytes long.
    private static let lengths = [0, 0, 1, 20, 20, 20, 100, 100, 300, 5000] + (6...11).map { NodeContents.limit - $0 }

    init(seed: UInt64) {
        random = SeededRandom(seed: seed)
        for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] as [NodePath] {
            nodes[path] = Node(data: [], acl: tree.acl(path) ?? [], stat: tree.storedStat(path) ?? StoredStat())
        }
    }

    /// From here on other writes follow than in the value that this is a copy of.
    mutating func branch(_ seed: UInt64) { random = SeededRandom(seed: seed) }

    private mutating func pick(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &random) }

    private mutating func path() -> NodePath {
        let name = "n\(10 + pick(40))"
        return NodePath(pick(3) == 0 ? "/n\(10 + pick(5))/\(name)" : "/\(name)")
    }

    private mutating func data() -> [UInt8]? {
        if pick(10) == 0 { return nil }
        return Array(repeating: UInt8(pick(256)), count: TreeModel.lengths[pick(TreeModel.lengths.count)])
    }

    mutating func write() {
        lastZxid += 1
        let zxid = Zxid(rawValue: lastZxid)
        let session = TreeModel.sessions[pick(2)]
        let transaction: Transaction
        switch pick(20) {
        case 0..<8: transaction = create(path(), data(), RandomWrites.lists[pick(5)], owner: pick(12), session, zxid)
        case 8..<13: transaction = setData(path(), data(), zxid)
        case 13..<15: transaction = setACL(path(), RandomWrites.lists[pick(5)])
        case 15..<19: transaction = delete(path(), zxid)
        default:
            for path in owned(by: session) { _ = delete(path, zxid) }
            transaction = .closeSession(ephemerals: nil)
        }
        var changes: [TreeChange] = []
        _ = tree.apply(
            LogEntry(session: session, cxid: 0, zxid: zxid, time: 1000 + lastZxid, transaction: transaction), changes: &changes)
    }

    private mutating func create(
        _ path: NodePath, _ data: [UInt8]?, _ acl: [AccessRight], owner: Int, _ session: SessionID, _ zxid: Zxid
    ) -> Transaction {
        let ops: [(OpCode, NodeOwner)] = [(.create, .session(session)), (.createContainer, .container), (.createTTL, .ttl(77))]
        let (op, owner) = owner < 3 ? ops[owner] : (.create, .persistent)
        if let parent = path.parent, nodes[parent] != nil {
            nodes[parent]?.stat.cversion += 1
            nodes[parent]?.stat.pzxid = zxid
            if nodes[path] == nil {
                nodes[path] = Node(data: data, acl: acl, stat: StoredStat(created: zxid, time: 1000 + lastZxid, owner: owner))
            } else {
                nodes[path]?.acl = acl
            }
        }
        return .create(
            op: op, path: path, data: data, acl: acl, ephemeral: owner.session != nil, parentCVersion: -1,
            ttl: owner == .ttl(77) ? 77 : 0)
    }

    private mutating func setData(_ path: NodePath, _ data: [UInt8]?, _ zxid: Zxid) -> Transaction {
        let version = (nodes[path]?.stat.version ?? 0) + 1
        nodes[path]?.data = data
        nodes[path]?.stat.version = version
        nodes[path]?.stat.mzxid = zxid
        nodes[path]?.stat.mtime = 1000 + lastZxid
        return .setData(path: path, data: data, version: version)
    }

    private mutating func setACL(_ path: NodePath, _ acl: [AccessRight]) -> Transaction {
        let version = (nodes[path]?.stat.aversion ?? 0) + 1
        nodes[path]?.acl = acl
        nodes[path]?.stat.aversion = version
        return .setACL(path: path, acl: acl, version: version)
    }

    /// What is below goes, too, as in a replay.
    private mutating func delete(_ path: NodePath, _ zxid: Zxid) -> Transaction {
        for other in nodes.keys where other.parent == path && nodes[path] != nil { nodes[other] = nil }
        drop(path, zxid)
        return .delete(path: path, container: false)
    }

    private mutating func drop(_ path: NodePath, _ zxid: Zxid) {
        nodes[path] = nil
        // Whether the node was there or not.
        if let parent = path.parent { nodes[parent]?.stat.pzxid = zxid }
    }

    private func owned(by session: SessionID) -> [NodePath] {
        nodes.keys.filter { nodes[$0]?.stat.ephemeralOwner == session }.sorted()
    }

    /// Compares everything.
    func check(_ sourceLocation: SourceLocation = #_sourceLocation) {
        var digest: UInt64 = 0
        var size = 0
        for (path, node) in nodes {
            let slot = tree.slot(of: path)
            guard slot != .none else {
                Issue.record("\(path) is missing", sourceLocation: sourceLocation)
                continue
            }
            #expect(tree.nodes.data(slot).map(Array.init) == node.data, "\(path)", sourceLocation: sourceLocation)
            #expect(tree.path(of: slot) == path, sourceLocation: sourceLocation)
            #expect(tree.nodes.stat(slot) == node.stat, "\(path)", sourceLocation: sourceLocation)
            #expect(tree.acl(path) == node.acl, "\(path)", sourceLocation: sourceLocation)
            let children = nodes.keys.filter { $0.parent == path }
            #expect(tree.nodes.children(slot).map { tree.path(of: $0) }.sorted() == children.sorted(), sourceLocation: sourceLocation)
            #expect(tree.nodes.shownStat(slot).numChildren == children.count, sourceLocation: sourceLocation)
            #expect(tree.nodes.shownStat(slot).dataLength == node.data?.count ?? 0, sourceLocation: sourceLocation)
            digest &+= NodeDigest(path: path, data: node.data?[...], stat: node.stat).value
            size += path.bytes.count + (node.data?.count ?? 0)
        }
        #expect(tree.nodeCount == nodes.count, sourceLocation: sourceLocation)
        #expect(tree.digest == digest, sourceLocation: sourceLocation)
        #expect(tree.approximateDataSize == size, sourceLocation: sourceLocation)
        for session in TreeModel.sessions {
            #expect(tree.ephemeralPaths(of: session).sorted() == owned(by: session), sourceLocation: sourceLocation)
        }
    }
}
