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
