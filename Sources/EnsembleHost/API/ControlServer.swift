import CLinux
import EnsembleControl
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// HTTP/1.1 on a unix socket. Requests are bounded in size and number; one connection can't hold up another, or the
/// reconciler.
package struct ControlServer: Sendable {
    package static let bodyLimit = 64 << 10
    package static let connectionLimit = 64

    private let channel: any Channel
    private let path: String

    /// Binds the socket with the manifest's group and mode.
    package static func start(
        at path: String, access: OperatorAccess, service: ControlService, group: any EventLoopGroup
    ) async throws -> ControlServer {
        guard path.utf8.count < 108 else {
            throw HostError(path, "is longer than the 107 bytes that a socket's path may have", remedy: "choose a shorter --socket")
        }
        let gid = try access.socketGroup.map { try groupID($0) }
        // A socket that a dead daemon left; the state directory's lock says that it is dead.
        unlink(path)
        // Nobody may connect between bind and chmod.
        let mask = umask(0o777)
        defer { umask(mask) }
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 32)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: true)
                    try channel.pipeline.syncOperations.addHandler(ControlChannelHandler(service: service, group: gid))
                }
            }
            .bind(unixDomainSocketPath: path).get()
        if let gid, chown(path, uid_t.max, gid) != 0 {
            throw HostError(path, "can't be given to group \(gid): \(String(cString: strerror(errno)))", remedy: "run as a member of that group")
        }
        chmod(path, mode_t(access.socketMode))
        return ControlServer(channel: channel, path: path)
    }

    package func stop() async {
        try? await channel.close()
        unlink(path)
    }

    private static func groupID(_ name: String) throws -> gid_t {
        guard let entry = getgrnam(name) else {
            throw HostError(name, "is no group of this host", remedy: "create it, or correct operator.socketGroup")
        }
        return entry.pointee.gr_gid
    }
}

private final class ControlChannelHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let service: ControlService
    private let group: gid_t?
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isTooLarge = false

    init(service: ControlService, group: gid_t?) {
        self.service = service
        self.group = group
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            isTooLarge = false
        case .body(let buffer):
            if body.count + buffer.readableBytes > ControlServer.bodyLimit { isTooLarge = true } else { body += Array(buffer.readableBytesView) }
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context: context)
        }
    }

    private func answer(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        guard !isTooLarge else {
            let error = ControlError(
                .tooLarge, "a request's body has at most \(ControlServer.bodyLimit) bytes", remedy: "send a shorter one")
            return write(error.httpStatus, service.encode(error), keepAlive: false, context: context)
        }
        let (service, body) = (service, body)
        let group = group
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        peer(of: context.channel).flatMap { peer in
            loop.makeFutureWithTask {
                let mayChange = peer.mayChange(group: group)
                return await service.respond(method: head.method.rawValue, target: head.uri, body: body, mayChange: mayChange)
            }
        }.whenComplete { result in
            let (handler, context) = bound.value
            switch result {
            case .success(let (status, bytes)):
                handler.write(status, bytes, keepAlive: head.isKeepAlive, context: context)
            case .failure:
                context.close(promise: nil)
            }
        }
    }

    private func write(_ status: Int, _ bytes: [UInt8], keepAlive: Bool, context: ChannelHandlerContext) {
        var headers = HTTPHeaders()
        headers.add(name: "content-type", value: "application/json")
        headers.add(name: "content-length", value: "\(bytes.count)")
        if !keepAlive { headers.add(name: "connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
        let done = context.eventLoop.makePromise(of: Void.self)
        if !keepAlive {
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            done.futureResult.whenComplete { _ in bound.value.close(promise: nil) }
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// Who is at the other end, by the kernel's word (SO_PEERCRED).
    private func peer(of channel: any Channel) -> EventLoopFuture<PeerCredentials> {
        guard let provider = channel as? any SocketOptionProvider else {
            return channel.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        return provider.unsafeGetSocketOption(level: .socket, name: NIOBSDSocket.Option(rawValue: SO_PEERCRED))
    }
}

/// `struct ucred` of socket(7).
private struct PeerCredentials: Sendable {
    var pid: Int32 = 0
    var uid: UInt32 = 0
    var gid: UInt32 = 0

    /// Root and the daemon's own user may change; others if their group is the one that the manifest names. Whoever
    /// reaches the socket at all may read.
    func mayChange(group: gid_t?) -> Bool {
        if uid == 0 || uid == geteuid() { return true }
        guard let group else { return false }
        return gid == group || groupsOfUser.contains(group)
    }

    /// The kernel's word is the peer's own group only; whoever "joined the group" has it beside that one, in the
    /// host's group database.
    private var groupsOfUser: [gid_t] {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwuid_r(uid, &entry, &buffer, buffer.count, &found) == 0, found != nil, let name = entry.pw_name else {
            return []
        }
        var groups = [gid_t](repeating: 0, count: 256)
        var count = Int32(groups.count)
        guard getgrouplist(name, entry.pw_gid, &groups, &count) >= 0 else { return [] }
        return Array(groups.prefix(Int(count)))
    }
}
