import EnsembleBase
import Testing

@testable import EnsembleControl

/// Whoever asked is answered, by this daemon or by the next (issue 9, A3).
struct HistoryTests {
    @Test func whoAskedIsKept() throws {
        var world = OperatorWorld.started(91)
        world.requests["p"] = .pause
        world.step(.requested(id: "p", .pause, by: 1000))
        world.requests["r"] = .resume
        world.step(.requested(id: "r", .resume, by: 0))
        world.requests["s"] = .restart(2, acceptOutage: false)
        world.step(.requested(id: "s", .restart(2, acceptOutage: false), by: 1000))
        #expect(world.savedHistory["s"]?.ended == nil && world.savedHistory["s"]?.by == 1000)
        world.run(for: .seconds(60))
        let records = world.savedHistory.records
        #expect(records.map(\.title) == ["pause", "end of the pause", "restart of member 2"])
        #expect(records.map(\.by) == [1000, 0, 1000])
        #expect(records.allSatisfy { $0.ended != nil && $0.failure == nil && $0.ended! >= $0.began })
        #expect(world.violations == [])
    }

    @Test func whatIsRefusedWasNotAskedFor() {
        var world = OperatorWorld.started(92)
        world.change(1) { $0.lagsUntil = .distantFuture }
        world.request("x", .cancel("nothing"))
        world.request("y", .restart(9, acceptOutage: false))
        #expect(world.savedHistory == History() && world.machine.history == History())
    }

    /// A backup that takes nobody out of service is not written down as a step: the next daemon says that it came to nothing.
    @Test func aBackupThatItsDaemonDidNotSeeToTheEndIsSaidToHaveEnded() {
        var world = OperatorWorld.started(93)
        world.change(1) { $0.lagsUntil = .distantFuture }
        world.request("b", .backup(.live, member: 1))
        world.restartDaemon()
        #expect(world.machine.outcomes.last?.id == "b" && world.machine.outcomes.last?.failure?.contains("ask again") == true)
        #expect(world.savedHistory == world.machine.history)
    }

    /// What is written down goes on, and is answered by whoever ends it.
    @Test func aRollIsAnsweredByTheNextDaemon() {
        var world = OperatorWorld.started(94)
        world.request("r", .restartRolling(reason: "test", acceptOutage: false))
        world.run(for: .seconds(2))
        let began = world.savedHistory["r"]?.began
        world.restartDaemon()
        #expect(world.machine.history["r"]?.ended == nil)
        world.run(for: .seconds(120))
        #expect(world.savedHistory["r"]?.ended != nil && world.savedHistory["r"]?.failure == nil && world.savedHistory["r"]?.began == began)
    }

    @Test func theLatestAreKept() {
        var history = History()
        history.began("first", "a roll that stands still", by: nil, at: WallTime(milliseconds: 0))
        for number in 1...Int64(History.limit + 9) {
            history.ended("op-\(number)", "pause", Ending(), at: WallTime(milliseconds: number))
        }
        #expect(history.records.count == History.limit + 1)
        #expect(history["first"] != nil && history["op-9"] == nil && history["op-10"] != nil)
        // Asked again, it is the same.
        history.began("op-10", "pause", by: 7, at: WallTime(milliseconds: 1))
        #expect(history["op-10"]?.by == nil)
    }
}
