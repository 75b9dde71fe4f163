import EnsembleBase
import KeeperCore

/// `watches`, for one connection: each fires once, in order, and before any reply that shows what it tells of.
///
/// It walks the committed history from where a watch was left, and knows from it every event that is due by a zxid.
struct WatchChecker: Sendable {
    struct Kinds: OptionSet, Sendable {
        let rawValue: UInt8
        static let data = Kinds(rawValue: 1)
        static let child = Kinds(rawValue: 2)
        static let persistent = Kinds(rawValue: 4)
        static let recursive = Kinds(rawValue: 8)
    }

    private struct Due: Sendable {
        var event: WatchEvent
        /// Whether the server may not know yet that the client may be told.
        var isOptional: Bool
    }

    private(set) var watches: [NodePath: Kinds] = [:]
    /// How much of the history has been walked.
    private var position = 0
    private var due = FIFO<Due>()
    /// Told without a zxid, in answer to setWatches.
    private var restored: [WatchEvent] = []

    mutating func add(_ kind: Kinds, _ path: NodePath, at zxid: Zxid, _ history: CommittedHistory) {
        if watches.isEmpty { position = history.position(of: zxid) ?? position }
        watches[path, default: []].insert(kind)
    }

    /// removeWatches is answered: it takes away what is there, and says so.
    mutating func removed(_ path: NodePath, _ type: WatcherType, _ error: KeeperError?, who: Int, _ verdict: inout Verdict) {
        checked(path, type, error, who: who, &verdict)
        if error == nil { consume(WatchChecker.kinds(of: type), path) }
    }

    func checked(_ path: NodePath, _ type: WatcherType, _ error: KeeperError?, who: Int, _ verdict: inout Verdict) {
        let isThere = !(watches[path] ?? []).isDisjoint(with: WatchChecker.kinds(of: type))
        if error != (isThere ? nil : .noWatcher) {
            verdict.fail(.watches, "client \(who): of watches on \(path) is said \(error.map { "\($0)" } ?? "that they are there"), and there are \(isThere ? "some" : "none")")
        }
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

    /// - Parameter identities: what the client has sent its credentials for, as of now.
    mutating func received(
        _ event: WatchEvent, _ history: CommittedHistory, _ identities: [Identity], who: Int, _ verdict: inout Verdict
    ) {
        guard event.zxid != .none else { return restored.append(event) }
        // Everything of earlier transactions must have been told before.
        walk(upTo: event.zxid, history, identities)
        while let first = due.first, first.isOptional, first.event != event { _ = due.popFirst() }
        guard let expected = due.popFirst()?.event else {
            return verdict.fail(.watches, "client \(who): \(event.type) of \(event.path) at \(event.zxid), and nothing is due")
        }
        if expected != event {
            verdict.fail(.watches, "client \(who): \(event), and \(expected) is due")
        }
    }

    mutating func replied(
        at zxid: Zxid, _ history: CommittedHistory, _ identities: [Identity], who: Int, _ verdict: inout Verdict
    ) {
        walk(upTo: zxid, history, identities)
        while due.first?.isOptional ?? false { _ = due.popFirst() }
        if let missing = due.first?.event {
            verdict.fail(.watches, "client \(who): a reply at \(zxid) comes before \(missing)")
        }
    }

    private mutating func walk(upTo zxid: Zxid, _ history: CommittedHistory, _ identities: [Identity]) {
        guard !watches.isEmpty, let end = history.position(of: zxid), position < end else { return }
        while position < end {
            let zxid = history.entries[position].zxid
            for change in history.changes[position] {
                let rights = history.rights(of: change.path, at: zxid)
                trigger(
                    change, at: zxid, isOptional: !WriteOracle.grants(rights, .read, to: SimClient.anyone),
                    isWithheld: !WriteOracle.grants(rights, .read, to: identities))
            }
            position += 1
        }
    }

    /// - Parameters:
    ///   - isOptional: whether only some may read the node.
    ///   - isWithheld: whether the client may not (ZOOKEEPER-4799).
    private mutating func trigger(_ change: TreeChange, at zxid: Zxid, isOptional: Bool, isWithheld: Bool) {
        let here = watches[change.path] ?? []
        var isTold = !here.isDisjoint(with: [.data, .persistent, .recursive])
        if change.kind == .deleted, here.contains(.child) { isTold = true }
        var ancestor = change.path.parent
        while !isTold, let path = ancestor {
            isTold = watches[path]?.contains(.recursive) ?? false
            ancestor = path.parent
        }
        if isTold, !isWithheld {
            let type: WatchEventType =
                switch change.kind {
                case .created: .created
                case .deleted: .deleted
                case .dataChanged: .dataChanged
                }
            due.append(Due(event: WatchEvent(type: type, path: change.path, zxid: zxid), isOptional: isOptional))
        }
        consume(change.kind == .deleted ? [.data, .child] : .data, change.path)
        guard change.kind != .dataChanged, let parent = change.path.parent else { return }
        if !(watches[parent] ?? []).isDisjoint(with: [.child, .persistent]) {
            due.append(Due(event: WatchEvent(type: .childrenChanged, path: parent, zxid: zxid), isOptional: false))
            consume(.child, parent)
        }
    }

    private mutating func consume(_ kinds: Kinds, _ path: NodePath) {
        guard let present = watches[path] else { return }
        let rest = present.subtracting(kinds)
        watches[path] = rest.isEmpty ? nil : rest
    }

    /// setWatches is answered at `zxid`: what was missed is told before it, the rest is watched from now on.
    mutating func restoredWatches(
        _ set: WatchSet, at zxid: Zxid, _ history: CommittedHistory, who: Int, _ verdict: inout Verdict
    ) {
        var expected: [WatchEvent] = []
        position = history.position(of: zxid) ?? position
        // It is the first request of a connection, so that nothing is proved yet.
        func mayKnow(_ path: NodePath) -> Bool {
            WriteOracle.grants(history.rights(of: path, at: zxid), .read, to: SimClient.anyone)
        }
        for path in set.data {
            if let last = history.lastChange(of: path, upTo: zxid), last.kind != .deleted {
                if last.zxid > set.relativeZxid {
                    if mayKnow(path) { expected.append(WatchEvent(type: .dataChanged, path: path, zxid: .none)) }
                } else {
                    watches[path, default: []].insert(.data)
                }
            } else {
                expected.append(WatchEvent(type: .deleted, path: path, zxid: .none))
            }
        }
        for path in set.exist {
            if history.exists(path, at: zxid) {
                if mayKnow(path) { expected.append(WatchEvent(type: .created, path: path, zxid: .none)) }
            } else {
                watches[path, default: []].insert(.data)
            }
        }
        for path in set.child {
            if !history.exists(path, at: zxid) {
                expected.append(WatchEvent(type: .deleted, path: path, zxid: .none))
            } else if history.lastChildChange(of: path, upTo: zxid) > set.relativeZxid {
                expected.append(WatchEvent(type: .childrenChanged, path: path, zxid: .none))
            } else {
                watches[path, default: []].insert(.child)
            }
        }
        for path in set.persistent { watches[path, default: []].insert(.persistent) }
        for path in set.persistentRecursive { watches[path, default: []].insert(.recursive) }
        if restored != expected {
            verdict.fail(.watches, "client \(who): on setWatches at \(zxid) came \(restored), due were \(expected)")
        }
        restored.removeAll()
    }

    /// What the client asks for on its next connection.
    func watchSet(relativeTo zxid: Zxid, _ history: CommittedHistory) -> WatchSet {
        var set = WatchSet(relativeZxid: zxid)
        for path in watches.keys.sorted() {
            let kinds = watches[path]!
            if kinds.contains(.data) {
                if history.exists(path, at: zxid) { set.data.append(path) } else { set.exist.append(path) }
            }
            if kinds.contains(.child) { set.child.append(path) }
            if kinds.contains(.persistent) { set.persistent.append(path) }
            if kinds.contains(.recursive) { set.persistentRecursive.append(path) }
        }
        return set
    }
}
