import ArgumentParser
import EnsembleBase
import EnsembleControl
import Glibc

struct HistoryVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show who asked for what, when, and what came of it, the latest first.",
        discussion: "Kept over the daemon's end. What the daemon began by itself is by \"ensembled\".")

    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("How many at most.", valueName: "number"))
    var limit = 50

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...ControlRoute.maximumEventLimit).contains(limit) else {
            throw ValidationError("--limit is a whole number from 1 to \(ControlRoute.maximumEventLimit)")
        }
    }

    func run() throws {
        let client = try connection.client()
        let body = try client.ask(.operations(limit: limit))
        if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
        StandardStream.output.write(try client.decode(OperationsResponse.self, body).text(connection.style, userName: UserNames.name))
    }
}

extension OperationsResponse {
    /// - Parameter userName: how a user id is shown.
    func text(_ style: Style, userName: (UInt32) -> String) -> String {
        guard !operations.isEmpty else { return "nothing was asked for yet\n" }
        var table = Table([
            Table.Column("ASKED"), Table.Column("BY", leaves: 2), Table.Column("WHAT", wraps: true), Table.Column("TOOK", .right, leaves: 1), Table.Column("RESULT", wraps: true),
        ])
        for operation in operations {
            let took = operation.startedAt.flatMap { began in operation.finishedAt.map { spanText($0.milliseconds - began.milliseconds) } }
            table.add([
                Table.Cell(operation.startedAt.map { "\($0)" } ?? ""), Table.Cell(operation.by.map(userName) ?? "ensembled"),
                Table.Cell(operation.kind), Table.Cell(took ?? ""), operation.result,
            ])
        }
        return table.text(style)
    }
}

extension OperationStatus {
    fileprivate var result: Table.Cell {
        switch state {
        case .succeeded: Table.Cell(message, .good)
        case .failed: Table.Cell("failed: \(message)", .bad)
        case .cancelled: Table.Cell(message, .busy)
        case .held: Table.Cell("waits: " + (error?.missingCondition ?? step), .busy)
        case .waiting, .running, .other: Table.Cell(step, .busy)
        }
    }
}

/// The names of this host's users, as far as it knows them.
enum UserNames {
    static func name(_ id: UInt32) -> String {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16 << 10)
        guard getpwuid_r(id, &entry, &buffer, buffer.count, &found) == 0, found != nil, let name = entry.pw_name else { return "\(id)" }
        return String(cString: name)
    }
}
