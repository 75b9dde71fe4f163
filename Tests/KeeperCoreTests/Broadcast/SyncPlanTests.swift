import EnsembleBase
import Testing

@testable import KeeperCore

@Suite struct SyncPlanTests {
    /// A leader's history: these zxids, all committed.
    private func history(_ zxids: [Zxid], capacity: Int = 100) -> History {
        let entries = zxids.map { LogEntry(session: 1, cxid: 0, zxid: $0, time: 0, transaction: .error(-101)) }
        return History(recent: entries, last: zxids.last ?? .zero, capacity: capacity)
    }

    private func zxid(_ epoch: Int64, _ counter: UInt32) -> Zxid { Zxid(epoch: epoch, counter: counter) }

    @Test func decisions() {
        let leader = history([zxid(1, 5), zxid(1, 6), zxid(1, 7), zxid(3, 1), zxid(3, 2)])
        #expect(SyncPlan(peer: zxid(3, 2), history: leader) == .diff(from: 5))
        #expect(SyncPlan(peer: zxid(1, 6), history: leader) == .diff(from: 2))
        #expect(SyncPlan(peer: zxid(3, 9), history: leader) == .trunc(to: zxid(3, 2), from: 5))
        // Older than the window.
        #expect(SyncPlan(peer: zxid(1, 2), history: leader) == .snap)
        // The learner's own epoch 2: a cut back to 1,7 would cross an epoch, and it may lack 1,6 and 1,7.
        #expect(SyncPlan(peer: zxid(2, 2), history: leader) == .snap)
        // The mark of a fresh epoch is no transaction.
        #expect(SyncPlan(peer: zxid(3, 0), history: leader) == .diff(from: 3))
        #expect(SyncPlan(peer: zxid(4, 0), history: leader) == .snap)
        #expect(SyncPlan(peer: zxid(1, 3), history: history([])) == .trunc(to: .zero, from: 0))
    }

    @Test func aCutWithinAnEpochGoesToTheLastCommonEntry() {
        let leader = history([zxid(3, 1), zxid(3, 2), zxid(3, 9)])
        #expect(SyncPlan(peer: zxid(3, 5), history: leader) == .trunc(to: zxid(3, 2), from: 2))
    }

    @Test func theWindowForgetsTheOldest() {
        var leader = history([zxid(1, 1)], capacity: 2)
        for counter in UInt32(2)...4 {
            leader.append(LogEntry(session: 1, cxid: 0, zxid: zxid(1, counter), time: 0, transaction: .error(-101)))
            _ = leader.commitNext(upTo: zxid(1, counter))
        }
        #expect(leader.diffRange == zxid(1, 3)...zxid(1, 4))
        #expect(SyncPlan(peer: zxid(1, 2), history: leader) == .snap)
    }

    /// Ten thousand writes of a megabyte each must not take ten gigabytes.
    @Test func theWindowForgetsTheOldestOfLargeOnes() {
        func entry(_ counter: UInt32, bytes: Int) -> LogEntry {
            let data = [UInt8](repeating: 1, count: bytes)
            return LogEntry(
                session: 1, cxid: 0, zxid: zxid(1, counter), time: 0, transaction: .setData(path: "/a", data: data, version: 1))
        }
        let quarter = KeeperConfiguration.windowSize / 4
        var leader = History(recent: (1...9).map { entry($0, bytes: quarter) }, last: zxid(1, 9), capacity: 100)
        #expect(leader.diffRange == zxid(1, 7)...zxid(1, 9))
        func commit(_ counter: UInt32, bytes: Int) {
            leader.append(entry(counter, bytes: bytes))
            _ = leader.commitNext(upTo: zxid(1, counter))
        }
        commit(10, bytes: 1)
        #expect(leader.diffRange == zxid(1, 7)...zxid(1, 10))
        commit(11, bytes: quarter)
        #expect(leader.diffRange == zxid(1, 8)...zxid(1, 11))
        commit(12, bytes: 5 * quarter)
        #expect(leader.diffRange == zxid(1, 12)...zxid(1, 12))
        commit(13, bytes: 1)
        #expect(leader.diffRange == zxid(1, 13)...zxid(1, 13))
        commit(14, bytes: 1)
        #expect(leader.diffRange == zxid(1, 13)...zxid(1, 14))
    }

    /// ZOOKEEPER-4925: a hole must not enter the log.
    @Test func onlyTheNextZxidMayFollow() {
        let log = history([zxid(1, 5)])
        #expect(log.mayFollow(zxid(1, 6)))
        #expect(!log.mayFollow(zxid(1, 7)))
        #expect(!log.mayFollow(zxid(1, 5)))
        #expect(log.mayFollow(zxid(2, 1)))
        #expect(!log.mayFollow(zxid(2, 2)))
        #expect(!log.mayFollow(zxid(0, 9)))
    }
}
