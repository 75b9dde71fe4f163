/// Rules that hold within a session, or tell when it ends.
extension HistoryChecker {
    /// sessionOrder: zxids of a session's replies never go back, whatever member it is connected to.
    func checkHeaders() -> [String] {
        var violations: [String] = []
        var highest: [Int64: Int64] = [:]
        for record in records.sorted(by: { $0.start < $1.start }) {
            guard let header = record.header, header > 0 else { continue }
            if let before = highest[record.session], header < before {
                violations.append("sessionOrder: session \(hex(record.session)) was answered at \(hex(before)), then at \(hex(header))")
            }
            highest[record.session] = max(highest[record.session] ?? header, header)
            if violations.count >= Self.reportLimit { break }
        }
        return violations
    }

    /// What is known of the life of one session's ephemeral: it may have several, one after the other.
    private struct Life {
        var key: String
        var created: HistoryRecord
        /// The first request that could end it, or nothing.
        var mayEnd = Int64.max
        /// When its end was acknowledged.
        var ended = Int64.max
        /// The session is known to have been alive when this was sent.
        var alive: Int64
        /// The session has asked for another behind it, and was not told what came of that.
        var mayHaveSuccessor = false
    }

    /// ephemerals: there as long as the session lives and nobody deletes it, gone once the session's end is acknowledged.
    func checkEphemerals() -> [String] {
        var lives: [Int64: [Life]] = [:]
        for record in records.sorted(by: { $0.start < $1.start }) {
            switch (record.action, record.outcome) {
            case (.ephemeral, .ok):
                lives[record.session, default: []].append(Life(key: record.key, created: record, alive: record.start))
            case (.ephemeral, .unknown):
                if let last = lives[record.session]?.indices.last { lives[record.session]?[last].mayHaveSuccessor = true }
            case (.delete, .ok), (.delete, .unknown), (.close, _):
                guard let last = lives[record.session]?.indices.last, let life = lives[record.session]?[last],
                    record.action == .close || record.key == life.key
                else { break }
                lives[record.session]?[last].mayEnd = min(life.mayEnd, record.start)
                if record.outcome == .ok { lives[record.session]?[last].ended = min(life.ended, record.end) }
            case (_, .ok) where record.action != .expired:
                guard let last = lives[record.session]?.indices.last else { break }
                lives[record.session]?[last].alive = record.start
            default: break
            }
        }
        return judge(lives)
    }

    private func judge(_ lives: [Int64: [Life]]) -> [String] {
        let epochs = EpochTimes(records)
        var byKey: [String: [(session: Int64, life: Life, isLast: Bool)]] = [:]
        for session in lives.keys.sorted() {
            let all = lives[session] ?? []
            for (number, life) in all.enumerated() { byKey[life.key, default: []].append((session, life, number == all.count - 1)) }
        }
        var violations: [String] = []
        for read in records where read.action == .get && read.outcome == .ok && violations.count < Self.reportLimit {
            let isShown = read.owner ?? 0
            for (session, life, isLast) in byKey[read.key] ?? [] {
                let isOwn = read.session == session
                // Others may be behind, unless they asked not to be.
                guard isOwn || (read.synced == true && !epochs.mayBeDeposed(read, patience: patience)) else { continue }
                if isLast, !life.mayHaveSuccessor, isShown == session, read.start > life.ended {
                    violations.append("ephemerals: \(read.key) was read after the end of its session \(hex(session))")
                }
                if isShown != session, read.start > life.created.end, read.end < life.mayEnd, read.end < life.alive {
                    violations.append("ephemerals: \(read.key) was gone while its session \(hex(session)) was alive")
                }
            }
        }
        return violations
    }

    /// watches: fired before the session is shown the change, and not without one.
    func checkWatches() -> [String] {
        var reads: [SessionKey: [HistoryRecord]] = [:]
        let watched = Set(records.filter { $0.action == .watch }.map { SessionKey(session: $0.session, key: $0.key) })
        for record in records where record.action == .get && record.outcome == .ok {
            let place = SessionKey(session: record.session, key: record.key)
            if watched.contains(place) { reads[place, default: []].append(record) }
        }
        var violations: [String] = []
        for watch in records where watch.action == .watch && violations.count < Self.reportLimit {
            guard let base = watch.zxid else { continue }
            let later = reads[SessionKey(session: watch.session, key: watch.key)] ?? []
            let shows = later.filter { $0.start >= watch.end && $0.zxid ?? 0 > base }.min { $0.end < $1.end }
            if let shows, shows.end < watch.fired ?? .max {
                violations.append(
                    "watches: session \(hex(watch.session)) was shown \(hex(shows.zxid ?? 0)) of \(watch.key) and not told of a "
                        + "change since \(hex(base))")
            }
            if let fired = watch.fired, let stale = later.first(where: { $0.start >= fired && $0.zxid ?? .max <= base }) {
                violations.append(
                    "watches: session \(hex(watch.session)) was told of a change of \(watch.key), and then shown "
                        + hex(stale.zxid ?? 0))
            }
        }
        return violations
    }

    /// sessions: none is ended by the servers sooner than its timeout after they acknowledged a write of it. A follower
    /// tells the leader of its sessions twice a tick, so the leader may have heard of it a little earlier.
    func checkExpiry() -> [String] {
        let slack: Int64 = 2_000_000_000
        return records.filter { $0.action == .expired }.compactMap { record in
            guard let timeout = record.timeout, record.end - record.start < timeout * 1_000_000 - slack else { return nil }
            return "sessions: \(hex(record.session)) of \(timeout) ms ended \((record.end - record.start) / 1_000_000) ms after its "
                + "last acknowledged write was sent"
        }
    }
}
