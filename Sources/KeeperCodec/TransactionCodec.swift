import EnsembleBase
import KeeperCore
import NIOCore

// The payload of a log entry and of PROPOSAL and INFORM: TxnHeader, txn, digest (reference/zookeeper.md, 2.3).

extension LogEntry: JuteRecord {
    /// clientId, cxid, zxid, time, type.
    package static let headerSize = 32
    /// int version, long treeDigest.
    static let digestSize = 12

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        if let encoded {
            // The bytes that came from the leader: what one member logs, all log.
            sink.raw(encoded)
            return
        }
        sink.int64(session)
        sink.int32(cxid)
        sink.zxid(zxid)
        sink.int64(time)
        sink.int32(transaction.type)
        transaction.encodeBody(into: &sink)
        if let digest {
            sink.int32(digest.version)
            sink.int64(Int64(bitPattern: digest.treeDigest))
        }
    }

    /// The payload's bytes: `encoded` if the entry arrived as bytes, else serialised now.
    package var payload: [UInt8] { encoded ?? encoded() }

    /// Decodes a payload and keeps its bytes in `encoded`. A type that no ZooKeeper release logs throws and is named.
    package init(payload: [UInt8]) throws(CodecError) {
        self = try payload.withJuteReader { reader throws(CodecError) in try LogEntry(from: &reader) }
        encoded = payload
    }

    /// Reads to the end of the bytes. `encoded` stays nil.
    init(from reader: inout JuteReader) throws(CodecError) {
        let session = try reader.int64("TxnHeader.clientId")
        let cxid = try reader.int32("TxnHeader.cxid")
        let zxid = try reader.zxid("TxnHeader.zxid")
        let time = try reader.int64("TxnHeader.time")
        let type = try reader.int32("TxnHeader.type")
        let transaction = try Transaction(type: type, from: &reader)
        var digest: TransactionDigest?
        if !reader.isAtEnd {
            let version = try reader.int32("TxnDigest.version")
            let value = try reader.int64("TxnDigest.treeDigest")
            digest = TransactionDigest(version: version, treeDigest: UInt64(bitPattern: value))
        }
        try reader.expectEnd("transaction")
        self.init(session: session, cxid: cxid, zxid: zxid, time: time, transaction: transaction, digest: digest)
    }
}

extension Transaction {
    func encodeBody<Sink: JuteSink>(into sink: inout Sink) {
        switch self {
        case .create(let op, let path, let data, let acl, let ephemeral, let parentCVersion, let ttl):
            sink.path(path)
            sink.nullableBuffer(data)
            sink.accessRights(acl)
            if op == .create || op == .create2 { sink.bool(ephemeral) }
            sink.int32(parentCVersion)
            if op == .createTTL { sink.int64(ttl) }
        case .delete(let path, _): sink.path(path)
        case .setData(let path, let data, let version):
            sink.path(path)
            sink.nullableBuffer(data)
            sink.int32(version)
        case .setACL(let path, let acl, let version):
            sink.path(path)
            sink.accessRights(acl)
            sink.int32(version)
        case .check(let path, let version):
            sink.path(path)
            sink.int32(version)
        case .multi(let transactions):
            sink.count(transactions.count)
            for transaction in transactions {
                sink.int32(transaction.type)
                var sizer = JuteSizer()
                transaction.encodeBody(into: &sizer)
                sink.int32(Int32(truncatingIfNeeded: sizer.size))
                transaction.encodeBody(into: &sink)
            }
        case .createSession(let timeout): sink.int32(timeout)
        case .closeSession(let ephemerals):
            if let ephemerals { sink.paths(ephemerals) }
        case .error(let code): sink.int32(code)
        }
    }

    init(type: Int32, from reader: inout JuteReader) throws(CodecError) {
        let start = reader.offset
        switch OpCode(rawValue: type) {
        case .multi?: self = .multi(try Transaction.decodeMulti(from: &reader))
        case .createSession?: self = .createSession(timeout: try reader.int32("CreateSessionTxn.timeOut"))
        case .closeSession?: self = .closeSession(ephemerals: try Transaction.decodeCloseSession(from: &reader))
        case let op?: try self.init(single: op, from: &reader)
        case nil: throw CodecError(.value(Int64(type)), what: "transaction type", offset: start)
        }
    }

    /// Everything that may stand inside a multi, which is everything but multi itself and the session transactions: so
    /// the nesting is bounded by construction.
    private init(single op: OpCode, from reader: inout JuteReader) throws(CodecError) {
        let start = reader.offset
        switch op {
        case .create, .create2, .createContainer, .createTTL: try self.init(create: op, from: &reader)
        case .delete, .deleteContainer:
            self = .delete(path: try reader.path("DeleteTxn.path"), container: op == .deleteContainer)
        case .setData, .reconfig:
            // A reconfig's effect on the tree is new data in its node; `encoded` keeps its type for the log.
            let path = try reader.path("SetDataTxn.path")
            let data = try reader.nullableBuffer("SetDataTxn.data")
            self = .setData(path: path, data: data, version: try reader.int32("SetDataTxn.version"))
        case .setACL:
            let path = try reader.path("SetACLTxn.path")
            let acl = try reader.accessRights()
            self = .setACL(path: path, acl: acl, version: try reader.int32("SetACLTxn.version"))
        case .check:
            // Bare ones are in logs of servers before 3.8.5 (ZOOKEEPER-2623).
            let path = try reader.path("CheckVersionTxn.path")
            self = .check(path: path, version: try reader.int32("CheckVersionTxn.version"))
        case .error: self = .error(try reader.int32("ErrorTxn.err"))
        default: throw CodecError(.value(Int64(op.rawValue)), what: "transaction type", offset: start)
        }
    }

    private init(create op: OpCode, from reader: inout JuteReader) throws(CodecError) {
        let path = try reader.path("CreateTxn.path")
        let data = try reader.nullableBuffer("CreateTxn.data")
        let acl = try reader.accessRights()
        var ephemeral = false
        if op == .create || op == .create2 { ephemeral = try reader.bool("CreateTxn.ephemeral") }
        // CreateTxnV0 (before 3.4) ends here; −1 stands for "the parent's, plus one".
        let isOldForm = op == .create && reader.isAtEnd
        let parentCVersion = isOldForm ? -1 : try reader.int32("CreateTxn.parentCVersion")
        let ttl = op == .createTTL ? try reader.int64("CreateTTLTxn.ttl") : 0
        self = .create(
            op: op, path: path, data: data, acl: acl, ephemeral: ephemeral, parentCVersion: parentCVersion, ttl: ttl)
    }

    /// Before 3.6, or with `zookeeper.closeSessionTxn.enabled=false`, there is no body, perhaps a digest. Its 12 bytes
    /// can't be mistaken for paths: two paths (the digest's version, 2, read as a count) that are not empty need more.
    private static func decodeCloseSession(from reader: inout JuteReader) throws(CodecError) -> [NodePath]? {
        if reader.isAtEnd { return nil }
        if reader.remaining == LogEntry.digestSize {
            var ahead = reader
            if try ahead.int32("CloseSessionTxn.paths2Delete") == 2 { return nil }
        }
        return try reader.paths("CloseSessionTxn.paths2Delete")
    }

    private static func decodeMulti(from reader: inout JuteReader) throws(CodecError) -> [Transaction] {
        let count = try reader.count(minimumItemSize: 8, "MultiTxn.txns")
        var transactions: [Transaction] = []
        transactions.reserveCapacity(count)
        for _ in 0..<count {
            let start = reader.offset
            let type = try reader.int32("Txn.type")
            guard let op = OpCode(rawValue: type) else {
                throw CodecError(.value(Int64(type)), what: "transaction type inside a multi", offset: start)
            }
            var body = try reader.nested("Txn.data")
            transactions.append(try Transaction(single: op, from: &body))
            try body.expectEnd("transaction inside a multi")
        }
        return transactions
    }
}
