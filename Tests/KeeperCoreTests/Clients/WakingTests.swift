import EnsembleBase
import Testing

@testable import KeeperCore

/// A process that stood still (stopped, swapped out, starved of the processor) first reads what has waited for it, and
/// then judges who was silent (issue 8, A8).
@Suite struct WakingTests {
    private let client = ConnectionID(rawValue: 1)

    private func alone() -> TestMember {
        .alone(KeeperConfiguration(serverID: 1, voters: [1], standalone: true, tickTime: .seconds(2)))
    }

    @Test func sessionsSurviveThatTheServerStoodStill() {
        var server = alone()
        _ = server.open(client, timeout: 4000)
        server.pass(.seconds(1))
        server.now = server.now + .seconds(60)
        #expect(server.step(.deadlineReached).expired.isEmpty)
        // Its ping had waited.
        server.step(.requested(client, xid: -2, .ping))
        #expect(server.pass(.seconds(3)).expired.isEmpty)
    }

    /// The sockets may be read before the timer is asked, and only some of them.
    @Test func whatIsReadFirstMakesNoDifference() {
        var server = alone()
        let other = ConnectionID(rawValue: 2)
        _ = server.open(client, timeout: 4000)
        _ = server.open(other, timeout: 4000)
        server.pass(.seconds(1))
        server.now = server.now + .seconds(60)
        server.step(.requested(client, xid: -2, .ping))
        #expect(server.step(.deadlineReached).expired.isEmpty)
        server.step(.requested(other, xid: -2, .ping))
        #expect(server.pass(.seconds(3)).expired.isEmpty)
    }

    /// A loop that is busy for long reads on, but its timer comes late.
    @Test func aLateTimerGrantsItsLateness() {
        var server = alone()
        let other = ConnectionID(rawValue: 2)
        _ = server.open(client, timeout: 4000)
        _ = server.open(other, timeout: 4000)
        server.pass(.seconds(1))
        for _ in 0..<600 {
            server.now = server.now + .milliseconds(10)
            server.step(.requested(other, xid: -2, .ping))
        }
        #expect(server.step(.deadlineReached).expired.isEmpty)
    }

    /// Only the time that was lost is granted.
    @Test func silentSessionsExpireAllTheSame() {
        var server = alone()
        let session = server.open(client, timeout: 4000)
        server.pass(.seconds(1))
        server.now = server.now + .seconds(60)
        server.step(.deadlineReached)
        let passed = server.pass(.seconds(8))
        #expect(passed.expired == [session])
        // A connection that waits for nothing ends with its session, too.
        let end = passed.proposals.last?.zxid ?? .zero
        #expect((passed + server.step(.logSynced(end))).closes(client))
    }

    /// While its replies don't fit into its socket nothing is read from it, its pings neither.
    @Test func aSlowReaderIsNotSilent() {
        var server = alone()
        _ = server.open(client, timeout: 4000)
        for _ in 0..<5 {
            #expect(server.pass(.seconds(3)).expired.isEmpty)
            server.step(.clientTookReplies(client))
        }
    }

    @Test func aLeaderKeepsTheLearnersWhosePacketsHaveWaited() {
        var leader = TestMember.leading()
        leader.now = leader.now + leader.machine.configuration.syncTimeout * 2
        leader.step(.deadlineReached)
        #expect(leader.machine.status.serving)
        leader.heard(.ping(zxid: .zero, sessions: []), from: 2)
        leader.pass(leader.machine.configuration.tickTime)
        #expect(leader.machine.status.serving)
        // And loses those who are silent.
        leader.pass(leader.machine.configuration.syncTimeout * 2)
        #expect(!leader.machine.status.serving)
    }

    @Test func aFollowerKeepsTheLeaderWhosePacketsHaveWaited() {
        var follower = TestMember.following()
        follower.now = follower.now + follower.machine.configuration.syncTimeout * 3
        follower.step(.deadlineReached)
        #expect(follower.machine.status.serving)
        follower.told(.ping(zxid: .zero, sessions: []))
        follower.pass(follower.machine.configuration.tickTime)
        #expect(follower.machine.status.serving)
        follower.pass(follower.machine.configuration.syncTimeout * 2)
        #expect(!follower.machine.status.serving)
    }

    /// What clients are told of the time stays the wall clock's.
    @Test func theWallClockIsNotSetBack() {
        var server = alone()
        _ = server.open(client, timeout: 4000)
        let before = server.machine.wall(server.now)
        server.pass(.seconds(1))
        server.now = server.now + .seconds(60)
        server.step(.deadlineReached)
        let proposed = server.step(.requested(client, xid: 1, create("/a"))).proposals
        #expect(proposed.map(\.time) == [before + 61_000])
    }
}
