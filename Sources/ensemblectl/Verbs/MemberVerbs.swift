import ArgumentParser
import EnsembleControl

/// A member's id on the command line.
struct MemberArgument: ParsableArguments {
    @Argument(help: "Id of the member, 1 to 254.")
    var member: Int

    func validate() throws {
        guard (1...254).contains(member) else { throw ValidationError("A member's id is a number from 1 to 254.") }
    }
}

/// The one exception from the rule that a voluntary step leaves a quorum (S4): a person's explicit word.
struct OutageOptions: ParsableArguments {
    @Flag(
        name: .customLong("accept-outage"),
        help: "Do it even if too few members go on serving meanwhile. Without this such a step is refused.")
    var acceptOutage = false

    var request: MemberRequest { MemberRequest(acceptOutage: acceptOutage) }
}

struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Start a member that was stopped, or that the daemon gave up on.")

    @OptionGroup var argument: MemberArgument
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let client = try connection.client()
        try waiting.follow(try client.ask(.member(argument.member, .start)), client, connection)
    }
}

struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Stop a member, if the others keep a quorum without it; it stays stopped.")

    @OptionGroup var argument: MemberArgument
    @OptionGroup var outage: OutageOptions
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let client = try connection.client()
        try waiting.follow(try client.ask(.member(argument.member, .stop), outage.request), client, connection)
    }
}

struct Reseed: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replace the data of a member: quarantine what it has, seed it from the latest verified backup, let it sync.")

    @OptionGroup var argument: MemberArgument
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let client = try connection.client()
        try waiting.follow(try client.ask(.member(argument.member, .reseed)), client, connection)
    }
}
