import EnsembleBase
import EnsembleControl
import Testing

@testable import ensemblectl

/// What is waited for, and what is said to be missing of it.
@Suite struct WaitTests {
    private func status(participating: Int = 3, held: [Hold] = [], change: (inout [MemberStatus]) -> Void = { _ in }) -> StatusResponse {
        var members = (1...3).map {
            MemberStatus(
                id: $0, host: "a", state: .participating, participates: true, clientAddress: "a:1", logFile: "/l", dataDirectory: "/d")
        }
        change(&members)
        return StatusResponse(
            cluster: "demo", engine: .bundled, version: "1", generation: 1, fingerprint: "f", observedAt: WallTime(milliseconds: 0), summary: "s",
            quorum: QuorumView(voters: 3, needed: 2, participating: participating, leader: 1, epoch: 1), held: held, members: members,
            backups: BackupSummary(), operation: nil)
    }

    @Test func conditionsAreRead() {
        #expect(Wait.Condition(argument: "whole") == .whole)
        #expect(Wait.Condition(argument: "member:2") == .member(2))
        #expect(Wait.Condition(argument: "operation:op-1") == .operation("op-1"))
        for wrong in ["", "member", "member:0", "member:x", "whole:1", "operation:", "operation:../x", "quorum"] {
            #expect(Wait.Condition(argument: wrong) == nil, "\(wrong)")
        }
    }

    @Test func aWholeClusterLacksNothing() throws {
        for condition in [Wait.Condition.serving, .whole, .idle, .member(3)] { #expect(try Wait.missing(condition, in: status()) == nil) }
    }

    @Test func whatIsMissingIsNamed() throws {
        #expect(try Wait.missing(.serving, in: status(participating: 1)) == "1 of 3 voters participate, 2 are needed")
        let outdated = status { $0[1].upToDate = false }
        #expect(try Wait.missing(.whole, in: outdated)?.hasPrefix("member 2") == true)
        #expect(try Wait.missing(.serving, in: outdated) == nil)
        let held = status(held: [Hold(what: "reseed of member 2", missingCondition: "there is no verified backup")])
        #expect(try Wait.missing(.whole, in: held) == "reseed of member 2 is held: there is no verified backup")
        #expect(try Wait.missing(.idle, in: held) == nil)
        let gone = status { $0[2].participates = false; $0[2].state = .backingOff }
        #expect(try Wait.missing(.member(3), in: gone)?.hasPrefix("member 3: backingOff") == true)
        #expect(throws: CommandFailure.self) { try Wait.missing(.member(9), in: gone) }
    }
}
