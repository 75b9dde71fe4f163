import EnsembleBase
import KeeperCore
import Testing

@Suite struct WatchTableTests {
    private let one = ConnectionID(rawValue: 1)
    private let two = ConnectionID(rawValue: 2)

    private struct Told: Equatable, CustomStringConvertible {
        var connection: UInt64
        var type: WatchEventType
        var path: NodePath
        init(_ connection: UInt64, _ type: WatchEventType, _ path: NodePath) {
            self.connection = connection
            self.type = type
            self.path = path
        }
        var description: String { "\(connection) \(type) \(path)" }
    }

    private func trigger(
        _ table: inout WatchTable, _ changes: TreeChange..., identities: [Identity] = []
    ) -> [Told] {
        var told: [Told] = []
        table.trigger(changes, zxid: Zxid(rawValue: 5), identities: { _ in identities }) {
            #expect($1.zxid == Zxid(rawValue: 5))
            told.append(Told($0.rawValue, $1.type, $1.path))
        }
        return told
    }

    private func remove(
        _ table: inout WatchTable, _ connection: ConnectionID, _ path: NodePath, _ type: WatcherType
    ) -> Bool {
        table.removeWatch(connection, path, type)
    }

    @Test func oneShotDataWatch() {
        var table = WatchTable()
        table.addDataWatch(one, "/a")
        table.addDataWatch(one, "/a")
        #expect(table.watchCount == 1)
        #expect(trigger(&table, TreeChange(kind: .created, path: "/a/b")).isEmpty)
        #expect(trigger(&table, TreeChange(kind: .dataChanged, path: "/a")) == [Told(1, .dataChanged, "/a")])
        #expect(trigger(&table, TreeChange(kind: .dataChanged, path: "/a")).isEmpty)
        #expect(table.watchCount == 0 && table.pathCount == 0 && table.connectionCount == 0)
    }

    @Test func oneShotChildWatch() {
        var table = WatchTable()
        table.addChildWatch(one, "/a")
        #expect(trigger(&table, TreeChange(kind: .dataChanged, path: "/a")).isEmpty)
        #expect(trigger(&table, TreeChange(kind: .deleted, path: "/a/b")) == [Told(1, .childrenChanged, "/a")])
        #expect(trigger(&table, TreeChange(kind: .created, path: "/a/b")).isEmpty)
        table.addChildWatch(one, "/")
        #expect(trigger(&table, TreeChange(kind: .created, path: "/c")) == [Told(1, .childrenChanged, "/")])
    }

    @Test func deletionIsToldOnce() {
        var table = WatchTable()
        table.addChildWatch(two, "/a")
        table.addDataWatch(one, "/a")
        table.addChildWatch(one, "/a")
        table.addPersistentWatch(one, "/", recursive: true)
        #expect(
            trigger(&table, TreeChange(kind: .deleted, path: "/a")) == [Told(1, .deleted, "/a"), Told(2, .deleted, "/a")])
        #expect(table.watchCount == 1)
    }

    @Test func persistentStays() {
        var table = WatchTable()
        table.addPersistentWatch(one, "/a", recursive: false)
        #expect(table.watchCount == 2)
        for _ in 0..<2 {
            #expect(trigger(&table, TreeChange(kind: .created, path: "/a")) == [Told(1, .created, "/a")])
            #expect(trigger(&table, TreeChange(kind: .created, path: "/a/b")) == [Told(1, .childrenChanged, "/a")])
            #expect(trigger(&table, TreeChange(kind: .dataChanged, path: "/a/b")).isEmpty)
            #expect(trigger(&table, TreeChange(kind: .deleted, path: "/a")) == [Told(1, .deleted, "/a")])
        }
    }

    @Test func recursiveSeesBelowButNoChildrenChanged() {
        var table = WatchTable()
        table.addPersistentWatch(one, "/a", recursive: true)
        table.addDataWatch(one, "/a/b/c")
        #expect(trigger(&table, TreeChange(kind: .created, path: "/a/b/c")) == [Told(1, .created, "/a/b/c")])
        #expect(trigger(&table, TreeChange(kind: .dataChanged, path: "/a")) == [Told(1, .dataChanged, "/a")])
        #expect(trigger(&table, TreeChange(kind: .deleted, path: "/a/b/c")) == [Told(1, .deleted, "/a/b/c")])
        #expect(trigger(&table, TreeChange(kind: .created, path: "/ab")).isEmpty)
        #expect(remove(&table, one, "/a", .persistentRecursive))
        #expect(trigger(&table, TreeChange(kind: .created, path: "/a/b")).isEmpty)
    }

    @Test func orderIsThatOfRegistration() {
        var table = WatchTable()
        let many = (1...50).map { ConnectionID(rawValue: UInt64($0 * 37 % 101)) }
        for connection in many { table.addDataWatch(connection, "/a") }
        #expect(trigger(&table, TreeChange(kind: .created, path: "/a")).map(\.connection) == many.map(\.rawValue))
    }

    /// ZOOKEEPER-4799: who may not read a node learns nothing of it, and its one-shot watch is spent.
    @Test func eventsNeedTheRightToRead() {
        var table = WatchTable()
        let list = [AccessRight(permissions: .read, identity: RandomWrites.reader)]
        table.addDataWatch(one, "/a")
        table.addChildWatch(one, "/")
        let change = TreeChange(kind: .deleted, path: "/a", acl: list, parentACL: nil)
        #expect(trigger(&table, change) == [Told(1, .childrenChanged, "/")])
        #expect(table.watchCount == 0)
        table.addDataWatch(one, "/a")
        table.addChildWatch(one, "/")
        #expect(trigger(&table, TreeChange(kind: .created, path: "/a", acl: list, parentACL: list), identities: [RandomWrites.reader]).count == 2)
    }

    @Test func removalAndChecks() {
        var table = WatchTable()
        table.addDataWatch(one, "/a")
        table.addChildWatch(one, "/a")
        table.addPersistentWatch(one, "/b", recursive: false)
        #expect(table.hasWatch(one, "/a", .data) && table.hasWatch(one, "/a", .children) && table.hasWatch(one, "/a", .any))
        #expect(!table.hasWatch(one, "/a", .persistent) && !table.hasWatch(two, "/a", .any))
        #expect(table.hasWatch(one, "/b", .persistent) && !table.hasWatch(one, "/b", .data))
        #expect(!remove(&table, one, "/a", .persistent))
        #expect(remove(&table, one, "/a", .data))
        #expect(!remove(&table, one, "/a", .data))
        #expect(remove(&table, one, "/a", .any))
        #expect(!table.hasWatch(one, "/a", .any))
        #expect(trigger(&table, TreeChange(kind: .deleted, path: "/a")).isEmpty)
        table.addDataWatch(two, "/b")
        #expect(table.watchersByPath.map(\.path) == ["/b"] && table.watchersByPath[0].connections == [one, two])
        #expect(table.pathsByConnection.map(\.connection) == [one, two])
        table.remove(one)
        #expect(table.watchCount == 1 && table.connectionCount == 1)
        table.remove(two)
        #expect(table.watchCount == 0 && table.pathCount == 0)
    }

    @Test func reconnectionReportsWhatWasMissed() {
        var world = WriteWorld()
        world.write(.create("/old"))
        world.write(.create("/parent"))
        let seen = world.tree.lastProcessedZxid
        world.write(.create("/new"))
        world.write(.create("/parent/child"))
        world.write(.create("/hidden", acl: [AccessRight(permissions: .write, identity: .anyone)]))
        var table = WatchTable()
        var events: [WatchEvent] = []
        let set = WatchSet(
            relativeZxid: seen, data: ["/old", "/new", "/gone", "/hidden"], exist: ["/gone", "/new"],
            child: ["/old", "/parent", "/gone"], persistent: ["/p"], persistentRecursive: ["/r"])
        table.restore(set, for: one, identities: [], tree: world.tree) { events.append($0) }
        #expect(
            events.map { Told(1, $0.type, $0.path) } == [
                Told(1, .dataChanged, "/new"), Told(1, .deleted, "/gone"), Told(1, .created, "/new"),
                Told(1, .childrenChanged, "/parent"), Told(1, .deleted, "/gone"),
            ])
        #expect(table.hasWatch(one, "/old", .data) && table.hasWatch(one, "/old", .children))
        #expect(table.hasWatch(one, "/gone", .data) && !table.hasWatch(one, "/new", .any) && !table.hasWatch(one, "/hidden", .any))
        #expect(table.hasWatch(one, "/p", .persistent) && table.hasWatch(one, "/r", .persistentRecursive))
    }
}
