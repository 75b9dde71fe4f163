import EnsembleBase
import KeeperCodec
import KeeperCore
import NIOCore

/// Sends values as the bytes that the real server would send: encoded, decoded, compared. What arrives is what was
/// decoded, so a codec that loses something breaks the world as it would break an ensemble.
enum Wire {
    static func carried(_ packet: QuorumPacket, _ checkers: inout Checkers) -> QuorumPacket {
        var buffer = ByteBuffer()
        buffer.write(packet)
        return check(packet, &checkers) { () throws(CodecError) -> QuorumPacket in
            guard let decoded = try QuorumPacket.next(from: &buffer), buffer.readableBytes == 0 else {
                throw CodecError(.trailing(buffer.readableBytes), what: packet.name, offset: 0)
            }
            return decoded
        }
    }

    static func carried(_ message: Notification, _ checkers: inout Checkers) -> Notification {
        var buffer = ByteBuffer()
        buffer.write(message)
        return check(message, &checkers) { () throws(CodecError) -> Notification in try Notification(message: buffer) }
    }

    static func carried(_ request: Request, xid: Int32, _ checkers: inout Checkers) -> Request {
        var buffer = ByteBuffer()
        buffer.writeFrame(RequestFrame(xid: xid, request: request))
        return check(request, &checkers) { () throws(CodecError) -> Request in
            guard let frame = try RequestFrame.next(from: &buffer) else {
                throw CodecError(.truncated, what: "request", offset: 0)
            }
            return frame.request
        }
    }

    static func carried(_ request: ConnectRequest, _ checkers: inout Checkers) -> ConnectRequest {
        var buffer = ByteBuffer()
        buffer.write(request)
        return check(request, &checkers) { () throws(CodecError) -> ConnectRequest in try ConnectRequest(frame: buffer) }
    }

    static func carried(_ response: ConnectResponse, _ checkers: inout Checkers) -> ConnectResponse {
        var buffer = ByteBuffer()
        buffer.write(response)
        return check(response, &checkers) { () throws(CodecError) -> ConnectResponse in try ConnectResponse(frame: buffer) }
    }

    static func carried(_ reply: Reply, to request: Request, _ checkers: inout Checkers) -> Reply {
        var buffer = ByteBuffer()
        buffer.write(reply)
        return check(reply, &checkers) { () throws(CodecError) -> Reply in
            let header = try ReplyHeader(readingFrom: &buffer)
            return try Reply(header: header, op: OpCode(rawValue: request.op) ?? .error, body: buffer)
        }
    }

    static func carried(_ event: WatchEvent, _ checkers: inout Checkers) -> WatchEvent {
        var buffer = ByteBuffer()
        buffer.write(event)
        return check(event, &checkers) { () throws(CodecError) -> WatchEvent in
            let header = try ReplyHeader(readingFrom: &buffer)
            return try WatchEvent(header: header, body: buffer)
        }
    }

    /// A tree as the stream behind SNAP, taken from `walk`'s beginning to its end over `tree`.
    static func carried(_ tree: DataTree, _ walk: SnapshotWalk, zxid: Zxid, _ checkers: inout Checkers) -> DataTree? {
        var encoder = TreeEncoder(walk: walk)
        var reader = TreeStreamReader(zxid: zxid)
        var buffer = ByteBuffer()
        do throws(CodecError) {
            while !encoder.isEnded {
                var chunk = encoder.next(from: tree, nodeLimit: 64)
                buffer.writeBuffer(&chunk)
                if encoder.isEnded { TreeStream.writeSignature(to: &buffer) }
                if let received = try reader.feed(&buffer) { return received }
            }
            throw CodecError(.truncated, what: "SNAP stream", offset: 0)
        } catch {
            checkers.fail(.soundness, "a tree at \(zxid) does not survive the wire: \(error)")
            return nil
        }
    }

    private static func check<Value: Hashable>(
        _ sent: Value, _ checkers: inout Checkers, _ decode: () throws(CodecError) -> Value
    ) -> Value {
        do throws(CodecError) {
            let received = try decode()
            if received != sent { checkers.fail(.soundness, "the wire made \(received) of \(sent)") }
            return received
        } catch {
            checkers.fail(.soundness, "the wire can't carry \(sent): \(error)")
            return sent
        }
    }
}
