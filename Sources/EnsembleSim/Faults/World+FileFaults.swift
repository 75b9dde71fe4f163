import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOConcurrencyHelpers

/// Faults of worlds with small files (`Plan.smallFiles`): crashes in the midst of what rewrites a directory, and directories
/// as others leave them.
extension World {
    // MARK: Crashes

    /// Whether the process dies within this piece of a lane's work.
    mutating func diesAtWork(on lane: SimLane, _ id: ServerID) -> Bool {
        guard plan.smallFiles, faultsEnabled else { return false }
        let odds: Int
        switch lane.name {
        case "log": odds = 1_500
        case "snapshot": odds = 100
        case "disk": odds = servers[index(id)].isRewriting ? 4 : 24
        default: return false
        }
        return Int.random(in: 0..<odds, using: &fileRandom) == 0
    }

    /// Between any two operations that change something.
    mutating func die(atWorkOn lane: SimLane, of id: ServerID, _ hands: SimHands) {
        let most = lane.name == "log" ? 3 : 24
        servers[index(id)].disk.drive.faults.changesLeft = Int.random(in: 0...most, using: &fileRandom)
        _ = hands.turn(lane)
        record("\(id) dies at work on its files")
        crashAndRestart(id)
    }

    // MARK: What is lost

    /// The database is gone and the epochs are not: no `initialize` makes a new member of it (S2).
    mutating func loseDatabase(of id: ServerID) {
        let drive = servers[index(id)].disk.drive
        var image = drive.image()
        let kept = ["acceptedEpoch", "currentEpoch", "recovering"].map { SimDisk.version2 + "/" + $0 }
        image.files = image.files.filter { [SimDisk.dataDir, SimDisk.version2].contains($0.key) || kept.contains($0.key) }
        servers[index(id)].disk.lose()
        drive.replace(with: image)
        if servers[index(id)].disk.acceptedEpoch > 0 { setInitialize(of: id, true) }
    }

    /// A log is gone from among others, where their numbers show it.
    mutating func loseLog(of id: ServerID) -> Bool {
        let drive = servers[index(id)].disk.drive
        guard let log = drive.logsBeforeOthers.randomElement(using: &fileRandom) else { return false }
        crash(id)
        record("\(id) loses \(log.name)")
        var image = drive.image()
        image.files[log.path] = nil
        drive.replace(with: image)
        servers[index(id)].disk.lacksLog = true
        schedule(.restart(id), in: .milliseconds(Int64.random(in: 10...1_000, using: &fileRandom)))
        return true
    }

    // MARK: What Apache's server leaves

    /// Behind a tree that came from a leader its older files stay, and its learner may go on in the log that it had (the
    /// fixtures of Tests/KeeperStorageTests): ours moves them out of the way. While the process is down they are put back.
    mutating func leaveAsApache(_ id: ServerID) {
        guard plan.smallFiles, faultsEnabled, Int.random(in: 0..<2, using: &fileRandom) == 0 else { return }
        let drive = servers[index(id)].disk.drive
        let aside = SimDisk.version2 + "/" + DataLayout.setAsideName
        guard let oldest = drive.numberedNames.first(where: \.isSnapshot), !drive.sees(SimDisk.version2 + "/installation")
        else { return }
        var end = Zxid.zero
        var log: NumberedName?
        do throws(StorageError) {
            for name in drive.numberedNames(in: aside) where !name.isSnapshot && !drive.sees(name.path) {
                guard let last = try lastEntry(of: aside + "/" + name.name, drive), last.zxid < oldest.zxid,
                    checkers.history.entry(at: last.zxid) == last
                else { continue }
                try drive.move(aside + "/" + name.name, to: name.path)
                (end, log) = (max(end, last.zxid), name)
            }
            guard let log else { return }
            for name in drive.numberedNames(in: aside) where name.isSnapshot && !drive.sees(name.path) {
                guard name.zxid < oldest.zxid else { continue }
                let file = NumberedFile(zxid: name.zxid, path: aside + "/" + name.name)
                guard let snapshot = try? SnapshotFile.read(file, in: drive), let digest = snapshot.digest, digest.zxid <= end
                else { continue }
                try drive.move(file.path, to: name.path)
            }
            // A directory that is laid out anew is no longer known to have rotten.
            if Bool.random(using: &fileRandom), !drive.hasRot { try goOn(in: log, behind: oldest, drive) }
            record("\(id) has the files that Apache's server would have left, from \(log.name)")
            // Whoever moved them has synced them.
            drive.writeBack()
        } catch {
            // What was hurt before it was set aside is nobody's to put back.
            drive.writeBack()
        }
    }

    private func entries(of path: String, _ drive: FaultyDisk) throws(StorageError) -> [LogEntry] {
        var entries: [LogEntry] = []
        _ = try LogFileContent(NumberedFile(zxid: .zero, path: path), in: drive).forEachEntry { entry, _ throws(StorageError) in
            entries.append(entry)
            return true
        }
        return entries
    }

    private func lastEntry(of path: String, _ drive: FaultyDisk) throws(StorageError) -> LogEntry? {
        try entries(of: path, drive).last
    }

    /// The entries behind the tree stand in the same file as those before it, and nothing says where it is durable.
    private func goOn(in log: NumberedName, behind snapshot: NumberedName, _ drive: FaultyDisk) throws(StorageError) {
        // It goes on in its newest file.
        guard let next = drive.numberedNames.first(where: { !$0.isSnapshot && $0.zxid > log.zxid }), next.zxid > snapshot.zxid
        else { return }
        var bytes = FileHeader.log.encoded()
        for entry in try entries(of: log.path, drive) + entries(of: next.path, drive) {
            LogFormat.append(payload: entry.payload, to: &bytes)
        }
        var image = drive.image()
        image.files[log.path] = DiskImage.File(bytes: bytes, size: bytes.count)
        image.files[next.path] = nil
        drive.replace(with: image)
    }
}

extension FaultyDisk {
    /// Oldest first, the snapshots before the logs.
    var numberedNames: [NumberedName] { numberedNames(in: SimDisk.version2) }

    func numberedNames(in directory: String) -> [NumberedName] {
        state.withLockedValue { $0.names.names(in: directory) }.compactMap { NumberedName($0) }
            .sorted { ($0.isSnapshot ? 0 : 1, $0.zxid) < ($1.isSnapshot ? 0 : 1, $1.zxid) }
    }

    /// The logs of which the next one's number says that something was before it.
    var logsBeforeOthers: [NumberedName] {
        let logs = numberedNames.filter { !$0.isSnapshot }
        return zip(logs, logs.dropFirst()).filter { log, next in
            lastEntry(of: log.path).map { next.zxid.isNext(after: $0) } ?? false
        }.map(\.0)
    }

    func lastEntry(of path: String) -> Zxid? {
        state.withLockedValue { state in
            guard case .file(let number)? = state.names[path], let file = state.files[number] else { return nil }
            return LogTail.last(of: file)
        }
    }
}
