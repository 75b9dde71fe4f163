import EnsembleBase
import KeeperCore
import Testing

@testable import KeeperClient

@Suite struct WatchRegistryTests {
    private func token(_ value: UInt64) -> WatchToken { WatchToken(rawValue: value) }

    @Test func aOneShotWatchFiresOnce() {
        var watches = WatchRegistry()
        watches.add(token(1), .data, at: "/a")
        let fired1 = watches.fire(.dataChanged, at: "/a")
        #expect(fired1 == [token(1)])
        let fired2 = watches.fire(.dataChanged, at: "/a")
        #expect(fired2.isEmpty)
        #expect(watches.isEmpty)
    }

    @Test func aChildWatchHearsOfChildrenAndOfTheEnd() {
        var watches = WatchRegistry()
        watches.add(token(1), .child, at: "/a")
        let fired3 = watches.fire(.dataChanged, at: "/a")
        #expect(fired3.isEmpty)
        let fired4 = watches.fire(.deleted, at: "/a")
        #expect(fired4 == [token(1)])
    }

    @Test func lastingWatchesStayAndRecursiveOnesHearFromBelowButNotOfChildLists() {
        var watches = WatchRegistry()
        watches.add(token(1), .persistent, at: "/a")
        watches.add(token(2), .recursive, at: "/a")
        let fired5 = watches.fire(.created, at: "/a/b/c")
        #expect(fired5 == [token(2)])
        let fired6 = watches.fire(.childrenChanged, at: "/a")
        #expect(fired6 == [token(1)])
        let fired7 = watches.fire(.dataChanged, at: "/a")
        #expect(fired7 == [token(1), token(2)])
        let fired8 = watches.fire(.created, at: "/ab")
        #expect(fired8.isEmpty)
    }

    @Test func renewalUsesTheOldOperationUnlessALastingWatchNeedsTheNew() {
        var watches = WatchRegistry()
        watches.add(token(1), .exist, at: "/a")
        #expect(watches.renewals(relativeTo: .zero) == [.setWatches(WatchSet(relativeZxid: .zero, exist: ["/a"]), extended: false)])
        watches.add(token(2), .recursive, at: "/b")
        #expect(
            watches.renewals(relativeTo: .zero)
                == [.setWatches(WatchSet(relativeZxid: .zero, exist: ["/a"], persistentRecursive: ["/b"]), extended: true)])
    }

    @Test func renewalIsSplitBelowTheFrameLimit() {
        var watches = WatchRegistry()
        for index in 0..<100 { watches.add(token(UInt64(index)), .data, at: NodePath("/node-\(index)")) }
        let requests = watches.renewals(relativeTo: .zero, bytes: 200)
        #expect(requests.count > 3)
        var paths: [NodePath] = []
        for case .setWatches(let set, _) in requests {
            #expect(set.data.reduce(0) { $0 + $1.bytes.count } <= 200)
            paths += set.data
        }
        #expect(Set(paths).count == 100)
    }

    @Test func onlyTheLastWatcherOfItsKindIsTakenFromTheServer() {
        var watches = WatchRegistry()
        watches.add(token(1), .persistent, at: "/a")
        watches.add(token(2), .persistent, at: "/a")
        let wasLast9 = watches.remove(token(1), .persistent, at: "/a")
        #expect(!wasLast9)
        let wasLast10 = watches.remove(token(2), .persistent, at: "/a")
        #expect(wasLast10)
        let wasLast11 = watches.remove(token(2), .persistent, at: "/a")
        #expect(!wasLast11)
    }
}
