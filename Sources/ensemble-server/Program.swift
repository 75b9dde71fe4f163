import ArgumentParser
import EnsembleBase
import KeeperServer

@main
struct Program: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ensemble-server",
        abstract: "One member of a ZooKeeper ensemble.",
        discussion: """
            Reads a zoo.cfg and serves until SIGTERM or SIGINT. Speaks ZooKeeper's client and quorum protocols and keeps \
            its file formats. Exit statuses: 0 orderly, 64 usage, 65 damaged data, 70 internal error, 71 system resource \
            refused, 74 failed write or sync, 75 temporary failure, 78 wrong configuration.
            """,
        version: "ensemble-server \(ServerVersion.text)")

    @Argument(help: "The configuration file.", completion: .file(extensions: ["cfg"]))
    var configurationFile: String

    @Flag(help: "Permit the member to begin with an empty database, because the ensemble is new; then exit.")
    var initialize = false

    @Option(
        help: ArgumentHelp(
            "Mark the data as untrusted: the member neither votes nor acknowledges until it has synchronised; then exit.",
            valueName: "reason"))
    var markRecovering: String?

    @Option(
        help: ArgumentHelp(
            "Refuse data that ends before this transaction, has promised less than this epoch, or votes from less than that one.",
            discussion: "The daemon passes what it found there when it looked, as in 0x500000012:6:5, and :marked behind it where the data was marked as untrusted and must be still.",
            valueName: "zxid:accepted:current[:marked]"),
        transform: { text in
            guard let floor = DataFloor(text) else {
                throw ValidationError("'\(text)' is not a transaction and two epochs, as in 0x500000012:6:5 or 0x500000012:6:5:marked")
            }
            return floor
        })
    var dataFloor: DataFloor?

    @Flag(help: "Check the configuration and verify the data directory, print a report, and exit.")
    var check = false

    mutating func validate() throws {
        guard [initialize, markRecovering != nil, check].count(where: { $0 }) <= 1 else {
            throw ValidationError("--initialize, --mark-recovering and --check exclude each other")
        }
        guard dataFloor == nil || !initialize && markRecovering == nil && !check else {
            throw ValidationError("--data-floor is for a server that serves")
        }
    }

    mutating func run() throws {
        if initialize { ServerProgram.initialize(configurationFile) }
        if let markRecovering { ServerProgram.markRecovering(configurationFile, reason: markRecovering) }
        if check { ServerProgram.check(configurationFile) }
        ServerProgram.serve(configurationFile, floor: dataFloor)
    }
}
