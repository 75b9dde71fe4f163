import EnsembleBase
import KeeperCore
import NIOCore

/// Who sent a request: peers may send what clients must not (reference/zookeeper.md, 3.4).
package enum RequestOrigin: Sendable {
    case client
    /// A learner that forwards: also createSession.
    case peer
}

/// A client's request as one frame: header (xid, type) and body (reference/zookeeper.md, 1.3).
package struct RequestFrame: JuteRecord, Hashable, Sendable {
    package var xid: Int32
    package var request: Request

    package init(xid: Int32, request: Request) {
        self.xid = xid
        self.request = request
    }

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(xid)
        sink.int32(request.op)
        request.encodeBody(into: &sink)
    }

    package init(frame: ByteBuffer) throws(CodecError) {
        self = try frame.withJuteReader { reader throws(CodecError) in try RequestFrame(from: &reader) }
    }

    package init(from reader: inout JuteReader) throws(CodecError) {
        xid = try reader.int32("RequestHeader.xid")
        let op = try reader.int32("RequestHeader.type")
        request = try Request.received(op: op, from: &reader, origin: .client)
    }

    /// The next whole request of a connection, or nil if more bytes must arrive first. The fast path of a server: one
    /// pass over the buffer, no slice.
    package static func next(
        from buffer: inout ByteBuffer, limit: Int = FrameLimit.client
    ) throws(CodecError) -> RequestFrame? {
        try buffer.readFrame(limit: limit) { reader throws(CodecError) in try RequestFrame(from: &reader) }
    }
}

extension Request {
    /// As `init`, but a body that is none of its operation's becomes `.malformed`: the frame around it is sound, so the
    /// stream is not lost, and one bad request must not take the others of its connection along. A malformed `auth`
    /// throws: who cannot say who he is, is not heard further.
    static func received(
        op: Int32, from reader: inout JuteReader, origin: RequestOrigin
    ) throws(CodecError) -> Request {
        do throws(CodecError) {
            return try Request(op: op, from: &reader, origin: origin)
        } catch {
            guard op != OpCode.auth.rawValue else { throw error }
            return .malformed(op: op)
        }
    }

    /// Decodes the body of a request of type `op`. A type that this server does not have becomes `.unknown`, its body
    /// unread. Bytes behind a body are ignored, as by Apache's server: newer clients may append fields.
    package init(op: Int32, from reader: inout JuteReader, origin: RequestOrigin) throws(CodecError) {
        guard let code = OpCode(rawValue: op) else {
            self = .unknown(op: op)
            return
        }
        switch code {
        case .create, .create2, .createContainer, .createTTL, .delete, .setData, .check:
            self = try Request(multiOp: code, from: &reader)
        case .setACL:
            let path = try reader.requestPath("setACL.path")
            let acl = try reader.requestAccessRights()
            self = .setACL(path: path, acl: acl, version: try reader.int32("setACL.version"))
        case .multi: self = .multi(try Request.decodeMulti(from: &reader, reads: false))
        case .multiRead: self = .multiRead(try Request.decodeMulti(from: &reader, reads: true))
        case .sync: self = .sync(path: try reader.requestPath("sync.path"))
        case .ping: self = .ping
        case .closeSession: self = .closeSession
        case .createSession:
            // Forwarded by learners only; from a client it is no operation at all.
            self =
                origin == .peer
                ? .createSession(timeout: try reader.int32("createSession.timeOut")) : .unknown(op: op)
        case .auth:
            let type = try reader.int32("auth.type")
            let scheme = try reader.string("auth.scheme")
            self = .auth(type: type, scheme: scheme, credential: try reader.nullableBuffer("auth.auth"))
        case .setWatches: self = .setWatches(try WatchSet(from: &reader, extended: false), extended: false)
        case .setWatches2: self = .setWatches(try WatchSet(from: &reader, extended: true), extended: true)
        case .addWatch, .checkWatches, .removeWatches: self = try Request(watchOp: code, from: &reader)
        case .exists, .getData, .getACL, .getChildren, .getChildren2, .getEphemerals, .getAllChildrenNumber, .whoAmI:
            self = try Request(readOp: code, from: &reader)
        case .reconfig: self = .reconfig
        case .sasl: self = .sasl
        case .notification, .deleteContainer, .error: self = .unknown(op: op)
        }
    }

    private init(readOp: OpCode, from reader: inout JuteReader) throws(CodecError) {
        if readOp == .whoAmI {
            self = .whoAmI
            return
        }
        let path = try reader.requestPath("path")
        switch readOp {
        case .exists: self = .exists(path: path, watch: try reader.bool("exists.watch"))
        case .getData: self = .getData(path: path, watch: try reader.bool("getData.watch"))
        case .getChildren: self = .getChildren(path: path, watch: try reader.bool("getChildren.watch"))
        case .getChildren2: self = .getChildren2(path: path, watch: try reader.bool("getChildren2.watch"))
        case .getACL: self = .getACL(path: path)
        case .getEphemerals: self = .getEphemerals(prefix: path)
        case .getAllChildrenNumber: self = .getAllChildrenNumber(path: path)
        default: self = .unknown(op: readOp.rawValue)
        }
    }

    private init(watchOp: OpCode, from reader: inout JuteReader) throws(CodecError) {
        let path = try reader.requestPath("path")
        let start = reader.offset
        let value = try reader.int32("watch type or mode")
        if watchOp == .addWatch {
            guard value == 0 || value == 1 else {
                throw CodecError(.value(Int64(value)), what: "addWatch.mode", offset: start)
            }
            self = .addWatch(path: path, recursive: value == 1)
            return
        }
        guard let type = WatcherType(rawValue: value) else {
            throw CodecError(.value(Int64(value)), what: "watcher type", offset: start)
        }
        self = watchOp == .checkWatches ? .checkWatches(path: path, type: type) : .removeWatches(path: path, type: type)
    }

    /// The operations that are also legal inside a multi.
    private init(multiOp: OpCode, from reader: inout JuteReader) throws(CodecError) {
        let path = try reader.requestPath("path")
        switch multiOp {
        case .delete: self = .delete(path: path, version: try reader.int32("delete.version"))
        case .check: self = .check(path: path, version: try reader.int32("check.version"))
        case .setData:
            let data = try reader.nullableBuffer("setData.data")
            self = .setData(path: path, data: data, version: try reader.int32("setData.version"))
        default:
            let data = try reader.nullableBuffer("create.data")
            let acl = try reader.requestAccessRights()
            let flags = try reader.int32("create.flags")
            let ttl = multiOp == .createTTL ? try reader.int64("createTTL.ttl") : 0
            self = .create(CreateRequest(op: multiOp, path: path, data: data, acl: acl, flags: flags, ttl: ttl))
        }
    }

    /// MultiHeader and operation, repeated up to the terminator (reference/zookeeper.md, 1.5). An operation is never
    /// itself a multi, so the nesting is bounded by construction.
    private static func decodeMulti(from reader: inout JuteReader, reads: Bool) throws(CodecError) -> [Request] {
        var requests: [Request] = []
        while true {
            let start = reader.offset
            let type = try reader.int32("MultiHeader.type")
            let done = try reader.bool("MultiHeader.done")
            _ = try reader.int32("MultiHeader.err")
            if done { return requests }
            switch (OpCode(rawValue: type), reads) {
            case (.create?, false), (.create2?, false), (.createContainer?, false), (.createTTL?, false),
                (.delete?, false), (.setData?, false), (.check?, false):
                requests.append(try Request(multiOp: OpCode(rawValue: type) ?? .check, from: &reader))
            case (.getData?, true), (.getChildren?, true):
                requests.append(try Request(readOp: OpCode(rawValue: type) ?? .getData, from: &reader))
            default:
                throw CodecError(.value(Int64(type)), what: "operation inside a multi", offset: start)
            }
        }
    }

    /// Appends the body: what follows the request header, and what a learner forwards.
    package func encodeBody<Sink: JuteSink>(into sink: inout Sink) {
        switch self {
        case .create(let request):
            sink.path(request.path)
            sink.nullableBuffer(request.data)
            sink.accessRights(request.acl)
            sink.int32(request.flags)
            if request.op == .createTTL { sink.int64(request.ttl) }
        case .delete(let path, let version), .check(let path, let version):
            sink.path(path)
            sink.int32(version)
        case .setData(let path, let data, let version):
            sink.path(path)
            sink.nullableBuffer(data)
            sink.int32(version)
        case .setACL(let path, let acl, let version):
            sink.path(path)
            sink.accessRights(acl)
            sink.int32(version)
        case .multi(let requests), .multiRead(let requests): Request.encodeMulti(requests, into: &sink)
        case .createSession(let timeout): sink.int32(timeout)
        case .sasl: sink.nullableBuffer(nil as [UInt8]?)
        case .closeSession, .ping, .whoAmI, .reconfig, .malformed, .unknown: break
        case .deleteContainer(let path), .sync(let path), .getACL(let path), .getEphemerals(let path),
            .getAllChildrenNumber(let path):
            sink.path(path)
        case .exists(let path, let watch), .getData(let path, let watch), .getChildren(let path, let watch),
            .getChildren2(let path, let watch):
            sink.path(path)
            sink.bool(watch)
        case .auth(let type, let scheme, let credential):
            sink.int32(type)
            sink.string(scheme)
            sink.nullableBuffer(credential)
        case .setWatches(let watches, let extended): watches.encode(into: &sink, extended: extended)
        case .addWatch(let path, let recursive):
            sink.path(path)
            sink.int32(recursive ? 1 : 0)
        case .checkWatches(let path, let type), .removeWatches(let path, let type):
            sink.path(path)
            sink.int32(type.rawValue)
        }
    }

    private static func encodeMulti<Sink: JuteSink>(_ requests: [Request], into sink: inout Sink) {
        for request in requests {
            sink.multiHeader(type: request.op, done: false, error: -1)
            request.encodeBody(into: &sink)
        }
        sink.multiHeader(type: -1, done: true, error: -1)
    }
}

extension JuteSink {
    mutating func multiHeader(type: Int32, done: Bool, error: Int32) {
        int32(type)
        bool(done)
        int32(error)
    }
}

extension WatchSet {
    init(from reader: inout JuteReader, extended: Bool) throws(CodecError) {
        let relativeZxid = try reader.zxid("setWatches.relativeZxid")
        let data = try reader.paths("setWatches.dataWatches")
        let exist = try reader.paths("setWatches.existWatches")
        let child = try reader.paths("setWatches.childWatches")
        self.init(
            relativeZxid: relativeZxid, data: data, exist: exist, child: child,
            persistent: extended ? try reader.paths("setWatches2.persistentWatches") : [],
            persistentRecursive: extended ? try reader.paths("setWatches2.persistentRecursiveWatches") : [])
    }

    func encode<Sink: JuteSink>(into sink: inout Sink, extended: Bool) {
        sink.zxid(relativeZxid)
        sink.paths(data)
        sink.paths(exist)
        sink.paths(child)
        guard extended else { return }
        sink.paths(persistent)
        sink.paths(persistentRecursive)
    }
}

extension JuteReader {
    /// Null is no id: Apache's server fails on it, but under `auth`, whose ids it never looks at.
    fileprivate mutating func requestAccessRights() throws(CodecError) -> [AccessRight] {
        let count = try count(minimumItemSize: AccessRight.minimumSize, "vector of ACL")
        var rights: [AccessRight] = []
        rights.reserveCapacity(count)
        for _ in 0..<count {
            let permissions = Permissions(rawValue: try int32("ACL.perms"))
            let scheme = try string("Id.scheme")
            let start = offset
            guard let id = try nullableBuffer("Id.id") ?? (scheme == "auth" || scheme.bytes.isEmpty ? [] : nil) else {
                throw CodecError(.length(-1, limit: limit), what: "Id.id", offset: start)
            }
            rights.append(AccessRight(permissions: permissions, identity: Identity(scheme: scheme, id: ByteString(id))))
        }
        return rights
    }
}
