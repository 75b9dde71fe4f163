import KeeperCore

/// The 16 bytes that open a snapshot or a log (reference/zookeeper.md, 2.2 and 2.3).
package struct FileHeader: JuteRecord, Hashable, Sendable {
    package var magic: Int32
    package var version: Int32
    package var database: Int64

    package static let size = 16
    /// `ZKSN`
    package static let snapshot = FileHeader(magic: 0x5A4B_534E, version: 2, database: -1)
    /// `ZKLG`
    package static let log = FileHeader(magic: 0x5A4B_4C47, version: 2, database: 0)

    /// A log of which the writer says how far it is durable (`LogMark`).
    package static func markedLog(_ mark: LogMark) -> FileHeader {
        FileHeader(magic: log.magic, version: log.version, database: Int64(bitPattern: mark.value))
    }

    /// Where the database id stands.
    package static let databaseOffset = 8

    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(magic)
        sink.int32(version)
        sink.int64(database)
    }

    package static func ofLog(_ bytes: [UInt8]) throws(CodecError) -> FileHeader {
        try bytes.withJuteReader { reader throws(CodecError) in try read(.log, from: &reader) }
    }

    /// Reads a header and requires it to be `expected`'s kind. The database id is Apache's constant; others are let pass.
    @discardableResult
    static func read(_ expected: FileHeader, from reader: inout JuteReader) throws(CodecError) -> FileHeader {
        let magic = try reader.int32("FileHeader.magic")
        guard magic == expected.magic else { throw CodecError(.value(Int64(magic)), what: "FileHeader.magic", offset: 0) }
        let version = try reader.int32("FileHeader.version")
        guard version == expected.version else {
            throw CodecError(.value(Int64(version)), what: "FileHeader.version", offset: 4)
        }
        return FileHeader(magic: magic, version: version, database: try reader.int64("FileHeader.dbid"))
    }
}
