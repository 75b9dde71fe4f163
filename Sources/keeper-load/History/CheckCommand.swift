import ArgumentParser
import KeeperClient
import KeeperCore

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Judges a history by itself and by what every server holds.",
        discussion: "Exit code 0: nothing acknowledged is missing on any server, no order is violated, and all servers hold the same "
            + "tree; 1 otherwise. Nobody may write below the root meanwhile.")

    @Option(help: "host:port,… ; each is looked at by itself, after a sync. None: the history is judged alone.")
    var servers: ConnectString?
    @Option(help: "What `history` recorded; may be given several times.")
    var file: [String]
    @Option(help: "The node below which everything was written.")
    var root = "/history"
    @Option(help: "Seconds to wait for each server, and for the sessions of clients that were cut off to end.")
    var patience = 30.0
    @Option(help: "Seconds that a leader may answer a sync after it was deposed: its own patience, and how long it was frozen.")
    var deposed = 5.0

    func run() async throws {
        let checker = HistoryChecker(
            records: try file.flatMap { try HistoryFile.records(of: $0) }, patience: Int64(deposed * 1_000_000_000))
        var violations = checker.checkOrder()
        let addresses = servers?.servers.map(\.description) ?? []
        if !addresses.isEmpty { violations += try await compare(addresses, checker) }
        for violation in violations { print(violation) }
        let acknowledged = checker.records.count { $0.outcome == .ok && $0.action.isWrite }
        print("\(acknowledged) acknowledged writes, \(checker.records.count) records, \(addresses.count) servers, "
            + "\(violations.count) violations")
        if !violations.isEmpty { throw ExitCode(1) }
    }

    /// Looks again while sessions of clients that were cut off are still to expire, which changes trees.
    private func compare(_ servers: [String], _ checker: HistoryChecker) async throws -> [String] {
        let end = ContinuousClock.now + .seconds(patience)
        while true {
            var trees: [(server: String, tree: [String: HistoryChecker.NodeState])] = []
            for server in servers { trees.append((server, try await TreeWalk.look(at: server, below: root, within: patience))) }
            var violations = checker.checkEqual(trees)
            for (server, tree) in trees {
                let found = tree.mapValues(\.found)
                violations += checker.checkPresence(found, on: server) + checker.checkNoEphemerals(found, on: server)
            }
            if violations.isEmpty || ContinuousClock.now > end { return violations }
            try await Task.sleep(for: .milliseconds(500))
        }
    }
}

extension HistoryChecker.NodeState {
    var found: HistoryChecker.Found {
        HistoryChecker.Found(value: Int(String(decoding: data, as: UTF8.self)), zxid: modified, owner: owner)
    }
}

/// Reads a whole subtree from one server.
private enum TreeWalk {
    static func look(at server: String, below root: String, within patience: Double) async throws -> [String: HistoryChecker.NodeState] {
        let client = try await KeeperClient.connect(to: server, within: .seconds(patience))
        // A follower answers from its own tree; `sync` makes it as new as the leader's was.
        try await client.sync(timeout: .seconds(patience))
        var tree: [String: HistoryChecker.NodeState] = [:]
        var wanted = [root]
        while !wanted.isEmpty {
            let part = wanted.suffix(500)
            wanted.removeLast(part.count)
            try await withThrowingTaskGroup(of: (String, HistoryChecker.NodeState, [String])?.self) { group in
                for path in part {
                    group.addTask { try await node(at: path, client) }
                }
                for try await node in group {
                    guard let (path, state, names) = node else { continue }
                    tree[path] = state
                    wanted += names.map { "\(path)/\($0)" }
                }
            }
        }
        await client.close()
        return tree
    }

    private static func node(at path: String, _ client: KeeperClient) async throws -> (String, HistoryChecker.NodeState, [String])? {
        do {
            let (data, stat) = try await client.getData(path, timeout: .seconds(30))
            let names = stat.childrenCount == 0 ? [] : try await client.getChildren(path, timeout: .seconds(30)).names
            let state = HistoryChecker.NodeState(
                data: data, created: stat.creationZxid, modified: stat.modificationZxid, children: stat.childrenZxid,
                version: stat.version, childrenVersion: stat.childrenVersion, owner: stat.ephemeralOwner,
                times: [stat.creationTime, stat.modificationTime])
            return (path, state, names)
        } catch KeeperClientError.refused(.noNode, _) {
            return nil
        }
    }
}
