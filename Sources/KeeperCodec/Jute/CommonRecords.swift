import EnsembleBase
import KeeperCore

// Records that several protocols share (reference/zookeeper.md, 1.3 and 2.2).

extension AccessRight: JuteRecord {
    /// int perms, two strings.
    static let minimumSize = 12

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(permissions.rawValue)
        identity.encode(into: &sink)
    }

    init(from reader: inout JuteReader) throws(CodecError) {
        let permissions = Permissions(rawValue: try reader.int32("ACL.perms"))
        self.init(permissions: permissions, identity: try Identity(from: &reader))
    }
}

extension Identity: JuteRecord {
    /// Two strings.
    static let minimumSize = 8

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.string(scheme)
        sink.string(id)
    }

    init(from reader: inout JuteReader) throws(CodecError) {
        let scheme = try reader.string("Id.scheme")
        self.init(scheme: scheme, id: try reader.string("Id.id"))
    }
}

extension Stat: JuteRecord {
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.zxid(czxid)
        sink.zxid(mzxid)
        sink.int64(ctime)
        sink.int64(mtime)
        sink.int32(version)
        sink.int32(cversion)
        sink.int32(aversion)
        sink.int64(ephemeralOwner)
        sink.int32(dataLength)
        sink.int32(numChildren)
        sink.zxid(pzxid)
    }

    init(from reader: inout JuteReader) throws(CodecError) {
        let what = "Stat"
        let czxid = try reader.zxid(what)
        let mzxid = try reader.zxid(what)
        let ctime = try reader.int64(what)
        let mtime = try reader.int64(what)
        let version = try reader.int32(what)
        let cversion = try reader.int32(what)
        let aversion = try reader.int32(what)
        let ephemeralOwner = try reader.int64(what)
        let dataLength = try reader.int32(what)
        let numChildren = try reader.int32(what)
        self.init(
            czxid: czxid, mzxid: mzxid, ctime: ctime, mtime: mtime, version: version, cversion: cversion,
            aversion: aversion, ephemeralOwner: ephemeralOwner, dataLength: dataLength, numChildren: numChildren,
            pzxid: try reader.zxid(what))
    }
}

extension StoredStat: JuteRecord {
    /// StatPersisted is of fixed size.
    static let size = 60

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.zxid(czxid)
        sink.zxid(mzxid)
        sink.int64(ctime)
        sink.int64(mtime)
        sink.int32(version)
        sink.int32(cversion)
        sink.int32(aversion)
        sink.int64(ephemeralOwner)
        sink.zxid(pzxid)
    }

    init(from reader: inout JuteReader) throws(CodecError) {
        let what = "StatPersisted"
        self.init()
        czxid = try reader.zxid(what)
        mzxid = try reader.zxid(what)
        ctime = try reader.int64(what)
        mtime = try reader.int64(what)
        version = try reader.int32(what)
        cversion = try reader.int32(what)
        aversion = try reader.int32(what)
        ephemeralOwner = try reader.int64(what)
        pzxid = try reader.zxid(what)
    }
}

extension JuteSink {
    mutating func accessRights(_ rights: [AccessRight]) {
        count(rights.count)
        for right in rights { right.encode(into: &self) }
    }

    mutating func paths(_ paths: [NodePath]) {
        count(paths.count)
        for path in paths { self.path(path) }
    }

    mutating func strings(_ strings: [ByteString]) {
        count(strings.count)
        for string in strings { self.string(string) }
    }

    mutating func identities(_ identities: [Identity]) {
        count(identities.count)
        for identity in identities { identity.encode(into: &self) }
    }
}

extension JuteReader {
    mutating func accessRights() throws(CodecError) -> [AccessRight] {
        let count = try count(minimumItemSize: AccessRight.minimumSize, "vector of ACL")
        var rights: [AccessRight] = []
        rights.reserveCapacity(count)
        for _ in 0..<count { rights.append(try AccessRight(from: &self)) }
        return rights
    }

    mutating func paths(_ what: @autoclosure () -> String) throws(CodecError) -> [NodePath] {
        let count = try count(minimumItemSize: 4, what())
        var paths: [NodePath] = []
        paths.reserveCapacity(count)
        for _ in 0..<count { paths.append(try path(what())) }
        return paths
    }

    mutating func strings(_ what: @autoclosure () -> String) throws(CodecError) -> [ByteString] {
        let count = try count(minimumItemSize: 4, what())
        var strings: [ByteString] = []
        strings.reserveCapacity(count)
        for _ in 0..<count { strings.append(try string(what())) }
        return strings
    }

    mutating func identities() throws(CodecError) -> [Identity] {
        let count = try count(minimumItemSize: Identity.minimumSize, "vector of Id")
        var identities: [Identity] = []
        identities.reserveCapacity(count)
        for _ in 0..<count { identities.append(try Identity(from: &self)) }
        return identities
    }
}
