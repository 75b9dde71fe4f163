import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage

/// A copy of a sound directory, and what has been done to it: by its disk, or by whoever has lost files of it. What a start
/// must make of it follows from what was there before.
struct HurtCopy {
    let disk: SimDisk
    /// In words.
    private(set) var hurt = ""
    /// The last transaction of which its files, as they were before bytes of them rotted, tell: a start finds all up to
    /// there, or refuses.
    private(set) var end: Zxid
    /// Who finds the newest snapshot cut short, and has peers, may do without, and says that it can't be counted on.
    private(set) var hasHurtSnapshot = false

    /// - Parameter end: of what the directory holds.
    /// - Returns: nil where there is nothing to hurt, or nothing shows that there was more.
    init?(of disk: SimDisk, endingAt end: Zxid, _ proposals: ProposalChecker, using random: inout SeededRandom) {
        self.disk = disk.copied(seed: random.next())
        self.end = end
        switch Int.random(in: 0..<6, using: &random) {
        case 0..<3: guard rotSomewhere(using: &random) else { return nil }
        case 3: guard loseLog(using: &random) else { return nil }
        default: guard loseNewest(proposals, using: &random) else { return nil }
        }
    }

    // MARK: Bytes

    /// In what a start reads, mostly.
    private mutating func rotSomewhere(using random: inout SeededRandom) -> Bool {
        let names = disk.drive.numberedNames
        let needed = names.filter { disk.drive.needs($0.path) }
        guard let name = (Int.random(in: 0..<4, using: &random) > 0 ? needed : names).randomElement(using: &random)
        else { return false }
        return rot(name, using: &random)
    }

    private mutating func rot(_ name: NumberedName, using random: inout SeededRandom) -> Bool {
        let isGentle = Int.random(in: 0..<3, using: &random) > 0
        guard let place = disk.drive.rot(gently: isGentle, where: { $0 == name.path }) else { return false }
        hurt += (hurt.isEmpty ? "" : ", and ") + "rot in \(place)"
        if name.isSnapshot { hasHurtSnapshot = true }
        return !disk.drive.hasRotThatPassesForTorn
    }

    // MARK: Files

    /// From among others.
    private mutating func loseLog(using random: inout SeededRandom) -> Bool {
        let logs = disk.drive.logsBeforeOthers
        guard let log = Bool.random(using: &random) ? logs.last : logs.randomElement(using: &random) else { return false }
        hurt = "\(log.name) lost"
        remove([log])
        return true
    }

    /// All that came behind a snapshot, which may show effects of it; or with that also what led to the snapshot, as in a
    /// directory whose server has received a tree and keeps its older files beside it (Apache's does).
    private mutating func loseNewest(_ proposals: ProposalChecker, using random: inout SeededRandom) -> Bool {
        let names = disk.drive.numberedNames
        guard let snapshot = names.filter({ $0.isSnapshot && $0.zxid > .zero }).randomElement(using: &random) else { return false }
        let losesPast = Bool.random(using: &random)
        let lost = names.filter { name in
            if name.isSnapshot || !losesPast { return name.zxid > snapshot.zxid }
            return disk.drive.lastEntry(of: name.path).map { $0 >= snapshot.zxid } ?? true
        }
        hurt = "all lost but \(names.filter { !lost.contains($0) }.map(\.name))"
        remove(lost)
        if let digest = (try? SnapshotFile.read(NumberedFile(zxid: snapshot.zxid, path: snapshot.path), in: disk.drive))?.digest {
            hurt += ", of which \(snapshot.name) is told of up to \(digest.zxid)"
        }
        end = disk.end
        // What only a snapshot had that is lost, no number need tell of: an epoch's first follows whatever is before it.
        guard let rest = try? disk.entries(behind: snapshot.zxid, upTo: end),
            proposals.isUnbroken([snapshot.zxid] + rest.map(\.zxid))
        else { return false }
        return Bool.random(using: &random) || rot(snapshot, using: &random)
    }

    private func remove(_ names: [NumberedName]) {
        var image = disk.drive.image()
        for name in names { image.files[name.path] = nil }
        disk.drive.replace(with: image)
    }
}

extension FaultyDisk {
    /// Whether a start would read it now.
    func needs(_ path: String) -> Bool {
        let names = numberedNames
        guard let newest = names.last(where: \.isSnapshot) else { return true }
        let first = names.last { !$0.isSnapshot && $0.zxid.rawValue <= newest.zxid.rawValue + 1 }?.zxid ?? .zero
        return path == newest.path || names.contains { !$0.isSnapshot && $0.zxid >= first && $0.path == path }
    }

    /// The snapshots and logs, byte for byte.
    var numberedContent: [String: DiskImage.File?] { image().files.filter { NumberedName(String(DiskNames.name(of: $0.key)))?.path == $0.key } }
}

extension SimDisk {
    /// Whether its files hold a state at `target`, by themselves, and no newer snapshot is passed over for it; and whether
    /// nothing speaks against that state. Where the last digest is not the tree's, because it was announced wrongly or the
    /// snapshot holds effects of the transaction behind its trailer's (seed 2353), what would explain it is to be cut: who
    /// refuses to call that state sound is right.
    func leads(to target: Zxid, _ proposals: ProposalChecker) -> Bool {
        guard let contents = try? contents(upTo: target), isNewest(contents.tree.lastProcessedZxid, upTo: target) else { return false }
        let path = [contents.tree.lastProcessedZxid] + contents.entries.map(\.zxid)
        guard path.last == target, proposals.isUnbroken(path) else { return false }
        var (tree, agrees) = (contents.tree, true)
        func compare(_ stated: UInt64?) { if let stated { agrees = stated == tree.digest } }
        func compareTrailer() { if contents.trailer?.zxid == tree.lastProcessedZxid { compare(contents.trailer?.digest) } }
        compareTrailer()
        var changes: [TreeChange] = []
        for entry in contents.entries {
            _ = tree.apply(entry, changes: &changes)
            compareTrailer()
            compare(entry.digest?.treeDigest)
        }
        return agrees
    }

    func isNewest(_ snapshot: Zxid, upTo end: Zxid) -> Bool {
        (try? layout.snapshots())?.first { $0.zxid <= end }?.zxid == snapshot
    }
}
