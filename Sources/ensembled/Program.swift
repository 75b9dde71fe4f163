import ArgumentParser
import EnsembleControl
import EnsembleHost
import Glibc

@main
struct Program {
    static func main() async {
        HostSignals.catchAll()
        await Ensembled.main(nil)
    }
}

struct Ensembled: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ensembled",
        abstract: "Runs the ZooKeeper ensemble that a manifest declares.",
        discussion: """
            Exit status: 0 ended as asked; 64 wrong usage; 73 the state directory or socket can't be used; 74 the \
            daemon's own state could not be made durable; 75 another daemon runs this cluster; 78 the manifest is wrong.
            """,
        version: version, subcommands: [Run.self, Check.self, Work.self])

    static let version = "0.1.0"
}

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Run the cluster's daemon in the foreground.")

    @Option(help: "The cluster's manifest.")
    var manifest: String
    @Option(help: "Where the daemon keeps its state. Default: systemd's, else /var/lib/ensembled/<cluster>.")
    var stateDir: String?
    @Option(help: "The bundled server. Default: ensemble-server beside this program.")
    var serverBinary: String?
    @Option(help: "The control socket. Default: control.sock in systemd's runtime directory, else in the state directory.")
    var socket: String?
    @Option(help: "What SIGTERM does to the members when systemd does not say: stop or leave.")
    var onTerminate: Daemon.TerminationMode = .stop

    func run() async throws {
        do {
            let daemon = try await Daemon(
                Daemon.Configuration(
                    manifestFile: manifest, stateDirectory: stateDir.map(absolute),
                    serverBinary: serverBinary.map(absolute) ?? ExecutablePath.sibling("ensemble-server"),
                    socket: socket.map(absolute), onTerminate: onTerminate, version: Ensembled.version))
            try await daemon.run()
        } catch {
            // What `systemctl status` shows of a unit that failed, even where the journal is long.
            Notifier().status(Failure.text(error))
            throw Failure.report(error)
        }
    }

    private func absolute(_ path: String) -> String {
        if path.hasPrefix("/") { return path }
        guard let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        return String(cString: directory) + "/" + path
    }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Read a manifest and say everything that is wrong with it.")

    @Option(help: "The cluster's manifest.")
    var manifest: String
    @Option(help: "Where the cluster's daemon keeps its state: also say what can't be changed while the cluster lives.")
    var stateDir: String?

    func run() throws {
        do {
            let file = manifest
            let manifest = try Daemon.readManifest(file).manifest
            let refusals = try stateDir.map { try Daemon.refusals(of: manifest, stateDirectory: $0) } ?? []
            guard refusals.isEmpty else {
                throw HostError(
                    file, "can't be applied to the cluster that lives: \(refusals.joined(separator: "; "))",
                    remedy: "the manifest in force stays", exitStatus: 78)
            }
            print("cluster \(manifest.cluster): \(manifest.members.count) members, quorum \(manifest.quorumSize)")
        } catch {
            throw Failure.report(error)
        }
    }
}

/// What a daemon begins for work that may hang, or needs memory: no person does.
struct Work: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Do one piece of a daemon's work.", shouldDisplay: false)

    @Argument var job: String
    @Option var parent: Int32

    func run() throws {
        do { try WorkerProgram.run(job, parent: parent) } catch { throw Failure.report(error) }
    }
}

extension Daemon.TerminationMode: ExpressibleByArgument {}

enum Failure {
    static func text(_ error: any Error) -> String {
        (error as? ControlError).map { "\($0.message); \($0.remedy)" } ?? "\(error)"
    }

    /// Prints the error and returns the exit status that tells a script its kind.
    static func report(_ error: any Error) -> ExitCode {
        let text = "ensembled: \(text(error))\n"
        _ = Array(text.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        switch error {
        case is ManifestError, is ControlError: return ExitCode(78)
        case let error as HostError: return ExitCode(error.exitStatus)
        default: return ExitCode(1)
        }
    }
}

enum ExecutablePath {
    static func sibling(_ name: String) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        guard count > 0 else { return "/usr/bin/" + name }
        let path = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return path.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/" + name
    }
}
