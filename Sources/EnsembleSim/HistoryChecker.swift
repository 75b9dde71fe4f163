import EnsembleBase
import KeeperCore

/// What must hold of every run: agreement on each zxid, equal trees at equal zxids, acknowledged writes kept.
package struct HistoryChecker: Sendable {
    /// The first thing that was found wrong.
    package private(set) var violation: String?
    /// What a member has applied at each zxid, by digest: all must agree.
    private var digests: [Zxid: UInt64] = [:]
    private var lastSeen: [ServerID: Zxid] = [:]
    /// Paths whose creation was acknowledged and that nobody deletes.
    package private(set) var acknowledgedPaths: [NodePath] = []
    package private(set) var operations = 0
    /// The highest epoch in which some member served, by member: a leader per epoch.
    private var leaders: [Int64: ServerID] = [:]

    mutating func fail(_ what: String) {
        if violation == nil { violation = what }
    }

    /// Looks at a member after a step.
    mutating func observe(_ id: ServerID, _ machine: KeeperMachine) {
        let status = machine.status
        guard status.serving else {
            lastSeen[id] = nil
            return
        }
        if status.role == .leading {
            let epoch = status.currentEpoch
            if let other = leaders[epoch], other != id { fail("\(other) and \(id) both lead epoch \(epoch)") }
            leaders[epoch] = id
        }
        let zxid = machine.tree.lastProcessedZxid
        guard lastSeen[id] != zxid else { return }
        if let last = lastSeen[id], zxid < last { fail("\(id) went back from \(last) to \(zxid) while serving") }
        lastSeen[id] = zxid
        if let digest = digests[zxid] {
            if digest != machine.tree.digest { fail("\(id) has another tree at \(zxid)") }
        } else {
            digests[zxid] = machine.tree.digest
        }
    }

    /// A client was told that its request succeeded.
    mutating func acknowledged(_ request: Request, _ body: ResponseBody, at zxid: Zxid) {
        operations += 1
        switch request {
        case .create(let create) where create.flags == 0: acknowledgedPaths.append(create.path)
        case .multi(let parts):
            guard case .multi(let results) = body else { return }
            for (part, result) in zip(parts, results) {
                if case .create(let create) = part, case .create = result { acknowledgedPaths.append(create.path) }
            }
        default: break
        }
    }

    /// S1: after the faults, every member that serves has every acknowledged write.
    mutating func checkDurability(of tree: DataTree, at id: ServerID) {
        for path in acknowledgedPaths where !tree.contains(path) {
            return fail("S1: \(path) was acknowledged, and \(id) does not have it")
        }
    }
}
