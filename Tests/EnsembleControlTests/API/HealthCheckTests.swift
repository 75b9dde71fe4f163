import EnsembleBase
import EnsembleControl
import Testing

/// What a monitor alarms for (issue 9, B27, B38).
struct HealthCheckTests {
    private static let now = WallTime(milliseconds: 1_000_000)

    private func member(_ id: Int, participates: Bool = true, planned: Bool? = false, state: MemberStatus.State? = nil) -> MemberStatus {
        var member = MemberStatus(
            id: id, host: "h", state: state ?? (participates ? .participating : .starting), participates: participates,
            clientAddress: "h:1", logFile: "", dataDirectory: "")
        member.planned = planned
        return member
    }

    private func status(_ members: [MemberStatus], held: [Hold] = [], leader: Int? = 1) -> StatusResponse {
        let count = members.count { $0.participates }
        var status = StatusResponse(
            cluster: "c", engine: .bundled, version: "", generation: 1, fingerprint: "", observedAt: Self.now, summary: "",
            quorum: QuorumView(voters: members.count, needed: members.count / 2 + 1, participating: count, leader: leader), held: held,
            members: members)
        status.backups.nextAt = Self.now
        return status
    }

    private func levels(_ status: StatusResponse) -> [String: HealthCheck.Level] {
        Dictionary(uniqueKeysWithValues: status.checks.map { ($0.name, $0.level) })
    }

    private func worst(_ status: StatusResponse) -> HealthCheck.Level? { status.checks.map(\.level).max() }

    @Test func whoIsWellAlarmsNobody() {
        let status = status([member(1), member(2), member(3)])
        #expect(status.checks.map(\.name) == ["quorum", "members", "held", "backups", "settings", "pause"])
        #expect(worst(status) == .ok)
    }

    @Test func aPlannedStepAlarmsNobody() {
        #expect(worst(status([member(1), member(2, participates: false, planned: true), member(3)])) == .ok)
        // Of a daemon that does not say so, what is out is out.
        #expect(worst(status([member(1), member(2, participates: false, planned: nil), member(3)])) == .warning)
    }

    @Test func aMemberThatIsAwayIsAWarningAndWithoutQuorumCritical() {
        let away = status([member(1), member(2, participates: false), member(3)])
        #expect(levels(away)["quorum"] == .warning && levels(away)["members"] == .warning)
        let five = status([member(1), member(2, participates: false), member(3), member(4), member(5)])
        #expect(levels(five)["quorum"] == .ok && levels(five)["members"] == .warning)
        #expect(levels(status([member(1), member(2, participates: false, state: .gaveUp), member(3)]))["members"] == .critical)
        // Whoever planned it: without a quorum nobody is served.
        let lost = status([member(1), member(2, participates: false, planned: true), member(3, participates: false, planned: true)])
        #expect(levels(lost)["quorum"] == .critical)
        #expect(levels(status([member(1), member(2), member(3)], leader: nil))["quorum"] == .critical)
    }

    @Test func whatWaitsForAMomentIsNoNews() {
        func with(_ seconds: Int64, _ gravity: Hold.Gravity?) -> HealthCheck.Level? {
            let since = WallTime(milliseconds: Self.now.milliseconds - seconds * 1000)
            let hold = Hold(what: "rolling restart", missingCondition: "member 2 does not participate", since: since, gravity: gravity)
            return levels(status([member(1), member(2), member(3)], held: [hold]))["held"]
        }
        #expect([with(5, .waits), with(40, .waits), with(5, .person), with(40, nil)] == [.ok, .warning, .critical, .warning])
    }

    @Test func troubleWithBackupsIsNamed() {
        var status = status([member(1), member(2), member(3)])
        status.backups.lastFailure = "the archive is full"
        #expect(levels(status)["backups"] == .warning)
        status.backups.overdueSince = WallTime(milliseconds: 0)
        let check = status.checks.first { $0.name == "backups" }
        #expect(check?.level == .critical && check?.text.contains("the archive is full") == true)
        #expect(check?.text.contains("there is no verified one") == true)
        status.backups = BackupSummary()
        #expect(levels(status)["backups"] == .ok, "none are declared")
        status.backups.count = 3
        status.backups.damaged = 1
        #expect(levels(status)["backups"] == .warning)
        status.backups.damaged = 0
        status.backups.fromTheFuture = 1
        #expect(levels(status)["backups"] == .warning)
    }

    @Test func aPauseIsNotForgotten() {
        var status = status([member(1), member(2), member(3)])
        status.pausedSince = WallTime(milliseconds: 5)
        #expect(levels(status)["pause"] == .warning)
    }

    @Test func aBackupIsOverdueBehindItsDate() throws {
        let retention = try RetentionPolicy(keepLast: 2)
        var settings = BackupSettings(schedule: try Schedule(parsing: "0 3 * * *"), retention: retention)
        let (hour, day): (Int64, Int64) = (3_600_000, 86_400_000)
        let newest = WallTime(milliseconds: 10 * day + 3 * hour)
        // The night behind it was missed, and an hour has gone.
        #expect(BackupAge.isOverdue(from: settings, newest: newest, since: WallTime(milliseconds: 0)).milliseconds == 11 * day + 4 * hour)
        // A new cluster owes nothing yet.
        let start = WallTime(milliseconds: 10 * day + 4 * hour)
        #expect(BackupAge.isOverdue(from: settings, newest: nil, since: start).milliseconds == 11 * day + 4 * hour)
        settings.maximumAge = .seconds(60)
        #expect(BackupAge.isOverdue(from: settings, newest: newest, since: start).milliseconds == newest.milliseconds + 60_000)
    }
}
