import EnsembleBase

/// What a read or watch request is answered.
package struct ReadAnswer: Hashable, Sendable {
    package var error: KeeperError?
    package var body: ResponseBody
    /// To be sent before the reply: what a reconnected client missed.
    package var events: [WatchEvent]

    package init(error: KeeperError? = nil, body: ResponseBody = .none, events: [WatchEvent] = []) {
        self.error = error
        self.body = body
        self.events = events
    }
}

/// Answers the requests that change nothing but watches, from the tree as it is.
package struct ReadProcessing: Sendable {
    package let connection: ConnectionID
    package let session: SessionID
    package let identities: [Identity]
    /// Bytes of data and names in one answer to a multiRead.
    package let multiReadLimit: Int

    package init(
        connection: ConnectionID, session: SessionID, identities: [Identity],
        multiReadLimit: Int = ReadProcessing.standardMultiReadLimit
    ) {
        self.multiReadLimit = multiReadLimit
        self.connection = connection
        self.session = session
        self.identities = identities
    }

    /// - Returns: `unimplemented` for requests that are no reads; the caller routes writes, `sync` and `auth` elsewhere.
    package func answer(_ request: Request, tree: DataTree, watches: inout WatchTable) -> ReadAnswer {
        do throws(KeeperError) {
            switch request {
            case .setWatches(let set, _):
                var events: [WatchEvent] = []
                watches.restore(set, for: connection, identities: identities, tree: tree) { events.append($0) }
                return ReadAnswer(events: events)
            default:
                return ReadAnswer(body: try body(for: request, tree, &watches))
            }
        } catch {
            return ReadAnswer(error: error)
        }
    }

    private func body(
        for request: Request, _ tree: DataTree, _ watches: inout WatchTable
    ) throws(KeeperError) -> ResponseBody {
        switch request {
        case .ping: return .none
        case .exists(let path, let watch): return try exists(path, watch, tree, &watches)
        case .getData(let path, let watch):
            let slot = try readable(path, tree)
            if watch { watches.addDataWatch(connection, path) }
            return .data(tree.nodes.data(slot), tree.nodes.shownStat(slot))
        case .getChildren(let path, let watch):
            let slot = try readable(path, tree)
            if watch { watches.addChildWatch(connection, path) }
            return .children(tree.childNames(slot))
        case .getChildren2(let path, let watch):
            let slot = try readable(path, tree)
            if watch { watches.addChildWatch(connection, path) }
            return .childrenAndStat(tree.childNames(slot), tree.nodes.shownStat(slot))
        case .getACL(let path): return try accessList(path, tree)
        case .multiRead(let parts): return .multi(try readAll(parts, tree))
        case .getAllChildrenNumber(let path):
            _ = try readable(path, tree)
            return .count(Int32(truncatingIfNeeded: tree.descendantCount(path) ?? 0))
        case .getEphemerals(let prefix): return .paths(ephemerals(prefix, tree))
        case .whoAmI: return .identities(AccessControl.userNames(identities))
        case .malformed: throw .marshalling
        case .reconfig: throw .reconfigDisabled
        case .addWatch(let path, let recursive):
            watches.addPersistentWatch(connection, path, recursive: recursive)
            return .errorCode(0)
        case .checkWatches(let path, let type):
            guard watches.hasWatch(connection, path, type) else { throw .noWatcher }
            return .none
        case .removeWatches(let path, let type):
            guard watches.removeWatch(connection, path, type) else { throw .noWatcher }
            return .none
        default: throw .unimplemented
        }
    }

    /// The watch is left on a missing node, too: it fires when the node is created.
    private func exists(
        _ path: NodePath, _ watch: Bool, _ tree: DataTree, _ watches: inout WatchTable
    ) throws(KeeperError) -> ResponseBody {
        let slot = tree.slot(of: path)
        if slot == .none {
            // Other paths that can't be are merely missing, as for every read.
            guard !path.bytes.contains(0) else { throw .badArguments }
            if watch { watches.addDataWatch(connection, path) }
            throw .noNode
        }
        guard tree.allows(slot, .read, identities) else { throw .noAuth }
        if watch { watches.addDataWatch(connection, path) }
        return .stat(tree.nodes.shownStat(slot))
    }

    /// Needs READ or ADMIN; without ADMIN the hashes of `digest` ids are masked (reference/zookeeper.md, 1.6).
    private func accessList(_ path: NodePath, _ tree: DataTree) throws(KeeperError) -> ResponseBody {
        let slot = tree.slot(of: path)
        guard slot != .none else { throw .noNode }
        guard tree.allows(slot, [.read, .admin], identities) else { throw .noAuth }
        let list = tree.access.list(tree.nodes.aclKey(slot)) ?? AccessRight.openToAll
        let isAdmin = tree.allows(slot, .admin, identities)
        return .acl(isAdmin ? list : AccessControl.masked(list), tree.nodes.shownStat(slot))
    }

    /// - Throws: `marshalling` if the answer were too long: a request of a megabyte can ask fifty thousand times for the
    ///   same megabyte.
    private func readAll(_ parts: [Request], _ tree: DataTree) throws(KeeperError) -> [MultiResult] {
        var results: [MultiResult] = []
        var size = 0
        for part in parts {
            let result = try read(part, tree)
            switch result {
            case .getData(let data, _): size += data?.count ?? 0
            case .getChildren(let names): size += names.reduce(0) { $0 + 4 + $1.bytes.count }
            default: break
            }
            guard size <= multiReadLimit else { throw .marshalling }
            results.append(result)
        }
        return results
    }

    /// No client takes more by its standard settings; with a larger `jute.maxbuffer` more is allowed.
    package static let standardMultiReadLimit = 8 << 20

    /// One part of a multiRead: it succeeds or fails alone.
    private func read(_ part: Request, _ tree: DataTree) throws(KeeperError) -> MultiResult {
        let path: NodePath
        switch part {
        case .getData(let p, _), .getChildren(let p, _): path = p
        default: throw .marshalling
        }
        do throws(KeeperError) {
            let slot = try readable(path, tree)
            if case .getChildren = part { return .getChildren(tree.childNames(slot)) }
            return .getData(tree.nodes.data(slot), tree.nodes.shownStat(slot))
        } catch {
            return .error(error)
        }
    }

    private func ephemerals(_ prefix: NodePath, _ tree: DataTree) -> [NodePath] {
        let own = tree.ephemeralPaths(of: session)
        // A prefix of the text, not of the components, as in Apache's server.
        if prefix.bytes.isEmpty || prefix.isRoot { return own }
        return own.filter { $0.bytes.starts(with: prefix.bytes) }
    }

    private func readable(_ path: NodePath, _ tree: DataTree) throws(KeeperError) -> NodeSlot {
        let slot = tree.slot(of: path)
        guard slot != .none else { throw .noNode }
        guard tree.allows(slot, .read, identities) else { throw .noAuth }
        return slot
    }
}
