import ArgumentParser
import EnsembleBase
import EnsembleControl

struct Describe: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show one thing with everything that is known of it.",
        subcommands: [Cluster.self, Member.self, Operation.self, OneBackup.self])

    struct Cluster: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the cluster, what its manifest's file would change, and what is at work, step by step.")

        @OptionGroup var connection: ConnectionOptions

        func run() throws {
            let client = try connection.client()
            let status = try client.decode(StatusResponse.self, try client.ask(.status))
            let plan = try client.decode(PlanResponse.self, try client.ask(.plan))
            // A file that can't be read is something to show, and no reason to show nothing.
            let diff: Result<DiffResponse, CommandFailure>
            do throws(CommandFailure) { diff = .success(try client.decode(DiffResponse.self, try client.ask(.diff))) } catch {
                diff = .failure(error)
            }
            let style = connection.style
            if connection.json {
                return try StandardStream.output.write(json: Description(status: status, plan: plan, diff: try? diff.get()))
            }
            var text = status.text(style)
            switch diff {
            case .success(let diff): text += "manifest: " + diff.text(style)
            case .failure(let failure): text += "manifest: " + printable(failure.message) + "\n"
            }
            if !plan.steps.isEmpty { text += plan.text(style) }
            StandardStream.output.write(text)
        }

        private struct Description: Encodable {
            var status: StatusResponse
            var plan: PlanResponse
            /// Nil: the manifest's file can't be read.
            var diff: DiffResponse?
        }
    }

    struct Member: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show a member: what is believed of it, the evidence for that, what waits, and what happened to it.")

        @OptionGroup var argument: MemberArgument
        @OptionGroup var connection: ConnectionOptions

        func run() throws {
            let client = try connection.client()
            let body = try client.ask(.memberDetails(argument.member))
            if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
            StandardStream.output.write(try client.decode(MemberDetails.self, body).text(connection.style))
        }
    }

    struct Operation: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show an operation: who asked for it, how far it is or what came of it.")

        @Argument(help: "Id of the operation, as `ensemblectl status` and `history` show it.")
        var operation: String

        @OptionGroup var connection: ConnectionOptions

        func validate() throws {
            guard ControlRoute.isIdentifier(operation) else {
                throw ValidationError("\"\(printable(operation))\" is not the id of an operation; `ensemblectl history` shows them.")
            }
        }

        func run() throws {
            let client = try connection.client()
            let body = try client.ask(.operation(operation))
            if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
            StandardStream.output.write(try client.decode(OperationStatus.self, body).description(connection.style))
        }
    }

    struct OneBackup: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "backup", abstract: "The same as `backup show`.")

        @OptionGroup var show: BackupOptions

        func run() throws { try show.run() }
    }
}

/// Names with their values, aligned.
func fieldsText(_ fields: [(name: String, value: String)], _ style: Style) -> String {
    let width = fields.map(\.name.count).max() ?? 0
    return fields.map { name, value in
        style.paint(name, .faint) + String(repeating: " ", count: width - name.count + 2) + printable(value) + "\n"
    }.joined()
}

extension MemberDetails {
    func text(_ style: Style) -> String {
        var fields = [
            ("member", "\(member.id) on \(member.host), clients at \(member.clientAddress)"),
            ("state", member.state.rawValue + (member.detail.isEmpty ? "" : ": \(member.detail)")),
            ("verdict", "\(verdict): \(reason)"),
        ]
        if let reseed = member.reseed { fields.append(("reseed", reseed)) }
        if let uptime = member.uptimeMilliseconds { fields.append(("up", spanText(uptime))) }
        if let memory = member.memory { fields.append(("memory", bytesText(memory))) }
        fields.append(("settings", member.upToDate ? "as the manifest in force has them" : "it needs a restart to take those in force"))
        fields += [
            ("data", member.dataDirectory), ("logs", logDirectory), ("settings in", configurationFile), ("prints to", member.logFile),
        ]
        var text = fieldsText(fields, style) + "\nevidence\n" + fieldsText(evidence.map { ("  " + $0.source, $0.says) }, style)
        for hold in held {
            text += hold.text(style)
        }
        guard !events.isEmpty else { return text }
        return text + "\nevents\n" + EventsResponse(events: events, next: 0).text(style)
    }
}

extension OperationStatus {
    func description(_ style: Style) -> String {
        var fields = [("operation", id), ("what", kind), ("state", state.rawValue)]
        if !step.isEmpty { fields.append(("step", step)) }
        if !message.isEmpty { fields.append(("result", message)) }
        if let error { fields.append((state == .held ? "held" : "why", error.missingCondition ?? error.message)) }
        if let by { fields.append(("asked for by", UserNames.name(by))) }
        if let startedAt { fields.append(("begun", "\(startedAt)")) }
        if let finishedAt { fields.append(("ended", "\(finishedAt)")) }
        if let startedAt, let finishedAt { fields.append(("took", spanText((finishedAt - startedAt).inMilliseconds))) }
        if let backup { fields.append(("backup", backup)) }
        return fieldsText(fields, style)
    }
}
