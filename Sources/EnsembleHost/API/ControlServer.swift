import CLinux
import EnsembleControl
import Glibc
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix

/// HTTP/1.1 on a unix socket. Requests are bounded in size, number and time; one connection can't hold up another, or
/// the reconciler.
package struct ControlServer: Sendable {
    package static let bodyLimit = 64 << 10
    package static let connectionLimit = 64
    /// A request must be complete this long after its connection was made, or after the answer before it.
    package static let requestTimeout: TimeAmount = .seconds(15)

    private let channel: any Channel
    private let path: String
    private let rights: SocketRights

    /// Binds the socket with the manifest's group and mode.
    package static func start(
        at path: String, access: OperatorAccess, service: ControlService, group: any EventLoopGroup
    ) async throws -> ControlServer {
        guard path.utf8.count < 108 else {
            throw HostError(path, "is longer than the 107 bytes that a socket's path may have", remedy: "choose a shorter --socket")
        }
        let rights = SocketRights()
        try rights.read(access)
        try removeStale(path)
        let count = NIOLockedValueBox(0)
        // Nobody may connect between bind and chmod.
        let mask = umask(0o777)
        defer { umask(mask) }
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 32)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                // Who comes when all places are taken is turned away at once, rather than kept waiting.
                guard count.withLockedValue({ $0 += 1; return $0 <= connectionLimit }) else {
                    count.withLockedValue { $0 -= 1 }
                    return channel.close()
                }
                channel.closeFuture.whenComplete { _ in count.withLockedValue { $0 -= 1 } }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: true)
                    try channel.pipeline.syncOperations.addHandler(ControlChannelHandler(service: service, group: rights.group))
                }
            }
            .bind(unixDomainSocketPath: path).get()
        let server = ControlServer(channel: channel, path: path, rights: rights)
        try server.apply(access)
        return server
    }

    /// Gives the socket the manifest's group and mode. Connections that are open keep the rights they had.
    package func apply(_ access: OperatorAccess) throws {
        let gid = try rights.read(access)
        guard chown(path, uid_t.max, gid ?? getegid()) == 0 else {
            let group = access.socketGroup ?? "\(getegid())"
            throw HostError(path, "can't be given to group \(group): \(String(cString: strerror(errno)))", remedy: "run as a member of that group")
        }
        guard chmod(path, mode_t(access.socketMode)) == 0 else {
            throw HostError(path, "can't be given its mode: \(String(cString: strerror(errno)))", remedy: "check --socket")
        }
    }

    /// The channel removes the socket's file.
    package func stop() async { try? await channel.close() }

    /// A socket that a dead daemon left may go; a living one, or a file that is none, is somebody else's. Whether it
    /// lives only a connection tells.
    private static func removeStale(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw HostError(path, "is there, and is no socket", remedy: "choose another --socket, or move it away")
        }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // EAGAIN: it listens, and its queue is full.
        guard result == 0 || errno == EAGAIN else {
            unlink(path)
            return
        }
        throw HostError(
            path, "another daemon is listening there", remedy: "stop it first, or choose another --socket", exitStatus: 75)
    }

}

/// Who may change, beside root and the daemon's user: a reload may name another group.
private final class SocketRights: Sendable {
    private let current = NIOLockedValueBox<gid_t?>(nil)

    var group: gid_t? { current.withLockedValue { $0 } }

    /// Returns the group of the manifest; nil: it names none.
    @discardableResult
    func read(_ access: OperatorAccess) throws -> gid_t? {
        var found: gid_t?
        if let name = access.socketGroup {
            guard let entry = getgrnam(name) else {
                throw HostError(name, "is no group of this host", remedy: "create it, or correct operator.socketGroup")
            }
            found = entry.pointee.gr_gid
        }
        let group = found
        current.withLockedValue { $0 = group }
        return group
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
    private var isAnswering = false
    private var isInputClosed = false
    private var deadline: Scheduled<Void>?

    init(service: ControlService, group: gid_t?) {
        self.service = service
        self.group = group
    }

    func channelActive(context: ChannelHandlerContext) { awaitRequest(context) }

    func channelInactive(context: ChannelHandlerContext) { deadline?.cancel() }

    /// A client that is slow, or says nothing, keeps a place from others.
    private func awaitRequest(_ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: ControlServer.requestTimeout) {
            context.close(promise: nil)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
            isTooLarge = false
        case .body(let buffer):
            guard !isTooLarge else { return }
            guard body.count + buffer.readableBytes <= ControlServer.bodyLimit else { return refuseBody(context) }
            body += Array(buffer.readableBytesView)
        case .end:
            guard let head else { return }
            self.head = nil
            deadline?.cancel()
            if isTooLarge { context.close(promise: nil) } else { answer(head, context: context) }
        }
    }

    /// Said at once; the rest is read and dropped until it ends or its time is over, because closing on a client that
    /// writes would take the answer from it.
    private func refuseBody(_ context: ChannelHandlerContext) {
        isTooLarge = true
        body = []
        let error = ControlError(
            .tooLarge, "a request's body has at most \(ControlServer.bodyLimit) bytes", remedy: "send a shorter one")
        write(ControlService.Answer(service.encode(error), error.httpStatus), keepAlive: false, context: context)
    }

    private func answer(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        isAnswering = true
        let (service, body) = (service, body)
        let group = group
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let loop = context.eventLoop
        peer(of: context.channel).flatMap { peer in
            loop.makeFutureWithTask {
                await service.respond(method: head.method.rawValue, target: head.uri, body: body, by: peer.uid) {
                    if peer.isTrusted { return true }
                    guard let group else { return false }
                    // A directory service may take its time, and must not take the daemon's.
                    return try await service.shell.runner.lanes.names.run("the groups of user \(peer.uid)", within: .seconds(5)) {
                        peer.belongs(to: group)
                    }
                }
            }
        }.whenComplete { result in
            let (handler, context) = bound.value
            switch result {
            case .success(let answer): handler.finish(answer, keepAlive: head.isKeepAlive, context)
            case .failure: context.close(promise: nil)
            }
        }
    }

    private func finish(_ answer: ControlService.Answer, keepAlive: Bool, _ context: ChannelHandlerContext) {
        isAnswering = false
        let isLast = !keepAlive || isInputClosed
        if !isLast { awaitRequest(context) }
        let done = write(answer, keepAlive: !isLast, context: context)
        let service = service
        done.whenSuccess { service.answered(answer, isDelivered: true) }
        done.whenFailure { _ in service.answered(answer, isDelivered: false) }
        guard isLast else { return }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        done.whenComplete { _ in bound.value.close(promise: nil) }
    }

    @discardableResult
    private func write(
        _ answer: ControlService.Answer, keepAlive: Bool, context: ChannelHandlerContext
    ) -> EventLoopFuture<Void> {
        var headers = HTTPHeaders()
        headers.add(name: "content-type", value: "application/json")
        headers.add(name: "content-length", value: "\(answer.body.count)")
        if let allow = answer.allow { headers.add(name: "allow", value: allow) }
        if !keepAlive { headers.add(name: "connection", value: "close") }
        let head = HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        let done = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: done)
        return done.futureResult
    }

    /// A client may end its side behind its request and still wants the answer.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        isInputClosed = true
        if !isAnswering { context.close(promise: nil) }
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
