import ArgumentParser
import EnsembleBase
import KeeperClient
import KeeperCore
import Synchronization

struct HistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "Records what clients asked and were told while the ensemble is disturbed.",
        discussion: "Ends after --duration, also when no server answers. Give the file to `check` afterwards.")

    @Option(help: "host:port,…")
    var servers: ConnectString
    @Option(help: "Appended to, one JSON object per line.")
    var file: String
    @Option(help: "Seconds.")
    var duration = 10.0
    @Option(help: "Clients, each with a session and one request at a time.")
    var clients = 4
    @Option(help: "Milliseconds that each client waits between requests.")
    var pause = 2
    @Option(help: "The node below which everything is written.")
    var root = "/history"

    func validate() throws {
        guard duration > 0, (1...1000).contains(clients), (0...60_000).contains(pause) else {
            throw ValidationError("duration and clients must be positive, clients at most 1000, pause within 0...60000")
        }
    }

    func run() async throws {
        let file = try HistoryFile(appendingTo: file)
        let end = ContinuousClock.now + .seconds(duration)
        let setUp = try await KeeperClient.connect(to: servers, within: .seconds(30))
        for client in 0..<clients { try await setUp.createPath("\(root)/c\(client)", timeout: .seconds(30)) }
        await setUp.close()
        let tally = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<clients {
                let recorder = HistoryRecorder(
                    client: client, clients: clients, servers: servers, root: root, pause: .milliseconds(pause),
                    file: file, tally: tally)
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

/// One client of a history: creates a node, sets its register, reads a register, and so on, a new number each time, so
/// that whatever is found later names the request that wrote it.
struct HistoryRecorder: Sendable {
    let client: Int
    let clients: Int
    let servers: ConnectString
    let root: String
    let pause: Duration
    let file: HistoryFile
    let tally: Tally

    func run(until end: ContinuousClock.Instant) async throws {
        // Distinct from those of an earlier recording into the same ensemble.
        var number = Int(WireGenerator.now() / 1_000_000)
        var random = SeededRandom(seed: UInt64(client))
        while ContinuousClock.now < end {
            guard let connection = try? await KeeperClient.connect(to: servers, within: .seconds(5)) else { continue }
            let session = try await connection.sessionID()
            while ContinuousClock.now < end, try await !connection.status().isFinal {
                number += 1
                let data = Array(String(number).utf8)
                let node = "\(root)/c\(client)/\(number)"
                let creation = CreateRequest(path: NodePath(node), data: data, acl: AccessRight.openToAll)
                try await record(.create, node, number, .create(creation), connection, session)
                let own = "\(root)/c\(client)"
                try await record(.set, own, number, .setData(path: NodePath(own), data: data, version: -1), connection, session)
                let other = "\(root)/c\(Int.random(in: 0..<clients, using: &random))"
                try await record(.get, other, nil, .getData(path: NodePath(other), watch: false), connection, session)
                try await Task.sleep(for: pause)
            }
            await connection.close()
        }
    }

    private func record(
        _ action: HistoryRecord.Action, _ key: String, _ value: Int?, _ request: Request, _ connection: KeeperClient,
        _ session: Int64
    ) async throws {
        var record = HistoryRecord(
            client: client, session: session, action: action, key: key, value: value, start: WireGenerator.now(), end: 0,
            outcome: .ok)
        do {
            let reply = try await connection.call(request, timeout: .seconds(5))
            record.zxid = reply.zxid.rawValue
            if let error = reply.error {
                record.outcome = .fail
                record.zxid = nil
                record.error = "\(error)"
            } else if case .data(let bytes, let stat) = reply.body {
                record.value = Int(String(decoding: bytes ?? [], as: UTF8.self))
                record.zxid = stat.mzxid.rawValue
            }
        } catch let error as KeeperClientError {
            record.error = "\(error)"
            switch error {
            case .connectionLost(.unknown), .timedOut(.unknown), .cancelled(.unknown): record.outcome = .unknown
            default: record.outcome = .fail
            }
        }
        record.end = WireGenerator.now()
        tally.count(record.outcome)
        try file.append(record)
    }
}
