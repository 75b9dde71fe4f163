import EnsembleBase
import KeeperCore
import NIOCore

/// The parts of a serialised tree in their order: parts 2 to 5 of a snapshot file, and the whole of a SNAP stream up to
/// its signature (reference/zookeeper.md, 2.2 and 3.3).
package enum SnapshotItem: Hashable, Sendable {
    case sessionCount(Int)
    /// Timeout in milliseconds.
    case session(SessionID, timeout: Int32)
    case aclCount(Int)
    case acl(key: Int64, [AccessRight])
    /// Parents come before their children.
    case node(SnapshotNode)
    /// No more nodes.
    case end
}

/// A node as it stands in a snapshot. The root's path is `/` here and empty in the file.
package struct SnapshotNode: Hashable, Sendable {
    package var path: NodePath
    package var data: [UInt8]?
    /// Names an entry of the snapshot's table of access lists; −1 is world:anyone with every right.
    package var aclKey: Int64
    package var stat: StoredStat

    package init(path: NodePath, data: [UInt8]?, aclKey: Int64, stat: StoredStat) {
        self.path = path
        self.data = data
        self.aclKey = aclKey
        self.stat = stat
    }

    /// The `aclKey` of world:anyone, never in the table.
    package static let openACLKey: Int64 = -1
}

extension SnapshotItem: JuteRecord {
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        switch self {
        case .sessionCount(let count), .aclCount(let count): sink.count(count)
        case .session(let session, let timeout):
            sink.int64(session)
            sink.int32(timeout)
        case .acl(let key, let rights):
            sink.int64(key)
            sink.accessRights(rights)
        case .node(let node):
            if node.path.isRoot { sink.count(0) } else { sink.path(node.path) }
            sink.nullableBuffer(node.data)
            sink.int64(node.aclKey)
            node.stat.encode(into: &sink)
        case .end: sink.path(.root)
        }
    }
}

/// Cuts a stream of bytes into snapshot items. Resumable: an item that isn't whole yet consumes nothing.
package struct SnapshotItemReader: Sendable {
    private enum Phase: Sendable {
        /// → sessions
        case sessionCount
        /// → sessions, aclCount
        case sessions(left: Int)
        /// → acls
        case aclCount
        /// → acls, nodes
        case acls(left: Int)
        /// → ended
        case nodes
        case ended
    }

    private var phase = Phase.sessionCount
    /// Bytes consumed so far, for errors.
    package private(set) var offset: Int

    /// - Parameter offset: where in its file the stream starts.
    package init(offset: Int = 0) { self.offset = offset }

    package var isEnded: Bool { if case .ended = phase { true } else { false } }

    /// The next item, or nil if more bytes must arrive first, or if the end was delivered.
    package mutating func next(from buffer: inout ByteBuffer) throws(CodecError) -> SnapshotItem? {
        let start = offset
        var state = self
        do throws(CodecError) {
            let (item, size) = try buffer.withJuteReader { reader throws(CodecError) in
                (try state.read(from: &reader), reader.offset)
            }
            buffer.moveReaderIndex(forwardBy: size)
            state.offset += size
            self = state
            return item
        } catch {
            guard error.isTruncated else {
                throw CodecError(error.reason, what: error.what, offset: start + error.offset)
            }
            return nil
        }
    }

    private mutating func read(from reader: inout JuteReader) throws(CodecError) -> SnapshotItem? {
        switch phase {
        case .sessionCount:
            let count = try SnapshotItemReader.count("snapshot's session count", from: &reader)
            phase = count == 0 ? .aclCount : .sessions(left: count)
            return .sessionCount(count)
        case .sessions(let left):
            let session = try reader.int64("snapshot's session")
            let timeout = try reader.int32("snapshot's session timeout")
            phase = left == 1 ? .aclCount : .sessions(left: left - 1)
            return .session(session, timeout: timeout)
        case .aclCount:
            let count = try SnapshotItemReader.count("snapshot's ACL count", from: &reader)
            phase = count == 0 ? .nodes : .acls(left: count)
            return .aclCount(count)
        case .acls(let left):
            let key = try reader.int64("snapshot's ACL key")
            let rights = try reader.accessRights()
            phase = left == 1 ? .nodes : .acls(left: left - 1)
            return .acl(key: key, rights)
        case .nodes:
            let path = try reader.buffer("snapshot's path")
            if path == NodePath.root.bytes {
                phase = .ended
                return .end
            }
            let data = try reader.nullableBuffer("snapshot's data")
            let aclKey = try reader.int64("snapshot's node ACL key")
            let stat = try StoredStat(from: &reader)
            return .node(
                SnapshotNode(
                    path: path.isEmpty ? .root : NodePath(unchecked: path), data: data, aclKey: aclKey, stat: stat))
        case .ended: return nil
        }
    }

    /// A count is not checked against the bytes at hand, of which there is only a part: nothing is reserved by it.
    private static func count(_ what: String, from reader: inout JuteReader) throws(CodecError) -> Int {
        let start = reader.offset
        let count = try reader.int32(what)
        guard count >= 0 else { throw CodecError(.length(Int(count), limit: Int(Int32.max)), what: what, offset: start) }
        return Int(count)
    }
}
