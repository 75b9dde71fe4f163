import EnsembleBase
import KeeperCore
import NIOCore
import NIOPosix
import Synchronization

/// A client of a ZooKeeper ensemble: one session, over one connection at a time, to any of the ensemble's servers.
///
/// - Requests are pipelined: they are sent in the order in which they reach the client and answered in that order.
/// - A lost connection is replaced by one to the next server; the session, its ephemeral nodes and its watches go on.
///   Requests that were on the wire then fail with `connectionLost(.unknown)`; nothing is ever sent twice.
/// - Every call takes a timeout, which also covers waiting for a connection.
/// - One client is one session: when the session has expired, the client is finished and another must be made.
///
/// ```swift
/// let client = try await KeeperClient.connect(to: "a:2181,b:2181,c:2181/app", within: .seconds(10))
/// try await client.create("/motd", data: Array("hello".utf8))
/// let (data, stat) = try await client.getData("/motd")
/// await client.close()
/// ```
public final class KeeperClient: Sendable {
    public struct Configuration: Sendable {
        /// What is asked for; the server grants between 2 and 20 of its ticks.
        public var sessionTimeout: Duration = .seconds(10)
        /// For calls that name none of their own.
        public var requestTimeout: Duration = .seconds(10)
        /// Requests that may wait for answers or for a connection before `overloaded` is thrown.
        public var outstandingLimit = 10_000
        /// Bytes of the largest reply that is accepted. `getChildren` of a node with many children may need more than
        /// the server's own limit for requests.
        public var frameLimit = 16 << 20
        /// Events that a watch stream holds for a reader that is behind; the stream ends when one more arrives.
        public var watchBacklog = 65_536

        public init() {}
    }

    public let connectString: ConnectString
    public let configuration: Configuration

    private let loop: any EventLoop
    private let driver: NIOLoopBoundBox<SessionDriver>
    private let nextToken = Atomic<UInt64>(1)

    private init(_ connectString: ConnectString, _ configuration: Configuration, resuming ticket: SessionTicket? = nil) {
        self.connectString = connectString
        self.configuration = configuration
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        var limits = SessionMachine.Limits()
        limits.outstanding = configuration.outstandingLimit
        let machine = SessionMachine(
            servers: connectString.servers, timeout: configuration.sessionTimeout, limits: limits,
            seed: UInt64.random(in: .min ... .max), resuming: ticket)
        self.loop = loop
        driver = NIOLoopBoundBox.makeBoxSendingValue(
            SessionDriver(
                machine: machine, chroot: connectString.chroot, frameLimit: configuration.frameLimit, loop: loop),
            eventLoop: loop)
    }

    /// Without `close()` the server keeps the session until it expires; the connection is given up here in any case.
    deinit {
        let driver = self.driver
        loop.execute { driver.value.feed(.closeRequested) }
    }

    /// Opens a session. Throws `unreachable` if no server has granted one in time.
    public static func connect(
        to connectString: String, configuration: Configuration = Configuration(), within timeout: Duration = .seconds(10)
    ) async throws -> KeeperClient {
        try await connect(to: try ConnectString(connectString), configuration: configuration, within: timeout)
    }

    /// Opens a session. Throws `unreachable` if no server has granted one in time.
    public static func connect(
        to connectString: ConnectString, configuration: Configuration = Configuration(), within timeout: Duration = .seconds(10)
    ) async throws -> KeeperClient {
        try await open(KeeperClient(connectString, configuration), within: timeout)
    }

    /// Ends a session that was left without being closed, by whoever it was opened: its ephemeral nodes go at once. Returns
    /// when a server has said that there is no such session any more; throws if none does in time.
    public static func end(_ ticket: SessionTicket, at connectString: ConnectString, within timeout: Duration) async throws {
        let deadline = ContinuousClock.now + timeout
        while true {
            let client = KeeperClient(connectString, Configuration(), resuming: ticket)
            do {
                // Resumed once more after it was closed, it must be refused: a connection that breaks proves nothing.
                await (try await open(client, within: max(deadline - .now, .zero))).close()
            } catch KeeperClientError.sessionExpired {
                return
            }
        }
    }

    private static func open(_ client: KeeperClient, within timeout: Duration) async throws -> KeeperClient {
        let driver = client.driver
        client.loop.execute { driver.value.feed(.started) }
        do {
            // Needs no right and no chroot: it only waits until a server serves the session.
            _ = try await client.call(.exists(path: .root, watch: false), timeout: timeout)
            return client
        } catch KeeperClientError.timedOut, KeeperClientError.connectionLost {
            let last = try await client.onLoop { $0.lastFailure }
            await client.close()
            throw KeeperClientError.unreachable(
                "no server of '\(client.connectString)' granted a session within \(timeout)" + (last.map { "; last: \($0)" } ?? ""))
        }
    }

    /// Ends the session: its ephemeral nodes go at once. Returns when the server has answered, or has had five seconds.
    public func close() async {
        let statuses = self.statuses()
        let driver = self.driver
        loop.execute { driver.value.feed(.closeRequested) }
        for await status in statuses where status.isFinal { return }
    }

    /// Ends the connection without ending the session, as a crash would: the server keeps the session until it expires.
    package func abandonSession() {
        let driver = self.driver
        loop.execute { driver.value.feed(.abandoned) }
    }

    // MARK: The session

    /// The session's id as servers print it; 0 before the first grant.
    public func sessionID() async throws -> Int64 { try await onLoop { $0.sessionID } }

    /// What opens the session again; nil before the first grant.
    public func ticket() async throws -> SessionTicket? { try await onLoop { $0.ticket } }

    /// What the server granted.
    public func sessionTimeout() async throws -> Duration { try await onLoop { $0.timeout } }

    /// The highest zxid that this session has seen.
    public func lastZxid() async throws -> Int64 { try await onLoop { $0.lastZxid } }

    /// For how long from now the session cannot have expired, by what this side knows: an answered request shows that
    /// the server counted from no earlier than its sending. Zero or less: it may have expired already. Whoever holds a
    /// lock by an ephemeral node must have stopped by then.
    public func sessionCertainty() async throws -> Duration { try await onLoop { $0.certainty ?? .zero } }

    public func status() async throws -> SessionStatus { try await onLoop { $0.status } }

    /// The present status, then every change; ends after a final one.
    public func statuses() -> AsyncStream<SessionStatus> {
        let (stream, continuation) = AsyncStream.makeStream(of: SessionStatus.self, bufferingPolicy: .bufferingNewest(64))
        let id = token()
        let (driver, loop) = (self.driver, self.loop)
        continuation.onTermination = { _ in loop.execute { driver.value.stopObserving(id) } }
        loop.execute { driver.value.observe(id, continuation) }
        return stream
    }

    // MARK: Calls

    private func token() -> UInt64 { nextToken.wrappingAdd(1, ordering: .relaxed).oldValue }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (SessionDriver) -> Value) async throws -> Value {
        let driver = self.driver
        return try await loop.submit { body(driver.value) }.get()
    }

    package struct Watch: Sendable {
        var kind: WatchRegistry.Kind
        var callback: @Sendable (NodeEvent) -> Void
    }

    /// Sends one request and waits for its reply, whose error, if any, is not thrown here.
    package func call(_ request: Request, timeout: Duration? = nil, watch: Watch? = nil) async throws -> Reply {
        try await call(
            request, timeout: timeout,
            watch: watch.map { (WatchToken(rawValue: token()), $0.kind) }, watcher: watch.map { .once($0.callback) })
    }

    private func call(
        _ request: Request, timeout: Duration?, watch: (token: WatchToken, kind: WatchRegistry.Kind)?,
        watcher: SessionDriver.Watcher?
    ) async throws -> Reply {
        if Task.isCancelled { throw KeeperClientError.cancelled(.notSent) }
        let call = Call(
            token: CallToken(rawValue: token()), request: request,
            deadline: SessionDriver.now() + (timeout ?? configuration.requestTimeout), watch: watch)
        let (driver, loop) = (self.driver, self.loop)
        do {
            let reply = try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    loop.execute { driver.value.call(call, watcher: watcher, continuation) }
                }
            } onCancel: {
                loop.execute { driver.value.feed(.callCancelled(call.token)) }
            }
            if let watch, reply.error != nil, !Self.setsExistWatch(request, reply) {
                loop.execute { driver.value.forgetWatcher(watch.token) }
            }
            return reply
        } catch {
            // A reply that comes after all still registers the watch; it then reports to nobody.
            if let watch { loop.execute { driver.value.forgetWatcher(watch.token) } }
            throw error
        }
    }

    private static func setsExistWatch(_ request: Request, _ reply: Reply) -> Bool {
        if case .exists = request { return reply.error == .noNode }
        return false
    }

    /// Watches a node, or a subtree, until the stream is dropped or the session ends. Survives reconnects: events that
    /// were missed meanwhile follow. The last element before an expired session's end is `watchLost`.
    public func events(at path: String, _ reach: WatchReach, timeout: Duration? = nil) async throws -> AsyncStream<NodeEvent> {
        let absolute = try PathRules.absolute(path, under: connectString.chroot)
        let kind: WatchRegistry.Kind = reach == .subtree ? .recursive : .persistent
        let watch = WatchToken(rawValue: token())
        let (stream, continuation) = AsyncStream.makeStream(
            of: NodeEvent.self, bufferingPolicy: .bufferingOldest(configuration.watchBacklog))
        let (driver, loop) = (self.driver, self.loop)
        continuation.onTermination = { _ in
            loop.execute { driver.value.dropWatch(watch, kind, at: absolute) }
        }
        let reply = try await call(
            .addWatch(path: absolute, recursive: reach == .subtree), timeout: timeout, watch: (watch, kind),
            watcher: .stream(continuation))
        if let error = reply.error { throw KeeperClientError.refused(KeeperErrorCode(error), path: path) }
        return stream
    }
}
