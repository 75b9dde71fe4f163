import Testing

@testable import keeper_load

/// The fault tests' judge: each rule is shown a history that breaks it.
@Suite struct HistoryCheckerTests {
    private func record(
        _ action: HistoryRecord.Action, _ key: String, _ value: Int?, at time: Int64, zxid: Int64?,
        _ outcome: HistoryRecord.Outcome = .ok, session: Int64 = 1
    ) -> HistoryRecord {
        HistoryRecord(
            client: 0, session: session, action: action, key: key, value: value, start: time, end: time + 1,
            outcome: outcome, zxid: zxid)
    }

    private var sound: [HistoryRecord] {
        [
            record(.create, "/h/1", 1, at: 0, zxid: 10),
            record(.set, "/h", 1, at: 2, zxid: 11),
            record(.get, "/h", 1, at: 4, zxid: 11),
            record(.create, "/h/2", 2, at: 6, zxid: nil, .unknown),
            record(.create, "/h/3", 3, at: 8, zxid: nil, .fail),
        ]
    }

    private var held: [String: HistoryChecker.Found] {
        ["/h/1": .init(value: 1, zxid: 10), "/h": .init(value: 1, zxid: 11)]
    }

    @Test func aSoundHistoryPassesWithAndWithoutTheWriteOfUnknownOutcome() {
        let checker = HistoryChecker(records: sound)
        #expect(checker.checkOrder().isEmpty)
        #expect(checker.checkPresence(held, on: "a").isEmpty)
        var more = held
        more["/h/2"] = .init(value: 2, zxid: 12)
        #expect(checker.checkPresence(more, on: "a").isEmpty)
    }

    /// S1: a lost acknowledged write is seen, whether it was a creation or an overwritten register.
    @Test func aLostAcknowledgedWriteIsSeen() {
        let checker = HistoryChecker(records: sound)
        var lost = held
        lost["/h/1"] = nil
        #expect(checker.checkPresence(lost, on: "a").count == 1)
        var older = held
        older["/h"] = .init(value: 0, zxid: 3)
        #expect(checker.checkPresence(older, on: "a").count == 1)
    }

    @Test func aDifferentTreeAtTheSamePathIsSeen() {
        var other = held
        other["/h/1"] = .init(value: 1, zxid: 9)
        #expect(HistoryChecker(records: sound).checkPresence(other, on: "a").count == 1)
    }

    @Test func aFailedWriteThatHappenedIsSeen() {
        var more = held
        more["/h/3"] = .init(value: 3, zxid: 13)
        #expect(HistoryChecker(records: sound).checkPresence(more, on: "a").count == 1)
    }

    /// S8: zxids that go back, or are given twice.
    @Test func timeThatGoesBackIsSeen() {
        let back = [record(.create, "/h/1", 1, at: 0, zxid: 10), record(.create, "/h/2", 2, at: 5, zxid: 9)]
        #expect(HistoryChecker(records: back).checkOrder().count == 1)
        let twice = [record(.create, "/h/1", 1, at: 0, zxid: 10), record(.create, "/h/2", 2, at: 0, zxid: 10)]
        #expect(HistoryChecker(records: twice).checkOrder().count == 1)
        let concurrent = [record(.create, "/h/1", 1, at: 0, zxid: 10), record(.create, "/h/2", 2, at: 0, zxid: 9)]
        #expect(HistoryChecker(records: concurrent).checkOrder().isEmpty)
    }

    @Test func aSessionThatReadsBackwardsOrWhatNobodyWroteIsSeen() {
        let back = sound + [record(.get, "/h", 1, at: 10, zxid: 5)]
        #expect(HistoryChecker(records: back).checkOrder().count == 1)
        let otherSession = sound + [record(.get, "/h", 1, at: 10, zxid: 5, session: 2)]
        #expect(HistoryChecker(records: otherSession).checkOrder().isEmpty)
        let invented = sound + [record(.get, "/h", 99, at: 10, zxid: 12)]
        #expect(HistoryChecker(records: invented).checkOrder().count == 1)
    }

    // MARK: What sessions were told, each shown a history that breaks it

    private func rules(_ records: [HistoryRecord]) -> Set<Substring> {
        Set(HistoryChecker(records: records).checkOrder().map { $0.prefix { $0 != ":" } })
    }

    private func with(_ record: HistoryRecord, _ change: (inout HistoryRecord) -> Void) -> HistoryRecord {
        var changed = record
        change(&changed)
        return changed
    }

    private func swap(_ value: Int, replacing expected: Int32, at time: Int64, zxid: Int64?, _ outcome: HistoryRecord.Outcome = .ok)
        -> HistoryRecord
    {
        with(record(.swap, "/s", value, at: time, zxid: zxid, outcome)) {
            $0.expected = expected
            $0.version = outcome == .ok ? expected + 1 : nil
            $0.error = outcome == .fail ? "badVersion" : nil
        }
    }

    @Test func aVersionThatIsReplacedTwiceIsSeen() {
        #expect(rules([swap(1, replacing: 0, at: 0, zxid: 10), swap(2, replacing: 1, at: 2, zxid: 11)]) == [])
        #expect(rules([swap(1, replacing: 0, at: 0, zxid: 10), swap(2, replacing: 0, at: 0, zxid: 11)]) == ["linearizableWrites"])
        #expect(rules([swap(1, replacing: 1, at: 0, zxid: 12), swap(2, replacing: 0, at: 0, zxid: 15)]) == ["linearizableWrites"])
    }

    /// A compare-and-set that nobody could have forestalled is not refused.
    @Test func aRefusalWithoutARivalIsSeen() {
        let first = swap(1, replacing: 0, at: 0, zxid: 10)
        let refused = swap(2, replacing: 1, at: 4, zxid: nil, .fail)
        #expect(rules([first, refused]) == ["linearizableWrites"])
        #expect(rules([first, refused, swap(3, replacing: 1, at: 3, zxid: nil, .unknown)]) == [])
        #expect(rules([first, refused, swap(3, replacing: 1, at: 9, zxid: 12)]) == ["linearizableWrites"])
    }

    @Test func sequentialNamesThatDoNotRiseAreSeen() {
        let names = ["/q/a-0000000001", "/q/b-0000000002"]
        let made = names.enumerated().map { record(.sequence, $1, 1, at: Int64($0) * 2, zxid: 10 + Int64($0)) }
        #expect(rules(made) == [])
        #expect(rules([made[0], with(made[1]) { $0.key = "/q/b-0000000001" }]) == ["linearizableWrites"])
    }

    /// Unless the member that answered may belong to a leader that was deposed a moment ago.
    @Test func aReadBehindASyncThatIsOldIsSeen() {
        let writes = [record(.set, "/h", 1, at: 0, zxid: 10), record(.set, "/h", 2, at: 2, zxid: 11)]
        let stale = with(record(.get, "/h", 1, at: 5, zxid: 10, session: 2)) { $0.synced = true; $0.header = 10 }
        #expect(rules(writes + [stale]) == ["syncFreshness"])
        #expect(rules(writes + [with(stale) { $0.synced = nil }]) == [])
        let newer = with(writes[1]) { $0.zxid = 1 << 32 | 1; $0.header = 1 << 32 | 1 }
        #expect(rules([writes[0], newer, stale]) == [])
        let muchLater = with(stale) { $0.start += 6_000_000_000; $0.end += 6_000_000_000 }
        #expect(rules([writes[0], newer, muchLater]) == ["syncFreshness"])
    }

    @Test func aSessionWhoseZxidGoesBackIsSeen() {
        let replies = [10, 12, 11].enumerated().map { index, zxid in
            with(record(.get, "/h\(index)", nil, at: Int64(index) * 2, zxid: nil)) { $0.header = Int64(zxid) }
        }
        #expect(rules(replies) == ["sessionOrder"])
        #expect(rules([replies[0], replies[1], with(replies[2]) { $0.session = 2 }]) == [])
    }

    @Test func anEphemeralThatDiesBeforeItsSessionIsSeen() {
        let made = record(.ephemeral, "/e", 1, at: 0, zxid: 10)
        let gone = record(.get, "/e", nil, at: 2, zxid: nil)
        let alive = record(.set, "/h", 2, at: 4, zxid: 11)
        #expect(rules([made, gone, alive]) == ["ephemerals"])
        #expect(rules([made, gone]) == [])
        #expect(rules([made, record(.delete, "/e", nil, at: 1, zxid: nil, .unknown), gone, alive]) == [])
        let another = with(gone) { $0.session = 2 }
        #expect(rules([made, another, alive]) == [])
        #expect(rules([made, with(another) { $0.synced = true; $0.header = 10 }, alive]) == ["ephemerals"])
    }

    @Test func anEphemeralThatOutlivesItsSessionIsSeen() {
        let made = record(.ephemeral, "/e", 1, at: 0, zxid: 10)
        let close = record(.close, "/e", nil, at: 2, zxid: nil)
        let shown = with(record(.get, "/e", 1, at: 4, zxid: 10, session: 2)) { $0.owner = 1; $0.synced = true; $0.header = 10 }
        #expect(rules([made, close, shown]) == ["ephemerals"])
        #expect(rules([made, with(close) { $0.outcome = .unknown }, shown]) == [])
        // Another one that its client heard nothing of (campaign seed 20261135).
        let gone = record(.delete, "/e", nil, at: 1, zxid: 11)
        let again = record(.ephemeral, "/e", 2, at: 2, zxid: nil, .unknown)
        let unheard = with(close) { $0.outcome = .unknown }
        #expect(rules([made, gone, unheard, shown]) == ["ephemerals"])
        #expect(rules([made, gone, again, unheard, shown]) == [])
        let checker = HistoryChecker(records: [])
        #expect(checker.checkNoEphemerals(["/e": .init(value: 1, zxid: 10, owner: 1)], on: "a").count == 1)
    }

    @Test func aChangeThatIsShownBeforeTheWatchTellsIsSeen() {
        let write = record(.set, "/h", 1, at: 0, zxid: 10)
        let watch = with(record(.watch, "/h", nil, at: 2, zxid: 10, session: 2)) { $0.fired = 7 }
        let change = record(.set, "/h", 2, at: 4, zxid: 11)
        let shown = record(.get, "/h", 2, at: 8, zxid: 11, session: 2)
        #expect(rules([write, watch, change, shown]) == [])
        #expect(rules([write, with(watch) { $0.fired = nil }, change, shown]) == ["watches"])
        #expect(rules([write, with(watch) { $0.fired = 10 }, change, shown]) == ["watches"])
        let withoutChange = with(shown) { $0.value = 1; $0.zxid = 10 }
        #expect(rules([write, watch, withoutChange]) == ["watches"])
    }

    @Test func aSessionThatIsEndedTooSoonIsSeen() {
        let ended = with(record(.expired, "/e", nil, at: 0, zxid: nil)) { $0.timeout = 6000; $0.end = 3_000_000_000 }
        #expect(rules([ended]) == ["sessions"])
        #expect(rules([with(ended) { $0.end = 6_000_000_000 }]) == [])
    }

    @Test func aDeletionThatIsUndoneAndATreeThatDiffersAreSeen() {
        let deleted = [record(.create, "/h/1", 1, at: 0, zxid: 10), record(.delete, "/h/1", nil, at: 2, zxid: 11)]
        let checker = HistoryChecker(records: deleted)
        #expect(checker.checkPresence([:], on: "a").isEmpty)
        #expect(checker.checkPresence(["/h/1": .init(value: 1, zxid: 10)], on: "a").count == 1)
        let node = HistoryChecker.NodeState(
            data: [49], created: 1, modified: 1, children: 1, version: 0, childrenVersion: 0, owner: 0, times: [1, 1])
        var other = node
        other.version = 1
        #expect(checker.checkEqual([("a", ["/h": node]), ("b", ["/h": node])]).isEmpty)
        #expect(checker.checkEqual([("a", ["/h": node]), ("b", ["/h": other])]).count == 1)
        #expect(checker.checkEqual([("a", ["/h": node]), ("b", [:])]).count == 1)
    }
}

@Suite struct LatencyHistogramTests {
    @Test func percentilesAreWithinTwoPercent() {
        var histogram = LatencyHistogram()
        for value in 1...100_000 { histogram.record(nanoseconds: Int64(value) * 10) }
        for (quantile, truth) in [(0.5, 500_000.0), (0.99, 990_000), (0.999, 999_000)] {
            let value = Double(histogram.value(at: quantile))
            #expect(abs(value - truth) / truth < 0.02)
        }
        #expect(histogram.value(at: 1) == 1_000_000)
    }

    @Test func extremesDoNotTrap() {
        var histogram = LatencyHistogram()
        #expect(histogram.value(at: 0.5) == 0)
        for value in [-1, 0, 1, 63, 64, Int64.max] { histogram.record(nanoseconds: value) }
        #expect(histogram.count == 6)
        #expect(histogram.maximum == .max)
    }
}
