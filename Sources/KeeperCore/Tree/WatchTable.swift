import EnsembleBase

/// Who wants to hear of what (reference/zookeeper.md, 1.4). Watches belong to connections of this server and are no
/// part of the replicated state.
///
/// A one-shot watch is gone once triggered, even if its event is withheld. Persistent ones stay. A recursive one covers
/// the nodes below, too, and never reports changes of children, because it reports the children themselves.
package struct WatchTable: Sendable {
    /// What one connection watches at one path.
    struct Kinds: OptionSet, Sendable {
        let rawValue: UInt8
        static let data = Kinds(rawValue: 1)
        static let child = Kinds(rawValue: 2)
        static let persistent = Kinds(rawValue: 4)
        static let recursive = Kinds(rawValue: 8)

        /// Told of the node's own creation, deletion and data.
        static let ofNode: Kinds = [.data, .persistent, .recursive]
        /// Told of the node's children and its deletion.
        static let ofChildren: Kinds = [.child, .persistent]

        func includesAny(_ other: Kinds) -> Bool { !isDisjoint(with: other) }
    }

    /// The watchers of each path, in the order of their first registration there.
    private var byPath: [NodePath: [ConnectionID]] = [:]
    private var byConnection: [ConnectionID: [NodePath: Kinds]] = [:]
    private var recursiveCount = 0
    /// As Apache counts them: a watch of the node and a watch of the children are two, a persistent one is both.
    package private(set) var watchCount = 0

    package init() {}

    package var pathCount: Int { byPath.count }
    /// Connections that watch something.
    package var connectionCount: Int { byConnection.count }

    /// Sorted by path; connections in the order of registration.
    package var watchersByPath: [(path: NodePath, connections: [ConnectionID])] {
        byPath.map { ($0.key, $0.value) }.sorted { $0.0 < $1.0 }
    }

    /// Sorted by connection, then path.
    package var pathsByConnection: [(connection: ConnectionID, paths: [NodePath])] {
        byConnection.map { ($0.key, $0.value.keys.sorted()) }.sorted { $0.0 < $1.0 }
    }

    // MARK: Registration

    /// Left by `getData` and `exists`; at a missing node it waits for the creation.
    package mutating func addDataWatch(_ connection: ConnectionID, _ path: NodePath) { add(.data, connection, path) }

    /// Left by `getChildren`.
    package mutating func addChildWatch(_ connection: ConnectionID, _ path: NodePath) { add(.child, connection, path) }

    package mutating func addPersistentWatch(_ connection: ConnectionID, _ path: NodePath, recursive: Bool) {
        add(recursive ? .recursive : .persistent, connection, path)
    }

    /// The connection is gone, and its watches with it.
    package mutating func remove(_ connection: ConnectionID) {
        guard let paths = byConnection.removeValue(forKey: connection) else { return }
        for (path, kinds) in paths {
            account(kinds, [])
            unlist(connection, path)
        }
    }

    package mutating func removeAll() { self = WatchTable() }

    package func hasWatch(_ connection: ConnectionID, _ path: NodePath, _ type: WatcherType) -> Bool {
        kinds(connection, path).includesAny(WatchTable.kinds(of: type))
    }

    /// Whether there was one.
    package mutating func removeWatch(_ connection: ConnectionID, _ path: NodePath, _ type: WatcherType) -> Bool {
        let present = kinds(connection, path)
        let removed = present.intersection(WatchTable.kinds(of: type))
        if removed.isEmpty { return false }
        set(present.subtracting(removed), connection, path)
        if kinds(connection, path).isEmpty { unlist(connection, path) }
        return true
    }

    private static func kinds(of type: WatcherType) -> Kinds {
        switch type {
        case .children: .child
        case .data: .data
        case .any: [.data, .child, .persistent, .recursive]
        case .persistent: .persistent
        case .persistentRecursive: .recursive
        }
    }

    private func kinds(_ connection: ConnectionID, _ path: NodePath) -> Kinds {
        byConnection[connection]?[path] ?? []
    }

    private mutating func add(_ kind: Kinds, _ connection: ConnectionID, _ path: NodePath) {
        let present = kinds(connection, path)
        if present.contains(kind) { return }
        if present.isEmpty { byPath[path, default: []].append(connection) }
        set(present.union(kind), connection, path)
    }

    /// Leaves `byPath` to the caller, who may be walking it.
    private mutating func set(_ kinds: Kinds, _ connection: ConnectionID, _ path: NodePath) {
        account(self.kinds(connection, path), kinds)
        byConnection[connection, default: [:]][path] = kinds.isEmpty ? nil : kinds
        if byConnection[connection]?.isEmpty == true { byConnection[connection] = nil }
    }

    private mutating func account(_ old: Kinds, _ new: Kinds) {
        for part in [Kinds.ofNode, .ofChildren] {
            watchCount += (new.includesAny(part) ? 1 : 0) - (old.includesAny(part) ? 1 : 0)
        }
        recursiveCount += (new.contains(.recursive) ? 1 : 0) - (old.contains(.recursive) ? 1 : 0)
    }

    private mutating func unlist(_ connection: ConnectionID, _ path: NodePath) {
        guard let i = byPath[path]?.firstIndex(of: connection) else { return }
        byPath[path]!.remove(at: i)
        if byPath[path]!.isEmpty { byPath[path] = nil }
    }

    // MARK: Triggering

    /// Emits the events of a transaction's changes, in the order of the changes; for one change first to those who
    /// watch the node, then to those who watch its children, then to those who watch its parent's children, each in the
    /// order of registration. A connection is told of one event once, however many watches it has.
    ///
    /// - Parameter identities: of a connection; an event goes only to those who may read the node, by the access list
    ///   that it had at that moment (ZOOKEEPER-4799). Asked only where a list is not open to all.
    package mutating func trigger(
        _ changes: [TreeChange], zxid: Zxid, identities: (ConnectionID) -> [Identity],
        emit: (ConnectionID, WatchEvent) -> Void
    ) {
        if byPath.isEmpty { return }
        func mayKnow(_ connection: ConnectionID, _ list: [AccessRight]?) -> Bool {
            list == nil || AccessControl.allows(list, .read, to: identities(connection))
        }
        for change in changes {
            let type: WatchEventType =
                switch change.kind {
                case .created: .created
                case .deleted: .deleted
                case .dataChanged: .dataChanged
                }
            var told = take(change.path, part: .ofNode, consumed: .data)
            if recursiveCount > 0 { addRecursive(above: change.path, to: &told) }
            if change.kind == .deleted { merge(take(change.path, part: .ofChildren, consumed: .child), into: &told) }
            for connection in told where mayKnow(connection, change.acl) {
                emit(connection, WatchEvent(type: type, path: change.path, zxid: zxid))
            }
            if change.kind != .dataChanged, let parent = change.path.parent {
                for connection in take(parent, part: .ofChildren, consumed: .child)
                where mayKnow(connection, change.parentACL) {
                    emit(connection, WatchEvent(type: .childrenChanged, path: parent, zxid: zxid))
                }
            }
        }
    }

    /// The connections at `path` that have a watch of `part`, without their one-shot watch `consumed` from now on.
    private mutating func take(_ path: NodePath, part: Kinds, consumed: Kinds) -> [ConnectionID] {
        guard let watchers = byPath[path] else { return [] }
        var told: [ConnectionID] = []
        var left: [ConnectionID] = []
        for connection in watchers {
            let present = kinds(connection, path)
            if present.includesAny(part) { told.append(connection) }
            let rest = present.subtracting(consumed)
            if rest != present { set(rest, connection, path) }
            if !rest.isEmpty { left.append(connection) }
        }
        if left.count != watchers.count { byPath[path] = left.isEmpty ? nil : left }
        return told
    }

    private func addRecursive(above path: NodePath, to told: inout [ConnectionID]) {
        var ancestor = path.parent
        while let here = ancestor {
            if let watchers = byPath[here] {
                merge(watchers.filter { kinds($0, here).contains(.recursive) }, into: &told)
            }
            ancestor = here.parent
        }
    }

    private func merge(_ more: [ConnectionID], into told: inout [ConnectionID]) {
        if more.isEmpty { return }
        let known = Set(told)
        for connection in more where !known.contains(connection) { told.append(connection) }
    }

    // MARK: Reconnection

    /// Registers anew what a client watched on an earlier connection. What it missed since `relativeZxid` is reported
    /// at once instead, in the order of the request (reference/zookeeper.md, 1.4); events of nodes that it may not
    /// read are withheld as in `trigger`.
    package mutating func restore(
        _ set: WatchSet, for connection: ConnectionID, identities: [Identity], tree: DataTree,
        emit: (WatchEvent) -> Void
    ) {
        func report(_ type: WatchEventType, _ path: NodePath, _ slot: NodeSlot) {
            guard slot == .none || tree.allows(slot, .read, identities) else { return }
            emit(WatchEvent(type: type, path: path, zxid: .none))
        }
        for path in set.data {
            let slot = tree.slot(of: path)
            if slot == .none {
                report(.deleted, path, slot)
            } else if tree.nodes.stat(slot).mzxid > set.relativeZxid {
                report(.dataChanged, path, slot)
            } else {
                addDataWatch(connection, path)
            }
        }
        for path in set.exist {
            let slot = tree.slot(of: path)
            if slot == .none { addDataWatch(connection, path) } else { report(.created, path, slot) }
        }
        for path in set.child {
            let slot = tree.slot(of: path)
            if slot == .none {
                report(.deleted, path, slot)
            } else if tree.nodes.stat(slot).pzxid > set.relativeZxid {
                report(.childrenChanged, path, slot)
            } else {
                addChildWatch(connection, path)
            }
        }
        for path in set.persistent { addPersistentWatch(connection, path, recursive: false) }
        for path in set.persistentRecursive { addPersistentWatch(connection, path, recursive: true) }
    }
}
