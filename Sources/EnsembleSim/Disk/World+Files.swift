import EnsembleBase
import KeeperCore
import KeeperStorage
import NIOConcurrencyHelpers

/// `files`: what a directory holds before and after its server rewrites it, by what the world itself knows of it.
extension World {
    /// An operation that no crash had to follow.
    mutating func judgeOperations(of id: ServerID) {
        guard let offence = servers[index(id)].disk.drive.offence else { return }
        checkers.fail(.files, "\(id): \(offence)")
    }

    // MARK: Starts

    /// Nobody can answer for what has rotten and looks as if it had never been written.
    mutating func prepareStart(of id: ServerID) {
        if servers[index(id)].disk.drive.hasRotThatPassesForTorn { servers[index(id)].disk.vouched = .zero }
    }

    /// A start finds what was durable before, and answers for it: a later power cut must leave it.
    mutating func judgeRecovery(of id: ServerID, _ state: RecoveredState) {
        let disk = servers[index(id)].disk
        let end = state.tree.lastProcessedZxid
        if end < disk.vouched, state.recovering, servers.count > 1, disk.drive.hasRottenSnapshotAside(behind: end) {
            // Rot may look like an end that was never written. S2: it says so, and is not counted on.
            checkers.quorum.forgot(id)
        } else if end < disk.vouched { checkers.fail(.files, "S1: \(id) starts at \(end), and its disk had \(disk.vouched) durably") }
        if !disk.drive.isDurablyAbsent(SimDisk.dataDir + "/initialize") {
            checkers.fail(.files, "S2: \(id) starts, and a later loss of its data would pass for a new member's beginning")
        }
        if servers[index(id)].isBelowFloor {
            checkers.fail(.files, "S2: \(id) starts at \(end), and its directory held more when it was looked at")
        }
        judgeState(of: id, state)
    }

    /// The log was cut; where that could not be done, what is there is as it was.
    mutating func judgeCut(of id: ServerID, _ state: RecoveredState) {
        let end = state.tree.lastProcessedZxid
        if let target = servers[index(id)].cutTarget, end != target {
            checkers.fail(.files, "\(id) was to cut its log at \(target), which it holds, and is at \(end)")
        }
        servers[index(id)].cutTarget = nil
        judgeState(of: id, state)
    }

    private mutating func judgeState(of id: ServerID, _ state: RecoveredState) {
        let i = index(id)
        let end = state.tree.lastProcessedZxid
        if servers[i].disk.end < end {
            checkers.fail(.files, "S1: \(id) starts at \(end), and its disk has \(servers[i].disk.end) durably")
        }
        servers[i].disk.vouched = end
        guard !state.recovering else { return judgeWindow(state, "the directory of \(id)") }
        judgeContent(of: id, state, "the directory of \(id)")
    }

    /// What is recovered was proposed, lacks nothing, and makes the tree of its zxid.
    ///
    /// - Parameter what: in words, what was read.
    mutating func judgeContent(of id: ServerID, _ state: RecoveredState, _ what: String) {
        judgeWindow(state, what)
        guard servers[index(id)].disk.exactFrom <= state.tree.lastProcessedZxid else { return }
        checkers.agreement.recovered(state.tree, checkers.history, what, &checkers.verdict)
    }

    private mutating func judgeWindow(_ state: RecoveredState, _ what: String) {
        let recent = state.recent.suffix(200)
        for entry in recent where !checkers.proposals.wasProposed(entry) {
            checkers.fail(.integrity, "\(what) recovers to something at \(entry.zxid) that was not proposed there")
        }
        for (entry, next) in zip(recent, recent.dropFirst()) where !checkers.proposals.isNext(next.zxid, behind: entry.zxid) {
            checkers.fail(.files, "S1: \(what) has \(next.zxid) for what came right behind \(entry.zxid)")
        }
    }

    // MARK: Rewriting

    /// Remembers whether the log can be cut where the leader says.
    mutating func prepareCut(of id: ServerID, to zxid: Zxid) {
        let i = index(id)
        servers[i].disk.vouched = min(servers[i].disk.vouched, zxid)
        servers[i].cutTarget = nil
        guard !servers[i].disk.drive.hasRot, let contents = try? servers[i].disk.contents(upTo: zxid) else { return }
        // One that passes over a newer snapshot must see by a digest that the log has led to it.
        guard servers[i].disk.isNewest(contents.tree.lastProcessedZxid, upTo: zxid) else { return }
        let end = contents.entries.last?.zxid ?? contents.tree.lastProcessedZxid
        if end == zxid { servers[i].cutTarget = zxid }
    }

    /// What a leader sent is all that counts: neither a snapshot nor a log of what the member had before is beside it.
    mutating func judgeInstallation(of id: ServerID) {
        let i = index(id)
        servers[i].disk.vouched = servers[i].disk.end
        let names = servers[i].disk.drive.durableNames(in: SimDisk.version2).compactMap { NumberedName($0) }
        let snapshots = names.filter(\.isSnapshot)
        let older = names.filter { name in !name.isSnapshot && snapshots.contains { name.zxid <= $0.zxid } }
        if snapshots.count != 1 || !older.isEmpty {
            checkers.fail(.files, "S1: \(id) has installed a tree, and beside it are \((snapshots + older).map(\.name).sorted())")
        }
    }
}

extension FaultyDisk {
    func isDurablyAbsent(_ path: String) -> Bool { state.withLockedValue { $0.names.durable[path] == nil } }

    func durableNames(in directory: String) -> [String] {
        state.withLockedValue { $0.names.names(in: directory, isDurable: true) }
    }

    func hasRottenSnapshotAside(behind end: Zxid) -> Bool {
        state.withLockedValue { state in
            let aside = SimDisk.version2 + "/" + DataLayout.setAsideName
            return state.names.names(in: aside).contains { name in
                guard let number = NumberedName(name), number.isSnapshot, number.zxid > end,
                    case .file(let file)? = state.names[aside + "/" + name]
                else { return false }
                return state.files[file]?.isRotten ?? false
            }
        }
    }

    var hasRotThatPassesForTorn: Bool {
        state.withLockedValue { state in
            guard state.files.values.contains(where: \.isRotten) else { return false }
            return state.names.names(in: SimDisk.version2).compactMap { NumberedName($0) }.contains { name in
                guard !name.isSnapshot, case .file(let number)? = state.names[name.path] else { return false }
                return state.files[number]?.mayPassForTorn ?? false
            }
        }
    }
}
