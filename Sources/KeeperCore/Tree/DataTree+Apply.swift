import EnsembleBase

extension DataTree {
    /// Applies a committed or replayed entry.
    ///
    /// Replay starts from a fuzzy snapshot, which may hold effects of entries that come only now, so nothing here is
    /// an error of the tree: a create finds its node, a delete does not, and both only move the parent forward
    /// (reference/zookeeper.md, 2.5, item 2). Once the replay has passed the end of the snapshot, the tree is exact.
    ///
    /// - Parameter changes: what happened is appended, for the watches.
    package mutating func apply(_ entry: LogEntry, changes: inout [TreeChange]) -> ApplyResult {
        let outcome: ApplyResult.Outcome
        switch entry.transaction {
        case .multi(let parts): outcome = .multi(applyMulti(parts, of: entry, &changes))
        case .createSession(let timeout):
            sessionTimeouts[entry.session] = timeout
            outcome = .sessionCreated(timeout: timeout)
        case .closeSession(let paths):
            closeSession(entry.session, paths ?? [], entry.zxid, &changes)
            outcome = .sessionClosed
        default: outcome = applySingle(entry.transaction, of: entry, &changes)
        }
        // Last: a snapshot that begins between entries is named by a zxid whose effects it holds wholly
        // (ZOOKEEPER-3127).
        if entry.zxid > lastProcessedZxid { lastProcessedZxid = entry.zxid }
        return ApplyResult(outcome)
    }

    private mutating func applySingle(
        _ transaction: Transaction, of entry: LogEntry, _ changes: inout [TreeChange]
    ) -> ApplyResult.Outcome {
        switch transaction {
        case .create(let op, let path, let data, let acl, let ephemeral, let parentCVersion, let ttl):
            let owner: NodeOwner =
                switch op {
                case .createContainer: .container
                case .createTTL: .ttl(ttl)
                default: ephemeral ? .session(entry.session) : .persistent
                }
            return create(
                path, data, acl, StoredStat(created: entry.zxid, time: entry.time, owner: owner), parentCVersion, &changes)
        case .delete(let path, _):
            return delete(path, entry.zxid, &changes) ? .deleted : .failed(.noNode)
        case .setData(let path, let data, let version):
            let slot = slot(of: path)
            if slot == .none { return .failed(.noNode) }
            var stat = nodes.stat(slot)
            stat.setData(version: version, zxid: entry.zxid, time: entry.time)
            replaceData(slot, at: path, data, stat: stat)
            changes.append(TreeChange(kind: .dataChanged, path: path, acl: access.list(nodes.aclKey(slot))))
            return .dataSet(nodes.shownStat(slot))
        case .setACL(let path, let acl, let version):
            let slot = slot(of: path)
            if slot == .none { return .failed(.noNode) }
            replaceACL(slot, acl)
            amendStat(slot) {
                $0.aversion = version
                return true
            }
            return .aclSet(nodes.shownStat(slot))
        case .check: return .checked
        case .error(let code): return .failed(KeeperError(rawValue: code) ?? .systemError)
        // Nested in a multi: no client can ask for it and no leader proposes it.
        case .multi, .createSession, .closeSession: return .failed(.marshalling)
        }
    }

    /// All or nothing: one error among the parts says that the leader refused the whole. Foreign leaders leave the
    /// innocent parts in the transaction as they were asked for.
    private mutating func applyMulti(
        _ parts: [Transaction], of entry: LogEntry, _ changes: inout [TreeChange]
    ) -> [MultiResult] {
        var results: [MultiResult] = []
        results.reserveCapacity(parts.count)
        if parts.contains(where: \.isError) {
            var failed = false
            for part in parts {
                if case .error(let code) = part {
                    results.append(.error(KeeperError(rawValue: code)))
                    failed = failed || code != 0
                } else {
                    results.append(.error(failed ? .runtimeInconsistency : nil))
                }
            }
            return results
        }
        for part in parts {
            switch applySingle(part, of: entry, &changes) {
            // Whether the stat is told depends on the request, which only the member knows that answers it.
            case .created(let path, let stat): results.append(.createWithStat(path: path, stat: stat))
            case .deleted: results.append(.delete)
            case .dataSet(let stat), .aclSet(let stat): results.append(.setData(stat))
            case .failed(let error): results.append(.error(error))
            case .checked, .multi, .sessionCreated, .sessionClosed: results.append(.check)
            }
        }
        return results
    }

    private mutating func create(
        _ path: NodePath, _ data: [UInt8]?, _ acl: [AccessRight], _ stat: StoredStat, _ parentCVersion: Int32,
        _ changes: inout [TreeChange]
    ) -> ApplyResult.Outcome {
        let parent = parentSlot(of: path)
        if parent == .none { return .failed(path.isRoot ? .nodeExists : .noNode) }
        let existing = slot(of: path)
        // Before the old reference goes: the list must not leave the table in between.
        let aclKey = access.retain(acl)
        if existing != .none {
            // Only in replay. The snapshot's key may be the stand-in for one that came too late for its table, so the
            // transaction's list is put in its place (ZOOKEEPER-3306, 4846).
            access.release(nodes.aclKey(existing))
            nodes.setACLKey(existing, aclKey)
        }
        amendStat(parent) { $0.childCreated(parentCVersion: parentCVersion, zxid: stat.czxid) }
        if existing != .none { return .failed(.nodeExists) }
        let slot = insert(path, below: parent, data: data, aclKey: aclKey, stat: stat)
        changes.append(
            TreeChange(
                kind: .created, path: path, acl: access.list(aclKey), parentACL: access.list(nodes.aclKey(parent))))
        return .created(path, nodes.shownStat(slot))
    }

    /// False if there is no such node; the parent's pzxid moves forward nevertheless.
    private mutating func delete(_ path: NodePath, _ zxid: Zxid, _ changes: inout [TreeChange]) -> Bool {
        let parent = parentSlot(of: path)
        if parent == .none { return false }
        amendStat(parent) { $0.childDeleted(zxid: zxid) }
        let slot = slot(of: path)
        if slot == .none { return false }
        removeLeftovers(below: slot, &changes)
        changes.append(
            TreeChange(
                kind: .deleted, path: path, acl: access.list(nodes.aclKey(slot)),
                parentACL: access.list(nodes.aclKey(parent))))
        remove(slot, at: path)
        return true
    }

    /// A deleted node had no children when the leader deleted it. Those that it has in a replay belong to a later node
    /// of the same path, which the fuzzy snapshot saw; the log creates them again.
    private mutating func removeLeftovers(below slot: NodeSlot, _ changes: inout [TreeChange]) {
        if nodes.childCount(slot) == 0 { return }
        var order = nodes.children(slot)
        var next = 0
        while next < order.count {
            order.append(contentsOf: nodes.children(order[next]))
            next += 1
        }
        for descendant in order.reversed() {
            let path = path(of: descendant)
            changes.append(TreeChange(kind: .deleted, path: path, acl: access.list(nodes.aclKey(descendant))))
            remove(descendant, at: path)
        }
    }

    /// Ephemerals die with their session: those that the leader listed, then whatever the session owns besides, which
    /// is what a create racing with the close, or a replay, may leave (ZOOKEEPER-2355, 4837).
    private mutating func closeSession(
        _ session: SessionID, _ listed: [NodePath], _ zxid: Zxid, _ changes: inout [TreeChange]
    ) {
        for path in listed { _ = delete(path, zxid, &changes) }
        for path in ephemeralPaths(of: session).sorted() { _ = delete(path, zxid, &changes) }
        sessionTimeouts[session] = nil
    }

    private mutating func replaceACL(_ slot: NodeSlot, _ acl: [AccessRight]) {
        let key = access.retain(acl)
        access.release(nodes.aclKey(slot))
        nodes.setACLKey(slot, key)
    }
}

extension Transaction {
    var isError: Bool {
        if case .error = self { true } else { false }
    }
}

/// The rules by which a stat changes, shared by `DataTree.apply` and the leader's prediction of it: the digest that a
/// leader announces is the digest that every member computes.
extension StoredStat {
    init(created zxid: Zxid, time: Int64, owner: NodeOwner) {
        self.init()
        czxid = zxid
        mzxid = zxid
        pzxid = zxid
        ctime = time
        mtime = time
        ephemeralOwner = owner.rawValue
    }

    mutating func setData(version: Int32, zxid: Zxid, time: Int64) {
        self.version = version
        mzxid = zxid
        mtime = time
    }

    /// The parent's part of a create. `parentCVersion` −1 stands for one more than now (transactions before 3.4).
    /// Returns whether anything changed: both fields only move forward.
    mutating func childCreated(parentCVersion: Int32, zxid: Zxid) -> Bool {
        let next = parentCVersion == -1 ? cversion &+ 1 : parentCVersion
        guard next > cversion else { return false }
        cversion = next
        pzxid = max(pzxid, zxid)
        return true
    }

    /// The parent's part of a delete.
    mutating func childDeleted(zxid: Zxid) -> Bool {
        guard zxid > pzxid else { return false }
        pzxid = zxid
        return true
    }
}
