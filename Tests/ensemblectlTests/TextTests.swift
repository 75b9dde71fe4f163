import ArgumentParser
import EnsembleBase
import EnsembleControl
import Testing

@testable import ensemblectl

@Suite struct TextTests {
    private let plain = Style(isColoured: false)

    private func status() -> StatusResponse {
        let now = WallTime(milliseconds: 1_000_000_000)
        func member(_ id: Int, _ role: MemberStatus.Role, _ state: MemberStatus.State) -> MemberStatus {
            MemberStatus(
                id: id, host: "127.0.0.1", role: role, state: state, alive: true, pid: 40 + Int32(id),
                uptimeMilliseconds: Int64(id) * 61_000, zxid: HexZxid(0x1_0000_0009), lag: 0,
                clientAddress: "127.0.0.1:2181\(id)", logFile: "/l", dataDirectory: "/d")
        }
        var members = [member(1, .follower, .participating), member(2, .leader, .participating)]
        members.append(
            MemberStatus(
                id: 3, host: "127.0.0.1", state: .backingOff, detail: "killed by signal 9, restarts in 2s", restarts: 12,
                clientAddress: "127.0.0.1:21813", logFile: "/l", dataDirectory: "/d", upToDate: false))
        var backups = BackupSummary()
        backups.count = 4
        backups.last = BackupDescription(
            id: "b4", createdAt: WallTime(milliseconds: 999_990_000), mode: .live, member: 1, lastZxid: HexZxid(9),
            size: 1, storedSize: 1)
        backups.lastVerified = BackupDescription(
            id: "b3", createdAt: WallTime(milliseconds: 999_980_000), mode: .live, member: 1, lastZxid: HexZxid(8),
            size: 1, storedSize: 1, verifiedAt: WallTime(milliseconds: 999_981_000))
        backups.nextAt = WallTime(milliseconds: 1_000_005_000)
        return StatusResponse(
            cluster: "demo", engine: .bundled, version: "1", generation: 2, fingerprint: "f", observedAt: now, summary: "s",
            quorum: QuorumView(voters: 3, needed: 2, participating: 2, leader: 2, epoch: 1),
            held: [Hold(what: "rolling restart", missingCondition: "member 3 participates", since: WallTime(milliseconds: 999_940_000))],
            members: members, backups: backups,
            operation: OperationStatus(id: "o", kind: "restart of all members", state: .running, step: "member 3"))
    }

    @Test func statusTable() {
        #expect(
            status().text(plain) == """
                demo  serving  2 of 3 voters participate, 2 needed, epoch 1  engine bundled, manifest 2
                ID  ROLE      STATE          ZXID         LAG     UP  PID  RESTARTS  ADDRESS
                 1  follower  participating  0x100000009    0  1m01s   41         0  127.0.0.1:21811
                 2  leader    participating  0x100000009    0  2m02s   42         0  127.0.0.1:21812
                 3  -         backingOff     -              -      -    -        12  127.0.0.1:21813  needs a restart
                member 3: killed by signal 9, restarts in 2s
                held  rolling restart: member 3 participates (1m00s ago)
                backups: 4, last b4 10s ago, last verified b3, next in 5s
                at work: restart of all members  member 3  (o)

                """)
    }

    /// Issue 9, B33: at 80 columns nothing important fitted.
    @Test func aNarrowTerminalShowsWhatMatters() {
        let text = status().text(Style(isColoured: false, width: 60))
        #expect(text.split(separator: "\n").dropFirst().prefix(5).allSatisfy { $0.count <= 60 }, "\(text)")
        #expect(text.contains("STATE") && text.contains("LAG") && !text.contains("PID"))
        var table = Table([.init("A"), .init("REASON", wraps: true)])
        table.add([.init("x"), .init("one two three four five six seven")])
        #expect(
            table.text(Style(isColoured: false, width: 20)) == """
                A  REASON
                x  one two three
                   four five six
                   seven

                """)
    }

    @Test func aPauseIsShown() {
        var status = status()
        status.pausedSince = WallTime(milliseconds: 999_940_000)
        #expect(status.text(plain).hasSuffix("paused 1m00s ago: nothing voluntary is begun; ensemblectl resume goes on\n"))
    }

    @Test func colourIsAddedAroundCellsOnly() {
        let coloured = status().text(Style(isColoured: true))
        #expect(coloured.contains("\u{1B}[32mparticipating\u{1B}[0m  0x100000009"))
        let stripped = coloured.replacing(/\u{1B}\[[0-9]+m/, with: "")
        #expect(stripped == status().text(plain))
    }

    @Test func statusCheck() {
        #expect(throws: CommandFailure(.held, "rolling restart is held: member 3 participates", remedy: "see `ensemblectl status`")) {
            try Status.judge(status())
        }
        var lost = status()
        lost.quorum.participating = 1
        #expect(throws: CommandFailure.self) { try Status.judge(lost) }
        var whole = status()
        whole.held = []
        #expect(throws: Never.self) { try Status.judge(whole) }
    }

    @Test func noTerminalIsSteeredByOthers() {
        var table = Table([.init("A")])
        table.add([.init("x\u{1B}[2J\ny")])
        #expect(table.text(plain) == "A\nx?[2J?y\n")
    }

    @Test func planAndBackups() {
        let plan = PlanResponse(
            steps: [
                .init(action: "restart member 1", member: 1, reason: "its settings changed", done: true),
                .init(action: "restart member 2", member: 2, reason: "it leads: last", heldBack: "member 1 participates"),
            ])
        #expect(
            plan.text(plain) == """
                STEP  ACTION            REASON                HELD BACK
                done  restart member 1  its settings changed
                   2  restart member 2  it leads: last        member 1 participates

                """)
        #expect(PlanResponse(steps: []).text(plain) == "nothing is planned\n")
        let backup = BackupDescription(
            id: "b1", createdAt: WallTime(milliseconds: 0), mode: .cold, member: 2, lastZxid: HexZxid(255), size: 5 << 20,
            storedSize: 1500, damage: "object is gone")
        #expect(
            BackupsResponse(archive: "/a", backups: [backup]).text(plain) == """
                ID  CREATED               MODE  MEMBER  UP TO ZXID     SIZE   STORED  VERIFIED
                b1  1970-01-01T00:00:00Z  cold       2  0xff        5.0 MiB  1.4 KiB  damaged: object is gone

                """)
        #expect(BackupsResponse(archive: "/a", backups: []).text(plain) == "no backups in /a\n")
    }

    @Test func history() {
        var roll = OperationStatus(
            id: "op-2", kind: "rolling restart", state: .held, step: "choosing the next member", startedAt: WallTime(milliseconds: 5000),
            error: ControlError(.held, "it waits", remedy: "", missingCondition: "member 2 does not participate"))
        roll.by = 1000
        let backup = OperationStatus(
            id: "op-1", kind: "backup", state: .failed, message: "the disk is full", startedAt: WallTime(milliseconds: 0),
            finishedAt: WallTime(milliseconds: 61_000))
        #expect(
            OperationsResponse(operations: [roll, backup]).text(plain, userName: { "user\($0)" }) == """
                ASKED                 BY         WHAT              TOOK  RESULT
                1970-01-01T00:00:05Z  user1000   rolling restart         waits: member 2 does not participate
                1970-01-01T00:00:00Z  ensembled  backup           1m01s  failed: the disk is full

                """)
        #expect(OperationsResponse(operations: []).text(plain, userName: { "\($0)" }) == "nothing was asked for yet\n")
    }

    @Test func quantities() {
        #expect([0, 999, 59_999, 60_000, 3_725_000, 90_000_000, -5].map(spanText) == ["0ms", "999ms", "59s", "1m00s", "1h02m", "1d01h", "0s"])
        #expect([0, 1023, 1024, 10 << 10, 3 << 30].map(bytesText) == ["0 B", "1023 B", "1.0 KiB", "10 KiB", "3.0 GiB"])
    }

    @Test func progress() {
        var status = OperationStatus(
            id: "o", kind: "backup", state: .running, step: "copying", done: 256 << 20, total: 1 << 30, unit: .bytes,
            rate: Double(64 << 20))
        #expect(status.line == "backup  copying  25 %  256 MiB of 1.0 GiB  64 MiB/s  12s left")
        var pipe = ProgressLine(isTerminal: false)
        #expect(pipe.update(status) == "backup  copying\n")
        status.done = 300 << 20
        #expect(pipe.update(status) == "")
        status.state = .held
        status.error = ControlError(.held, "m", remedy: "r", missingCondition: "a quorum")
        #expect(pipe.update(status) == "backup  copying  held: a quorum\n")
        var terminal = ProgressLine(isTerminal: true)
        #expect(terminal.update(status).hasPrefix("\r\u{1B}[Kbackup"))
        status.state = .succeeded
        #expect(terminal.update(status) == "\r\u{1B}[K")
        // Numbers that make no sense do not crash.
        status.rate = .infinity
        status.done = .min
        status.total = 1
        #expect(status.line.contains("0 %"))
    }

    @Test func theLastLineSaysWhatCameOfIt() {
        let status = OperationStatus(
            id: "o", kind: "backup", state: .succeeded, message: "backup b1: 12 KiB, verified",
            startedAt: WallTime(milliseconds: 1000), finishedAt: WallTime(milliseconds: 1300), backup: "b1")
        #expect(WaitingOptions.summary(status) == "backup b1: 12 KiB, verified, 300ms")
        #expect(WaitingOptions.summary(OperationStatus(id: "o", kind: "x", state: .succeeded)) == "x: done")
    }

    @Test func optionsOfTheConnectionMayStandBeforeTheVerb() throws {
        func moved(_ arguments: String...) -> [String] { ConnectionOptions.behindTheVerb(arguments) }
        #expect(moved("--socket", "/s", "status", "--check") == ["status", "--check", "--socket", "/s"])
        #expect(moved("--json", "--cluster=c", "backup", "list") == ["backup", "list", "--json", "--cluster=c"])
        #expect(moved("--socket", "/s", "logs", "--", "1") == ["logs", "--socket", "/s", "--", "1"])
        #expect(moved("status", "--socket", "/s") == ["status", "--socket", "/s"])
        #expect(moved("--version") == ["--version"])
        #expect(moved("--socket") == ["--socket"])
        #expect(try Ensemblectl.parseAsRoot(moved("--socket", "/s", "status")) is Status)
    }

    @Test func lastLines() {
        let text = Array("a\nb\nc\n".utf8)
        #expect(LogTail.lastLines(2, of: text) == Array("b\nc\n".utf8))
        #expect(LogTail.lastLines(9, of: text) == text)
        #expect(LogTail.lastLines(0, of: text) == [])
        #expect(LogTail.lastLines(1, of: Array("a\nb".utf8)) == Array("b".utf8))
    }
}
