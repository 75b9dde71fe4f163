import EnsembleBase
import Testing

@testable import KeeperCore

@Suite struct SyncPlanTests {
    /// A leader's history: found on its disk up to `recovered`, and committed since.
    private func history(_ zxids: [Zxid], recovered: Int = 1, capacity: Int = 100) -> History {
        let entries = zxids.map { LogEntry(session: 1, cxid: 0, zxid: $0, time: 0, transaction: .error(-101)) }
        let found = entries.prefix(recovered)
        var history = History(recent: Array(found), last: found.last?.zxid ?? .zero, capacity: capacity)
        for entry in entries.dropFirst(recovered) {
            history.append(entry)
            _ = history.commitNext(upTo: entry.zxid)
        }
        return history
    }

    private func zxid(_ epoch: Int64, _ counter: UInt32) -> Zxid { Zxid(epoch: epoch, counter: counter) }

    @Test func decisions() {
        let leader = history([zxid(1, 5), zxid(1, 6), zxid(1, 7), zxid(3, 1), zxid(3, 2)])
        #expect(SyncPlan(peer: zxid(3, 2), history: leader) == .diff(from: 5))
        #expect(SyncPlan(peer: zxid(1, 6), history: leader) == .diff(from: 2))
        // Right before the window.
        #expect(SyncPlan(peer: zxid(1, 4), history: leader) == .diff(from: 0))
        #expect(SyncPlan(peer: zxid(3, 9), history: leader) == .trunc(to: zxid(3, 2)))
        // Older than the window.
        #expect(SyncPlan(peer: zxid(1, 2), history: leader) == .snap)
        // An epoch's uncommitted end.
        #expect(SyncPlan(peer: zxid(1, 9), history: leader) == .snap)
        // The learner's own epoch 2: a cut back to 1,7 would cross an epoch, and it may lack 1,6 and 1,7.
        #expect(SyncPlan(peer: zxid(2, 2), history: leader) == .snap)
        #expect(SyncPlan(peer: zxid(4, 2), history: leader) == .snap)
        // The mark of a fresh epoch is no transaction.
        #expect(SyncPlan(peer: zxid(3, 0), history: leader) == .diff(from: 3))
        #expect(SyncPlan(peer: zxid(4, 0), history: leader) == .snap)
        // Whoever made an epoch 2 may have begun it behind more than 1,7.
        #expect(SyncPlan(peer: zxid(2, 0), history: leader) == .snap)
        #expect(SyncPlan(peer: .zero, history: leader) == .snap)
        #expect(SyncPlan(peer: zxid(1, 3), history: history([])) == .snap)
        #expect(SyncPlan(peer: .zero, history: history([zxid(1, 1), zxid(1, 2)], recovered: 0)) == .diff(from: 0))
    }

    /// Issue 8, A1: Apache's server had this member's directory (1,1 to 1,42; then away; SNAP at 1,943; then epoch 2).
    @Test func aRecoveredWindowReachesBackToItsEpochsBeginning() {
        let found = (1...42).map { zxid(1, $0) } + [zxid(2, 1), zxid(2, 2)]
        let leader = history(found, recovered: found.count)
        #expect(SyncPlan(peer: zxid(1, 21), history: leader) == .snap)
        #expect(SyncPlan(peer: zxid(1, 42), history: leader) == .snap)
        #expect(SyncPlan(peer: zxid(2, 1), history: leader) == .diff(from: 1))
        #expect(SyncPlan(peer: zxid(2, 0), history: leader) == .diff(from: 0))
        // The log may end before the tree: what is between is not in the window.
        let behind = LogEntry(session: 1, cxid: 0, zxid: zxid(1, 42), time: 0, transaction: .error(-101))
        let tree = History(recent: [behind], last: zxid(2, 0), capacity: 100)
        #expect(SyncPlan(peer: zxid(1, 41), history: tree) == .snap)
        #expect(SyncPlan(peer: zxid(2, 0), history: tree) == .diff(from: 0))
    }

    @Test func aHoleWithinAnEpochEndsTheWindow() {
        let found = [zxid(3, 1), zxid(3, 2), zxid(3, 9)]
        let leader = history(found, recovered: 3)
        #expect(SyncPlan(peer: zxid(3, 2), history: leader) == .snap)
        #expect(SyncPlan(peer: zxid(3, 8), history: leader) == .diff(from: 0))
    }

    @Test func theWindowForgetsTheOldest() {
        var leader = history([zxid(1, 1)], capacity: 2)
        for counter in UInt32(2)...4 {
            leader.append(LogEntry(session: 1, cxid: 0, zxid: zxid(1, counter), time: 0, transaction: .error(-101)))
            _ = leader.commitNext(upTo: zxid(1, counter))
        }
        #expect(leader.windowBase == zxid(1, 2) && leader.lastCommitted == zxid(1, 4))
        #expect(SyncPlan(peer: zxid(1, 1), history: leader) == .snap)
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
        #expect(leader.windowBase == zxid(1, 6) && leader.lastCommitted == zxid(1, 9))
        func commit(_ counter: UInt32, bytes: Int) {
            leader.append(entry(counter, bytes: bytes))
            _ = leader.commitNext(upTo: zxid(1, counter))
        }
        commit(10, bytes: 1)
        #expect(leader.windowBase == zxid(1, 6) && leader.lastCommitted == zxid(1, 10))
        commit(11, bytes: quarter)
        #expect(leader.windowBase == zxid(1, 7) && leader.lastCommitted == zxid(1, 11))
        commit(12, bytes: 5 * quarter)
        #expect(leader.windowBase == zxid(1, 11) && leader.lastCommitted == zxid(1, 12))
        commit(13, bytes: 1)
        #expect(leader.windowBase == zxid(1, 12) && leader.lastCommitted == zxid(1, 13))
        commit(14, bytes: 1)
        #expect(leader.windowBase == zxid(1, 12) && leader.lastCommitted == zxid(1, 14))
    }

    /// ZOOKEEPER-4925: a hole must not enter the log.
    @Test func onlyTheNextZxidMayFollow() {
        #expect(zxid(1, 6).follows(zxid(1, 5)))
        #expect(!zxid(1, 7).follows(zxid(1, 5)))
        #expect(!zxid(1, 5).follows(zxid(1, 5)))
        #expect(zxid(2, 1).follows(zxid(1, 5)))
        #expect(!zxid(2, 0).follows(zxid(1, 5)))
        #expect(!zxid(2, 2).follows(zxid(1, 5)))
        #expect(!zxid(0, 9).follows(zxid(1, 5)))
    }
}
