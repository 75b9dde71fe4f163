import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// Trees, and what must hold of any.
enum SampleTrees {
    /// Of a tree whose nodes may be of any time: a snapshot leaves out what is younger than itself.
    static let anyZxid = Zxid(rawValue: .max)

    static var small: DataTree { DataTree() }

    /// Sessions, ephemerals, containers, access lists, data.
    static var withEverything: DataTree {
        var tree = DataTree()
        var changes: [TreeChange] = []
        for entry in entries { _ = tree.apply(entry, changes: &changes) }
        return tree
    }

    /// A log as a leader writes it.
    static var entries: [LogEntry] {
        let readers = [AccessRight(permissions: .read, identity: Identity(scheme: "digest", id: "a:b"))]
        let transactions: [Transaction] = [
            .createSession(timeout: 4000),
            .create(op: .create, path: "/a", data: [1, 2], acl: AccessRight.openToAll, ephemeral: false, parentCVersion: 1, ttl: 0),
            .create(op: .create2, path: "/a/e", data: [], acl: readers, ephemeral: true, parentCVersion: 1, ttl: 0),
            .create(op: .createContainer, path: "/c", data: [], acl: readers, ephemeral: false, parentCVersion: 2, ttl: 0),
            .setData(path: "/a", data: Array("data".utf8), version: 1),
            .multi([.check(path: "/a", version: 1), .setData(path: "/c", data: [3], version: 1)]),
            .setACL(path: "/c", acl: AccessRight.openToAll, version: 1), .error(KeeperError.noNode.rawValue),
            .create(op: .create, path: "/a/b", data: [], acl: AccessRight.openToAll, ephemeral: false, parentCVersion: 2, ttl: 0),
            .delete(path: "/a/b", container: false),
        ]
        return transactions.enumerated().map { index, transaction in
            LogEntry(
                session: 0x100_0000_0000_0001, cxid: Int32(index), zxid: Zxid(epoch: 1, counter: UInt32(index + 1)),
                time: 1_700_000_000_000 + Int64(index), transaction: transaction)
        }
    }

    static func serialised(_ tree: DataTree) -> [UInt8] {
        var encoder = TreeEncoder(of: tree)
        var bytes: [UInt8] = []
        while !encoder.isEnded { bytes += Array(encoder.next(from: tree, nodeLimit: 3).readableBytesView) }
        return bytes
    }

    /// A tree that came in can go out, and comes in again as the same.
    static func checkSerialisation(of tree: DataTree) throws(Violation) {
        var items = SnapshotItemReader()
        var loader = DataTreeLoader()
        var buffer = ByteBuffer(bytes: serialised(tree))
        let again: DataTree
        do throws(CodecError) {
            while let item = try items.next(from: &buffer) { try loader.add(item) }
            again = try loader.complete(zxid: tree.lastProcessedZxid)
        } catch {
            throw Violation("a tree that was written cannot be read: \(error)")
        }
        try requireEqual(again.digest, tree.digest, "the digest of a tree, written and read")
        try requireEqual(again.nodeCount, tree.nodeCount, "its nodes")
        try requireEqual(again.sessions, tree.sessions, "its sessions")
        try requireEqual(again.ephemeralCount, tree.ephemeralCount, "its ephemerals")
        try requireEqual(again.approximateDataSize, tree.approximateDataSize, "its size")
    }
}
