/// What is logged and broadcast (reference/zookeeper.md, 2.3). Unlike a request it is unconditional: versions are the
/// resulting ones, sequence numbers are in the path.
package indirect enum Transaction: Hashable, Sendable {
    /// Types 1 and 15 (`op`); 19 for a container, 21 with `ttl`.
    case create(
        op: OpCode, path: NodePath, data: [UInt8]?, acl: [AccessRight], ephemeral: Bool, parentCVersion: Int32, ttl: Int64)
    /// Type 2, or 20 (deleteContainer) with `container`.
    case delete(path: NodePath, container: Bool)
    /// `version` is the node's version afterwards.
    case setData(path: NodePath, data: [UInt8]?, version: Int32)
    /// `version` is the node's aversion afterwards.
    case setACL(path: NodePath, acl: [AccessRight], version: Int32)
    /// Only inside multi.
    case check(path: NodePath, version: Int32)
    case multi([Transaction])
    case createSession(timeout: Int32)
    /// The ephemerals to delete, computed by the leader; nil in logs before 3.6, whose reader takes the session's own.
    case closeSession(ephemerals: [NodePath]?)
    /// A write that failed: it still takes a zxid. In a multi: the cause, or −2 for its innocent neighbours.
    case error(Int32)

    /// The wire's type number.
    package var type: Int32 {
        switch self {
        case .create(let op, _, _, _, _, _, _): op.rawValue
        case .delete(_, let container): container ? OpCode.deleteContainer.rawValue : OpCode.delete.rawValue
        case .setData: OpCode.setData.rawValue
        case .setACL: OpCode.setACL.rawValue
        case .check: OpCode.check.rawValue
        case .multi: OpCode.multi.rawValue
        case .createSession: OpCode.createSession.rawValue
        case .closeSession: OpCode.closeSession.rawValue
        case .error: OpCode.error.rawValue
        }
    }
}

extension Transaction {
    /// Bytes of a log entry's header and digest (reference/zookeeper.md, 2.3).
    package static let frameSize = 44

    /// Bytes on the wire, without header and digest.
    package var size: Int {
        switch self {
        case .create(let op, let path, let data, let acl, _, _, _):
            16 + path.bytes.count + (data?.count ?? 0) + Transaction.size(of: acl)
                + (op == .createTTL ? 8 : op == .createContainer ? 0 : 1)
        case .setData(let path, let data, _): 12 + path.bytes.count + (data?.count ?? 0)
        case .setACL(let path, let acl, _): 12 + path.bytes.count + Transaction.size(of: acl)
        case .delete(let path, _): 4 + path.bytes.count
        case .check(let path, _): 8 + path.bytes.count
        case .multi(let parts): parts.reduce(4) { $0 + 8 + $1.size }
        case .closeSession(let paths?): paths.reduce(4) { $0 + 4 + $1.bytes.count }
        case .closeSession(nil): 0
        case .createSession, .error: 4
        }
    }

    private static func size(of acl: [AccessRight]) -> Int { acl.reduce(0) { $0 + $1.size } }

    /// Behind a closeSession without a body a digest would be taken for one (Apache's reader of logs).
    var carriesDigest: Bool {
        switch self {
        case .error, .closeSession(ephemerals: nil): false
        default: true
        }
    }
}

/// The tree digest that the leader expects after a transaction (reference/zookeeper.md, 2.4).
package struct TransactionDigest: Hashable, Sendable {
    package var version: Int32
    package var treeDigest: UInt64

    package init(version: Int32 = 2, treeDigest: UInt64) {
        self.version = version
        self.treeDigest = treeDigest
    }
}

/// One entry of the transaction log, and the payload of a PROPOSAL: TxnHeader, txn, digest.
package struct LogEntry: Hashable, Sendable {
    package var session: SessionID
    package var cxid: Int32
    package var zxid: Zxid
    /// The leader's wall clock, milliseconds.
    package var time: Int64
    package var transaction: Transaction
    /// Absent from leaders that compute none, and after an error transaction.
    package var digest: TransactionDigest?
    /// The bytes that this entry arrived in, so that a follower's log needs no second serialisation. Opaque to the
    /// core, no part of the entry's identity.
    package var encoded: [UInt8]?

    package init(
        session: SessionID, cxid: Int32, zxid: Zxid, time: Int64, transaction: Transaction,
        digest: TransactionDigest? = nil, encoded: [UInt8]? = nil
    ) {
        self.session = session
        self.cxid = cxid
        self.zxid = zxid
        self.time = time
        self.transaction = transaction
        self.digest = digest
        self.encoded = encoded
    }

    package static func == (a: LogEntry, b: LogEntry) -> Bool {
        a.zxid == b.zxid && a.session == b.session && a.cxid == b.cxid && a.time == b.time
            && a.transaction == b.transaction && a.digest == b.digest
    }

    package func hash(into hasher: inout Hasher) { hasher.combine(zxid) }

    /// Bytes in the log and on the wire.
    package var size: Int { Transaction.frameSize + transaction.size }
}
