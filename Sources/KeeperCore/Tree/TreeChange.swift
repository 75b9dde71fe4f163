import EnsembleBase

/// What a transaction did to one node: what watches are triggered by. The change of the parent's children follows from
/// a creation or deletion and is derived by `WatchTable`.
package struct TreeChange: Hashable, Sendable {
    package enum Kind: Hashable, Sendable { case created, deleted, dataChanged }

    package var kind: Kind
    package var path: NodePath
    /// Who may know of it: the node's access list, at its deletion if it is gone; nil = everyone (ZOOKEEPER-4799).
    package var acl: [AccessRight]?
    /// The same for the parent's `childrenChanged`.
    package var parentACL: [AccessRight]?

    package init(kind: Kind, path: NodePath, acl: [AccessRight]? = nil, parentACL: [AccessRight]? = nil) {
        self.kind = kind
        self.path = path
        self.acl = acl
        self.parentACL = parentACL
    }
}

/// What became of a log entry: what its client is answered.
package struct ApplyResult: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        case created(NodePath, Stat)
        case deleted
        case dataSet(Stat)
        case aclSet(Stat)
        case checked
        case multi([MultiResult])
        case sessionCreated(timeout: Int32)
        case sessionClosed
        case failed(KeeperError)
    }

    package var outcome: Outcome

    package init(_ outcome: Outcome) { self.outcome = outcome }

    /// The reply's error; nil for a failed multi, which tells its parts' errors in the body.
    package var error: KeeperError? {
        if case .failed(let error) = outcome { error } else { nil }
    }

    /// A plain create is answered with its path alone.
    private static func results(_ results: [MultiResult], for request: Request) -> [MultiResult] {
        guard case .multi(let parts) = request, parts.count == results.count else { return results }
        var answered = results
        for (i, part) in parts.enumerated() {
            if case .create(let create) = part, create.op == .create, case .createWithStat(let path, _) = results[i] {
                answered[i] = .create(path: path)
            }
        }
        return answered
    }

    /// The reply's body in the form that the request's operation asks for.
    package func responseBody(for request: Request) -> ResponseBody {
        switch outcome {
        case .created(let path, let stat):
            if case .create(let request) = request, request.op == .create { return .path(path) }
            return .pathAndStat(path, stat)
        case .dataSet(let stat), .aclSet(let stat): return .stat(stat)
        case .multi(let results): return .multi(ApplyResult.results(results, for: request))
        case .deleted, .checked, .sessionCreated, .sessionClosed, .failed: return .none
        }
    }
}
