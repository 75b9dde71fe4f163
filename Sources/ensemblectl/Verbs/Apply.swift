import ArgumentParser
import EnsembleBase
import EnsembleControl
import Glibc

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what the manifest's file says otherwise than the manifest in force, and what applying it would do.")

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let client = try connection.client()
        let body = try client.ask(.diff)
        if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
        StandardStream.output.write(try client.decode(DiffResponse.self, body).text(connection.style))
    }
}

struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the manifest's file the manifest in force; members are restarted for it one at a time.",
        discussion: "The same as `systemctl reload`, and it shows what it does and waits for its end.")

    @Option(name: .long, help: ArgumentHelp("Only the change that `ensemblectl diff` showed under this name.", valueName: "plan"))
    var plan: String?

    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if let plan, !ControlRoute.isIdentifier(plan) { throw ValidationError("\"\(printable(plan))\" is no plan: `ensemblectl diff` names it.") }
    }

    func run() throws {
        let client = try connection.client()
        let shown = try client.decode(DiffResponse.self, try client.ask(.diff))
        if !connection.json { StandardStream.output.write(shown.text(connection.style)) }
        guard !shown.isEmpty else {
            if connection.json { try StandardStream.output.write(json: shown) }
            return
        }
        // What was shown is what is meant, also when the file changes in this moment.
        let body = try client.ask(.apply, ApplyRequest(plan: plan ?? shown.plan))
        let applied = try client.decode(DiffResponse.self, body)
        if !waiting.noWait, !applied.restarts.isEmpty { try waiting.untilCurrent(client) }
        StandardStream.output.write(connection.json ? String(decoding: body, as: UTF8.self) + "\n" : "applied\n")
    }
}

extension WaitingOptions {
    /// Until all members run with the manifest in force and participate.
    func untilCurrent(_ client: ControlClient) throws(CommandFailure) {
        let (limit, start) = (limit, wallClock())
        var progress = ProgressLine(isTerminal: StandardStream.error.isTerminal)
        while true {
            let status = try client.decode(StatusResponse.self, try client.ask(.status))
            let waiting = status.members.filter { !$0.upToDate || $0.state != .participating }
            guard !waiting.isEmpty else { return StandardStream.error.write(progress.finish()) }
            let members = waiting.map { "\($0.id)" }.joined(separator: ", ")
            let hold = status.held.first.map { "; \($0.what) is held: \($0.missingCondition)" } ?? ""
            StandardStream.error.write(progress.update(absent: printable("not yet with the new settings: member \(members)\(hold)")))
            if let limit, wallClock() - start > limit {
                StandardStream.error.write(progress.finish())
                throw CommandFailure(.held, "not yet with the new settings: member \(members)\(hold)", remedy: "it goes on; see `ensemblectl status`")
            }
            usleep(250_000)
        }
    }
}

extension DiffResponse {
    func text(_ style: Style) -> String {
        guard !differences.isEmpty || !isEmpty else { return "\(printable(file)) says what is in force\n" }
        var table = Table([.init("WHAT"), .init("IN FORCE", wraps: true), .init("IN THE FILE", wraps: true), .init("LINE", .right, leaves: 1)])
        for entry in differences {
            table.add([
                .init(entry.path), .init(entry.before ?? "-", entry.before == nil ? .faint : .bad),
                .init(entry.after ?? "-", entry.after == nil ? .faint : .good), .init(entry.line.map(String.init) ?? ""),
            ])
        }
        var text = differences.isEmpty ? "" : table.text(style)
        for refusal in refusals { text += style.paint("refused", .bad) + "  \(printable(refusal))\n" }
        guard refusals.isEmpty else { return text + "nothing of it can be applied\n" }
        if isEmpty { return text + "it means the same\n" }
        if !live.isEmpty { text += "takes effect at once: \(printable(live.joined(separator: ", ")))\n" }
        if !steps.isEmpty { text += PlanResponse(steps: steps, held: []).text(style) }
        return text + "plan \(printable(plan))\n"
    }
}
