import EnsembleBase
import KeeperCore

// Each call throws `KeeperClientError`; `timeout` is the configuration's `requestTimeout` unless given. Paths are
// relative to the chroot. A `version` of −1 matches any.
extension KeeperClient {
    /// Creates a node and returns its path, which for a sequential one differs from `path`.
    @discardableResult
    public func create(
        _ path: String, data: [UInt8] = [], access: [NodeAccess] = NodeAccess.open, mode: CreateMode = .persistent,
        timeout: Duration? = nil
    ) async throws -> String {
        // `create` has no form for containers; its sibling answers with a Stat too.
        if mode == .container {
            return try await createReturningStat(path, data: data, access: access, mode: mode, timeout: timeout).path
        }
        let request = Request.create(try creation(.create, path, data, access, mode))
        guard case .path(let made) = try await body(request, path, timeout) else { throw Self.mismatch(request) }
        return relative(made)
    }

    /// As `create`, and returns the new node's metadata (create2, or createContainer).
    public func createReturningStat(
        _ path: String, data: [UInt8] = [], access: [NodeAccess] = NodeAccess.open, mode: CreateMode = .persistent,
        timeout: Duration? = nil
    ) async throws -> (path: String, stat: NodeStat) {
        let request = Request.create(try creation(mode == .container ? .createContainer : .create2, path, data, access, mode))
        guard case .pathAndStat(let made, let stat) = try await body(request, path, timeout) else {
            throw Self.mismatch(request)
        }
        return (relative(made), NodeStat(stat))
    }

    /// Creates the node and those above it that are missing; a node that is there already is left as it is.
    public func createPath(_ path: String, timeout: Duration? = nil) async throws {
        var made = ""
        for component in path.split(separator: "/") {
            made += "/" + component
            do {
                try await create(made, timeout: timeout)
            } catch KeeperClientError.refused(.nodeExists, _) {
                continue
            }
        }
    }

    public func delete(_ path: String, version: Int32 = -1, timeout: Duration? = nil) async throws {
        _ = try await body(.delete(path: try absolute(path), version: version), path, timeout)
    }

    /// The node's metadata, or nil if there is no such node. `onChange` is called once, on an event loop (do not block
    /// there), when the node is created, deleted or its data changes.
    public func exists(
        _ path: String, timeout: Duration? = nil, onChange: (@Sendable (NodeEvent) -> Void)? = nil
    ) async throws -> NodeStat? {
        let request = Request.exists(path: try absolute(path), watch: onChange != nil)
        let reply = try await call(request, timeout: timeout, watch: onChange.map { Watch(kind: .data, callback: $0) })
        if reply.error == .noNode { return nil }
        if let error = reply.error { throw KeeperClientError.refused(KeeperErrorCode(error), path: path) }
        guard case .stat(let stat) = reply.body else { throw Self.mismatch(request) }
        return NodeStat(stat)
    }

    /// `onChange` is called once, on an event loop, when the node's data changes or it is deleted.
    public func getData(
        _ path: String, timeout: Duration? = nil, onChange: (@Sendable (NodeEvent) -> Void)? = nil
    ) async throws -> (data: [UInt8], stat: NodeStat) {
        let request = Request.getData(path: try absolute(path), watch: onChange != nil)
        let watch = onChange.map { Watch(kind: .data, callback: $0) }
        guard case .data(let data, let stat) = try await body(request, path, timeout, watch) else {
            throw Self.mismatch(request)
        }
        return (Array(data ?? []), NodeStat(stat))
    }

    @discardableResult
    public func setData(
        _ path: String, data: [UInt8], version: Int32 = -1, timeout: Duration? = nil
    ) async throws -> NodeStat {
        let request = Request.setData(path: try absolute(path), data: data, version: version)
        guard case .stat(let stat) = try await body(request, path, timeout) else { throw Self.mismatch(request) }
        return NodeStat(stat)
    }

    /// The names of the children, unordered. `onChange` is called once, on an event loop, when a child is created or
    /// deleted, or the node itself is deleted.
    public func getChildren(
        _ path: String, timeout: Duration? = nil, onChange: (@Sendable (NodeEvent) -> Void)? = nil
    ) async throws -> (names: [String], stat: NodeStat) {
        let request = Request.getChildren2(path: try absolute(path), watch: onChange != nil)
        let watch = onChange.map { Watch(kind: .child, callback: $0) }
        guard case .childrenAndStat(let names, let stat) = try await body(request, path, timeout, watch) else {
            throw Self.mismatch(request)
        }
        return (names.map(\.description), NodeStat(stat))
    }

    public func getAccess(_ path: String, timeout: Duration? = nil) async throws -> (access: [NodeAccess], stat: NodeStat) {
        let request = Request.getACL(path: try absolute(path))
        guard case .acl(let rights, let stat) = try await body(request, path, timeout) else { throw Self.mismatch(request) }
        return (rights.map(NodeAccess.init), NodeStat(stat))
    }

    /// `version` is compared with the node's `accessVersion`.
    @discardableResult
    public func setAccess(
        _ path: String, _ access: [NodeAccess], version: Int32 = -1, timeout: Duration? = nil
    ) async throws -> NodeStat {
        let request = Request.setACL(path: try absolute(path), acl: access.map(\.record), version: version)
        guard case .stat(let stat) = try await body(request, path, timeout) else { throw Self.mismatch(request) }
        return NodeStat(stat)
    }

    /// Makes this session's server catch up with what the leader had committed when the call reached it: a read made
    /// after it sees every write acknowledged to anybody before it. (A leader that was deposed without knowing may
    /// answer too; a write is the only proof of a quorum.)
    public func sync(_ path: String = "/", timeout: Duration? = nil) async throws {
        _ = try await body(.sync(path: try absolute(path)), path, timeout)
    }

    /// All operations, or none: throws `multiRefused` with the index of the one that could not be carried out.
    @discardableResult
    public func multi(_ operations: [MultiOperation], timeout: Duration? = nil) async throws -> [MultiOutcome] {
        let request = Request.multi(try operations.map(record))
        guard case .multi(let results) = try await body(request, "multi", timeout), results.count == operations.count else {
            throw Self.mismatch(request)
        }
        // Behind the one that failed every result is an error too, and those before it read as 0.
        for (index, result) in results.enumerated() {
            guard case .error(let error?) = result else { continue }
            throw KeeperClientError.multiRefused(KeeperErrorCode(error), index: index)
        }
        return try results.map { result in
            switch result {
            case .create(let path), .createWithStat(let path, _): .created(path: relative(path))
            case .delete: .deleted
            case .setData(let stat): .dataSet(NodeStat(stat))
            case .check: .checked
            case .getData, .getChildren, .error: throw Self.mismatch(request)
            }
        }
    }

    /// Adds an identity to the session, and again after every reconnect. `digest` takes `user:password`. A refusal ends
    /// the session's connection for good (`authenticationRefused`).
    public func authenticate(scheme: String = "digest", _ credential: String, timeout: Duration? = nil) async throws {
        let request = Request.auth(type: 0, scheme: ByteString(scheme), credential: Array(credential.utf8))
        _ = try await body(request, scheme, timeout)
    }

    // MARK: Between paths, records and bytes

    private func absolute(_ path: String, sequential: Bool = false) throws -> NodePath {
        try PathRules.absolute(path, under: connectString.chroot, sequential: sequential)
    }

    private func relative(_ path: NodePath) -> String { PathRules.relative(path, to: connectString.chroot) }

    private func creation(
        _ op: OpCode, _ path: String, _ data: [UInt8], _ access: [NodeAccess], _ mode: CreateMode
    ) throws -> CreateRequest {
        let sequential = mode == .persistentSequential || mode == .ephemeralSequential
        return CreateRequest(
            op: op, path: try absolute(path, sequential: sequential), data: data, acl: access.map(\.record),
            flags: mode.rawValue)
    }

    private func record(_ operation: MultiOperation) throws -> Request {
        switch operation {
        case .create(let path, let data, let access, let mode):
            .create(try creation(mode == .container ? .createContainer : .create, path, data, access, mode))
        case .delete(let path, let version): .delete(path: try absolute(path), version: version)
        case .setData(let path, let data, let version): .setData(path: try absolute(path), data: data, version: version)
        case .check(let path, let version): .check(path: try absolute(path), version: version)
        }
    }

    private func body(
        _ request: Request, _ path: String, _ timeout: Duration?, _ watch: Watch? = nil
    ) async throws -> ResponseBody {
        let reply = try await call(request, timeout: timeout, watch: watch)
        if let error = reply.error { throw KeeperClientError.refused(KeeperErrorCode(error), path: path) }
        return reply.body
    }

    private static func mismatch(_ request: Request) -> KeeperClientError {
        .malformedReply("the answer to operation \(request.op) has another operation's form")
    }
}
