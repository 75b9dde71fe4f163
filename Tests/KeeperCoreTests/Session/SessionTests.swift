import EnsembleBase
@testable import KeeperCore
import Testing

@Suite struct SessionTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    /// Vectors observed on Apache's server (reference/zookeeper.md, 1.2).
    @Test func passwords() {
        #expect(hex(SessionPassword.make(for: 0x0100_0000_0000_0000)) == "f22acd4a97e69d6d20a49bb638eadb38")
        #expect(hex(SessionPassword.make(for: 0x1000_1234_5678_0000)) == "fae18b1fff04a3066806fbaee07225b6")
        #expect(SessionPassword.matches(SessionPassword.make(for: 5), session: 5))
        #expect(!SessionPassword.matches(SessionPassword.make(for: 5), session: 6))
        #expect(!SessionPassword.matches([], session: 5))
        #expect(!SessionPassword.matches(SessionPassword.make(for: 0), session: 0))
    }

    @Test func ids() {
        var ids = SessionIDs(server: 3, startedAt: WallTime(milliseconds: 0x0000_0123_4567_89AB))
        #expect(ids.make() == 0x0323_4567_89AB_0000)
        #expect(ids.make() == 0x0323_4567_89AB_0001)
        var high = SessionIDs(server: 254, startedAt: WallTime(milliseconds: 0x0000_0123_4567_89AB))
        #expect(high.make() == Int64(bitPattern: 0xFE23_4567_89AB_0000))
        // The markers are no ids.
        var zero = SessionIDs(server: 0, startedAt: WallTime(milliseconds: 0))
        #expect(zero.make() == 1)
        var marker = SessionIDs(server: 128, startedAt: WallTime(milliseconds: 0))
        #expect(marker.make() == .min + 1)
    }

    private func at(_ milliseconds: Int64) -> Instant { .origin + .milliseconds(milliseconds) }

    @Test func sessionsExpireAtTheNextTick() {
        var wheel = ExpiryWheel(tick: .milliseconds(100))
        #expect(wheel.deadline == nil)
        wheel.touch(1, timeout: .milliseconds(250), at: at(0))
        wheel.touch(2, timeout: .milliseconds(200), at: at(0))
        #expect(wheel.deadline == at(300))
        #expect(wheel.expired(at: at(299)).isEmpty)
        #expect(wheel.expired(at: at(300)) == [1, 2])
        #expect(wheel.deadline == nil && wheel.count == 0)
    }

    @Test func touchesMoveTheDeadlineBothWays() {
        var wheel = ExpiryWheel(tick: .milliseconds(100))
        wheel.touch(1, timeout: .milliseconds(250), at: at(0))
        wheel.touch(1, timeout: .milliseconds(250), at: at(200))
        #expect(wheel.deadline(of: 1) == at(500))
        #expect(wheel.expired(at: at(300)).isEmpty)
        #expect(wheel.deadline == at(500))
        wheel.touch(1, timeout: .milliseconds(10), at: at(310))
        #expect(wheel.deadline == at(400))
        #expect(wheel.expired(at: at(400)) == [1])
        #expect(wheel.expired(at: at(900)).isEmpty)
    }

    @Test func removedSessionsDoNotExpire() {
        var wheel = ExpiryWheel(tick: .milliseconds(100))
        wheel.touch(1, timeout: .milliseconds(100), at: at(0))
        wheel.remove(1)
        #expect(!wheel.contains(1))
        // Back in the same bucket: once.
        wheel.touch(1, timeout: .milliseconds(100), at: at(0))
        wheel.touch(2, timeout: .milliseconds(100), at: at(0))
        wheel.remove(2)
        #expect(wheel.expired(at: at(1000)) == [1])
    }

    /// Against the plain rule.
    @Test func wheelKeepsTheRule() {
        var random = SeededRandom(seed: 3)
        var wheel = ExpiryWheel(tick: .milliseconds(50))
        var model: [SessionID: Int64] = [:]
        var now: Int64 = 0
        for _ in 0..<3000 {
            now += Int64.random(in: 0...20, using: &random)
            let session = SessionID.random(in: 0..<40, using: &random)
            if Int.random(in: 0..<8, using: &random) == 0 {
                wheel.remove(session)
                model[session] = nil
            } else {
                let timeout = Int64.random(in: 10...900, using: &random)
                wheel.touch(session, timeout: .milliseconds(timeout), at: at(now))
                model[session] = ((now + timeout) / 50 + 1) * 50
            }
            let due = model.filter { $0.value <= now }.keys.sorted()
            #expect(wheel.expired(at: at(now)).sorted() == due)
            for session in due { model[session] = nil }
            if let first = model.values.min() { #expect((wheel.deadline ?? .distantFuture) <= at(first)) }
        }
    }

    /// A follower tells its leader the timeout that holds now, not that of the connection before.
    @Test func theLatestTouchCounts() {
        var touched = TouchedSessions()
        touched.note(1, timeout: 30_000)
        touched.note(2, timeout: 5000)
        touched.note(1, timeout: 200)
        #expect(touched.drain() == [TouchedSession(session: 1, timeout: 200), TouchedSession(session: 2, timeout: 5000)])
    }
}
