import EnsembleBase
import Testing

@testable import KeeperCore

/// Elections that lead to nothing are not repeated at once (issue 8, A30).
@Suite struct ElectionSpacingTests {
    /// A member that can't take what its leader sends, for a minute.
    private func rounds(within limit: Duration, _ member: inout TestMember) -> Int {
        var rounds = 0
        let end = member.now + limit
        while member.now < end {
            if member.machine.status.role == .looking, member.machine.role == .looking {
                rounds += 1
                member.elect()
                member.step(.leaderConnected(3))
                member.step(.leaderDisconnected)
            }
            member.pass(.milliseconds(10))
        }
        return rounds
    }

    @Test func membersThatNeverServeAreSpaced() {
        var member = TestMember.looking(1)
        #expect((15...60).contains(rounds(within: .seconds(60), &member)))
        // It still comes to its turn.
        #expect((15...40).contains(rounds(within: .seconds(60), &member)))
    }

    /// Fail-over is quick, also for a member that had difficulties before.
    @Test func whoHasServedLooksAtOnce() {
        var member = TestMember.looking(1)
        _ = rounds(within: .seconds(60), &member)
        while member.machine.role != .looking { member.pass(.milliseconds(10)) }
        member.join()
        #expect(member.machine.status.serving)
        member.pass(member.machine.configuration.tickTime)
        member.told(.ping(zxid: .zero, sessions: []))
        member.step(.leaderDisconnected)
        #expect(member.machine.role == .looking)
        // And its difficulties are forgotten.
        member.elect()
        member.step(.leaderDisconnected)
        member.pass(.milliseconds(60))
        #expect(member.machine.role == .looking)
    }
}
