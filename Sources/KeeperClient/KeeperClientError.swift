import KeeperCore

/// Why a call failed, and what that says about the write it may have carried.
public enum KeeperClientError: Error, Hashable, Sendable {
    /// Whether a request that got no answer may have been carried out.
    public enum Outcome: Hashable, Sendable {
        /// It never left this process: it did not happen and will not.
        case notSent
        /// It was sent and not answered: it may have happened, may still happen, or may never happen.
        case unknown
    }

    /// The server answered with an error: the request changed nothing.
    case refused(KeeperErrorCode, path: String)
    /// The connection broke before the answer came. A write is never retried silently.
    case connectionLost(Outcome)
    /// The call's own timeout passed first.
    case timedOut(Outcome)
    /// The task that made the call was cancelled.
    case cancelled(Outcome)
    /// The server has ended the session: its ephemeral nodes and watches are gone and this client is finished.
    case sessionExpired
    /// A credential was refused; the server has closed the connection and this client is finished.
    case authenticationRefused
    /// `close()` was called on this client.
    case closed
    /// Nothing was sent, because the arguments cannot be right; the text says which and why.
    case invalidArgument(String)
    /// The server sent what the protocol does not allow; the connection was closed.
    case malformedReply(String)
    /// More than `limit` requests wait for answers; nothing was sent.
    case overloaded(limit: Int)
    /// A `multi` was refused as a whole because of the operation at `index`; it changed nothing.
    case multiRefused(KeeperErrorCode, index: Int)
    /// A lock is not, or can no longer be shown to be, held by this session.
    case lockLost(path: String)
    /// No connection to any server of the connect string could be used within the time given.
    case unreachable(String)
    /// Nothing was tried, for a reason on this side: the name could not be resolved, no descriptor or port was free, no
    /// right or no route was there. It says nothing about the server.
    case notTried(String)
}

extension KeeperClientError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .refused(let code, let path): "\(path): the server refused: \(code)"
        case .connectionLost(.notSent): "the connection was lost before the request was sent"
        case .connectionLost(.unknown): "the connection was lost before the answer came: the outcome is unknown"
        case .timedOut(.notSent): "timed out while waiting for a connection: nothing was sent"
        case .timedOut(.unknown): "timed out while waiting for the answer: the outcome is unknown"
        case .cancelled(.notSent): "cancelled before the request was sent"
        case .cancelled(.unknown): "cancelled while waiting for the answer: the outcome is unknown"
        case .sessionExpired: "the session has expired: its ephemeral nodes and watches are gone"
        case .authenticationRefused: "the server refused the credential"
        case .closed: "the client is closed"
        case .invalidArgument(let text): text
        case .malformedReply(let text): "malformed reply: \(text)"
        case .overloaded(let limit): "more than \(limit) requests are waiting for answers"
        case .multiRefused(let code, let index): "operation \(index) of the multi was refused: \(code)"
        case .lockLost(let path): "\(path): the lock is not held by this session"
        case .unreachable(let text), .notTried(let text): text
        }
    }
}

/// An error code of ZooKeeper's client protocol.
public struct KeeperErrorCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    package init(_ error: KeeperError) { rawValue = error.rawValue }

    public static let systemError = KeeperErrorCode(.systemError)
    public static let marshalling = KeeperErrorCode(.marshalling)
    public static let unimplemented = KeeperErrorCode(.unimplemented)
    public static let badArguments = KeeperErrorCode(.badArguments)
    public static let runtimeInconsistency = KeeperErrorCode(.runtimeInconsistency)
    public static let noNode = KeeperErrorCode(.noNode)
    public static let noAuth = KeeperErrorCode(.noAuth)
    public static let badVersion = KeeperErrorCode(.badVersion)
    public static let noChildrenForEphemerals = KeeperErrorCode(.noChildrenForEphemerals)
    public static let nodeExists = KeeperErrorCode(.nodeExists)
    public static let notEmpty = KeeperErrorCode(.notEmpty)
    public static let sessionExpired = KeeperErrorCode(.sessionExpired)
    public static let invalidACL = KeeperErrorCode(.invalidACL)
    public static let authFailed = KeeperErrorCode(.authFailed)
    public static let sessionMoved = KeeperErrorCode(.sessionMoved)
    public static let notReadOnly = KeeperErrorCode(.notReadOnly)
    public static let noWatcher = KeeperErrorCode(.noWatcher)
    public static let reconfigDisabled = KeeperErrorCode(.reconfigDisabled)
    public static let quotaExceeded = KeeperErrorCode(.quotaExceeded)
    public static let throttled = KeeperErrorCode(.throttledOp)

    /// The code's name, or its number if this client does not know it.
    public var description: String { KeeperError(rawValue: rawValue).map { "\($0)" } ?? "error \(rawValue)" }
}
