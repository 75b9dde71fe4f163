import EnsembleBase
import KeeperCore
import NIOCore

/// Serialises a tree that goes on changing, in chunks: the body of a snapshot file and of a SNAP stream.
package struct TreeEncoder: Sendable {
    private var walk: SnapshotWalk
    private var isStarted = false
    package private(set) var isEnded = false

    /// The last transaction in the tree at the beginning: names the snapshot.
    package var start: Zxid { walk.start }

    package init(of tree: DataTree) { self.init(walk: tree.beginSnapshot()) }

    /// - Parameter walk: begun earlier, and not yet advanced.
    package init(walk: SnapshotWalk) { self.walk = walk }

    /// The next chunk: about `nodeLimit` nodes of `tree`, which must be the tree of the beginning, as it is now. The
    /// last chunk sets `isEnded`.
    package mutating func next(from tree: borrowing DataTree, nodeLimit: Int = 512) -> ByteBuffer {
        var chunk = ByteBuffer()
        if !isStarted {
            encodeTables(into: &chunk)
            isStarted = true
        }
        isEnded = tree.snapshotNodes(&walk, limit: nodeLimit) { path, data, aclKey, stat in
            chunk.write(SnapshotItem.node(SnapshotNode(path: path, data: data, aclKey: aclKey, stat: stat)))
        }
        if isEnded { chunk.write(SnapshotItem.end) }
        return chunk
    }

    private func encodeTables(into chunk: inout ByteBuffer) {
        chunk.write(SnapshotItem.sessionCount(walk.sessions.count))
        for touched in walk.sessions { chunk.write(SnapshotItem.session(touched.session, timeout: touched.timeout)) }
        chunk.write(SnapshotItem.aclCount(walk.accessLists.count))
        for (key, list) in walk.accessLists { chunk.write(SnapshotItem.acl(key: key, list)) }
    }
}

extension DataTreeLoader {
    /// Adds one item of a snapshot.
    package mutating func add(_ item: SnapshotItem) throws(CodecError) {
        do throws(TreeLoadingError) {
            switch item {
            case .sessionCount, .aclCount, .end: break
            case .session(let session, let timeout): try addSession(session, timeout: timeout)
            case .acl(let key, let rights): try addAccessList(key: key, rights)
            case .node(let node):
                try addNode(path: node.path, data: node.data, aclKey: node.aclKey, stat: node.stat)
            }
        } catch {
            throw CodecError(.content(error.description), what: "snapshot", offset: 0)
        }
    }

    /// The whole tree.
    package consuming func complete(zxid: Zxid) throws(CodecError) -> DataTree {
        do throws(TreeLoadingError) { return try finish(zxid: zxid) } catch {
            throw CodecError(.content(error.description), what: "snapshot", offset: 0)
        }
    }
}

/// What a leader sends behind a SNAP packet: the tree, then a signature (reference/zookeeper.md, 3.3).
package enum TreeStream {
    /// Ends the stream.
    package static let signature: ByteString = "BenWasHere"

    package static func writeSignature(to buffer: inout ByteBuffer) {
        buffer.writeInteger(Int32(signature.count))
        buffer.writeBytes(signature.bytes)
    }
}

/// Reads the stream behind a SNAP packet, in pieces of any size.
package struct TreeStreamReader: Sendable {
    private let zxid: Zxid
    private var items = SnapshotItemReader()
    private var loader = DataTreeLoader()
    private let itemLimit: Int

    /// - Parameters:
    ///   - zxid: the SNAP packet's.
    ///   - itemLimit: bytes of one node, session or access list; more without completing one is garbage.
    package init(zxid: Zxid, itemLimit: Int = 2 * QuorumPacket.dataLimit) {
        self.zxid = zxid
        self.itemLimit = itemLimit
    }

    /// Consumes what it can of `buffer`; the tree once the signature was read. Bytes behind it stay in `buffer`: they
    /// are the next packet.
    package mutating func feed(_ buffer: inout ByteBuffer) throws(CodecError) -> DataTree? {
        while !items.isEnded {
            guard let item = try items.next(from: &buffer) else {
                guard buffer.readableBytes <= itemLimit else {
                    throw CodecError(
                        .length(buffer.readableBytes, limit: itemLimit), what: "snapshot item", offset: items.offset)
                }
                return nil
            }
            try loader.add(item)
        }
        let size = 4 + TreeStream.signature.count
        guard buffer.readableBytes >= size else { return nil }
        let signature = try buffer.withJuteReader { reader throws(CodecError) in try reader.string("SNAP signature") }
        guard signature == TreeStream.signature else {
            throw CodecError(.content("is \"\(signature)\""), what: "SNAP signature", offset: items.offset)
        }
        buffer.moveReaderIndex(forwardBy: size)
        return try loader.complete(zxid: zxid)
    }
}
