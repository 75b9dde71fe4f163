import ArgumentParser
import EnsembleBase
import EnsembleControl

struct Backup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take, list, verify and prune backups.",
        subcommands: [Create.self, List.self, Verify.self, Prune.self])

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take a backup now.")

        @Option(name: .long, help: "live or cold. Default: as the manifest says.")
        var mode: CaptureMode?

        @Option(name: .long, help: ArgumentHelp("Member to take it from. Default: the daemon chooses.", valueName: "id"))
        var member: Int?

        @OptionGroup var waiting: WaitingOptions
        @OptionGroup var connection: ConnectionOptions

        func run() throws {
            let client = try connection.client()
            let request = CreateBackupRequest(mode: mode, member: member)
            let body = try waiting.inTurn { () throws(CommandFailure) in try client.ask(.createBackup, request) }
            try waiting.follow(body, client, connection)
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the backups of the archive, newest first.")

        @OptionGroup var connection: ConnectionOptions

        func run() throws {
            let client = try connection.client()
            let body = try client.ask(.backups)
            if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
            StandardStream.output.write(try client.decode(BackupsResponse.self, body).text(connection.style))
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read a backup back, replay it to its end and compare the tree's digest.")

        @Argument(help: "Id of the backup.")
        var backup: String

        @OptionGroup var waiting: WaitingOptions
        @OptionGroup var connection: ConnectionOptions

        func validate() throws { try checkBackupID(backup) }

        func run() throws {
            let client = try connection.client()
            let body = try waiting.inTurn { () throws(CommandFailure) in try client.ask(.verifyBackup(backup)) }
            try waiting.follow(body, client, connection)
        }
    }

    struct Prune: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove the backups that retention no longer keeps; never the newest verified one.")

        @Flag(name: .customLong("dry-run"), help: "Only say which.")
        var dryRun = false

        @OptionGroup var connection: ConnectionOptions

        func run() throws {
            let client = try connection.client()
            let body = try client.ask(.pruneBackups, PruneBackupsRequest(dryRun: dryRun))
            if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
            StandardStream.output.write(try client.decode(PruneBackupsResponse.self, body).text)
        }
    }
}

extension CaptureMode: ExpressibleByArgument {}

func checkBackupID(_ text: String) throws {
    guard ControlRoute.isIdentifier(text) else {
        throw ValidationError("\"\(printable(text))\" is no id of a backup: take one from `ensemblectl backup list`.")
    }
}

extension BackupsResponse {
    func text(_ style: Style) -> String {
        guard !backups.isEmpty else { return "no backups in \(printable(archive))\n" }
        var table = Table([
            .init("ID"), .init("CREATED"), .init("MODE"), .init("MEMBER", .right), .init("UP TO ZXID"), .init("SIZE", .right),
            .init("STORED", .right), .init("VERIFIED"),
        ])
        for backup in backups {
            let verdict: Table.Cell =
                if let damage = backup.damage { .init("damaged: \(damage)", .bad) } else if let at = backup.verifiedAt {
                    .init("\(at)", .good)
                } else { .init("no", .busy) }
            // Members are counted from 1: of what can't be read nothing else is known.
            let isRead = backup.member > 0
            let known = [
                backup.mode.rawValue, "\(backup.member)", "\(backup.lastZxid)", bytesText(backup.size), bytesText(backup.storedSize),
            ]
            table.add(
                [.init(backup.id), .init("\(backup.createdAt)")] + known.map { .init(isRead ? $0 : "-") } + [verdict])
        }
        return table.text(style)
    }
}

extension PruneBackupsResponse {
    var text: String {
        let verb = dryRun ? "would remove" : "removed"
        var text = removed.map { "\(verb) \(printable($0.id)): \(printable($0.reason))\n" }.joined()
        text += kept.map { "kept \(printable($0.id)): \(printable($0.reason))\n" }.joined()
        return text + "\(verb) \(removed.count), \(bytesText(freed)); \(kept.count) stay\n"
    }
}
