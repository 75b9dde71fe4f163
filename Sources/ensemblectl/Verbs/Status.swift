import ArgumentParser
import EnsembleControl
import Glibc

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the cluster: quorum, members, what is held and why, backups.")

    @OptionGroup var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Show it again every second.")
    var watch = false

    @Flag(name: .long, help: "Exit with 4 unless a quorum serves and nothing is held.")
    var check = false

    func run() throws {
        let client = try connection.client()
        var absence = Absence()
        repeat {
            guard let body = try absence.ask(client, .status, isFollowing: watch) else { continue }
            let status = try client.decode(StatusResponse.self, body)
            let text = connection.json ? String(decoding: body, as: UTF8.self) + "\n" : status.text(connection.style)
            let clears = watch && !connection.json && StandardStream.output.isTerminal
            StandardStream.output.write((clears ? "\u{1B}[H\u{1B}[2J" : "") + text)
            if check { try Self.judge(status) }
            if watch { sleep(1) }
        } while watch
    }

    static func judge(_ status: StatusResponse) throws(CommandFailure) {
        guard status.quorum.holds else {
            throw CommandFailure(
                .held, "\(status.cluster) has no quorum: \(status.quorum.participating) of \(status.quorum.voters) voters participate, \(status.quorum.needed) are needed",
                remedy: "see `ensemblectl events`")
        }
        guard let hold = status.held.first else { return }
        throw CommandFailure(.held, "\(hold.what) is held: \(hold.missingCondition)", remedy: "see `ensemblectl status`")
    }
}
