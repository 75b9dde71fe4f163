import ArgumentParser
import EnsembleBackup
import EnsembleBase
import EnsembleControl

struct Backup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Take, look at, verify and prune backups.",
        discussion: """
            With --archive they are read where they lie, without a daemon or an ensemble: list, show and verify; and restore, which \
            writes a server's data directory.
            """,
        subcommands: [Create.self, List.self, Show.self, Verify.self, Restore.self, Prune.self])

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

        @OptionGroup var offline: ArchiveOptions
        @OptionGroup var connection: ConnectionOptions

        func run() throws {
            if let archive = try offline.opened() {
                let found = try archive.list()
                if connection.json { return try StandardStream.output.write(json: found) }
                return StandardStream.output.write(found.text(connection.style))
            }
            let client = try connection.client()
            let body = try client.ask(.backups)
            if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
            StandardStream.output.write(try client.decode(BackupsResponse.self, body).text(connection.style))
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what a backup holds, and where it is from.")

        @OptionGroup var show: BackupOptions

        func run() throws { try show.run() }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read a backup back, replay it to its end and compare the tree's digest.")

        @Argument(help: "Id of the backup.")
        var backup: String

        @OptionGroup var offline: ArchiveOptions
        @OptionGroup var waiting: WaitingOptions
        @OptionGroup var connection: ConnectionOptions

        func validate() throws { try checkBackupID(backup) }

        func run() throws {
            if let archive = try offline.opened() {
                let record = try archive.verify(backup)
                if connection.json { return try StandardStream.output.write(json: record) }
                return StandardStream.output.write("\(backup) is whole: \(record.nodeCount) znodes at \(record.lastZxid)\n")
            }
            let client = try connection.client()
            let body = try waiting.inTurn { () throws(CommandFailure) in try client.ask(.verifyBackup(backup)) }
            try waiting.follow(body, client, connection)
        }
    }

    struct Restore: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a backup of an archive as a server's data directory, without a daemon.",
            discussion: """
                The backup is read back first; if it is damaged, nothing is written, and nothing is ever overwritten. For a cluster \
                that a daemon runs it is `ensemblectl restore`. For a new ensemble give each server a copy of the same backup, a \
                `myid` and its configuration; below the epoch that is printed no server of the former ensemble may come back.
                """)

        @Argument(help: "Id of the backup: see `ensemblectl backup list --archive DIRECTORY`.")
        var backup: String

        @Option(name: .long, help: ArgumentHelp("The archive.", valueName: "directory"))
        var archive: String

        @Option(name: .long, help: ArgumentHelp("dataDir of the server.", valueName: "directory"))
        var into: String

        @Option(name: .customLong("logs-into"), help: ArgumentHelp("dataLogDir of the server. Default: dataDir.", valueName: "directory"))
        var logsInto: String?

        @Flag(name: .long, help: "For one member of an ensemble that lives (bundled server): it votes only when it has synced.")
        var recovering = false

        @Option(
            name: .customLong("highest-epoch"),
            help: ArgumentHelp("The highest epoch that any server of the former ensemble was in. Default: what the backup knows.", valueName: "epoch"))
        var highestEpoch: Int64?

        @OptionGroup var output: OutputOptions

        func validate() throws {
            try checkBackupID(backup)
            if recovering, highestEpoch != nil { throw ValidationError("A member that is recovering takes its epoch from its leader.") }
            if let highestEpoch, !(0..<Int64(Int32.max)).contains(highestEpoch) { throw ValidationError("--highest-epoch is no epoch.") }
        }

        func run() throws {
            let restored = try OfflineArchive(archive).restore(
                backup, into: into, logs: logsInto, recovering: recovering, highestEpoch: highestEpoch)
            if output.json { return try StandardStream.output.write(json: restored) }
            StandardStream.output.write(restored.text)
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

/// Of the verbs that show one backup.
struct BackupOptions: ParsableArguments {
    @Argument(help: "Id of the backup.")
    var backup: String

    @Flag(name: .long, help: "Print the zoo.cfg of the member that it was taken from, and nothing else.")
    var configuration = false

    @OptionGroup var offline: ArchiveOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws { try checkBackupID(backup) }

    func run() throws {
        let details: BackupDetails
        if let archive = try offline.opened() {
            details = try archive.details(of: backup)
        } else {
            let client = try connection.client()
            details = try client.decode(BackupDetails.self, try client.ask(.backup(backup)))
        }
        if configuration { return StandardStream.output.write(details.configuration) }
        if connection.json { return try StandardStream.output.write(json: details) }
        StandardStream.output.write(details.text(connection.style))
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
        var table = Table(BackupDescription.columns)
        for backup in backups { table.add(backup.cells) }
        return table.text(style)
    }
}

extension BackupDescription {
    static let columns: [Table.Column] = [
        .init("ID"), .init("CREATED", leaves: 4), .init("MODE", leaves: 2), .init("MEMBER", .right, leaves: 1), .init("UP TO ZXID"),
        .init("SIZE", .right, leaves: 3), .init("STORED", .right), .init("VERIFIED", wraps: true),
    ]

    var cells: [Table.Cell] {
        let verdict: Table.Cell =
            if let damage { .init("damaged: \(damage)", .bad) } else if let verifiedAt { .init("\(verifiedAt)", .good) } else { .init("no", .busy) }
        // Members are counted from 1: of what can't be read nothing else is known.
        let isRead = member > 0
        let known = [mode.rawValue, "\(member)", "\(lastZxid)", bytesText(size), bytesText(storedSize)]
        return [.init(id), .init("\(createdAt)")] + known.map { .init(isRead ? $0 : "-") } + [verdict]
    }
}

extension [ListedBackup] {
    func text(_ style: Style) -> String {
        guard !isEmpty else { return "no backups\n" }
        var table = Table([.init("CLUSTER")] + BackupDescription.columns)
        for backup in self { table.add([.init(backup.cluster ?? "-")] + backup.summary.cells) }
        return table.text(style)
    }
}

extension OfflineRestore {
    var text: String {
        let what = "\(into) holds \(backup), up to \(lastZxid)"
        guard let acceptedEpoch else { return printable("\(what); it votes when it has synced with the leader") + "\n" }
        return printable("\(what); it accepts epochs from \(acceptedEpoch) on") + "\n"
    }
}

extension BackupDetails {
    func text(_ style: Style) -> String {
        var lines = [
            ("backup", summary.id), ("cluster", "\(cluster) (\(clusterIdentity))"),
            ("taken", "\(summary.createdAt), \(summary.mode.rawValue), from member \(summary.member), engine \(engine.rawValue)"),
            ("holds", "\(summary.firstZxid.map { "snapshot \($0), " } ?? "")transactions up to \(summary.lastZxid)"),
        ]
        if let from = firstTransactionAt, let to = lastTransactionAt { lines.append(("times", "\(from) to \(to), by the leader's clock")) }
        if let epoch = summary.epoch { lines.append(("epochs", "current \(epoch), accepted \(acceptedEpoch ?? epoch)")) }
        if let digest { lines.append(("digest", digest)) }
        lines.append(("size", "\(bytesText(summary.size)), \(bytesText(summary.storedSize)) stored"))
        lines.append(("verified", summary.verifiedAt.map { "\($0)\(nodeCount.map { ", \($0) znodes" } ?? "")" } ?? "no"))
        lines.append(("made by", toolVersion))
        var text = fieldsText(lines, style)
        var table = Table([.init("FILE"), .init("SIZE", .right), .init("STORED", .right), .init("OBJECT")])
        for object in objects {
            table.add([.init(object.name), .init(bytesText(object.size)), .init(bytesText(object.storedSize)), .init(object.storedSHA256)])
        }
        text += table.text(style)
        return text
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
