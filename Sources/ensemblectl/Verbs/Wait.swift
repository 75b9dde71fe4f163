import ArgumentParser
import EnsembleBase
import EnsembleControl
import Glibc

struct Wait: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Wait until something is true of the cluster.",
        discussion: """
            serving: a quorum serves. whole: every member participates with the manifest in force, nothing is at work and nothing \
            is held. idle: nothing is at work. member:2: member 2 participates. operation:ID: that operation has ended well. It \
            waits through a replacement of the daemon.
            """)

    @Option(name: .customLong("for"), help: ArgumentHelp("serving, whole, idle, member:ID or operation:ID.", valueName: "condition"))
    var condition: Condition

    @Option(name: .long, help: ArgumentHelp("At most this long, such as 10m. Default: for ever.", valueName: "duration"))
    var timeout: String?

    @OptionGroup var connection: ConnectionOptions

    enum Condition: Equatable, ExpressibleByArgument {
        case serving, whole, idle
        case member(Int)
        case operation(String)

        init?(argument: String) {
            let parts = argument.split(separator: ":", maxSplits: 1).map(String.init)
            switch (parts.first, parts.count > 1 ? parts[1] : nil) {
            case ("serving", nil): self = .serving
            case ("whole", nil): self = .whole
            case ("idle", nil): self = .idle
            case ("member", let text?):
                guard let id = Int(text), (1...254).contains(id) else { return nil }
                self = .member(id)
            case ("operation", let id?):
                guard ControlRoute.isIdentifier(id) else { return nil }
                self = .operation(id)
            default: return nil
            }
        }
    }

    func validate() throws { try checkTimeout(timeout) }

    func run() throws {
        let client = try connection.client()
        let (limit, start) = (timeout.flatMap { try? Duration.parsed($0) }, wallClock())
        var progress = ProgressLine(isTerminal: StandardStream.error.isTerminal)
        while true {
            let missing: String?
            do throws(CommandFailure) { missing = try self.missing(client) } catch {
                guard error.status == .unreachable else { throw error }
                missing = error.message
            }
            guard let missing else { return StandardStream.error.write(progress.finish()) }
            StandardStream.error.write(progress.update(absent: printable("waits: \(missing)")))
            if let limit, wallClock() - start > limit {
                StandardStream.error.write(progress.finish())
                throw CommandFailure(.held, "not within \(spanText(limit.inMilliseconds)): \(missing)", remedy: "see `ensemblectl status`")
            }
            usleep(250_000)
        }
    }

    /// - Returns: what is still missing; nil: nothing.
    /// - Throws: when it will never be true.
    private func missing(_ client: ControlClient) throws(CommandFailure) -> String? {
        if case .operation(let id) = condition {
            let status = try client.decode(OperationStatus.self, try client.ask(.operation(id)))
            guard status.state.isFinal else { return status.line }
            try WaitingOptions.conclude(status, json: true)
            return nil
        }
        let status = try client.decode(StatusResponse.self, try client.ask(.status))
        return try Self.missing(condition, in: status)
    }

    static func missing(_ condition: Condition, in status: StatusResponse) throws(CommandFailure) -> String? {
        let quorum = "\(status.quorum.participating) of \(status.quorum.voters) voters participate"
        switch condition {
        case .serving: return status.quorum.holds ? nil : "\(quorum), \(status.quorum.needed) are needed"
        case .idle: return status.works.first.map(\.line)
        case .member(let id):
            guard let member = status.members.first(where: { $0.id == id }) else {
                throw CommandFailure(.notFound, "there is no member \(id)", remedy: "see `ensemblectl status`")
            }
            return member.participates ? nil : "member \(id): \(member.state.rawValue) \(member.detail)"
        case .whole:
            if let work = status.works.first { return work.line }
            if let hold = status.held.first { return "\(hold.what) is held: \(hold.missingCondition)" }
            let others = status.members.filter { !$0.participates || !$0.upToDate || $0.recovering }
            if let first = others.first { return "member \(first.id): \(first.state.rawValue) \(first.detail)" }
            return status.quorum.holds ? nil : quorum
        case .operation: return nil
        }
    }
}
