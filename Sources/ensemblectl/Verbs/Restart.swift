import ArgumentParser
import EnsembleControl

struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Restart one member, or all of them one at a time.",
        discussion: "With --rolling followers go first and the leader last; each must participate again before the next one stops.")

    @Argument(help: "Id of the member, 1 to 254.")
    var member: Int?

    @Flag(name: .long, help: "All members, one at a time.")
    var rolling = false

    @Flag(name: .customLong("dry-run"), help: "With --rolling: print the plan and its reasons, change nothing.")
    var dryRun = false

    @OptionGroup var outage: OutageOptions
    @OptionGroup var waiting: WaitingOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard rolling == (member == nil) else { throw ValidationError("Name one member, or use --rolling.") }
        if dryRun && !rolling { throw ValidationError("--dry-run needs --rolling.") }
        if let member, !(1...254).contains(member) { throw ValidationError("A member's id is a number from 1 to 254.") }
    }

    func run() throws {
        let client = try connection.client()
        if let member {
            return try waiting.follow(try client.ask(.member(member, .restart), outage.request), client, connection)
        }
        let body = try client.ask(.restartRolling, RestartRollingRequest(dryRun: dryRun, acceptOutage: outage.acceptOutage))
        guard dryRun else { return try waiting.follow(body, client, connection) }
        try PlanVerb.show(body, client, connection)
    }
}

struct PlanVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show the plan that is at work: what was done, what comes next, why, and what holds it back.")

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let client = try connection.client()
        try Self.show(try client.ask(.plan), client, connection)
    }

    static func show(_ body: [UInt8], _ client: ControlClient, _ connection: ConnectionOptions) throws(CommandFailure) {
        if connection.json { return StandardStream.output.write(String(decoding: body, as: UTF8.self) + "\n") }
        StandardStream.output.write(try client.decode(PlanResponse.self, body).text(connection.style))
    }
}

extension PlanResponse {
    func text(_ style: Style) -> String {
        var text = steps.isEmpty ? "nothing is planned\n" : ""
        var table = Table([.init("STEP", .right), .init("ACTION", wraps: true), .init("REASON", wraps: true), .init("HELD BACK", wraps: true)])
        for (index, step) in steps.enumerated() {
            table.add([
                .init(step.done ? "done" : step.running == true ? "now" : "\(index + 1)", step.done ? .faint : .plain), .init(step.action),
                .init(step.reason), .init(step.heldBack ?? "", .busy),
            ])
        }
        if !steps.isEmpty { text += table.text(style) }
        for hold in held {
            text += hold.text(style)
        }
        return text
    }
}
