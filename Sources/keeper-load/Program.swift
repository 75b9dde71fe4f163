import ArgumentParser

/// Load and histories for benchmarks and fault tests. Speaks the client protocol only, so any server can be measured.
@main
struct KeeperLoad: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keeper-load",
        abstract: "Measures a ZooKeeper ensemble, and records and checks histories of writes.",
        subcommands: [MeasureCommand.self, HistoryCommand.self, CheckCommand.self],
        defaultSubcommand: MeasureCommand.self)
}
