import EnsembleBase
import Testing

@testable import KeeperCore

/// When a snapshot is due (issue 8, A7): by what a restart would replay.
@Suite struct SnapshotScheduleTests {
    private let client = ConnectionID(rawValue: 1)

    private func configuration(count: Int = 1000, size: Int = 1 << 40) -> KeeperConfiguration {
        KeeperConfiguration(serverID: 1, voters: [1], standalone: true, snapCount: count, snapSizeLimit: size)
    }

    private func recovered(behind: LogExtent) -> RecoveredState {
        var state = TestMember.empty()
        state.behindSnapshot = behind
        return state
    }

    /// The snapshots that are begun by so many writes.
    private func write(_ count: Int, data: Int = 0, _ server: inout TestMember) -> Int {
        var begun = 0
        for _ in 0..<count {
            server.step(.requested(client, xid: 1, .setData(path: "/", data: Array(repeating: 1, count: data), version: -1)))
            begun += server.commitAll().count { if case .takeSnapshot = $0 { true } else { false } }
        }
        return begun
    }

    /// The reported sequence: runs that are all shorter than a snapshot's distance.
    @Test func restartsDoNotPostponeIt() {
        var behind = LogExtent()
        for _ in 0..<12 {
            var server = TestMember.alone(configuration(), recovered(behind: behind))
            _ = server.open(client)
            if write(400, &server) > 0 { return }
            behind = LogExtent(transactions: behind.transactions + 401, bytes: behind.bytes + 401 * 100)
        }
        Issue.record("twelve runs of 400 writes, a snapshot every 1000, and none was begun")
    }

    @Test func bytesCountAsWell() {
        var server = TestMember.alone(configuration(count: 1_000_000, size: 1 << 20))
        _ = server.open(client)
        #expect(write(5, data: 90_000, &server) == 0)
        #expect(write(7, data: 90_000, &server) == 1)
    }

    /// Only what was there when it began is behind a snapshot that was taken.
    @Test func aSnapshotThatWasTakenCountsOnlyWhatItCovers() {
        var server = TestMember.alone(configuration())
        _ = server.open(client)
        #expect(write(1000, &server) == 1)
        let during = server.machine.snapshots.behind.transactions
        #expect(write(100, &server) == 0)
        server.step(.snapshotSaved(server.machine.tree.lastProcessedZxid))
        #expect((100..<during).contains(server.machine.snapshots.behind.transactions))
    }

    /// A full disk must not cost another whole distance, nor be tried at each write.
    @Test func aFailedOneIsTriedAgainAfterAWhile() {
        var server = TestMember.alone(configuration())
        _ = server.open(client)
        #expect(write(1000, &server) == 1)
        server.step(.snapshotFailed)
        #expect(write(10, &server) == 0)
        server.pass(.seconds(11))
        server.step(.requested(client, xid: -2, .ping))
        #expect(write(10, &server) == 1)
        server.step(.snapshotFailed)
        server.pass(.seconds(11))
        #expect(write(10, &server) == 0)
    }

    /// A snapshot that is given up for TRUNC or SNAP is reported as one that failed, and is none: what a restart would replay
    /// then would wait for ten seconds and more.
    @Test(arguments: [false, true]) func aRewrittenDirectoryIsJudgedAnew(isReported: Bool) {
        var random = SeededRandom(seed: 1)
        var schedule = SnapshotSchedule(configuration(), &random)
        schedule.found(LogExtent(transactions: 1000))
        #expect(schedule.isDue(at: .origin))
        schedule.begun(at: .zero)
        if isReported { schedule.failed(at: .origin, &random) }
        #expect(!schedule.isDue(at: .origin))
        schedule.found(LogExtent(transactions: 1000))
        #expect(schedule.isDue(at: .origin))
    }

    /// What is applied while no client is served is behind the snapshot, too.
    @Test func anElectionDoesNotPostponeIt() {
        var follower = TestMember.following()
        for counter in 1...5 as ClosedRange<UInt32> {
            follower.proposed(
                LogEntry(session: 9, cxid: 1, zxid: Zxid(epoch: 1, counter: counter), time: 1, transaction: .error(-101)))
        }
        follower.told(.commit(Zxid(epoch: 1, counter: 2)))
        follower.step(.leaderDisconnected)
        #expect(follower.machine.snapshots.behind.transactions == 5)
        follower.join()
        #expect(follower.machine.snapshots.behind.transactions == 5)
    }
}
