import EnsembleBase
import KeeperCodec
import KeeperCore

/// Random records, each of every kind in turn: what the codec's round trips and truncation tests run over, and what the
/// fuzzers start from.
package struct SampleRecords {
    package var random: SeededRandom

    package init(seed: UInt64) { random = SeededRandom(seed: seed) }

    package mutating func int32() -> Int32 { Int32.random(in: .min ... .max, using: &random) }
    package mutating func int64() -> Int64 { Int64.random(in: .min ... .max, using: &random) }
    package mutating func bool() -> Bool { Bool.random(using: &random) }
    package mutating func zxid() -> Zxid { Zxid(rawValue: int64()) }

    package mutating func bytes(upTo limit: Int = 40) -> [UInt8] {
        let count = Int.random(in: 0...limit, using: &random)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    package mutating func path() -> NodePath { NodePath.root.appending([UInt8(ascii: "n")] + bytes(upTo: 12)) }

    package mutating func several<T>(_ make: (inout SampleRecords) -> T) -> [T] {
        let count = Int.random(in: 0...3, using: &random)
        return (0..<count).map { _ in make(&self) }
    }

    package mutating func identity() -> Identity { Identity(scheme: ByteString(bytes(upTo: 6)), id: ByteString(bytes(upTo: 9))) }

    package mutating func acl() -> [AccessRight] {
        several { AccessRight(permissions: Permissions(rawValue: $0.int32()), identity: $0.identity()) }
    }

    package mutating func stat() -> Stat {
        Stat(
            czxid: zxid(), mzxid: zxid(), ctime: int64(), mtime: int64(), version: int32(), cversion: int32(),
            aversion: int32(), ephemeralOwner: int64(), dataLength: int32(), numChildren: int32(), pzxid: zxid())
    }

    package mutating func storedStat() -> StoredStat {
        var stat = StoredStat()
        (stat.czxid, stat.mzxid, stat.pzxid) = (zxid(), zxid(), zxid())
        (stat.ctime, stat.mtime, stat.ephemeralOwner) = (int64(), int64(), int64())
        (stat.version, stat.cversion, stat.aversion) = (int32(), int32(), int32())
        return stat
    }

    package mutating func create(_ op: OpCode) -> CreateRequest {
        CreateRequest(
            op: op, path: path(), data: bytes(), acl: acl(), flags: int32(), ttl: op == .createTTL ? int64() : 0)
    }

    /// One request of each kind that has a wire form.
    package mutating func requests() -> [Request] {
        let watches = WatchSet(
            relativeZxid: zxid(), data: several { $0.path() }, exist: several { $0.path() }, child: several { $0.path() })
        var extended = watches
        extended.persistent = several { $0.path() }
        extended.persistentRecursive = several { $0.path() }
        let writes: [Request] = [
            .create(create(.create)), .create(create(.create2)), .create(create(.createContainer)),
            .create(create(.createTTL)), .delete(path: path(), version: int32()),
            .setData(path: path(), data: bytes(), version: int32()), .check(path: path(), version: int32()),
        ]
        return writes + [
            .setACL(path: path(), acl: acl(), version: int32()), .multi(writes), .multi([]),
            .multiRead([.getData(path: path(), watch: false), .getChildren(path: path(), watch: true)]),
            .closeSession, .sync(path: path()), .exists(path: path(), watch: bool()),
            .getData(path: path(), watch: bool()), .getACL(path: path()), .getChildren(path: path(), watch: bool()),
            .getChildren2(path: path(), watch: bool()), .getEphemerals(prefix: path()),
            .getAllChildrenNumber(path: path()), .whoAmI, .ping,
            .auth(type: int32(), scheme: ByteString(bytes()), credential: bool() ? bytes() : nil),
            .setWatches(watches, extended: false), .setWatches(extended, extended: true),
            .addWatch(path: path(), recursive: bool()), .checkWatches(path: path(), type: .any),
            .removeWatches(path: path(), type: .persistentRecursive),
        ]
    }

    /// Each body with an operation that it answers.
    package mutating func bodies() -> [(OpCode, ResponseBody)] {
        let results: [MultiResult] = [
            .create(path: path()), .createWithStat(path: path(), stat: stat()), .delete, .check, .setData(stat()),
            .getData(bytes()[...], stat()), .getChildren(several { ByteString($0.bytes()) }), .error(nil), .error(.noNode),
        ]
        let names = several { ByteString($0.bytes()) }
        return [
            (.delete, .none), (.create, .path(path())), (.create2, .pathAndStat(path(), stat())),
            (.exists, .stat(stat())), (.getData, .data(bytes()[...], stat())), (.getACL, .acl(acl(), stat())),
            (.getChildren, .children(names)), (.getChildren2, .childrenAndStat(names, stat())),
            (.multi, .multi(results)), (.addWatch, .errorCode(0)), (.getEphemerals, .paths(several { $0.path() })),
            (.getAllChildrenNumber, .count(int32())), (.whoAmI, .identities(several { $0.identity() })),
        ]
    }

    private mutating func creates() -> [Transaction] {
        [OpCode.create, .create2, .createContainer, .createTTL].map { op in
            .create(
                op: op, path: path(), data: bytes(), acl: acl(),
                ephemeral: op == .create || op == .create2 ? bool() : false, parentCVersion: int32(),
                ttl: op == .createTTL ? int64() : 0)
        }
    }

    package mutating func transactions() -> [Transaction] {
        let single: [Transaction] =
            creates() + [
                .delete(path: path(), container: false), .delete(path: path(), container: true),
                .setData(path: path(), data: bytes(), version: int32()),
                .setACL(path: path(), acl: acl(), version: int32()), .check(path: path(), version: int32()),
                .error(int32()),
            ]
        return single + [
            .multi(single), .multi([]), .createSession(timeout: int32()), .closeSession(ephemerals: several { $0.path() }),
            .closeSession(ephemerals: nil),
        ]
    }

    package mutating func entries() -> [LogEntry] {
        transactions().map { transaction in
            let digest = bool() ? TransactionDigest(treeDigest: UInt64.random(in: 0 ... .max, using: &random)) : nil
            return LogEntry(
                session: int64(), cxid: int32(), zxid: zxid(), time: int64(), transaction: transaction, digest: digest)
        }
    }

    package mutating func packets() -> [QuorumPacket] {
        let requests = requests() + [.createSession(timeout: int32())]
        let entries = entries()
        let epoch = Int64.random(in: 0...Int64(Int32.max), using: &random)
        let others: [QuorumPacket] = [
            .learnerInfo(
                acceptedEpoch: epoch, server: int64(), protocolVersion: int32(), configVersion: int64(), observer: bool()),
            .leaderInfo(epoch: epoch, protocolVersion: int32()), .ackEpoch(lastZxid: zxid(), currentEpoch: int32()),
            .diff(to: zxid()), .trunc(to: zxid()), .snap(at: zxid()), .newLeader(epoch: epoch, config: bytes()),
            .upToDate, .ack(zxid()), .commit(zxid()), .ping(zxid: zxid(), sessions: []),
            .ping(zxid: zxid(), sessions: several { TouchedSession(session: $0.int64(), timeout: $0.int32()) }),
            .revalidate(session: int64(), timeout: int32()), .revalidated(session: int64(), valid: bool()),
            .sync,
        ]
        let forwarded: [QuorumPacket] = requests.map { request in
            .request(
                ForwardedRequest(
                    session: int64(), cxid: int32(), request: request, identities: several { $0.identity() }))
        }
        return others + forwarded + entries.map { .proposal($0) } + entries.map { .inform($0) }
    }
}
