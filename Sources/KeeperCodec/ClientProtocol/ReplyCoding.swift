import EnsembleBase
import KeeperCore
import NIOCore

// Replies and watch events as frames (reference/zookeeper.md, 1.1, 1.3 and 1.5). `ByteBuffer.writeFrame` appends them,
// so that the replies of one turn of the loop coalesce in one buffer.

extension Reply: JuteRecord {
    @inline(__always)
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(xid)
        sink.zxid(zxid)
        sink.int32(error?.rawValue ?? 0)
        // The body is present only if the error is 0.
        if error == nil { body.encode(into: &sink) }
    }
}

extension ResponseBody: JuteRecord {
    @inline(__always)
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        switch self {
        case .data(let data, let stat):
            sink.nullableBuffer(data)
            stat.encode(into: &sink)
        case .none: break
        case .path(let path): sink.path(path)
        case .pathAndStat(let path, let stat):
            sink.path(path)
            stat.encode(into: &sink)
        case .stat(let stat): stat.encode(into: &sink)
        case .acl(let rights, let stat):
            sink.accessRights(rights)
            stat.encode(into: &sink)
        case .children(let names): sink.strings(names)
        case .childrenAndStat(let names, let stat):
            sink.strings(names)
            stat.encode(into: &sink)
        case .multi(let results):
            for result in results { result.encode(into: &sink) }
            sink.multiHeader(type: -1, done: true, error: -1)
        case .errorCode(let code), .count(let code): sink.int32(code)
        case .paths(let paths): sink.paths(paths)
        case .identities(let identities): sink.identities(identities)
        case .saslToken(let token): sink.nullableBuffer(token)
        }
    }

    /// Decodes the body of a reply to a request of type `op`.
    package init(op: OpCode, from reader: inout JuteReader) throws(CodecError) {
        switch op {
        case .create, .sync: self = .path(try reader.path("reply path"))
        case .create2, .createContainer, .createTTL:
            let path = try reader.path("reply path")
            self = .pathAndStat(path, try Stat(from: &reader))
        case .exists, .setData, .setACL: self = .stat(try Stat(from: &reader))
        case .getData:
            let data = try reader.nullableBuffer("reply data")
            self = .data(data?[...], try Stat(from: &reader))
        case .getACL:
            let rights = try reader.accessRights()
            self = .acl(rights, try Stat(from: &reader))
        case .getChildren: self = .children(try reader.strings("reply children"))
        case .getChildren2:
            let names = try reader.strings("reply children")
            self = .childrenAndStat(names, try Stat(from: &reader))
        case .multi, .multiRead: self = .multi(try MultiResult.decodeAll(from: &reader))
        case .addWatch: self = .errorCode(try reader.int32("ErrorResponse.err"))
        case .getEphemerals: self = .paths(try reader.paths("reply ephemerals"))
        case .getAllChildrenNumber: self = .count(try reader.int32("reply count"))
        case .whoAmI: self = .identities(try reader.identities())
        case .sasl: self = .saslToken(try reader.nullableBuffer("SetSASLResponse.token"))
        case .delete, .check, .ping, .auth, .closeSession, .createSession, .setWatches, .setWatches2, .checkWatches,
            .removeWatches, .deleteContainer, .notification, .reconfig, .error:
            self = .none
        }
    }
}

extension MultiResult: JuteRecord {
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        switch self {
        case .create(let path):
            sink.multiHeader(type: OpCode.create.rawValue, done: false, error: 0)
            sink.path(path)
        case .createWithStat(let path, let stat):
            sink.multiHeader(type: OpCode.create2.rawValue, done: false, error: 0)
            sink.path(path)
            stat.encode(into: &sink)
        case .delete: sink.multiHeader(type: OpCode.delete.rawValue, done: false, error: 0)
        case .check: sink.multiHeader(type: OpCode.check.rawValue, done: false, error: 0)
        case .setData(let stat):
            sink.multiHeader(type: OpCode.setData.rawValue, done: false, error: 0)
            stat.encode(into: &sink)
        case .getData(let data, let stat):
            sink.multiHeader(type: OpCode.getData.rawValue, done: false, error: 0)
            sink.nullableBuffer(data)
            stat.encode(into: &sink)
        case .getChildren(let names):
            sink.multiHeader(type: OpCode.getChildren.rawValue, done: false, error: 0)
            sink.strings(names)
        case .error(let error):
            sink.multiHeader(type: OpCode.error.rawValue, done: false, error: error?.rawValue ?? 0)
            sink.int32(error?.rawValue ?? 0)
        }
    }

    static func decodeAll(from reader: inout JuteReader) throws(CodecError) -> [MultiResult] {
        var results: [MultiResult] = []
        while true {
            let start = reader.offset
            let type = try reader.int32("MultiHeader.type")
            let done = try reader.bool("MultiHeader.done")
            _ = try reader.int32("MultiHeader.err")
            if done { return results }
            switch OpCode(rawValue: type) {
            case .create?: results.append(.create(path: try reader.path("multi path")))
            case .create2?, .createContainer?, .createTTL?:
                let path = try reader.path("multi path")
                results.append(.createWithStat(path: path, stat: try Stat(from: &reader)))
            case .delete?: results.append(.delete)
            case .check?: results.append(.check)
            case .setData?: results.append(.setData(try Stat(from: &reader)))
            case .getData?:
                let data = try reader.nullableBuffer("multi data")
                results.append(.getData(data?[...], try Stat(from: &reader)))
            case .getChildren?: results.append(.getChildren(try reader.strings("multi children")))
            case .error?:
                let code = try reader.int32("ErrorResponse.err")
                results.append(.error(code == 0 ? nil : KeeperError(rawValue: code) ?? .systemError))
            default: throw CodecError(.value(Int64(type)), what: "result inside a multi", offset: start)
            }
        }
    }
}

/// The head of every frame that a server sends after the connect reply.
package struct ReplyHeader: Hashable, Sendable {
    package var xid: Int32
    package var zxid: Zxid
    /// 0, or an error's number, possibly one that `KeeperError` doesn't know.
    package var errorCode: Int32

    /// The xids that belong to no request (reference/zookeeper.md, 1.1).
    package static let watchEventXid: Int32 = -1
    package static let pingXid: Int32 = -2
    package static let authXid: Int32 = -4
    package static let setWatchesXid: Int32 = -8

    package init(xid: Int32, zxid: Zxid, errorCode: Int32) {
        self.xid = xid
        self.zxid = zxid
        self.errorCode = errorCode
    }

    package init(from reader: inout JuteReader) throws(CodecError) {
        xid = try reader.int32("ReplyHeader.xid")
        zxid = try reader.zxid("ReplyHeader.zxid")
        errorCode = try reader.int32("ReplyHeader.err")
    }

    /// Reads the header and leaves the body in `frame`.
    package init(readingFrom frame: inout ByteBuffer) throws(CodecError) {
        let (header, size) = try frame.withJuteReader { reader throws(CodecError) in
            (try ReplyHeader(from: &reader), reader.offset)
        }
        self = header
        frame.moveReaderIndex(forwardBy: size)
    }
}

extension Reply {
    /// Builds the reply from a header and the body that follows it, for a request of type `op`. An error number that
    /// `KeeperError` doesn't know becomes `.systemError`.
    package init(header: ReplyHeader, op: OpCode, body: ByteBuffer) throws(CodecError) {
        guard header.errorCode == 0 else {
            self.init(
                xid: header.xid, zxid: header.zxid, error: KeeperError(rawValue: header.errorCode) ?? .systemError)
            return
        }
        let decoded = try body.withJuteReader { reader throws(CodecError) in
            try ResponseBody(op: op, from: &reader)
        }
        self.init(xid: header.xid, zxid: header.zxid, body: decoded)
    }
}

extension WatchEvent: JuteRecord {
    /// KeeperState.SyncConnected, the only state that a server sends.
    private static let syncConnected: Int32 = 3

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(ReplyHeader.watchEventXid)
        sink.zxid(zxid)
        sink.int32(0)
        sink.int32(type.rawValue)
        sink.int32(WatchEvent.syncConnected)
        sink.path(path)
    }

    /// Builds the event from its header and the body that follows it.
    package init(header: ReplyHeader, body: ByteBuffer) throws(CodecError) {
        self = try body.withJuteReader { reader throws(CodecError) in
            let value = try reader.int32("WatcherEvent.type")
            guard let type = WatchEventType(rawValue: value) else {
                throw CodecError(.value(Int64(value)), what: "WatcherEvent.type", offset: 0)
            }
            _ = try reader.int32("WatcherEvent.state")
            return WatchEvent(type: type, path: try reader.path("WatcherEvent.path"), zxid: header.zxid)
        }
    }
}
