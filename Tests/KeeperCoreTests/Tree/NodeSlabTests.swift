import EnsembleBase
import Testing

@testable import KeeperCore

/// How the tree holds its nodes.
@Suite struct NodeSlabTests {
    @Test("A node takes 16 bytes of the slab, and 88 more once it was changed or has children")
    func size() {
        #expect(MemoryLayout<Znode>.stride == 16)
        #expect(MemoryLayout<ZnodeDetails>.stride == 88)
    }

    @Test("A header reads as it was written, whatever the numbers; near its origin it is five bytes and the name")
    func headers() {
        let numbers: [Int64] = [0, 1, -1, 31, 63, 64, -64, -65, 8191, 8192, 1 << 32, 1_800_000_000_000, .max, .min, .max - 1, .min + 1]
        let names: [[UInt8]] = [[], [1], Array(repeating: 2, count: 63), Array(repeating: 3, count: 64), Array(repeating: 4, count: 70_000)]
        for (i, number) in numbers.enumerated() {
            for start in numbers {
                let name = names[i % names.count]
                let origin = NodeHeader.Origin(czxid: Zxid(rawValue: start), ctime: numbers[i])
                let header = NodeHeader(isNull: i % 2 == 0, aclKey: number, czxid: Zxid(rawValue: number), ctime: start)
                var bytes = [UInt8](repeating: 0xFF, count: header.count(nameCount: name.count, from: origin) + 3)
                let count = bytes.withUnsafeMutableBytes { header.write(to: $0, name: name[...], from: origin) }
                #expect(count == bytes.count - 3 && bytes.suffix(3) == [0xFF, 0xFF, 0xFF])
                bytes.withUnsafeBytes { bytes in
                    let read = NodeHeader.read(bytes, from: origin)
                    #expect(read.count == count && read.header.isNull == header.isNull && read.header.aclKey == number)
                    #expect(read.header.czxid == header.czxid && read.header.ctime == start)
                    #expect(bytes[NodeHeader.name(in: bytes)].elementsEqual(name))
                }
            }
        }
        let origin = NodeHeader.Origin(czxid: Zxid(rawValue: 0x5_0000_0100), ctime: 1_800_000_000_000)
        let header = NodeHeader(isNull: false, aclKey: 31, czxid: Zxid(rawValue: 0x5_0000_0120), ctime: 1_800_000_000_060)
        #expect(header.count(nameCount: 10, from: origin) == 14)
    }

    /// A node without details has no digest of its own, and a deletion computes it: of very much data that would be felt.
    @Test("Only a node that holds little goes without details")
    func muchData() {
        var tree = DataTree()
        var changes: [TreeChange] = []
        let before = tree.nodes.details.count
        for (zxid, count) in [(1, NodeContents.limit - 20), (2, NodeContents.limit)] as [(Int64, Int)] {
            _ = tree.apply(
                LogEntry(
                    session: 1, cxid: 0, zxid: Zxid(rawValue: zxid), time: 7,
                    transaction: .create(
                        op: .create, path: NodePath("/n\(zxid)"), data: Array(repeating: 1, count: count), acl: [], ephemeral: false,
                        parentCVersion: -1, ttl: 0)),
                changes: &changes)
            #expect(tree.nodes.details.count == before + Int(zxid) - 1)
        }
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

    @Test("A path is put together whatever its length", arguments: [2, 255, 256, 257, 258, 5000])
    func longPaths(count: Int) {
        var tree = DataTree()
        var changes: [TreeChange] = []
        let parent = "/" + String(repeating: "p", count: max(1, count / 2))
        for (zxid, path) in [(1, parent), (2, parent + "/" + String(repeating: "c", count: max(1, count - parent.utf8.count - 1)))]
            as [(Int64, String)]
        {
            _ = tree.apply(
                LogEntry(
                    session: 1, cxid: 0, zxid: Zxid(rawValue: zxid), time: 7,
                    transaction: .create(
                        op: .create, path: NodePath(path), data: nil, acl: [], ephemeral: false, parentCVersion: -1, ttl: 0)),
                changes: &changes)
            #expect(tree.path(of: tree.slot(of: NodePath(path))) == NodePath(path))
        }
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
