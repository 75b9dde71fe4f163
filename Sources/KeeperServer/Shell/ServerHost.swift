import CLinux
import EnsembleBase
import KeeperStorage
import NIOCore

/// What a server stands on: its event loop, connections, files and threads. A machine's in production; a simulated
/// world's where whole servers are judged.
package struct ServerHost {
    package var eventLoop: any EventLoop
    package var network: any Network
    package var files: any FileSystem
    /// Makes a lane; its name has at most 15 bytes.
    package var lane: (_ name: String) throws(StorageError) -> any Lane
    /// Gives back to the system what recovery has read and let go: it lies between what recovery has kept, and would stay
    /// with the process.
    package var trimMemory: @Sendable () -> Void
    package var wallTime: () -> WallTime = { WallClock.now }
    /// Of a snapshot, between which the tree goes on changing. A slice takes well under a millisecond.
    package var nodesPerSlice = 128

    package init(
        eventLoop: any EventLoop, network: any Network, files: any FileSystem,
        lane: @escaping (_ name: String) throws(StorageError) -> any Lane, trimMemory: @escaping @Sendable () -> Void
    ) {
        self.eventLoop = eventLoop
        self.network = network
        self.files = files
        self.lane = lane
        self.trimMemory = trimMemory
    }

    /// This machine.
    static func system(_ eventLoop: any EventLoop) -> ServerHost {
        ServerHost(
            eventLoop: eventLoop, network: SocketNetwork(eventLoop: eventLoop), files: SystemFiles.shared,
            lane: { name throws(StorageError) in
                let lane = try ThreadLane(name: name)
                lane.run { TimeSlice.ask(name == "log" ? TimeSlice.log : TimeSlice.usual) }
                return lane
            }, trimMemory: { malloc_trim(0) })
    }
}
