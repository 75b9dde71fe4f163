import EnsembleBase
import EnsembleHost
import Glibc
import NIOConcurrencyHelpers
import Testing

/// What waits its turn on one thing that may hang.
@Suite struct HostLaneTests {
    private let clock = HostClock()

    private func lane(limit: Int = 32) -> HostLane {
        let clock = clock
        return HostLane("disk", limit: limit, now: { clock.now() })
    }

    /// Work that is under way until it is let go.
    private final class Hang: Sendable {
        private let isOver = NIOLockedValueBox(false)
        let hasBegun = NIOLockedValueBox(false)

        func wait() {
            hasBegun.withLockedValue { $0 = true }
            while !isOver.withLockedValue({ $0 }) { usleep(1000) }
        }

        func begun() async throws { while !hasBegun.withLockedValue({ $0 }) { try await Task.sleep(for: .milliseconds(1)) } }
        func end() { isOver.withLockedValue { $0 = true } }
    }

    @Test func workIsDoneInTheOrderAsked() async throws {
        let (lane, order) = (lane(), NIOLockedValueBox<[Int]>([]))
        let hang = Hang()
        lane.post("the first") { hang.wait() }
        for number in 1...20 { lane.post("number \(number)") { order.withLockedValue { $0.append(number) } } }
        hang.end()
        let last = try await lane.run("the last") { order.withLockedValue { $0 } }
        #expect(last == Array(1...20))
        struct Refused: Error {}
        await #expect(throws: Refused.self) { try await lane.run("one that fails") { throw Refused() } }
        // The thread has gone, and another comes.
        try await Task.sleep(for: .milliseconds(20))
        #expect(lane.occupation == nil)
        #expect(try await lane.run("one more") { 7 } == 7)
    }

    @Test func whatHangsHasANameAndKeepsNobodyForEver() async throws {
        let (lane, hang) = (lane(limit: 2), Hang())
        defer { hang.end() }
        lane.post("a look at it") { hang.wait() }
        try await hang.begun()
        #expect(lane.occupation?.work == "a look at it" && lane.occupation?.waiting == 0)
        await #expect {
            try await lane.run("a second look", within: .milliseconds(20)) {}
        } throws: { ($0 as? HostLane.Failure)?.description.contains("disk: a look at it has been under way for") == true }
        // What gave up still waits; with one more the lane takes no others.
        lane.post("a third") {}
        await #expect {
            try await lane.run("a fourth") {}
        } throws: { if case .full(let it) = $0 as? HostLane.Failure { it.waiting == 2 } else { false } }
    }

    /// Whoever waits for what hangs is let go, and what comes later isn't begun.
    @Test func itsEndLetsGo() async throws {
        let (lane, hang) = (lane(), Hang())
        let waiting = Task { try await lane.run("a look at it") { hang.wait() } }
        try await hang.begun()
        let behind = Task { try await lane.run("another") {} }
        while lane.occupation?.waiting != 1 { try await Task.sleep(for: .milliseconds(1)) }
        lane.close()
        for task in [waiting, behind] { await #expect(throws: HostLane.Failure.closed) { try await task.value } }
        await #expect(throws: HostLane.Failure.closed) { try await lane.run("late") {} }
        hang.end()
    }
}
