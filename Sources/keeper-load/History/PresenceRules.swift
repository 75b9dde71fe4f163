/// What servers hold at the end, against what was acknowledged.
extension HistoryChecker {
    /// S1: what one server holds must include every acknowledged write, and nothing that is known not to have happened.
    /// `found` has an entry for every key that exists.
    func checkPresence(_ found: [String: Found], on server: String) -> [String] {
        var violations: [String] = []
        var lastSet: [String: HistoryRecord] = [:]
        let deletes = deletesAsked()
        for record in records where violations.count < Self.reportLimit {
            switch (record.action, record.outcome) {
            case (.create, .ok), (.sequence, .ok): violations += present(record, found, deletes, server)
            case (.create, .fail):
                if found[record.key] != nil {
                    violations.append("durability: \(server): \(record.key) exists, though its creation failed")
                }
            case (.set, .ok), (.swap, .ok):
                if (record.zxid ?? 0) > (lastSet[record.key]?.zxid ?? 0) { lastSet[record.key] = record }
            default: break
            }
        }
        for key in lastSet.keys.sorted() {
            guard let last = lastSet[key] else { continue }
            let node = found[key]
            // Registers of their own grow; a shared one has whatever number was swapped in last.
            let isOlder = last.action == .set && (node?.value ?? -1) < (last.value ?? 0)
            if (node?.zxid ?? -1) < (last.zxid ?? 0) || isOlder {
                violations.append(
                    "durability: \(server): \(key) is \(text(node?.value)) of zxid \(hex(node?.zxid ?? -1)), acknowledged was "
                        + "\(text(last.value)) of \(hex(last.zxid ?? 0))")
            }
        }
        return violations
    }

    /// By path: whether a delete was acknowledged, or only asked for.
    private func deletesAsked() -> [String: HistoryRecord.Outcome] {
        var deletes: [String: HistoryRecord.Outcome] = [:]
        for record in records where record.action == .delete && record.outcome != .fail && deletes[record.key] != .ok {
            deletes[record.key] = record.outcome
        }
        return deletes
    }

    private func present(
        _ record: HistoryRecord, _ found: [String: Found], _ deletes: [String: HistoryRecord.Outcome], _ server: String
    ) -> [String] {
        guard let node = found[record.key] else {
            if deletes[record.key] != nil { return [] }
            return ["durability: \(server): \(record.key), acknowledged with zxid \(hex(record.zxid ?? 0)), is missing"]
        }
        if deletes[record.key] == .ok { return ["durability: \(server): \(record.key), whose deletion was acknowledged, is there"] }
        if node.zxid == record.zxid, node.value == record.value { return [] }
        return [
            "durability: \(server): \(record.key) is \(text(node.value)) of zxid \(hex(node.zxid)), acknowledged was "
                + "\(text(record.value)) of \(hex(record.zxid ?? 0))"
        ]
    }

    /// digest: two servers that nobody writes to hold the same tree. `trees` by server.
    func checkEqual(_ trees: [(server: String, tree: [String: NodeState])]) -> [String] {
        guard let first = trees.first else { return [] }
        var violations: [String] = []
        for (server, tree) in trees.dropFirst() where tree != first.tree {
            let paths = Set(tree.keys).union(first.tree.keys).sorted().filter { tree[$0] != first.tree[$0] }
            for path in paths.prefix(Self.reportLimit) {
                violations.append(
                    "digest: \(path) is \(tree[path].map { "\($0)" } ?? "nothing") on \(server) and "
                        + "\(first.tree[path].map { "\($0)" } ?? "nothing") on \(first.server)")
            }
        }
        return violations
    }

    /// sessions: once every client has gone and every timeout has passed, no ephemeral is left.
    func checkNoEphemerals(_ found: [String: Found], on server: String) -> [String] {
        found.keys.sorted().filter { found[$0]?.owner != 0 }.prefix(Self.reportLimit).map { path in
            "sessions: \(server): \(path) is there, and its session \(hex(found[path]?.owner ?? 0)) is over"
        }
    }

    /// A node as one server shows it: everything that all servers must agree on.
    struct NodeState: Hashable, Sendable, CustomStringConvertible {
        var data: [UInt8]
        var created: Int64
        var modified: Int64
        var children: Int64
        var version: Int32
        var childrenVersion: Int32
        var owner: Int64
        var times: [Int64]

        var description: String {
            "\(data.count) bytes (zxids \(String(created, radix: 16)) \(String(modified, radix: 16)) \(String(children, radix: 16)), "
                + "versions \(version) \(childrenVersion))"
        }
    }
}
