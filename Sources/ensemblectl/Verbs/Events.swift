import ArgumentParser
import EnsembleBase
import EnsembleControl
import Glibc

struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what happened, oldest first.")

    @OptionGroup var connection: ConnectionOptions

    @Flag(name: .shortAndLong, help: "Go on with what happens.")
    var follow = false

    @Option(name: .long, help: ArgumentHelp("Only events after this number.", valueName: "number"))
    var after: UInt64 = 0

    @Option(name: .long, help: ArgumentHelp("Only those of this member.", valueName: "id"))
    var member: Int?

    @Option(name: .long, help: ArgumentHelp("Only those of this kind, such as memberDied; may be repeated.", valueName: "type"))
    var type: [String] = []

    func run() throws {
        let client = try connection.client()
        var after = after
        var patience = Absence()
        while true {
            guard let body = try patience.ask(client, .events(after: after, limit: ControlRoute.maximumEventLimit), isFollowing: follow) else {
                continue
            }
            var answer = try client.decode(EventsResponse.self, body)
            let count = answer.events.count
            answer.events.removeAll { event in
                member.map { $0 != event.member } ?? false || !type.isEmpty && !type.contains(event.code)
            }
            if connection.json {
                if !follow || !answer.events.isEmpty { try StandardStream.output.write(json: answer) }
            } else {
                StandardStream.output.write(answer.text(connection.style))
            }
            // A daemon that was replaced may count from the beginning again.
            let isLast = count < ControlRoute.maximumEventLimit || answer.next == after
            after = answer.next
            if isLast {
                guard follow else { return }
                sleep(1)
            }
        }
    }
}

/// Whoever watches goes on watching when the daemon is replaced.
struct Absence {
    private var isSaid = false

    /// - Returns: nil where the daemon was not there, and a moment has passed.
    /// - Throws: that it can't be reached, when nobody watches or it never was.
    mutating func ask(_ client: ControlClient, _ route: ControlRoute, isFollowing: Bool) throws(CommandFailure) -> [UInt8]? {
        do {
            let body = try client.ask(route)
            hasAnswered = true
            isSaid = false
            return body
        } catch {
            guard isFollowing, hasAnswered, error.status == .unreachable else { throw error }
            if !isSaid { StandardStream.error.write("the daemon is gone: waiting for the next\n") }
            isSaid = true
            usleep(250_000)
            return nil
        }
    }

    private var hasAnswered = false
}

extension EventsResponse {
    func text(_ style: Style) -> String {
        let lines = events.map { event in
            let tone: Style.Tone =
                switch event.severity {
                case .error: .bad
                case .warning: .busy
                case .information, .other: .plain
                }
            let member = event.member.map { "member \($0): " } ?? ""
            return "\(event.at)  \(style.paint(printable(event.code), tone))  \(member)\(printable(event.message))\n"
        }
        return (missed ? "(earlier events are no longer in the daemon's memory)\n" : "") + lines.joined()
    }
}
