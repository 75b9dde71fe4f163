import KeeperCodec
import KeeperCore
import NIOCore

/// What ends the tree on a SNAP stream (reference/zookeeper.md, 3.3).
private let signature = Array("BenWasHere".utf8)

/// The leader's tree as a stream of slices, each short enough not to hold up the loop.
struct SnapshotSender {
    private let tree: () -> DataTree
    private var walk: SnapshotWalk
    private var headIsSent = false

    /// A slice visits this many nodes at most and stops growing at this many bytes: well under a millisecond.
    static let nodesPerStep = 64
    static let bytesPerSlice = 256 << 10

    init(tree: @escaping () -> DataTree) {
        self.tree = tree
        walk = tree().beginSnapshot()
    }

    mutating func nextSlice() -> (bytes: ByteBuffer, isLast: Bool) {
        var bytes = ByteBuffer()
        if !headIsSent {
            headIsSent = true
            bytes.writeSnapshotHead(of: walk)
        }
        while bytes.readableBytes < SnapshotSender.bytesPerSlice {
            let isLast = bytes.writeSnapshotNodes(of: tree(), &walk, limit: SnapshotSender.nodesPerStep)
            guard isLast else { continue }
            bytes.write(SnapshotItem.end)
            bytes.writeInteger(Int32(signature.count))
            bytes.writeBytes(signature)
            return (bytes, true)
        }
        return (bytes, false)
    }
}

extension ByteBuffer {
    /// Sessions and access lists: what precedes the nodes (reference/zookeeper.md, 2.2).
    mutating func writeSnapshotHead(of walk: SnapshotWalk) {
        write(SnapshotItem.sessionCount(walk.sessions.count))
        for session in walk.sessions { write(SnapshotItem.session(session.session, timeout: session.timeout)) }
        write(SnapshotItem.aclCount(walk.accessLists.count))
        for (key, list) in walk.accessLists { write(SnapshotItem.acl(key: key, list)) }
    }

    /// About `limit` further nodes; whether the walk is complete.
    mutating func writeSnapshotNodes(of tree: DataTree, _ walk: inout SnapshotWalk, limit: Int) -> Bool {
        tree.snapshotNodes(&walk, limit: limit) { path, data, aclKey, stat in
            write(SnapshotItem.node(SnapshotNode(path: path, data: data, aclKey: aclKey, stat: stat)))
        }
    }
}

/// A learner's end of a SNAP stream: builds the tree as the bytes arrive.
struct SnapshotReceiver {
    private let zxid: Zxid
    private var items = SnapshotItemReader()
    private var loader = DataTreeLoader()

    init(zxid: Zxid) { self.zxid = zxid }

    /// Consumes what is whole; the tree once all of it and the signature are there.
    mutating func next(from buffer: inout ByteBuffer) throws -> DataTree? {
        while !items.isEnded {
            guard let item = try items.next(from: &buffer) else { return nil }
            switch item {
            case .sessionCount, .aclCount, .end: break
            case .session(let id, let timeout): try loader.addSession(id, timeout: timeout)
            case .acl(let key, let list): try loader.addAccessList(key: key, list)
            case .node(let node):
                try loader.addNode(path: node.path, data: node.data, aclKey: node.aclKey, stat: node.stat)
            }
        }
        guard buffer.readableBytes >= 4 + signature.count else { return nil }
        guard buffer.readInteger(as: Int32.self) == Int32(signature.count), buffer.readBytes(length: signature.count) == signature
        else { throw CodecError(.value(0), what: "signature behind a snapshot", offset: items.offset) }
        return try loader.finish(zxid: zxid)
    }
}
