import EnsembleBase

/// Hands out session ids: the server's number in the high byte, then the wall clock's milliseconds when the server
/// began, then one more for each session (reference/zookeeper.md, 1.2).
package struct SessionIDs: Sendable {
    private var next: SessionID

    /// - Parameter server: 0...254, so that no id looks like the owner of a TTL node (ZOOKEEPER-2901).
    package init(server: ServerID, startedAt time: WallTime) {
        precondition((0...254).contains(server), "a server's id is between 0 and 254")
        let clock = (UInt64(bitPattern: time.milliseconds) << 24) >> 8
        next = Int64(bitPattern: clock | UInt64(server) << 56)
        skipMarker()
    }

    package mutating func make() -> SessionID {
        defer {
            next &+= 1
            skipMarker()
        }
        return next
    }

    /// 0 means "no session", `Int64.min` is the owner of containers.
    private mutating func skipMarker() {
        if next == StoredStat.containerMarker || next == 0 { next &+= 1 }
    }
}
