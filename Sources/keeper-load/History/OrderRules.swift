/// Rules that compare what different sessions were told.
extension HistoryChecker {
    private struct VersionOfKey: Hashable {
        var key: String
        var version: Int32
    }

    /// linearizableWrites: every version of a node is written once, by a later transaction than the one before it, and
    /// looks the same to everybody. A swap is refused only if somebody may have been faster.
    func checkVersions() -> [String] {
        var violations: [String] = []
        var known: [VersionOfKey: HistoryRecord] = [:]
        for record in records where record.outcome == .ok && [.set, .swap, .get].contains(record.action) && record.owner ?? 0 == 0 {
            guard let version = record.version, record.zxid != nil else { continue }
            if record.action == .swap, let expected = record.expected, version != expected &+ 1 {
                violations.append("linearizableWrites: \(record.key): version \(expected) was replaced, and the new one is \(version)")
            }
            let place = VersionOfKey(key: record.key, version: version)
            if let other = known[place] {
                let areBothWrites = record.action != .get && other.action != .get
                if areBothWrites || other.zxid != record.zxid || other.value != record.value {
                    violations.append(
                        "linearizableWrites: version \(version) of \(record.key) is \(text(other.value)) of \(hex(other.zxid ?? 0)) "
                            + "and \(text(record.value)) of \(hex(record.zxid ?? 0))")
                }
                if other.action != .get { continue }
            }
            known[place] = record
        }
        var last: [String: HistoryRecord] = [:]
        for place in known.keys.sorted(by: { ($0.key, $0.version) < ($1.key, $1.version) }) {
            guard let record = known[place] else { continue }
            if let before = last[place.key], (before.zxid ?? 0) >= (record.zxid ?? 0) {
                violations.append(
                    "linearizableWrites: \(place.key): version \(place.version) is of \(hex(record.zxid ?? 0)), an earlier one of "
                        + hex(before.zxid ?? 0))
            }
            last[place.key] = record
        }
        return Array(violations.prefix(Self.reportLimit)) + checkRefusals()
    }

    private func checkRefusals() -> [String] {
        // By key: swaps that may have happened, by the version that they replace.
        var attempts: [String: [Int32: Int64]] = [:]
        // When a version was first acknowledged.
        var established: [VersionOfKey: Int64] = [:]
        for record in records where record.action == .swap || record.action == .set {
            if record.outcome != .fail {
                let expected = record.expected ?? .max
                attempts[record.key, default: [:]][expected] = min(attempts[record.key]?[expected] ?? .max, record.start)
            }
            guard record.outcome == .ok, let version = record.version else { continue }
            let place = VersionOfKey(key: record.key, version: version)
            established[place] = min(established[place] ?? .max, record.end)
        }
        // The earliest attempt to replace a version or any later one.
        let earliest = attempts.mapValues { byVersion in
            var lowest = Int64.max
            return byVersion.sorted { $0.key > $1.key }.map { version, start in
                lowest = min(lowest, start)
                return (version: version, start: lowest)
            }
        }
        var violations: [String] = []
        for record in records where record.action == .swap && record.outcome == .fail && record.error == "badVersion" {
            guard let expected = record.expected,
                let since = established[VersionOfKey(key: record.key, version: expected)], since < record.start
            else { continue }
            // Sorted by falling version: the last of those that are high enough includes the others.
            let rivals = earliest[record.key] ?? []
            var low = 0
            var high = rivals.count
            while low < high {
                let middle = (low + high) / 2
                if rivals[middle].version >= expected { low = middle + 1 } else { high = middle }
            }
            if low == 0 || rivals[low - 1].start > record.end {
                violations.append("linearizableWrites: \(record.key): version \(expected) was refused, and nobody had replaced it")
            }
            if violations.count >= Self.reportLimit { break }
        }
        return violations
    }

    /// linearizableWrites: names of sequential nodes are given once, and rise with their transactions.
    func checkSequence() -> [String] {
        var violations: [String] = []
        var last: [Substring: (zxid: Int64, number: Int)] = [:]
        let made = records.filter { $0.action == .sequence && $0.outcome == .ok }.sorted { ($0.zxid ?? 0) < ($1.zxid ?? 0) }
        for record in made where violations.count < Self.reportLimit {
            guard let zxid = record.zxid, let number = Int(record.key.suffix(10)) else {
                violations.append("linearizableWrites: \(record.key) is no name of a sequential node")
                continue
            }
            let parent = record.key[..<(record.key.lastIndex(of: "/") ?? record.key.startIndex)]
            if let before = last[parent], before.number >= number {
                violations.append(
                    "linearizableWrites: \(record.key) was given at \(hex(zxid)), a number no lower than at \(hex(before.zxid))")
            }
            last[parent] = (zxid, number)
        }
        return violations
    }

    /// syncFreshness: what is read behind a sync is at least as new as what was acknowledged to anyone before the sync.
    func checkSyncs() -> [String] {
        var violations: [String] = []
        let epochs = EpochTimes(records)
        var acknowledged: [String: [(end: Int64, zxid: Int64)]] = [:]
        for write in records.sorted(by: { $0.end < $1.end })
        where write.outcome == .ok && (write.action == .set || write.action == .swap) {
            guard let zxid = write.zxid else { continue }
            let before = acknowledged[write.key]?.last?.zxid ?? 0
            acknowledged[write.key, default: []].append((write.end, max(before, zxid)))
        }
        for read in records where read.action == .get && read.outcome == .ok && read.synced == true {
            guard let line = acknowledged[read.key], let floor = Self.last(of: line, before: read.start) else { continue }
            if read.zxid ?? 0 < floor, !epochs.mayBeDeposed(read, patience: patience) {
                violations.append(
                    "syncFreshness: \(read.key) was \(text(read.value)) of \(hex(read.zxid ?? 0)) behind a sync, and "
                        + "\(hex(floor)) was acknowledged before it")
            }
            if violations.count >= Self.reportLimit { break }
        }
        return violations
    }

    /// The zxid of the last element that ended before `time`; `line` ascends.
    private static func last(of line: [(end: Int64, zxid: Int64)], before time: Int64) -> Int64? {
        var low = 0
        var high = line.count
        while low < high {
            let middle = (low + high) / 2
            if line[middle].end < time { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : line[low - 1].zxid
    }
}

/// When clients first heard of each epoch.
struct EpochTimes {
    /// Ascending epochs.
    private let first: [(epoch: Int64, end: Int64)]

    init(_ records: [HistoryRecord]) {
        var first: [Int64: Int64] = [:]
        for record in records {
            guard let zxid = record.header ?? record.zxid, record.outcome == .ok else { continue }
            first[zxid >> 32] = min(first[zxid >> 32] ?? .max, record.end)
        }
        self.first = first.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Whether the member that answered may have belonged to a leader that was deposed and had not noticed, which Apache's
    /// protocol lets answer a sync (reference/zookeeper.md, 3.3). A recorder that knows no header cannot tell.
    func mayBeDeposed(_ read: HistoryRecord, patience: Int64) -> Bool {
        guard let header = read.header else { return true }
        guard let newer = first.first(where: { $0.epoch > header >> 32 }) else { return false }
        return abs(newer.end - read.end) < patience
    }
}
