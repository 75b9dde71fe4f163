import ArgumentParser
import EnsembleBase
import Glibc
import KeeperClient
import KeeperCore
import Synchronization

struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Records what clients asked and were told while the ensemble is disturbed.",
        discussion: "Ends after --duration or with SIGTERM, also when no server answers. Give the file to `check` afterwards.")

    @Option(help: "host:port,…")
    var servers: ConnectString
    @Option(help: "Appended to, one JSON object per line.")
    var file: String
    @Option(help: "Seconds.")
    var duration = 10.0
    @Option(help: "Clients, each with a session and one request at a time.")
    var clients = 4
    @Option(help: "The number of the first client: recorders that share a root have clients of different numbers.")
    var first = 0
    @Option(help: "How many clients there are with those of the other recorders; they read each other's nodes.")
    var all: Int?
    @Option(help: "Milliseconds that each client waits between requests.")
    var pause = 2
    @Option(help: "The node below which everything is written.")
    var root = "/history"
    @Option(help: "What the clients' choices are drawn from.")
    var seed: UInt64 = 0

    func validate() throws {
        guard duration > 0, (1...1000).contains(clients), (0...60_000).contains(pause), first >= 0 else {
            throw ValidationError("duration and clients must be positive, clients at most 1000, pause within 0...60000")
        }
        guard all ?? .max >= first + clients else { throw ValidationError("--all must count these clients too") }
    }

    func run() async throws {
        let file = try HistoryFile(appendingTo: file)
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in HistoryRecorder.isEnding.store(true, ordering: .relaxed) }
        sigaction(SIGTERM, &action, nil)
        let end = ContinuousClock.now + .seconds(duration)
        let layout = HistoryLayout(root: root, clients: all ?? first + clients)
        let setUp = try await KeeperClient.connect(to: servers, within: .seconds(30))
        for path in layout.parents { try await setUp.createPath(path, timeout: .seconds(30)) }
        await setUp.close()
        let tally = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in first..<first + clients {
                var recorder = HistoryRecorder(
                    client: client, servers: servers, layout: layout, pause: .milliseconds(pause), file: file, tally: tally,
                    seed: seed)
                group.addTask { try await recorder.run(until: end) }
            }
            try await group.waitForAll()
        }
        print("\(tally.ok.load(ordering: .relaxed)) ok, \(tally.fail.load(ordering: .relaxed)) fail, "
            + "\(tally.unknown.load(ordering: .relaxed)) unknown")
    }
}

/// Counts of outcomes.
final class Tally: Sendable {
    let ok = Atomic<Int>(0)
    let fail = Atomic<Int>(0)
    let unknown = Atomic<Int>(0)

    func count(_ outcome: HistoryRecord.Outcome) {
        switch outcome {
        case .ok: ok.add(1, ordering: .relaxed)
        case .fail: fail.add(1, ordering: .relaxed)
        case .unknown: unknown.add(1, ordering: .relaxed)
        }
    }
}

/// Where recorders write. Recorders in other languages keep to it too.
struct HistoryLayout: Sendable {
    let root: String
    /// Of all recorders.
    let clients: Int

    static let sharedRegisters = 3

    /// A client's register, and the parent of the nodes of its own.
    func register(_ client: Int) -> String { "\(root)/c\(client)" }
    func shared(_ number: Int) -> String { "\(root)/shared\(number)" }
    /// The parent of a client's ephemeral; its own, so that its register may have children.
    func ephemeral(_ client: Int) -> String { "\(root)/ephemerals/c\(client)" }
    var sequence: String { "\(root)/sequence" }

    /// What must be there before the first request.
    var parents: [String] {
        (0..<clients).map(register) + (0..<HistoryLayout.sharedRegisters).map(shared) + ["\(root)/ephemerals", sequence]
    }
}
