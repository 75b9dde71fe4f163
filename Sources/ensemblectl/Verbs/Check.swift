import ArgumentParser
import EnsembleControl
import FoundationEssentials
import Glibc

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say in a line for each thing whether a monitor should alarm somebody.",
        discussion: """
            Ends with 0 if all is well, 1 for a warning, 2 if something is critical, 3 if the daemon can't be asked: as \
            the plugins of Nagios and Icinga do, and unlike all other verbs. Planned steps alarm nobody: a member that \
            is out of service for a rolling restart counts as well.
            """)

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
        let client = try connection.client()
        let status = try client.decode(StatusResponse.self, try client.ask(.status))
        let checks = status.checks
        if connection.json {
            StandardStream.output.write(try Self.json(checks) + "\n")
        } else {
            StandardStream.output.write(Self.text(checks, of: status.cluster, connection.style))
        }
        let worst = checks.map(\.level).max() ?? .ok
        if worst != .ok { throw ExitCode(Int32(worst.rawValue)) }
    }

    static func json(_ checks: [HealthCheck]) throws(CommandFailure) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(checks) else {
            throw CommandFailure("the checks cannot be written as JSON", remedy: "this is a defect of ensemblectl")
        }
        return String(decoding: data, as: UTF8.self)
    }

    /// The first line is the one that a monitor shows.
    static func text(_ checks: [HealthCheck], of cluster: String, _ style: Style) -> String {
        let worst = checks.map(\.level).max() ?? .ok
        let bad = checks.filter { $0.level != .ok }
        let summary = bad.isEmpty ? checks.first?.text ?? "" : bad.map { "\($0.name): \($0.text)" }.joined(separator: "; ")
        let lines = checks.map { "\(style.paint($0.level.word, $0.level.tone)) \($0.name): \(printable($0.text))\n" }
        return "\(style.paint(worst.word, worst.tone)) \(printable(cluster)): \(printable(summary))\n" + lines.joined()
    }
}

extension HealthCheck.Level {
    fileprivate var tone: Style.Tone {
        switch self {
        case .ok: .good
        case .warning: .busy
        case .critical: .bad
        }
    }
}
