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

    func run() throws {
        let client = try connection.client()
        var after = after
        while true {
            let body = try client.ask(.events(after: after, limit: ControlRoute.maximumEventLimit))
            let answer = try client.decode(EventsResponse.self, body)
            if connection.json {
                if !follow || !answer.events.isEmpty { StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
            } else {
                StandardStream.output.write(answer.text(connection.style))
            }
            // A daemon that was replaced may count from the beginning again.
            let isLast = answer.events.count < ControlRoute.maximumEventLimit || answer.next == after
            after = answer.next
            if isLast {
                guard follow else { return }
                sleep(1)
            }
        }
    }
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
