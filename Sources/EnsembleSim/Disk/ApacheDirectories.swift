import EnsembleBase
import KeeperCodec
import KeeperCore
import KeeperStorage
import NIOCore

/// The directories of one ensemble as Apache's servers leave them (Tests/KeeperStorageTests/Fixtures/README.md): a majority
/// has all that was committed, in whatever shape; others were away.
struct ApacheDirectories: Sendable {
    let past: ApachePast
    /// By member.
    private(set) var members: [ApacheMember] = []

    init(count: Int, announcesDigests: Bool, using random: inout SeededRandom) {
        past = ApachePast(isAlone: count == 1, announcesDigests: announcesDigests, using: &random)
        let whole = Set(Array(0..<count).shuffled(using: &random).prefix(count / 2 + 1))
        // The last epoch's leader may have proposed what nobody else has logged: one that has all before it.
        let lastLeader = whole.min()
        for index in 0..<count {
            members.append(ApacheMember(of: past, isWhole: whole.contains(index), led: index == lastLeader, using: &random))
        }
        for index in members.indices { members[index].takeOddSnapshot(past, using: &random) }
    }
}

/// What one member has, and in which files.
struct ApacheMember: Sendable {
    /// A log file: names are those of the first entry that was written to it.
    private struct Log: Sendable {
        var entries: [LogEntry] = []
        var tail = Tail.zeros
    }

    /// What stands behind a file's last entry.
    private enum Tail: Sendable {
        /// As far as the server allocates ahead.
        case zeros
        /// Nothing: TRUNC has cut the file there.
        case cut
        /// The beginning of an entry that was never acknowledged.
        case torn(bytes: Int)
        /// Such an entry without its last sector.
        case holed
    }

    private enum SnapshotKind: Sendable {
        case exact
        /// Nodes show so many transactions more than the name says, and the trailer tells.
        case fuzzy(Int)
        /// The one transaction behind the trailer's shows.
        case nodesAhead
        /// Saved for a SNAP: the trailer is that of nothing.
        case received
    }

    /// How many of the committed transactions it knows.
    private(set) var known: Int
    private(set) var currentEpoch: Int64
    private(set) var acceptedEpoch: Int64
    /// For people.
    private(set) var shape: String
    private(set) var image = DiskImage()
    /// What it has proposed and nobody else has.
    private let own: [LogEntry]
    /// It was brought up by a tree there.
    private var back = 0
    /// Where it has a snapshot.
    private var positions: [Int] = []

    /// - Parameter led: it proposed something in the last epoch, perhaps, that was not committed.
    fileprivate init(of past: ApachePast, isWhole: Bool, led: Bool, using random: inout SeededRandom) {
        func oneIn(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }
        known = past.committed.count
        currentEpoch = past.lastEpoch
        var own: [LogEntry] = led ? past.epochs.last?.abandoned ?? [] : []
        shape = own.isEmpty ? "whole" : "whole, and \(own.count) more"
        let lost = past.epochs.dropLast().filter { !$0.abandoned.isEmpty }
        if !isWhole, let epoch = lost.randomElement(using: &random), oneIn(2) {
            // A leader that was deposed, and has been away since.
            known = past.committed.lastIndex { $0.zxid < epoch.abandoned[0].zxid }! + 1
            currentEpoch = epoch.number
            own = epoch.abandoned
            shape = "deposed at \(own[own.count - 1].zxid)"
        } else if !isWhole {
            known = Int.random(in: 1...known, using: &random)
            currentEpoch = past.epoch(at: known)
            shape = "left at \(past.committed[known - 1].zxid)"
        }
        acceptedEpoch = currentEpoch + (isWhole || !oneIn(4) ? 0 : 1)
        self.own = own
        lay(past, using: &random)
    }

    private mutating func lay(_ past: ApachePast, using random: inout SeededRandom) {
        func oneIn(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &random) == 0 }
        let marks = past.marks.filter { $0.position <= known }
        // Away from `left` on, and back by SNAP.
        var hole: Range<Int>?
        let ends = marks.dropFirst().filter(\.isEnd)
        if let back = (oneIn(2) && !ends.isEmpty ? ends[...] : marks.dropFirst()).randomElement(using: &random), oneIn(2) {
            hole = Int.random(in: 1...back.position, using: &random)..<back.position
            shape += ", away from \(past.committed[hole!.lowerBound - 1].zxid) to \(past.committed[back.position - 1].zxid)"
        }
        var logs = files(of: past, hole, using: &random)
        var snapshots: [(mark: ApachePast.Mark, kind: SnapshotKind)] = []
        for mark in marks {
            if mark.position == hole?.upperBound { snapshots.append((mark, .received)) } else if hole?.contains(mark.position) ?? false { continue } else {
                guard mark.position == 0 || oneIn(2) else { continue }
                snapshots.append((mark, kind(at: mark.position, past, hole, using: &random)))
            }
        }
        // Purged: three snapshots are kept, and the logs that the oldest of them needs.
        if oneIn(3), snapshots.count > 1 {
            snapshots.removeFirst(max(snapshots.count - Int.random(in: 1...3, using: &random), 0))
            let oldest = snapshots[0].mark.position > 0 ? past.committed[snapshots[0].mark.position - 1].zxid : .zero
            let first = logs.lastIndex { $0.entries[0].zxid <= Zxid(rawValue: oldest.rawValue + 1) } ?? 0
            logs.removeFirst(first)
        }
        if let last = logs.indices.last {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: logs[last].tail = .torn(bytes: Int.random(in: 1...60, using: &random))
            case 1: logs[last].tail = .holed
            default: break
            }
        }
        (back, positions) = (hole?.upperBound ?? 0, snapshots.map(\.mark.position))
        put(logs, snapshots, past, using: &random)
    }

    /// One that is ahead of what the ensemble has, or of what this server's own log has.
    fileprivate mutating func takeOddSnapshot(_ past: ApachePast, using random: inout SeededRandom) {
        if !own.isEmpty {
            guard Bool.random(using: &random) else { return }
            // A candidate takes one of all that it has read, before anyone has agreed to that.
            var tree = past.tree(at: known)
            var changes: [TreeChange] = []
            for entry in own { _ = tree.apply(entry, changes: &changes) }
            replaceSnapshot(ApachePast.Mark(position: known, tree: tree), .exact, past)
            shape += ", a candidate since"
        } else if past.announcesDigests, known < past.committed.count, let mark = past.marks.last(where: { $0.position <= known }),
            positions.contains(where: { back..<mark.position ~= $0 })
        {
            // It was killed while its log was behind what others had committed and it had applied.
            let shown = known - mark.position + Int.random(in: 1...min(past.committed.count - known, 5), using: &random)
            replaceSnapshot(mark, .fuzzy(shown), past)
            shape += ", its last snapshot ahead of its log"
        }
    }

    private mutating func replaceSnapshot(_ mark: ApachePast.Mark, _ kind: SnapshotKind, _ past: ApachePast) {
        let path = SimDisk.version2 + "/snapshot." + mark.tree.lastProcessedZxid.hex
        image.files[path + ".gz"] = nil
        image.files[path] = ApacheMember.file(ApacheMember.snapshot(mark, kind, past))
    }

    /// A file changes with a start, and where a snapshot was taken; one in which TRUNC has cut something ends there.
    private func files(
        of past: ApachePast, _ hole: Range<Int>?, using random: inout SeededRandom
    ) -> [Log] {
        var logs: [Log] = []
        for position in 0..<known where !(hole?.contains(position) ?? false) {
            let entry = past.committed[position]
            let isBehindHole = position == hole?.upperBound
            let isCut = !isBehindHole && position > 0 && entry.zxid.counter == 1
                && past.epochs.contains { $0.predecessor < entry.zxid && !$0.abandoned.isEmpty } && Int.random(in: 0..<3, using: &random) == 0
            // Apache's server goes on in the same file behind a SNAP, or in another one if it was started in between.
            let begins = Int.random(in: 0..<(isBehindHole ? 2 : 40), using: &random) == 0
            if isCut, !logs.isEmpty { logs[logs.count - 1].tail = .cut }
            if logs.isEmpty || isCut || begins { logs.append(Log()) }
            logs[logs.count - 1].entries.append(entry)
        }
        if !own.isEmpty {
            if logs.isEmpty { logs.append(Log()) }
            logs[logs.count - 1].entries += own
        }
        return logs
    }

    private func kind(
        at position: Int, _ past: ApachePast, _ hole: Range<Int>?, using random: inout SeededRandom
    ) -> SnapshotKind {
        // What it shows beyond its name must stand in this member's log.
        let end = hole.map { $0.lowerBound > position ? $0.lowerBound : known } ?? known
        switch Int.random(in: 0..<4, using: &random) {
        case 0 where position > 0 && position < end: return .nodesAhead
        case 1 where position < end: return .fuzzy(Int.random(in: 1...min(end - position, 6), using: &random))
        default: return .exact
        }
    }

    // MARK: Bytes

    private mutating func put(
        _ logs: [Log], _ snapshots: [(mark: ApachePast.Mark, kind: SnapshotKind)], _ past: ApachePast,
        using random: inout SeededRandom
    ) {
        let directory = SimDisk.dataDir + "/version-2"
        image.files[SimDisk.dataDir] = .some(nil)
        image.files[directory] = .some(nil)
        for log in logs where !log.entries.isEmpty {
            image.files[directory + "/log." + log.entries[0].zxid.hex] = ApacheMember.file(log)
        }
        for (mark, kind) in snapshots {
            let isPacked = Int.random(in: 0..<5, using: &random) == 0
            let bytes = ApacheMember.snapshot(mark, kind, past)
            image.files[directory + "/snapshot." + mark.tree.lastProcessedZxid.hex + (isPacked ? ".gz" : "")] = .some(
                ApacheMember.file(isPacked ? ApacheMember.packed(bytes) : bytes))
        }
        // A server that stands alone has none.
        guard past.lastEpoch > 0 else { return }
        image.files[directory + "/currentEpoch"] = ApacheMember.file(Array(String(currentEpoch).utf8))
        image.files[directory + "/acceptedEpoch"] = ApacheMember.file(Array(String(acceptedEpoch).utf8))
    }

    private static func file(_ bytes: [UInt8]) -> DiskImage.File { DiskImage.File(bytes: bytes, size: bytes.count) }

    private static func file(_ log: Log) -> DiskImage.File {
        var bytes = FileHeader.log.encoded()
        for entry in log.entries { LogFormat.append(payload: entry.payload, to: &bytes) }
        let next = Zxid(rawValue: log.entries[log.entries.count - 1].zxid.rawValue + 1)
        var torn: [UInt8] = []
        LogFormat.append(
            payload: LogEntry(
                session: 7, cxid: 7, zxid: next, time: 1,
                transaction: .setData(path: "/k0", data: Array(repeating: 1, count: 1_500), version: 7)).encoded(), to: &torn)
        switch log.tail {
        case .cut: return file(bytes)
        case .zeros: break
        case .torn(let count): bytes += torn.prefix(count)
        case .holed:
            let end = (bytes.count + torn.count - 1) / DiskFile.sector * DiskFile.sector
            bytes += torn.prefix(end - bytes.count)
        }
        return DiskImage.File(bytes: bytes, size: (bytes.count + 0xffff) & ~0xffff)
    }

    private static func snapshot(_ mark: ApachePast.Mark, _ kind: SnapshotKind, _ past: ApachePast) -> [UInt8] {
        var shown = mark.tree
        var trailer = SnapshotDigest(zxid: shown.lastProcessedZxid, digest: shown.digest)
        var changes: [TreeChange] = []
        switch kind {
        // Apache's server has noted none before its first transaction.
        case .exact: if mark.position == 0 { trailer = SnapshotDigest(zxid: .zero, digest: 0) }
        case .received: trailer = SnapshotDigest(zxid: .zero, digest: 0)
        case .nodesAhead: _ = shown.apply(past.committed[mark.position], changes: &changes)
        case .fuzzy(let count):
            for entry in past.committed[mark.position..<mark.position + count] { _ = shown.apply(entry, changes: &changes) }
            trailer = SnapshotDigest(zxid: shown.lastProcessedZxid, digest: shown.digest)
        }
        var sealer = SnapshotSealer()
        var encoder = TreeEncoder(of: shown)
        var bytes = sealer.header()
        while !encoder.isEnded {
            let chunk = encoder.next(from: shown)
            sealer.cover(chunk)
            bytes += Array(chunk.readableBytesView)
        }
        return bytes + sealer.trailer(digest: past.announcesDigests ? trailer : nil)
    }

    /// RFC 1952 and 1951, in stored blocks: as valid as any.
    private static func packed(_ bytes: [UInt8]) -> [UInt8] {
        var packed: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0]
        var rest = bytes[...]
        repeat {
            let block = rest.prefix(0xffff)
            rest = rest.dropFirst(block.count)
            packed.append(rest.isEmpty ? 1 : 0)
            for number in [UInt16(block.count), ~UInt16(block.count)] { packed += [UInt8(number & 0xff), UInt8(number >> 8)] }
            packed += block
        } while !rest.isEmpty
        var checksum = Checksum()
        checksum.update(bytes[...])
        for number in [checksum.value, UInt32(truncatingIfNeeded: bytes.count)] {
            for shift in [0, 8, 16, 24] as [UInt32] { packed.append(UInt8(truncatingIfNeeded: number >> shift)) }
        }
        return packed
    }
}

extension World {
    /// Every member is given the directory that an Apache server had. What that ensemble has committed was acknowledged.
    mutating func takeOverFromApache() {
        var random = SeededRandom(seed: plan.seed ^ 0xa9ac)
        var others = SeededRandom(seed: plan.seed ^ 0xa9ad)
        let announcesDigests = Int.random(in: 0..<4, using: &others) > 0
        let directories = ApacheDirectories(count: servers.count, announcesDigests: announcesDigests, using: &random)
        checkers.begin(with: directories.past)
        for (i, member) in directories.members.enumerated() {
            let id = servers[i].id
            servers[i].disk.drive.replace(with: member.image)
            // Nothing says how far its snapshots were fuzzy: not beyond what it has.
            if !announcesDigests { servers[i].disk.exactFrom = directories.past.committed[member.known - 1].zxid }
            checkers.quorum.begins(id, promised: member.acceptedEpoch)
            record("\(id) was Apache's: \(member.shape), epoch \(member.currentEpoch)")
        }
    }
}
