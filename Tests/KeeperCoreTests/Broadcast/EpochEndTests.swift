import EnsembleBase
import Testing

@testable import KeeperCore

/// ZOOKEEPER-1277: when an epoch's zxids are used up, its leader steps down in the middle of whatever asked for one more.
@Suite struct EpochEndTests {
    private func lastOfItsEpoch() -> TestMember {
        var leader = TestMember.leading()
        _ = leader.open(ConnectionID(rawValue: 1))
        leader.machine.leader!.lastProposed = Zxid(epoch: 1, counter: .max)
        return leader
    }

    @Test func aWriteEndsIt() {
        var leader = lastOfItsEpoch()
        leader.step(.requested(ConnectionID(rawValue: 1), xid: 1, create("/a")))
        #expect(leader.machine.role != .leading)
    }

    /// The timer that expires a session has more to do behind it (found by seed 501: the process trapped).
    @Test func anExpiredSessionEndsIt() {
        var leader = lastOfItsEpoch()
        for _ in 0..<14 {
            leader.heard(.ping(zxid: .zero, sessions: []), from: 2)
            leader.pass(.seconds(1))
        }
        #expect(leader.machine.role != .leading)
    }
}
