import KeeperCore
import NIOCore

// The first frame in each direction (reference/zookeeper.md, 1.2).

extension ConnectRequest: JuteRecord {
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(protocolVersion)
        sink.zxid(lastZxidSeen)
        sink.int32(timeout)
        sink.int64(sessionID)
        sink.buffer(password)
        if let readOnly { sink.bool(readOnly) }
    }

    /// Decodes a frame's body: 44 bytes, or 45 with the read-only byte, for a password of 16 bytes.
    package init(frame: ByteBuffer) throws(CodecError) {
        self = try frame.withJuteReader { reader throws(CodecError) in try ConnectRequest(from: &reader) }
    }

    package init(from reader: inout JuteReader) throws(CodecError) {
        let protocolVersion = try reader.int32("ConnectRequest.protocolVersion")
        let lastZxidSeen = try reader.zxid("ConnectRequest.lastZxidSeen")
        let timeout = try reader.int32("ConnectRequest.timeOut")
        let sessionID = try reader.int64("ConnectRequest.sessionId")
        let password = try reader.buffer("ConnectRequest.passwd")
        // Bytes behind it are ignored: a newer client may append fields.
        let readOnly = reader.isAtEnd ? nil : try reader.bool("ConnectRequest.readOnly")
        self.init(
            protocolVersion: protocolVersion, lastZxidSeen: lastZxidSeen, timeout: timeout, sessionID: sessionID,
            password: password, readOnly: readOnly)
    }
}

extension ConnectResponse: JuteRecord {
    package func encode<Sink: JuteSink>(into sink: inout Sink) {
        sink.int32(0)
        sink.int32(timeout)
        sink.int64(sessionID)
        sink.buffer(password)
        if let readOnly { sink.bool(readOnly) }
    }

    /// Decodes a frame's body: 36 bytes, or 37 with the read-only byte.
    package init(frame: ByteBuffer) throws(CodecError) {
        self = try frame.withJuteReader { reader throws(CodecError) in
            _ = try reader.int32("ConnectResponse.protocolVersion")
            let timeout = try reader.int32("ConnectResponse.timeOut")
            let sessionID = try reader.int64("ConnectResponse.sessionId")
            let password = try reader.buffer("ConnectResponse.passwd")
            let readOnly = reader.isAtEnd ? nil : try reader.bool("ConnectResponse.readOnly")
            try reader.expectEnd("ConnectResponse")
            return ConnectResponse(timeout: timeout, sessionID: sessionID, password: password, readOnly: readOnly)
        }
    }
}
