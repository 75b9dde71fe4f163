import ArgumentParser
import KeeperClient
import KeeperCore

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Compares a history with what every server holds.",
        discussion: "Exit code 0: nothing acknowledged is missing on any server and no order is violated; 1 otherwise.")

    @Option(help: "host:port,… ; each is looked at by itself, after a sync.")
    var servers: ConnectString
    @Option(help: "What `history` recorded.")
    var file: String
    @Option(help: "Seconds to wait for each server.")
    var patience = 30.0

    func run() async throws {
        let checker = HistoryChecker(records: try HistoryFile.records(of: file))
        var violations = checker.checkOrder()
        for server in servers.servers {
            let found = try await look(at: server, for: checker.keys)
            violations += checker.checkPresence(found, on: server.description)
        }
        for violation in violations { print(violation) }
        let acknowledged = checker.records.count { $0.outcome == .ok && $0.action != .get }
        print("\(acknowledged) acknowledged writes, \(servers.servers.count) servers, \(violations.count) violations")
        if !violations.isEmpty { throw ExitCode(1) }
    }

    private func look(at server: ConnectString.Server, for keys: [String]) async throws -> [String: HistoryChecker.Found] {
        let client = try await KeeperClient.connect(to: server.description, within: .seconds(patience))
        try await client.sync(timeout: .seconds(patience))
        var found: [String: HistoryChecker.Found] = [:]
        for chunk in stride(from: 0, to: keys.count, by: 500) {
            let part = keys[chunk..<min(chunk + 500, keys.count)]
            try await withThrowingTaskGroup(of: (String, HistoryChecker.Found?).self) { group in
                for key in part {
                    group.addTask { (key, try await Self.read(key, with: client)) }
                }
                for try await (key, node) in group { found[key] = node }
            }
        }
        await client.close()
        return found
    }

    private static func read(_ key: String, with client: KeeperClient) async throws -> HistoryChecker.Found? {
        do {
            let (data, stat) = try await client.getData(key, timeout: .seconds(30))
            return HistoryChecker.Found(value: Int(String(decoding: data, as: UTF8.self)), zxid: stat.modificationZxid)
        } catch KeeperClientError.refused(.noNode, _) {
            return nil
        }
    }
}
