/// Judges a history by itself and against what the servers hold. Pure. Each violation begins with the name of the
/// simulator's rule that it breaks (EnsembleSim/Checkers/Rule.swift): both judge the same promises.
struct HistoryChecker {
    /// What a server shows for a key: the number in it and the transaction that wrote it.
    struct Found: Hashable, Sendable {
        var value: Int?
        var zxid: Int64
        /// The session that it dies with; 0 for a node that stays.
        var owner: Int64 = 0
    }

    let records: [HistoryRecord]
    /// For how long a leader that was deposed without knowing may still answer a sync: how long it lacks a quorum before
    /// it notices, and how long it was frozen. Nanoseconds.
    var patience: Int64 = 5_000_000_000
    /// At most this many violations of a rule are described.
    static let reportLimit = 20

    private var writes: [HistoryRecord] { records.filter { $0.action.isWrite && $0.outcome == .ok } }

    /// Violations that the records alone show.
    func checkOrder() -> [String] {
        checkRealTime() + checkReads() + checkVersions() + checkSequence() + checkSyncs() + checkHeaders() + checkEphemerals()
            + checkWatches() + checkExpiry()
    }

    /// S8: a write that began after another was acknowledged has a higher zxid; and no two share one.
    private func checkRealTime() -> [String] {
        var violations: [String] = []
        let byStart = writes.sorted { $0.start < $1.start }
        let byEnd = writes.sorted { $0.end < $1.end }
        var next = 0
        var highest: HistoryRecord?
        var owner: [Int64: HistoryRecord] = [:]
        for write in byStart {
            while next < byEnd.count, byEnd[next].end < write.start {
                if (byEnd[next].zxid ?? 0) > (highest?.zxid ?? 0) { highest = byEnd[next] }
                next += 1
            }
            guard let zxid = write.zxid else { continue }
            if let highest, let before = highest.zxid, before >= zxid {
                violations.append(
                    "linearizableWrites: time went back: \(write.key)=\(text(write.value)) has zxid \(hex(zxid)), acknowledged "
                        + "earlier: \(highest.key)=\(text(highest.value)) with \(hex(before))")
            }
            if let other = owner.updateValue(write, forKey: zxid) {
                violations.append("linearizableWrites: two writes share zxid \(hex(zxid)): \(other.key) and \(write.key)")
            }
            if violations.count >= Self.reportLimit { break }
        }
        return violations
    }

    /// Within a session what is read never goes back, is never behind the session's own writes, and was asked for before.
    private func checkReads() -> [String] {
        var violations: [String] = []
        var seen: [SessionKey: Int64] = [:]
        var attempted: [String: Int64] = [:]
        for record in records where record.action.isWrite {
            guard let value = record.value else { continue }
            attempted["\(record.key)=\(value)"] = record.start
        }
        for record in records.sorted(by: { $0.start < $1.start }) where record.outcome == .ok && record.action != .create {
            guard let zxid = record.zxid, record.action != .watch else { continue }
            let place = SessionKey(session: record.session, key: record.key)
            if let before = seen[place], zxid < before {
                violations.append("reads: \(record.key): session \(hex(record.session)) saw \(hex(before)), then \(hex(zxid))")
            }
            seen[place] = max(seen[place] ?? zxid, zxid)
            if record.action == .get, let value = record.value {
                if let asked = attempted["\(record.key)=\(value)"] {
                    if asked > record.end { violations.append("reads: \(record.key): \(value) was read before it was written") }
                } else {
                    violations.append("reads: \(record.key): \(value) was read, but never written")
                }
            }
            if violations.count >= Self.reportLimit { break }
        }
        return violations
    }

    struct SessionKey: Hashable {
        var session: Int64
        var key: String
    }

    func hex(_ value: Int64) -> String { "0x" + String(UInt64(bitPattern: value), radix: 16) }
    func text(_ value: Int?) -> String { value.map(String.init) ?? "nothing" }
}
