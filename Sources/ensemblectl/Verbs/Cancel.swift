import ArgumentParser
import EnsembleControl

struct Cancel: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End what is at work, as far as that is still safe.",
        discussion: """
            A member that was taken out of service comes back by itself. What can't be left half done goes on, and the answer \
            says why.
            """)

    @Argument(help: "Id of the operation, as status shows it; default: the one at work.")
    var operation: String?

    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let operation, !ControlRoute.isIdentifier(operation) {
            throw ValidationError("\"\(printable(operation))\" is not the id of an operation; `ensemblectl status` shows it.")
        }
    }

    func run() throws {
        let client = try connection.client()
        let id = try operation ?? atWork(client)
        let accepted = try client.ask(.cancel(id))
        try waiting.follow(accepted, client, connection, isCancelled: true)
    }

    private func atWork(_ client: ControlClient) throws(CommandFailure) -> String {
        let works = try client.decode(StatusResponse.self, try client.ask(.status)).works
        // What has no id the daemon has begun by itself, and will again.
        let named = works.filter { !$0.id.isEmpty }
        guard let first = named.first else {
            let others = works.map { printable($0.kind) }.joined(separator: ", ")
            throw CommandFailure(
                .notFound, "nothing is at work that somebody asked for" + (others.isEmpty ? "" : ", only: \(others)"),
                remedy: "there is nothing to cancel; `ensemblectl pause` holds back what is voluntary")
        }
        guard named.count == 1 else {
            let all = named.map { "\(printable($0.id)) (\(printable($0.kind)))" }.joined(separator: ", ")
            throw CommandFailure(.usage, "several things are at work: \(all)", remedy: "name one of them")
        }
        return first.id
    }
}

struct Pause: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Begin nothing that takes a serving member out of service, until `resume`.",
        discussion: """
            Dead members are still restarted and lost ones brought back, and live backups are taken. Rolling restarts stand \
            still between two members, and scheduled cold backups are left out. It outlives the daemon.
            """)

    @OptionGroup var connection: ConnectionOptions

    func run() throws { try show(.pause, connection) }
}

struct Resume: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Go on with what `pause` has held back.")

    @OptionGroup var connection: ConnectionOptions

    func run() throws { try show(.resume, connection) }
}

private func show(_ route: ControlRoute, _ connection: ConnectionOptions) throws {
    let client = try connection.client()
    let body = try client.ask(route)
    let status = try client.decode(StatusResponse.self, body)
    guard !connection.json else { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
    StandardStream.output.write(status.pausedSince == nil ? "not paused\n" : status.pauseLine)
}
