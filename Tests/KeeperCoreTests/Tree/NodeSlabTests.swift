import EnsembleBase
import Testing

@testable import KeeperCore

/// How the tree holds its nodes.
@Suite struct NodeSlabTests {
    @Test("A node takes 48 bytes of the slab, and 80 more once it was changed or has children")
    func size() {
        #expect(MemoryLayout<Znode>.stride == 48)
        #expect(MemoryLayout<ZnodeDetails>.stride == 80)
    }

    @Test("Nodes in the last place of a chunk and the first of the next are found, named and removed like others")
    func chunks() {
        var tree = DataTree()
        var changes: [TreeChange] = []
        func apply(_ zxid: Int64, _ transaction: Transaction) -> ApplyResult.Outcome {
            tree.apply(
                LogEntry(session: 1, cxid: 0, zxid: Zxid(rawValue: zxid), time: 7, transaction: transaction),
                changes: &changes
            ).outcome
        }
        let empty = (tree.nodeCount, tree.approximateDataSize)
        let count: Int64 = 9000
        for i in 1...count {
            _ = apply(
                i,
                .create(
                    op: .create, path: NodePath("/n\(i)"), data: Array("\(i)".utf8), acl: [], ephemeral: false,
                    parentCVersion: -1, ttl: 0))
        }
        for i in stride(from: count, to: 0, by: -1) {
            #expect(apply(2 * count - i + 1, .delete(path: NodePath("/n\(i)"), container: false)) == .deleted)
            #expect(tree.data(NodePath("/n\(i)")) == nil)
            if i > 1 { #expect(tree.data(NodePath("/n\(i - 1)")) == Array("\(i - 1)".utf8)) }
        }
        #expect((tree.nodeCount, tree.approximateDataSize) == empty)
        #expect(tree.children("/") == ["zookeeper"])
    }

    @Test("Only a node's own path is its path")
    func paths() {
        var tree = DataTree()
        var changes: [TreeChange] = []
        for (zxid, path) in [(1, "/a"), (2, "/a/b"), (3, "/a/b/cc"), (4, "/b")] as [(Int64, NodePath)] {
            _ = tree.apply(
                LogEntry(
                    session: 1, cxid: 0, zxid: Zxid(rawValue: zxid), time: 7,
                    transaction: .create(
                        op: .create, path: path, data: nil, acl: [], ephemeral: false, parentCVersion: -1, ttl: 0)),
                changes: &changes)
        }
        for path in ["/", "/a", "/a/b", "/a/b/cc", "/b"] as [NodePath] {
            let slot = tree.slot(of: path)
            #expect(slot != .none && tree.path(of: slot) == path)
            for other in ["", "/", "a", "/a", "//a", "/a/", "/a/b", "/b", "b", "/a/b/c", "/a/b/cc", "a/b/cc", "/b/cc"] {
                let isPath = Array(other.utf8).withUnsafeBytes { tree.nodes.isPath($0, of: slot) }
                #expect(isPath == (NodePath(other) == path), "\(other) for \(path)")
            }
        }
    }
}
