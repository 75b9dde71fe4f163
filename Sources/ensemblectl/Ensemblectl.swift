import ArgumentParser
import Glibc

/// `ensemblectl`: the client of the daemon's control API, and an offline checker of manifests.
struct Ensemblectl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ensemblectl",
        abstract: "Look at, steer, back up and restore a cluster that ensembled runs.",
        discussion: "Exit codes:\n" + CommandStatus.allCases.map { "  \($0.rawValue)\t\($0.meaning)" }.joined(separator: "\n"),
        version: "ensemblectl 0.1.0",
        subcommands: [
            Validate.self, Status.self, Describe.self, Check.self, Wait.self, Start.self, Stop.self, Restart.self, Backup.self, Reseed.self, Restore.self,
            Diff.self, Apply.self, PlanVerb.self, Cancel.self, Pause.self, Resume.self, HistoryVerb.self, Events.self, Logs.self, Completions.self,
        ])
}

/// Every exit code, in one place: scripts may rely on them.
enum CommandStatus: Int32, CaseIterable {
    case success = 0
    case failure = 1
    case unreachable = 3
    case held = 4
    case notFound = 5
    /// `EX_USAGE`, which the argument parser exits with.
    case usage = 64

    var meaning: String {
        switch self {
        case .success: "it was done"
        case .failure: "refused or failed; the message says why and what to do"
        case .unreachable: "the daemon cannot be reached"
        case .held: "held: a safety rule or a missing condition is in the way; asking later may succeed"
        case .notFound: "no such member, backup or operation"
        case .usage: "the command line is wrong"
        }
    }
}

/// Why a verb ended without success: printed on standard error, two lines.
struct CommandFailure: Error, Hashable {
    var status: CommandStatus
    var message: String
    var remedy: String
    /// Something else is at work, and asking again when it has ended may succeed.
    var isBusy = false

    init(_ status: CommandStatus, _ message: String, remedy: String) {
        self.status = status
        self.message = message
        self.remedy = remedy
    }

    init(_ message: String, remedy: String) { self.init(.failure, message, remedy: remedy) }

    var text: String {
        "ensemblectl: \(message)\n" + (remedy.isEmpty ? "" : "  \(remedy)\n")
    }
}

@main
struct Program {
    static func main() {
        do {
            var command = try Ensemblectl.parseAsRoot(ConnectionOptions.behindTheVerb(Array(CommandLine.arguments.dropFirst())))
            try command.run()
        } catch let failure as CommandFailure {
            StandardStream.error.write(failure.text)
            exit(failure.status.rawValue)
        } catch {
            Ensemblectl.exit(withError: error)
        }
    }
}
