/// Judges a history by itself and against what the servers hold. Pure.
struct HistoryChecker {
    /// What a server shows for a key: the number in it and the transaction that wrote it.
    struct Found: Sendable {
        var value: Int?
        var zxid: Int64
    }

    let records: [HistoryRecord]
    /// At most this many violations are described.
    private static let reportLimit = 50

    private var writes: [HistoryRecord] { records.filter { $0.action != .get && $0.outcome == .ok } }

    /// Violations that the records alone show.
    func checkOrder() -> [String] {
        checkRealTime() + checkReads()
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
                    "time went back: \(write.key)=\(text(write.value)) has zxid \(hex(zxid)), acknowledged earlier: "
                        + "\(highest.key)=\(text(highest.value)) with \(hex(before))")
            }
            if let other = owner.updateValue(write, forKey: zxid) {
                violations.append("two writes share zxid \(hex(zxid)): \(other.key) and \(write.key)")
            }
            if violations.count >= Self.reportLimit { break }
        }
        return violations
    }

    /// Within a session what is read never goes back, is never behind the session's own writes, and was asked for.
    private func checkReads() -> [String] {
        var violations: [String] = []
        var seen: [String: Int64] = [:]
        let attempted = Set(records.filter { $0.action == .set }.map { "\($0.key)=\(text($0.value))" })
        for record in records.sorted(by: { $0.start < $1.start }) where record.outcome == .ok && record.action != .create {
            guard let zxid = record.zxid else { continue }
            let place = "\(record.session) \(record.key)"
            if let before = seen[place], zxid < before {
                violations.append("\(record.key): session \(hex(record.session)) saw \(hex(before)), then \(hex(zxid))")
            }
            seen[place] = max(seen[place] ?? zxid, zxid)
            if record.action == .get, let value = record.value, !attempted.contains("\(record.key)=\(value)") {
                violations.append("\(record.key): \(value) was read, but never written")
            }
            if violations.count >= Self.reportLimit { break }
        }
        return violations
    }

    /// S1: what one server holds must include every acknowledged write, and nothing that is known not to have happened.
    /// `found` has an entry for every key that exists.
    func checkPresence(_ found: [String: Found], on server: String) -> [String] {
        var violations: [String] = []
        var lastSet: [String: HistoryRecord] = [:]
        for record in records where violations.count < Self.reportLimit {
            switch (record.action, record.outcome) {
            case (.create, .ok):
                guard let node = found[record.key] else {
                    violations.append("\(server): \(record.key), acknowledged with zxid \(hex(record.zxid ?? 0)), is missing")
                    continue
                }
                if node.zxid != record.zxid || node.value != record.value {
                    violations.append(
                        "\(server): \(record.key) is \(text(node.value)) of zxid \(hex(node.zxid)), acknowledged was "
                            + "\(text(record.value)) of \(hex(record.zxid ?? 0))")
                }
            case (.create, .fail):
                if found[record.key] != nil { violations.append("\(server): \(record.key) exists, though its creation failed") }
            case (.set, .ok):
                if (record.zxid ?? 0) > (lastSet[record.key]?.zxid ?? 0) { lastSet[record.key] = record }
            default: break
            }
        }
        for key in lastSet.keys.sorted() {
            guard let last = lastSet[key] else { continue }
            let node = found[key]
            if (node?.zxid ?? -1) < (last.zxid ?? 0) || (node?.value ?? -1) < (last.value ?? 0) {
                violations.append(
                    "\(server): \(key) is \(text(node?.value)) of zxid \(hex(node?.zxid ?? -1)), acknowledged was "
                        + "\(text(last.value)) of \(hex(last.zxid ?? 0))")
            }
        }
        return violations
    }

    /// Everything that must be looked up, sorted.
    var keys: [String] { Set(records.map(\.key)).sorted() }

    private func hex(_ value: Int64) -> String { "0x" + String(UInt64(bitPattern: value), radix: 16) }
    private func text(_ value: Int?) -> String { value.map(String.init) ?? "nothing" }
}
