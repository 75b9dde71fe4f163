import EnsembleBase
import EnsembleControl
import Foundation
import Testing

@Suite struct ControlAPITests {
    private static let backup = BackupDescription(
        id: "b1", createdAt: WallTime(milliseconds: 5), mode: .cold, member: 2, firstZxid: HexZxid(1),
        lastZxid: HexZxid(0x2_0000_0011), epoch: 2, size: 10, storedSize: 4, verifiedAt: WallTime(milliseconds: 6))

    private func roundTrip<Value: Codable & Equatable>(_ value: Value) throws {
        #expect(try JSONDecoder().decode(Value.self, from: try JSONEncoder().encode(value)) == value)
    }

    @Test func everyBodySurvivesTheTrip() throws {
        var summary = BackupSummary()
        summary.count = 1
        summary.last = Self.backup
        let operation = OperationStatus(
            id: "o1", kind: "backup", state: .held, step: "copy", done: 1, total: 2, unit: .bytes, rate: 0.5,
            error: ControlError(.held, "m", remedy: "r", missingCondition: "c"), backup: "b1")
        try roundTrip(
            StatusResponse(
                cluster: "c", engine: .apache, version: "1", generation: 3, fingerprint: "f",
                observedAt: WallTime(milliseconds: 1), summary: "s",
                quorum: QuorumView(voters: 3, needed: 2, participating: 3, leader: 1, epoch: 4),
                held: [Hold(what: "w", missingCondition: "c")],
                members: [
                    MemberStatus(
                        id: 1, host: "h", role: .leader, state: .participating, pid: 7, zxid: HexZxid(-1),
                        clientAddress: "h:1", logFile: "/l", dataDirectory: "/d")
                ], backups: summary, operation: operation))
        try roundTrip(PlanResponse(steps: [.init(action: "a", member: 1, reason: "r", heldBack: "h")]))
        try roundTrip(
            EventsResponse(
                events: [
                    EventRecord(sequence: 1, at: WallTime(milliseconds: 2), severity: .error, code: "c", message: "m")
                ], next: 1))
        try roundTrip(BackupsResponse(archive: "/a", backups: [Self.backup]))
        try roundTrip(PruneBackupsResponse(removed: [], kept: [.init(id: "b1", reason: "r")], freed: 0, dryRun: true))
        try roundTrip(RestoreRequest(backup: "b", confirm: "c"))
        try roundTrip(CreateBackupRequest())
        try roundTrip(AcceptedResponse(operation: "o"))
    }

    @Test func zxidsAndTimesAreReadableByAnyone() throws {
        let text = String(decoding: try JSONEncoder().encode(Self.backup), as: UTF8.self)
        #expect(text.contains(#""lastZxid":"0x200000011""#))
        #expect(text.contains(#""createdAt":5"#))
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(HexZxid.self, from: Data(#""12""#.utf8)) }
    }

    @Test func aNewerDaemonIsUnderstood() throws {
        let text = #"{"id":"o","kind":"k","state":"paused","step":"","message":"","colour":"red"}"#
        #expect(try JSONDecoder().decode(OperationStatus.self, from: Data(text.utf8)).state == .other)
    }

    private static let routes: [ControlRoute] = [
        .status, .events(after: 7, limit: 9), .plan, .backups, .operation("op-1"), .operations(limit: 9), .member(254, .reseed),
        .diff, .apply, .backup("20260101T000000Z"), .memberDetails(2), .restartRolling, .createBackup, .verifyBackup("20260101T000000Z"), .pruneBackups, .restore, .cancel("op-1"), .pause, .resume,
    ]

    @Test(arguments: routes) func everyRouteIsFoundAgain(_ route: ControlRoute) throws {
        #expect(try ControlRoute.match(method: route.method, target: route.target) == route)
    }

    @Test(arguments: [
        ("GET", "/", ControlError.Code.notFound), ("GET", "/v2/status", .notFound), ("GET", "/v1/", .notFound),
        ("GET", "/v1/status/x", .notFound), ("POST", "/v1/status", .wrongMethod), ("GET", "/v1/restore", .wrongMethod),
        ("POST", "/v1/members/0/stop", .badRequest), ("POST", "/v1/members/1/kill", .notFound),
        ("POST", "/v1/backups/../verify", .badRequest), ("GET", "/v1/operations/", .badRequest),
        ("GET", "/v1/operations/a%2fb", .badRequest), ("GET", "/v1/events?after=-1", .badRequest),
        ("GET", "/v1/events?limit=1001", .badRequest), ("GET", "/v1/events?x=1", .badRequest), ("", "", .notFound),
    ])
    func whatIsNoRouteIsRefused(_ method: String, _ target: String, _ code: ControlError.Code) {
        do throws(ControlError) {
            _ = try ControlRoute.match(method: method, target: target)
            Issue.record("\(method) \(target) was accepted")
        } catch {
            #expect(error.code == code)
            #expect(!error.remedy.isEmpty)
        }
    }
}
