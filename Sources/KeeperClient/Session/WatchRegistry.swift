import KeeperCore

/// Names one watcher: a callback or a stream held by the shell.
struct WatchToken: Hashable, Sendable {
    let rawValue: UInt64
}

/// The watches of one session: who is told of which event, and what a new server must be told after a reconnect.
///
/// Kept here and not asked of the server, because a server forgets a connection's watches with the connection.
struct WatchRegistry: Sendable {
    enum Kind: CaseIterable, Hashable, Sendable {
        /// Set by getData, and by exists on a node that is there.
        case data
        /// Set by exists on a node that is not there.
        case exist
        case child
        case persistent
        case recursive
    }

    private var tables: [Kind: [NodePath: [WatchToken]]] = [:]

    init() {}

    var isEmpty: Bool { tables.values.allSatisfy(\.isEmpty) }

    mutating func add(_ token: WatchToken, _ kind: Kind, at path: NodePath) {
        tables[kind, default: [:]][path, default: []].append(token)
    }

    /// Takes a lasting watcher out. True if it was the last of its kind there: the server may forget it too.
    mutating func remove(_ token: WatchToken, _ kind: Kind, at path: NodePath) -> Bool {
        guard var tokens = tables[kind]?[path], let index = tokens.firstIndex(of: token) else { return false }
        tokens.remove(at: index)
        tables[kind]?[path] = tokens.isEmpty ? nil : tokens
        return tokens.isEmpty
    }

    /// Who is told of an event, in the order of registration. One-shot watches that it fires are taken out.
    mutating func fire(_ type: WatchEventType, at path: NodePath) -> [WatchToken] {
        var fired: [WatchToken] = []
        let oneShot: [Kind] =
            switch type {
            case .created, .dataChanged: [.data, .exist]
            case .deleted: [.data, .exist, .child]
            case .childrenChanged: [.child]
            case .none: []
            }
        for kind in oneShot {
            fired += tables[kind]?.removeValue(forKey: path) ?? []
        }
        fired += tables[.persistent]?[path] ?? []
        if type != .childrenChanged, tables[.recursive]?.isEmpty == false {
            var ancestor: NodePath? = path
            while let current = ancestor {
                fired += tables[.recursive]?[current] ?? []
                ancestor = current.parent
            }
        }
        return fired
    }

    /// Empties the registry: the session has ended. Sorted, so that the order does not depend on hashing.
    mutating func drain() -> [(token: WatchToken, path: NodePath)] {
        defer { tables = [:] }
        var all: [(token: WatchToken, path: NodePath)] = []
        for kind in Kind.allCases {
            for path in (tables[kind] ?? [:]).keys.sorted() {
                all += (tables[kind]?[path] ?? []).map { ($0, path) }
            }
        }
        return all.sorted { $0.token.rawValue < $1.token.rawValue }
    }

    /// The requests that register everything again with a new server, each holding at most `bytes` of paths, so that
    /// none exceeds the server's frame limit (ZOOKEEPER-706). Events missed meanwhile follow at once: the server
    /// compares with `relativeZxid`.
    func renewals(relativeTo zxid: Zxid, bytes limit: Int = 128 * 1024) -> [Request] {
        var requests: [Request] = []
        var set = WatchSet(relativeZxid: zxid)
        var size = 0
        var extended = false
        func isEmpty(_ set: WatchSet) -> Bool {
            set.data.isEmpty && set.exist.isEmpty && set.child.isEmpty && set.persistent.isEmpty
                && set.persistentRecursive.isEmpty
        }
        for kind in Kind.allCases {
            for path in (tables[kind] ?? [:]).keys.sorted() {
                if size + path.bytes.count > limit, !isEmpty(set) {
                    requests.append(.setWatches(set, extended: extended))
                    set = WatchSet(relativeZxid: zxid)
                    size = 0
                    extended = false
                }
                size += path.bytes.count + 4
                switch kind {
                case .data: set.data.append(path)
                case .exist: set.exist.append(path)
                case .child: set.child.append(path)
                case .persistent: set.persistent.append(path)
                case .recursive: set.persistentRecursive.append(path)
                }
                // 105 only where it is needed: servers before 3.6 have only 101.
                extended = extended || kind == .persistent || kind == .recursive
            }
        }
        if !isEmpty(set) { requests.append(.setWatches(set, extended: extended)) }
        return requests
    }
}
