import EnsembleBase
import Foundation
import Testing

@testable import EnsembleControl

/// S9: what a daemon has written down of its workflows the next one reads, also one of another version.
struct WrittenWorkflowTests {
    private static let backup = BackupReference(
        id: "20261130T194949Z-52b99b58", endZxid: 0x1_0000_0007, acceptedEpoch: 1, takenAt: WallTime(milliseconds: 5))

    private static var workflows: [any Workflow] {
        var roll = Roll(members: [1, 2, 3], reason: "a person asks", acceptOutage: false)
        (roll.phase, roll.remaining) = (.soaking(2), [2, 3])
        var cold = ColdCapture(member: 2)
        (cold.phase, cold.upTo, cold.taken) = (.joining, 7, backup)
        return [
            roll, cold, StopMember(member: 3, acceptOutage: true),
            Restore(backup: backup, phase: .quarantining(remaining: [2, 3]), acceptedEpoch: 9),
        ]
    }

    @Test func everyKindIsReadAsItWasWritten() throws {
        #expect(Set(Self.workflows.map { type(of: $0).kind }) == Set(Operation.kinds.map { $0.kind }))
        for workflow in Self.workflows {
            var intents = Intents(operation: Operation(id: "o-1", workflow))
            intents.pausedSince = WallTime(milliseconds: 3)
            #expect(try JSONDecoder().decode(Intents.self, from: JSONEncoder().encode(intents)) == intents)
        }
    }

    /// As the enumeration wrote them that stood in place of the workflows.
    @Test func whatFormerVersionsWroteIsRead() throws {
        func read(_ kind: String) throws -> any Workflow {
            try JSONDecoder().decode(Operation.self, from: Data(#"{"id": "o-1", "kind": \#(kind)}"#.utf8)).workflow
        }
        let roll = try read(
            #"{"rolling": {"_0": {"members": [1, 2], "remaining": [2], "reason": "r", "phase": {"joining": {"_0": 2}}, "acceptOutage": true}}}"#)
        #expect((roll as? Roll)?.phase == .joining(2) && (roll as? Roll)?.remaining == [2])
        let choosing = try read(
            #"{"rolling": {"_0": {"members": [1], "remaining": [1], "reason": "r", "phase": {"choosing": {}}, "acceptOutage": true}}}"#)
        #expect((choosing as? Roll)?.phase == .choosing)
        #expect((try read(#"{"coldBackup": {"_0": {"member": 2, "phase": {"copying": {}}, "upTo": 7}}}"#) as? ColdCapture)?.phase == .copying)
        // S4: that an outage was accepted is asked for anew.
        #expect(try read(#"{"stopMember": {"_0": 2, "acceptOutage": true}}"#) as? StopMember == StopMember(member: 2, acceptOutage: false))
        let backup = String(decoding: try JSONEncoder().encode(Self.backup), as: UTF8.self)
        let restore = try read(
            #"{"restore": {"_0": {"backup": \#(backup), "phase": {"seeding": {"remaining": [3]}}, "acceptedEpoch": 4}}}"#)
        #expect((restore as? Restore)?.phase == .seeding(remaining: [3]))
    }

    @Test func aKindThatIsNotKnownIsNamed() {
        let text = #"{"id": "o-1", "kind": {"drill": {"_0": {}}}}"#
        #expect {
            try JSONDecoder().decode(Operation.self, from: Data(text.utf8))
        } throws: { "\($0)".contains("drill") }
    }
}
