import EnsembleBase
import KeeperCore
import KeeperServer
import KeeperStorage
import NIOCore

/// One server of a wired world: its host's clock and disk, and its process while it runs.
final class WiredServer {
    /// What dies with `kill -9`.
    struct Process {
        let loop: WiredLoop
        let sockets: WiredSockets
        let shell: KeeperShell
        let bell: SimLane.Bell
        /// Lanes that have work, by number.
        var lanes: [Int: SimLane] = [:]
        var laneCount = 0
        /// What it was at when it ended by itself.
        var ending: ServerExitReport?
    }

    let id: ServerID
    let configuration: ServerConfiguration
    let clock: WiredClock
    var disk: SimDisk
    var process: Process?
    var incarnation = 0
    var isFrozen = false
    /// When it last stood still no longer.
    var goesOnSince = Instant.origin
    /// No lane's work goes on until then.
    var diskStalledUntil = Instant.origin
    /// A turn came while it stood still.
    var missedTurn = false
    /// For the checkers: what its log held when it was read, and what was appended since.
    var logged: [LogEntry] = []
    var lastLogged = Zxid.zero
    /// When it heard of each session last while it led, by the world's clock.
    var heard: [SessionID: Instant] = [:]
    /// When it last let its clients go.
    var roleEndedAt = Instant.origin
    /// What is being installed behind a tree.
    var installing: [LogEntry] = []

    init(id: ServerID, configuration: ServerConfiguration, clock: WiredClock, seed: UInt64) {
        self.id = id
        self.configuration = configuration
        self.clock = clock
        disk = SimDisk(seed: seed ^ UInt64(id) &* 0xd15c)
    }

    var machine: KeeperMachine? { process?.shell.machine }

    /// The text that a person would write, read as the program reads it.
    static func configuration(of id: ServerID, among count: Int, _ plan: Plan) -> ServerConfiguration {
        var lines = [
            "tickTime=200", "initLimit=5", "syncLimit=4", "minSessionTimeout=400", "maxSessionTimeout=8000", "maxClientCnxns=0",
            "dataDir=\(SimDisk.dataDir)", "clientPortAddress=\(Switchboard.host(of: id))", "clientPort=\(Switchboard.clientPort(of: id))",
            "snapCount=\(plan.snapCount)", "autopurge.snapRetainCount=3", "autopurge.purgeInterval=1", "preAllocSize=64",
            "znode.container.checkIntervalMs=3000", "ensemble.memoryBudgetMB=\(plan.seed % 3 == 0 ? 16 : 64)",
        ]
        if count > 1 {
            lines += (1...Int64(count)).map {
                "server.\($0)=\(Switchboard.host(of: $0)):\(Switchboard.quorumPort(of: $0)):\(Switchboard.electionPort(of: $0))"
            }
        }
        let text = lines.joined(separator: "\n")
        let outcome = ConfigurationParser.parse(Array(text.utf8), file: "zoo.cfg") { _ in Array("\(id)".utf8) }
        guard let configuration = outcome.configuration else {
            preconditionFailure("the simulated server's configuration is wrong: \(outcome.problems)")
        }
        return configuration
    }
}
