import ArgumentParser
import EnsembleControl

struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put the whole cluster back to a backup.",
        discussion:
            "The backup is read back first; if it is damaged, nothing is changed. Every write since the backup is lost to clients, and every member is down meanwhile. What the members have now is moved to quarantine, not removed.")

    @Argument(help: "Id of the backup: see `ensemblectl backup list`.")
    var backup: String

    @Option(name: .long, help: ArgumentHelp("Name of the cluster, to show that you mean it.", valueName: "cluster"))
    var confirm: String

    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws { try checkBackupID(backup) }

    func run() throws {
        let client = try connection.client()
        // The removal of old backups is over in a moment. What takes longer is for the person to know of first.
        let body = try waiting.inTurn(patience: .seconds(10)) { () throws(CommandFailure) in
            let ticket = try client.decode(TicketResponse.self, try client.ask(.ticket)).ticket
            return try client.ask(.restore, RestoreRequest(backup: backup, confirm: confirm, ticket: ticket))
        }
        try waiting.follow(body, client, connection)
    }
}
