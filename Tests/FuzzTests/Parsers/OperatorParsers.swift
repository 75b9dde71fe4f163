import EnsembleBackup
import EnsembleBase
import EnsembleControl
import EnsembleHost
import FoundationEssentials
import KeeperCore

extension FuzzedParser {
    static let records: [FuzzedParser] = [
        FuzzedParser("backup-records", "manifests and proofs of backups", seeds: backupSeeds, check: checkBackupRecord),
        FuzzedParser("control-requests", "request lines and bodies of the control API", seeds: controlSeeds, check: checkControlRequest),
        FuzzedParser("operator-state", "ledger, intents, server records and events of the daemon", seeds: stateSeeds, check: checkState),
        FuzzedParser("member-answers", "what a server says of itself", seeds: answerSeeds, check: checkAnswer),
    ]

    private static func json(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else { return [] }
        return Array(data)
    }

    private static func value<Value: Decodable>(_ type: Value.Type, _ bytes: [UInt8]) -> Value? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }

    /// What can be read can be written, and is the same when it is read again.
    private static func checkRoundTrip<Value: Codable & Equatable>(_ type: Value.Type, _ bytes: [UInt8]) throws(Violation) {
        guard let read = value(type, bytes) else { return }
        try requireEqual(value(type, json(read)), read, "a record, written and read")
    }

    // MARK: Backups

    private static func backupSeeds() -> [[UInt8]] {
        let hash = String(repeating: "5a", count: 32)
        func object(_ name: String, _ role: String) -> String {
            #"{"name":"\#(name)","role":"\#(role)","size":100,"sha256":"\#(hash)","compression":"zstd","storedSize":50,"storedSHA256":"\#(hash)"}"#
        }
        let manifest = """
            {"format":1,"id":"20261121T022817Z-1f3a9c20","cluster":"orders","clusterIdentity":"c0ffee","member":2,
            "engine":"bundled","kind":"live","capturedAt":1790000000000,"snapshotZxid":"0x100000001","lastZxid":"0x100000009",
            "firstTransactionAt":1790000000000,"barrier":"0x100000008","epochs":{"accepted":1,"current":1},
            "digest":{"zxid":"0x100000009","value":"00000000c0ffee00"},"configuration":"dataDir=/d\\n","toolVersion":"1",
            "objects":[\(object("snapshot.100000001", "snapshot")),\(object("log.100000002", "log"))]}
            """
        let proof = """
            {"format":1,"id":"20261121T022817Z-1f3a9c20","manifestSHA256":"\(hash)","verifiedAt":1790000001000,
            "lastZxid":"0x100000009","digest":"00000000c0ffee00","digestWitnessed":true,"nodeCount":5,"toolVersion":"1"}
            """
        return bytes(manifest, proof)
    }

    @Sendable private static func checkBackupRecord(_ input: [UInt8]) throws(Violation) {
        if let record = try? VerifiedRecord.read(input, file: "verified.json") {
            try requireEqual(try? VerifiedRecord.read(json(record), file: ""), record, "a proof, written and read")
        }
        guard let manifest = try? BackupManifest.read(input, file: "manifest.json") else { return }
        try requireEqual(try? BackupManifest.read(json(manifest), file: ""), manifest, "a manifest, written and read")
        // A restore writes files of these names.
        for object in manifest.objects {
            try require(!object.name.contains("/") && !object.name.hasPrefix("."), "an object named \(object.name)")
        }
        // What status and retention make of whatever passed.
        try require(manifest.storedSize >= 0 && manifest.size >= 0, "sizes below nothing")
        let candidate = Retention.Candidate(
            id: manifest.id, end: manifest.lastZxid, capturedAt: manifest.capturedAt, isVerified: false)
        let proved = Retention.Candidate(
            id: manifest.id, end: manifest.snapshotZxid, capturedAt: WallTime(milliseconds: 1_700_000_000_000), isVerified: true)
        guard let policy = try? RetentionPolicy(keepLast: 1, keepFor: .seconds(60)) else { return }
        let kept = Retention.decide([candidate, proved], policy: policy, now: WallTime(milliseconds: 1_790_000_000_000))
        try require(kept.contains { $0.reason == .newestVerified && $0.isKept }, "the proved one goes")
        try require(!manifest.capturedAt.description.isEmpty, "a time without a text")
    }

    // MARK: Control API: `METHOD target`, then the body from the second line on

    private static func controlSeeds() -> [[UInt8]] {
        let routes: [ControlRoute] = [
            .status, .events(after: 7, limit: 10), .plan, .backups, .operation("op-1"), .operations(limit: 9), .member(2, .restart), .createBackup,
            .verifyBackup("20261121T022817Z-1f3a9c20"), .restartRolling, .pruneBackups, .restore,
        ]
        let requests = routes.map { "\($0.method) \($0.target)\n" }
        return requests.map { Array($0.utf8) }
            + bytes(
                "POST /v1/restart-rolling\n{\"dryRun\":true,\"acceptOutage\":false}", "POST /v1/backups\n{\"mode\":\"cold\",\"member\":2}",
                "POST /v1/restore\n{\"backup\":\"b\",\"confirm\":\"orders\",\"ticket\":\"op-1\"}", "POST /v1/tickets", "POST /v1/backups/prune\n{\"dryRun\":true}",
                "POST /v1/operations/op-1/cancel\n", "POST /v1/pause\n", "POST /v1/members/2/stop\n{\"acceptOutage\":true}")
    }

    @Sendable private static func checkControlRequest(_ input: [UInt8]) throws(Violation) {
        let halves = input.split(separator: 0x0a, maxSplits: 1, omittingEmptySubsequences: false)
        let line = String(decoding: halves[0], as: UTF8.self)
        let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let body = halves.count > 1 ? Array(halves[1]) : []
        let route: ControlRoute
        do throws(ControlError) {
            route = try ControlRoute.match(method: words[0], target: words.count > 1 ? words[1] : "")
        } catch {
            return try require((400...499).contains(error.httpStatus) && !error.message.isEmpty, "\(error)")
        }
        try requireEqual(route.method, words[0], "the method of \(route)")
        try requireEqual(try? ControlRoute.match(method: route.method, target: route.target), route, "a route, written and matched")
        switch route {
        case .operation(let id), .cancel(let id), .backup(let id), .verifyBackup(let id):
            try require(!id.contains("/") && !id.hasPrefix("."), "the id \(id) leaves its directory")
        case .member: try checkRoundTrip(MemberRequest.self, body)
        case .restartRolling: try checkRoundTrip(RestartRollingRequest.self, body)
        case .createBackup: try checkRoundTrip(CreateBackupRequest.self, body)
        case .pruneBackups: try checkRoundTrip(PruneBackupsRequest.self, body)
        case .restore: try checkRoundTrip(RestoreRequest.self, body)
        case .apply: try checkRoundTrip(ApplyRequest.self, body)
        case .status, .events, .plan, .diff, .backups, .memberDetails, .operations, .pause, .resume, .ticket: break
        }
    }

    // MARK: The daemon's own files: one byte says which

    private static func stateSeeds() -> [[UInt8]] {
        var ledger = Ledger(cluster: "orders")
        ledger.set(LedgerEntry(id: 1, standing: .voter, zxid: 0x3_0000_0001, acceptedEpoch: 3, identity: "d1"))
        ledger.set(LedgerEntry(id: 2, standing: .bootstrapping, zxid: 0, acceptedEpoch: 0, identity: nil))
        ledger.reseeds = [ReseedRecord(member: 2, at: WallTime(milliseconds: 5))]
        ledger.stoppedByPerson = [1]
        var intents = Intents(
            reseed: Reseed(member: 2, reason: .missing, phase: .seeding, backup: "b", attempt: 1, operation: "op-1"))
        intents.reseedsAskedFor = [AskedReseed(member: 1, operation: "op-2")]
        let event = EventRecord(
            sequence: 9, at: WallTime(milliseconds: 5), severity: .warning, code: "memberDied", member: 2, message: "m")
        return [[0] + json(ledger), [1] + json(intents), [3] + json(event)]
    }

    @Sendable private static func checkState(_ input: [UInt8]) throws(Violation) {
        let bytes = Array(input.dropFirst())
        switch input.first {
        case 0: try checkRoundTrip(Ledger.self, bytes)
        case 1: try checkRoundTrip(Intents.self, bytes)
        case 2: try checkRoundTrip(ServerRecord.self, bytes)
        case 3: try checkRoundTrip(EventRecord.self, bytes)
        default: break
        }
    }

    // MARK: Answers of servers to `srvr`, and their last words

    private static func answerSeeds() -> [[UInt8]] {
        bytes(
            """
            Zookeeper version: 3.9.0-ensembled, built on 1970-01-01 00:00 UTC
            Latency min/avg/max: 0/0.5/12
            Received: 12
            Sent: 11
            Connections: 2
            Outstanding: 0
            Zxid: 0x100000007
            Mode: leader
            Node count: 5
            Proposal sizes last/min/max: 32/32/48

            """, "This ZooKeeper instance is not currently serving requests\n", "Mode: follower\nZxid: 0x0\nConnections: 9\n",
            ServerExitReport(exit: .corruptData, message: "a \"word\"\n", file: "/data/log.5", offset: 77).line)
    }

    @Sendable private static func checkAnswer(_ input: [UInt8]) throws(Violation) {
        let text = String(decoding: input, as: UTF8.self)
        try requireEqual(MemberProbe.parse(text, at: .origin), MemberProbe.parse(text, at: .origin), "one answer, read twice")
        try requireEqual(MemberProbe.parseMonitor(text, at: .origin), MemberProbe.parseMonitor(text, at: .origin), "one answer, read twice")
        guard let report = ServerExitReport(line: text) else { return }
        try requireEqual(ServerExitReport(line: report.line), report, "a report, written and read")
    }
}
